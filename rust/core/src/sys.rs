//! System calls and raw pointers: the only module with `unsafe`, and the only one that knows Linux.
//!
//! Everything here is retried when a signal interrupts it.
#![allow(unsafe_code, reason = "this is the file that may")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::FlockOperation;
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;
use rustix::time::{ClockId, Timespec};

use crate::layout::WORD;
use crate::seqlock::{load_lines, relaxed};
use crate::sync::{AtomicU32, AtomicU64};

mod files;

pub use files::*;

// ---- memory

/// A shared mapping of a whole file.
///
/// It is only ever seen as atomics: another process may change it at any time. Truncating a mapped file turns
/// accesses into SIGBUS; no program of this project truncates, and others cannot open the files.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only seen as atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `bytes` bytes of a file, a multiple of a word; `writable` needs a descriptor that is.
    pub fn new(file: &OwnedFd, bytes: usize, writable: bool) -> io::Result<Self> {
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let start =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::Other)?;
        Ok(Self { start, words: bytes / WORD })
    }

    /// All of its words. Stores through a read-only mapping end the process: only `seqlock::RingWriter` and
    /// `roster` store.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: page-aligned, mapped for as long as self lives; any bit pattern is an AtomicU64, and loads
        // of one are allowed in read-only memory.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    /// The lower half of a word, as what futex calls take. That word is never touched through `words`.
    #[inline]
    pub fn half_word(&self, index: usize) -> &AtomicU32 {
        let word = &raw const self.words()[index];
        // SAFETY: in bounds, aligned to 8; lives as long as self.
        unsafe { &*word.cast() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; references into it borrow self.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.words * WORD) };
    }
}

/// One word of whatever keeps a mapping alive, without the way there.
#[derive(Debug)]
pub struct WordRef<T> {
    word: NonNull<AtomicU64>,
    _keeps: Arc<T>,
}

impl<T> Clone for WordRef<T> {
    fn clone(&self) -> Self {
        Self { word: self.word, _keeps: Arc::clone(&self._keeps) }
    }
}

// SAFETY: it is an Arc<T> and a shared reference to an atomic inside of that T.
unsafe impl<T: Send + Sync> Send for WordRef<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for WordRef<T> {}

impl<T: AsRef<Mapping>> WordRef<T> {
    /// The word at `index` of the mapping. `T` must give the same mapping each time, as a plain field does.
    pub fn new(owner: &Arc<T>, index: usize) -> Self {
        let word = NonNull::from(&(**owner).as_ref().words()[index]);
        Self { word, _keeps: Arc::clone(owner) }
    }
}

impl<T> WordRef<T> {
    /// The word.
    #[inline]
    pub fn get(&self) -> &AtomicU64 {
        // SAFETY: in bounds when it was made; the mapping lives as long as `_keeps`.
        unsafe { self.word.as_ref() }
    }
}

/// From how many words on a copy to or from shared memory is left to [`copy_words`]: below, its start costs
/// more than it saves.
pub const BULK_WORDS: usize = if cfg!(all(target_arch = "x86_64", not(miri))) { 256 } else { usize::MAX };

/// Copies words by one string instruction, several times as fast as one word at a time, which is how the
/// compiler translates atomics.
///
/// To the compiler it may be anything that such a block could do, a row of relaxed atomic loads or stores of
/// words for example, which is what x86 makes of it: each aligned word is loaded or stored at once, in any
/// order within the instruction, and before what follows it in the program (Intel SDM vol. 3,
/// "Memory-Ordering Model for String Operations on Write-Back Memory": data by string operations, then a
/// discrete semaphore).
///
/// # Safety
/// `words` words must be readable at `from` and writable at `to`, and not overlap.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn copy_words(from: *const u64, to: *mut u64, words: usize) {
    // SAFETY: the caller's; the direction flag is clear, as the ABI has it.
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") words => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
unsafe fn copy_words(_from: *const u64, _to: *mut u64, _words: usize) {
    unreachable!("BULK_WORDS is out of reach");
}

/// Stores at least [`BULK_WORDS`] words, relaxed.
pub fn store_words(to: &[AtomicU64], from: &[[u8; WORD]]) {
    assert!(to.len() >= from.len());
    // SAFETY: checked above; shared memory is only ever borrowed as atomics, so `from` is other memory.
    unsafe { copy_words(from.as_ptr().cast(), to.as_ptr().cast_mut().cast(), from.len()) }
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// The copied blobs of a snapshot, 64-byte-aligned, so that arrays can be views on it.
#[derive(Clone, Debug, Default)]
pub struct BlobBuffer {
    lines: Vec<Line>,
    words: usize,
}

impl BlobBuffer {
    /// Replaces the content by a copy of words that others may be changing: what they hold is for the caller
    /// to check.
    #[inline]
    pub fn refill(&mut self, words: &[AtomicU64]) {
        self.words = words.len();
        self.lines.clear();
        self.lines.reserve_exact(words.len().div_ceil(8));
        let (whole, rest) = words.split_at(words.len() / 8 * 8);
        if whole.len() >= BULK_WORDS {
            // SAFETY: room for all lines was reserved, and a Line is eight words; the copy fills the whole
            // ones.
            unsafe {
                copy_words(whole.as_ptr().cast(), self.lines.as_mut_ptr().cast(), whole.len());
                self.lines.set_len(whole.len() / 8);
            }
        } else {
            self.lines.extend(load_lines(whole).0.map(Line));
        }
        if !rest.is_empty() {
            let mut last = Line([0; 8]);
            for (to, from) in last.0.iter_mut().zip(rest) {
                *to = relaxed(from);
            }
            self.lines.push(last);
        }
    }

    /// Words that can be held without allocating.
    pub fn capacity(&self) -> usize {
        self.lines.capacity() * 8
    }

    /// The content.
    #[inline]
    pub fn words(&self) -> &[u64] {
        // SAFETY: a Line is eight words without padding; there are at least self.words / 8 lines, rounded up.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.words) }
    }

    /// The content as bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the same memory as `words`; any byte is a u8.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.words * WORD) }
    }
}

// ---- locks

/// Takes the record lock of a whole file; `false` if another process has it. Dropped by *any* close of the
/// file in this process.
pub fn try_lock(file: &OwnedFd) -> io::Result<bool> {
    match retry_on_intr(|| rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::ACCESS | Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The process that holds the record lock, as this pid namespace knows it (0: it does not).
pub fn lock_holder(file: &OwnedFd) -> io::Result<Option<u32>> {
    // SAFETY: all zeros is a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    loop {
        // SAFETY: an open descriptor and a flock that lives over the call.
        if unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_GETLK, &raw mut lock) } == 0 {
            let free = lock.l_type == libc::F_UNLCK as libc::c_short;
            return Ok((!free).then_some(lock.l_pid.unsigned_abs()));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

// ---- sleeping, time, processes

/// Sleeps on a shared futex until it is woken, differs from `value`, a signal arrives, or the time is over.
pub fn futex_wait(word: &AtomicU32, value: u32, time: std::time::Duration) {
    let time = Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    // Each way of coming back is one: the caller looks at the head again.
    let _ = futex::wait(word, futex::Flags::empty(), value, Some(&time));
}

/// Wakes all that sleep on a shared futex.
pub fn futex_wake(word: &AtomicU32) {
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
}

/// The clock of publish times, in ns: monotonic and the same for all processes, so setting the clock back has
/// no effect.
#[inline]
pub fn now_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(ClockId::Monotonic))
}

/// The same clock as it stood at the kernel's last tick, at most 10 ms ago: a quarter of the cost, which on a
/// virtual machine is a quarter of a publish.
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

/// The effective user.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// When a process started, in clock ticks since boot; `None` if it is gone. With the pid, says which process
/// it is.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold anything: count from the last parenthesis. Field 3 is the state, field 22
    // the start time.
    let after = stat.iter().rposition(|&byte| byte == b')')? + 2;
    let fields = std::str::from_utf8(&stat[after..]).ok()?;
    let mut fields = fields.split(' ');
    let dead = matches!(fields.next()?, "Z" | "X");
    if dead { None } else { fields.nth(18)?.parse().ok() }
}

/// Has these functions called around every fork of the process: before it, after it in the parent, after it
/// in the child.
pub fn at_fork(before: extern "C" fn(), parent: extern "C" fn(), child: extern "C" fn()) {
    // SAFETY: the functions are safe ones and live for ever.
    let failed = unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
    assert_eq!(failed, 0, "pthread_atfork found no memory");
}

/// Ends the process by SIGKILL. `orphan`: forks a child first, which lives on for a minute, and writes its
/// pid there.
#[cfg(feature = "failpoints")]
pub fn die(orphan: Option<&std::ffi::OsStr>) -> ! {
    if let Some(file) = orphan {
        // By the bare system call: the functions of `at_fork` would wait for a lock that this thread holds.
        // SAFETY: a fork without any flags; the child only makes two system calls.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD as libc::c_long, 0, 0, 0, 0) };
        if pid == 0 {
            // SAFETY: two system calls that touch no memory.
            unsafe {
                libc::alarm(60);
                loop {
                    libc::pause();
                }
            }
        }
        let _ = std::fs::write(file, pid.to_string()); // a test that misses it fails
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
