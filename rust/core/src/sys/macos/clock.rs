//! Clocks and sleeping.
#![forbid(unsafe_code)]

use std::time::Duration;

use rustix::time::{ClockId, Timespec};

use crate::sync::AtomicU32;

/// Sleeps for at most a millisecond: the caller loads the head again each time. To be woken, a finished port would need
/// `os_sync_wait_on_address` with its flag for shared memory.
pub fn futex_wait(_word: &AtomicU32, _value: u32, time: Duration) {
    std::thread::sleep(time.min(Duration::from_millis(1)));
}

/// Nobody sleeps for longer than a millisecond.
pub fn futex_wake(_word: &AtomicU32) {}

/// The clock of publish times, in ns: monotonic and the same for all processes.
#[inline]
pub fn now_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(ClockId::Monotonic))
}

/// The same clock: there is no cheaper one.
#[inline]
pub fn tick_ns() -> u64 {
    now_ns()
}

/// Unix time in ns.
pub fn unix_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(ClockId::Realtime))
}

#[inline]
fn nanoseconds(time: Timespec) -> u64 {
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}
