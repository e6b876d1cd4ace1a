//! POSIX record locks, on ranges of bytes: dropped when their process ends in any way, not inherited across a fork. And
//! open-file-description locks, which belong to an open file.
//!
//! *Any* close of the file in the holder's process drops its record locks, and a second record lock by the same process succeeds.
#![allow(unsafe_code, reason = "fcntl, whose locks on ranges rustix does not offer")]

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::files::FileId;

/// Result of a request for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locked {
    /// This process has it.
    Yes,
    /// Another process has it.
    Contended,
}

/// The holder of a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its process id in this pid namespace; 0 if it has none here.
    pub pid: u32,
    /// Number of bytes in the locked range; 0: to the end of the file, however long it becomes.
    pub len: u64,
}

/// Locks a range of bytes. Succeeds too if this process has locked it already.
///
/// # Errors
/// What the system says, including `EACCES`: a lock that is *denied* (by a security module) is not a lock that somebody holds.
pub fn try_lock(file: &OwnedFd, range: Range<u64>) -> io::Result<Locked> {
    match call(file, libc::F_SETLK, libc::F_WRLCK, range) {
        Ok(_) => Ok(Locked::Yes),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(Locked::Contended),
        Err(error) => Err(error),
    }
}

/// Unlocks a range.
pub fn unlock(file: &OwnedFd, range: Range<u64>) -> io::Result<()> {
    call(file, libc::F_SETLK, libc::F_UNLCK, range).map(drop)
}

/// Which *other* process has a lock in the range. Locks of this process are never found.
pub fn lock_holder(file: &OwnedFd, range: Range<u64>) -> io::Result<Option<Holder>> {
    let lock = call(file, libc::F_GETLK, libc::F_WRLCK, range)?;
    let free = lock.l_type == libc::F_UNLCK as libc::c_short;
    let holder = Holder { pid: lock.l_pid.unsigned_abs(), len: lock.l_len.unsigned_abs() };
    Ok((!free).then_some(holder))
}

/// Whether this process has a lock on a file. Does not open the file, because closing it again would drop the lock. `None` if the
/// kernel does not say.
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

/// Locks a range for an open file description: the lock lasts until every descriptor of it is closed, in forked children too. No
/// other close drops it, and a second open of the same file in this process does not get it.
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

/// Unlocks a range that was locked for an open file.
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
        // SAFETY: the descriptor is open, and `lock` outlives the call.
        if unsafe { libc::fcntl(file.as_fd().as_raw_fd(), command, &raw mut lock) } != -1 {
            return Ok(lock);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
