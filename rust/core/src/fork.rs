//! The fork count, and a lock that survives a fork.
//!
//! A child forked while another thread holds a mutex would find it locked for ever. So the forking thread takes the one
//! lock of this module first, and both sides release it afterwards. Nothing that can block is done under it.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys;
use crate::words::Counter;

static LOCK: Mutex<()> = Mutex::new(());
static FORKS: Counter = Counter::new();

thread_local! {
    static HELD_OVER_FORK: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// What all objects of a process share. All of them are behind the same lock: hold one at a time.
#[derive(Debug, Default)]
pub struct Shared<T>(Mutex<T>);

/// A [`Shared`] in use.
pub struct Guard<'a, T> {
    // In this order: the value's own lock is never held without the other, so a fork never finds it held.
    value: MutexGuard<'a, T>,
    _lock: MutexGuard<'static, ()>,
}

impl<T> Shared<T> {
    /// With its first value.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Takes the lock.
    pub fn lock(&self) -> Guard<'_, T> {
        let lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        Guard { value: self.0.lock().unwrap_or_else(PoisonError::into_inner), _lock: lock }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// How many forks lie between the process that loaded this code and this one.
#[inline]
pub fn count() -> u64 {
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
    let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
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
