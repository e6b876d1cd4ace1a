//! The fork count, and a lock that survives a fork.
//!
//! A child that is forked while another thread holds a mutex finds that mutex locked for ever. So the forking thread first takes
//! the one lock of this module, and both sides release it afterwards. Code that holds the lock must not wait for other threads or
//! processes.

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

/// A value that all objects of a process share. All such values are behind the same lock: hold one at a time.
#[derive(Debug, Default)]
pub struct Shared<T>(Mutex<T>);

/// Access to the value of a [`Shared`], with its lock held.
pub struct Guard<'a, T> {
    // Dropped in this order: the value's own lock is never held without the other, so no fork happens while it is held.
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

/// How many forks there are between the process that loaded this code and this one.
#[inline]
pub fn count() -> u64 {
    FORKS.get()
}

// When this code is loaded, not at its first use. At first use, another thread may be forking: a child that finds a half-done
// registration waits for ever for it to end, and a fork that has begun does not call functions that are registered meanwhile, so
// the child would mistake its parent's writer for its own.
ctor::declarative::ctor! {
    // SAFETY: Rust's runtime may not be initialized before main; the function only calls libc.
    #[ctor(unsafe)]
    fn watch_forks() {
        sys::at_fork(before_fork, after_fork, in_child);
    }
}

extern "C" fn before_fork() {
    let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    // Fails only while the thread's locals are being destroyed. Then the fork goes on without the lock, and the child may find it
    // held, as with any mutex.
    let _ = HELD_OVER_FORK.try_with(|held| *held.borrow_mut() = Some(guard));
}

extern "C" fn after_fork() {
    let _ = HELD_OVER_FORK.try_with(|held| held.borrow_mut().take());
}

extern "C" fn in_child() {
    FORKS.next();
    after_fork();
}
