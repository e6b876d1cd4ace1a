//! What all objects of a process share, behind one lock that survives a fork.
//!
//! A child forked while another thread holds a mutex would find it locked for ever. So the forking thread
//! takes this one first, and both sides release it afterwards. Nothing that can block is done under it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use crate::generation::Segment;
use crate::roster::Seat;
use crate::seqlock::Counter;
use crate::sys::{self, FileId};

/// A lock file: its directory and its name there.
pub type LockKey = (FileId, OsString);

/// A held lock: its descriptor, and the fork count at which it was taken. After a fork the child has a copy
/// of the descriptor, but not the lock.
pub struct HeldLock {
    pub file: OwnedFd,
    pub forks: u64,
}

/// What the process shares.
pub struct Shared {
    /// The locks that this process holds, or that its parent held when it forked.
    pub locks: BTreeMap<LockKey, HeldLock>,
    /// Segments mapped for reading: one mapping for all readers.
    pub segments: BTreeMap<FileId, Weak<Segment>>,
    /// Lines in rosters, by [`Segment::key`].
    pub seats: BTreeMap<u64, Weak<Seat>>,
}

static SHARED: Mutex<Shared> =
    Mutex::new(Shared { locks: BTreeMap::new(), segments: BTreeMap::new(), seats: BTreeMap::new() });
static FORKS: Counter = Counter::new();

thread_local! {
    static HELD_OVER_FORK: RefCell<Option<MutexGuard<'static, Shared>>> = const { RefCell::new(None) };
}

/// Takes the lock.
pub fn shared() -> MutexGuard<'static, Shared> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many forks lie between the process that loaded this code and this one.
#[inline]
pub fn forks() -> u64 {
    FORKS.get()
}

// When this code is loaded, not at its first use. At first use, another thread may be forking: a child that finds half of
// a registration waits for its end for ever, and a fork that has begun does not call what is registered meanwhile, so that
// the child would take its parent's writer for its own.
ctor::declarative::ctor! {
    // SAFETY: before main there may be no runtime of Rust's; only libc is called.
    #[ctor(unsafe)]
    fn watch_forks() {
        sys::at_fork(before_fork, after_fork, in_child);
    }
}

extern "C" fn before_fork() {
    let guard = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    // Fails only while the thread's locals are being destroyed: then the child may find the lock held, as
    // with any mutex.
    let _ = HELD_OVER_FORK.try_with(|held| *held.borrow_mut() = Some(guard));
}

extern "C" fn after_fork() {
    let _ = HELD_OVER_FORK.try_with(|held| held.borrow_mut().take());
}

extern "C" fn in_child() {
    FORKS.next();
    after_fork();
}
