//! Clocks and sleeping.

use rustix::thread::futex;
use rustix::time::{ClockId, Timespec};

use crate::sync::AtomicU32;

/// Sleeps on a shared futex until it is woken, its value differs from `value`, a signal arrives, or `time` has passed.
pub fn futex_wait(word: &AtomicU32, value: u32, time: std::time::Duration) {
    let time = Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    // All results are the same to the caller: it loads the head again.
    let _ = futex::wait(word, futex::Flags::empty(), value, Some(&time));
}

/// Wakes everybody who sleeps on a shared futex.
pub fn futex_wake(word: &AtomicU32) {
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
}

/// The clock of publish times, in ns: monotonic and the same for all processes, so setting the clock back has
/// no effect.
#[inline]
pub fn now_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(ClockId::Monotonic))
}

/// The same clock at the kernel's last tick, at most 10 ms ago. It costs a quarter as much, and on a virtual machine [`now_ns`]
/// would take a quarter of a publish.
#[inline]
pub fn tick_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(ClockId::MonotonicCoarse))
}

/// Unix time in ns.
pub fn unix_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(ClockId::Realtime))
}

#[inline]
fn nanoseconds(time: Timespec) -> u64 {
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}
