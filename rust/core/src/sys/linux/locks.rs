//! Record locks of the kernel: on ranges of bytes, dropped when their process ends in any way, not inherited by a fork.
//!
//! *Any* close of the file in the holder's process drops them. A second lock by the same process succeeds.
#![allow(unsafe_code, reason = "one system call that rustix has no form of for ranges")]

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::files::FileId;

/// What came of asking for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locked {
    /// It is this process's.
    Yes,
    /// Another process has it.
    Contended,
}

/// Who has a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its process, as this pid namespace knows it; 0: it does not.
    pub pid: u32,
    /// How many bytes it has locked in one piece, 0: up to the end of the file, whatever its length.
    pub len: u64,
}

/// Takes the lock of a range of bytes, or has it already.
///
/// # Errors
/// What the system says, `EACCES` among it: a lock that is *denied* (by a security module) is not one that is held.
pub fn try_lock(file: &OwnedFd, range: Range<u64>) -> io::Result<Locked> {
    match call(file, libc::F_SETLK, libc::F_WRLCK, range) {
        Ok(_) => Ok(Locked::Yes),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(Locked::Contended),
        Err(error) => Err(error),
    }
}

/// Lets go of a range.
pub fn unlock(file: &OwnedFd, range: Range<u64>) -> io::Result<()> {
    call(file, libc::F_SETLK, libc::F_UNLCK, range).map(drop)
}

/// Which *other* process has a lock in the range. One's own are never found.
pub fn lock_holder(file: &OwnedFd, range: Range<u64>) -> io::Result<Option<Holder>> {
    let lock = call(file, libc::F_GETLK, libc::F_WRLCK, range)?;
    let free = lock.l_type == libc::F_UNLCK as libc::c_short;
    let holder = Holder { pid: lock.l_pid.unsigned_abs(), len: lock.l_len.unsigned_abs() };
    Ok((!free).then_some(holder))
}

/// Whether this process has a lock on a file, without opening it, which would drop the lock; `None` if the kernel does not say.
pub fn has_lock(file: FileId) -> Option<bool> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let own = std::process::id().to_string();
    // 1: POSIX  ADVISORY  WRITE 1234 00:1a:5678 0 0
    let is_ours = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        fields.nth(1) == Some("POSIX")
            && fields.nth(2) == Some(&own)
            && fields.next() == Some(&file.in_proc_locks())
    };
    Some(locks.lines().any(is_ours))
}

/// Takes the lock of a range for an open file: it lasts as long as that is open anywhere, in forked children too. No other close
/// drops it, and a second open file of the same process does not get it.
///
/// # Errors
/// As [`try_lock`].
pub fn try_lock_open_file(file: &OwnedFd, range: Range<u64>) -> io::Result<Locked> {
    match call(file, libc::F_OFD_SETLK, libc::F_WRLCK, range) {
        Ok(_) => Ok(Locked::Yes),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(Locked::Contended),
        Err(error) => Err(error),
    }
}

/// Lets go of a range that was locked for an open file.
///
/// # Errors
/// What the system says.
pub fn unlock_open_file(file: &OwnedFd, range: Range<u64>) -> io::Result<()> {
    call(file, libc::F_OFD_SETLK, libc::F_UNLCK, range).map(drop)
}

/// Whether another open file has a lock in the range.
///
/// # Errors
/// What the system says.
pub fn is_locked_by_open_file(file: &OwnedFd, range: Range<u64>) -> io::Result<bool> {
    Ok(call(file, libc::F_OFD_GETLK, libc::F_WRLCK, range)?.l_type != libc::F_UNLCK as libc::c_short)
}

fn call(file: &OwnedFd, command: i32, kind: impl Into<i32>, range: Range<u64>) -> io::Result<libc::flock> {
    let offset = |at: u64| libc::off_t::try_from(at).map_err(|_| io::ErrorKind::InvalidInput);
    // SAFETY: all zeros is a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind.into() as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = offset(range.start)?;
    lock.l_len = offset(range.end - range.start)?;
    loop {
        // SAFETY: an open descriptor and a flock that lives over the call.
        if unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw mut lock) } != -1 {
            return Ok(lock);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
