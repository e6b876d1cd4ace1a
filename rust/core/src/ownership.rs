//! One writer per channel: a POSIX record lock (`F_SETLK`) on the channel's lock file.
//!
//! Forked children do not inherit it, and the kernel drops it when its process dies, even while children of
//! that process live. (`flock` and OFD locks stay with the children.) It has two traps, for which this module
//! alone opens lock files, always under the lock of [`process::shared`]:
//!
//! 1. *Any* close of the file in the holder's process drops it. So who asks about a lock that this process
//!    holds is answered from the table, without opening the file. A descriptor inherited over a fork is
//!    closed before the child opens the file itself.
//! 2. A second lock in the same process succeeds. The table says no instead.
//!
//! Lock files are removed by their holders, so the file that was locked may no longer be the one with the
//! name: after locking, the name is looked up again. While the holder lives, nobody else removes it.

use std::os::fd::OwnedFd;

use crate::directory::{ChannelName, Directory, Role, foreign};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::process::{self, HeldLock, LockKey};
use crate::sys;

/// The right to write a channel. Ends with [`Ownership::release`] or with the process.
#[derive(Debug)]
pub struct Ownership {
    key: LockKey,
    forks: u64,
    /// There was no lock file: this is the first writer, or the one before closed properly.
    pub fresh: bool,
}

impl Ownership {
    /// Takes the channel, whose files are in the directory behind `handle`.
    ///
    /// # Errors
    /// [`Error::ChannelBusy`] if a live writer has it; [`Error::CorruptChannel`] if the lock file is none.
    pub fn acquire(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<Self> {
        let file_name = name.file(Role::Lock);
        let path = directory.join(&file_name);
        let failed = |error| Error::system("lock", &path)(error);
        let key = (sys::facts(handle).map_err(failed)?.id, file_name);
        let mut shared = process::shared();
        let forks = process::forks();
        match shared.locks.get(&key) {
            Some(held) if held.forks == forks => return Err(busy(name, "it is in this process")),
            Some(_) => drop(shared.locks.remove(&key)), // the parent's; see trap 1
            None => {}
        }
        loop {
            let fresh = sys::facts_at(handle, &key.1).map_err(failed)?.is_none();
            let file = match sys::create_at(handle, &key.1, false) {
                Ok(file) => file,
                Err(error) => {
                    return Err(
                        match sys::facts_at(handle, &key.1).ok().flatten().and_then(|facts| foreign(&facts)) {
                            Some(reason) => Error::corrupt(path, reason),
                            None => Error::storage(&path, 0)(error),
                        },
                    );
                }
            };
            failpoint!("lock.made");
            let facts = sys::facts(&file).map_err(failed)?;
            if let Some(reason) = foreign(&facts) {
                return Err(Error::corrupt(path, reason));
            }
            if !sys::try_lock(&file).map_err(failed)? {
                return Err(match sys::lock_holder(&file).map_err(failed)? {
                    Some(pid) if pid != 0 => busy(name, format!("process {pid}")),
                    Some(_) => busy(name, "a process of another container"),
                    None => continue, // it has just let go
                });
            }
            failpoint!("lock.taken");
            if sys::facts_at(handle, &key.1).map_err(failed)?.is_some_and(|named| named.id == facts.id) {
                shared.locks.insert(key.clone(), HeldLock { file, forks });
                return Ok(Self { key, forks, fresh });
            }
        }
    }

    /// Whether this is the process that took it. No system call.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.forks == process::forks()
    }

    /// Lets go. With a `directory`, removes the lock file too, while the lock is still held. In a forked
    /// child: nothing.
    pub fn release(self, directory: Option<&OwnedFd>) {
        let mut shared = process::shared();
        if !self.is_ours() {
            return;
        }
        if let (Some(directory), Some(held)) = (directory, shared.locks.get(&self.key)) {
            let named = sys::facts_at(directory, &self.key.1).ok().flatten();
            if named.is_some_and(|named| sys::facts(&held.file).is_ok_and(|ours| ours.id == named.id)) {
                let _ = sys::unlink(directory, &self.key.1, false); // without it, `clean` finds the file
                failpoint!("close.lock-removed");
            }
        }
        shared.locks.remove(&self.key);
    }
}

fn busy(name: &ChannelName, holder: impl Into<String>) -> Error {
    Error::ChannelBusy { name: name.name().to_owned(), policy_id: name.policy_id(), holder: holder.into() }
}

/// Whether a channel has a live writer.
pub fn writer_alive(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<bool> {
    let file_name = name.file(Role::Lock);
    let path = directory.join(&file_name);
    let failed = |error| Error::system("examine", &path)(error);
    let key = (sys::facts(handle).map_err(failed)?.id, file_name);
    let mut shared = process::shared();
    match shared.locks.get(&key) {
        Some(held) if held.forks == process::forks() => return Ok(true),
        Some(_) => drop(shared.locks.remove(&key)),
        None => {}
    }
    let facts = sys::facts_at(handle, &key.1).map_err(failed)?;
    if facts.is_none_or(|facts| facts.kind != sys::REGULAR) {
        return Ok(false); // what cannot be locked is held by nobody
    }
    match sys::open_at(handle, &key.1, false).map_err(failed)? {
        Some(file) => Ok(sys::lock_holder(&file).map_err(failed)?.is_some()),
        None => Ok(false),
    }
}
