//! One writer per channel: a POSIX record lock (`F_SETLK`) on the channel's lock file.
//!
//! Forked children do not inherit it, and the kernel drops it when its process dies, even while children of that process live.
//! (`flock` and open-file-description locks would stay with the children.) It has three traps:
//!
//! 1. *Any* close of the file in the holder's process drops it. So only this module opens lock files, always with [`LOCKS`] held.
//!    Questions about a lock that this process holds are answered without opening the file: from the table or, if another copy of
//!    this library holds it, from the owner record. A descriptor inherited across a fork is closed before the child opens the file
//!    itself.
//! 2. A second lock in the same process succeeds. So the table and the record are asked first.
//! 3. Other code in the process may still open and close the file, for example to copy the directory. That drops the lock
//!    silently. So ownership is verified ([`Ownership::verify`]), and lost if another writer has come in the meantime.
//!
//! The holder of a lock removes its file, so the file that was locked may no longer be the one with the name: after locking, the
//! name is looked up again. No other process of this project removes the file while the lock is held.
//!
//! `clean` locks one byte more than a writer does. So a writer that finds the lock held knows whether to give up or to wait a
//! moment.

mod elsewhere;
mod record;
mod relay;
mod service;
mod verify;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::directory::{ChannelName, Directory, Role, foreign};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::fork::{self, Shared};
use crate::layout::{CLEANER_LOCK, PAGE, WRITER_LOCK};
use crate::sys::{self, FileId, Holder, Locked};

pub use elsewhere::check_elsewhere;
pub use record::Record;
pub use relay::{RelayLock, relay_status};
pub use service::{Signature, is_served, is_served_from, writer_alive};
pub use verify::Standing;

/// A lock file: its directory and its name there.
type LockKey = (FileId, OsString);

/// A lock that this process holds, or that its parent held at the fork.
struct Held {
    file: OwnedFd,
    /// The fork count at which it was taken: a forked child has a copy of the descriptor, but not the lock.
    forks: u64,
    purpose: Purpose,
}

/// What a lock is held for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    /// Writing the channel. The nonce is also in the owner record.
    Write(u64),
    /// Removing what a dead writer left. The nonce tells two such locks apart.
    Clean(u64),
    /// Serving the channel on this node: the lock of the `.relay` file.
    Relay(u64),
}

#[derive(Default)]
struct Locks {
    held: BTreeMap<LockKey, Held>,
    /// Nonces of records that this copy of the library wrote and could not remove: they do not mean another copy.
    orphans: Vec<u64>,
}

static LOCKS: Shared<Locks> = Shared::new(Locks { held: BTreeMap::new(), orphans: Vec::new() });

impl Locks {
    /// The lock that this process holds. Closes a descriptor that it only inherited.
    fn own(&mut self, key: &LockKey) -> Option<&Held> {
        if self.held.get(key).is_some_and(|held| held.forks != fork::count()) {
            self.held.remove(key);
        }
        self.held.get(key)
    }

    /// The lock behind one of this process's ownerships.
    fn of(&mut self, ownership: &Ownership) -> Option<&Held> {
        self.own(&ownership.key).filter(|held| held.purpose == ownership.purpose)
    }

    /// Closes the file of one of its ownerships, which drops the lock.
    fn close(&mut self, ownership: &Ownership) {
        if self.of(ownership).is_some() {
            self.held.remove(&ownership.key);
        }
    }
}

/// How long a new writer waits for `clean` to finish with the channel.
const CLEANING: Duration = Duration::from_secs(5);

/// How often a lock file is opened again that lost its name before it was locked.
const LOOKS: u32 = 100;

/// The right to write a channel. Ends with [`Ownership::release`] or with the process.
#[derive(Debug)]
pub struct Ownership {
    key: LockKey,
    forks: u64,
    purpose: Purpose,
    /// There was no lock file: this is the first writer, or the previous one closed the channel.
    pub fresh: bool,
}

impl Ownership {
    /// Takes the channel, whose files are in the directory behind `handle`.
    ///
    /// # Errors
    /// [`Error::ChannelBusy`] if a live writer has it; [`Error::CorruptChannel`] if the lock file cannot be one.
    pub fn acquire(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<Self> {
        let start = Instant::now();
        loop {
            let holder = match Self::attempt(directory, handle, name, false)? {
                Attempt::Taken(ownership) => return Ok(ownership),
                Attempt::InTheWay(holder) => holder,
            };
            if start.elapsed() > CLEANING {
                return Err(busy(name, holder));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes the channel in order to remove what a dead writer left.
    ///
    /// # Errors
    /// As [`Ownership::acquire`]; also [`Error::ChannelBusy`] if another process is cleaning it.
    pub fn acquire_to_clean(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<Self> {
        match Self::attempt(directory, handle, name, true)? {
            Attempt::Taken(ownership) => Ok(ownership),
            Attempt::InTheWay(holder) => Err(busy(name, holder)),
        }
    }

    fn attempt(directory: &Directory, handle: &OwnedFd, name: &ChannelName, clean: bool) -> Result<Attempt> {
        let file_name = name.file(Role::Lock);
        let path = directory.join(&file_name);
        let failed = |error| Error::system("lock", &path)(error);
        let key = (sys::facts(handle).map_err(failed)?.id, file_name);
        let mut locks = LOCKS.lock();
        match locks.own(&key).map(|held| held.purpose) {
            Some(Purpose::Write(_) | Purpose::Relay(_)) => return Err(busy(name, "it is in this process")),
            Some(Purpose::Clean(_)) => return Ok(Attempt::InTheWay(cleaner(std::process::id()))),
            None => {}
        }
        if held_by_another_copy(&locks, handle, name) {
            return Err(busy(name, "it is in this process, in another copy of traincast's library"));
        }
        for _ in 0..LOOKS {
            let fresh = sys::facts_at(handle, &key.1).map_err(failed)?.is_none();
            let file = create_lock_file(directory, handle, name)?;
            failpoint!("lock.made");
            let facts = sys::facts(&file).map_err(failed)?;
            if let Some(reason) = foreign(&facts) {
                return Err(Error::corrupt(path, reason));
            }
            let range = if clean { CLEANER_LOCK } else { WRITER_LOCK };
            if sys::try_lock(&file, range.clone()).map_err(failed)? == Locked::Contended {
                return match sys::lock_holder(&file, range).map_err(failed)? {
                    Some(holder) if is_cleaner(holder) => Ok(Attempt::InTheWay(cleaner(holder.pid))),
                    Some(holder) => Err(busy(name, process(holder.pid))),
                    // The holder has just released it, or the kernel does not name it.
                    None => Ok(Attempt::InTheWay("a process that the kernel does not name".into())),
                };
            }
            failpoint!("lock.taken");
            if sys::facts_at(handle, &key.1).map_err(failed)?.is_none_or(|named| named.id != facts.id) {
                continue;
            }
            let nonce = sys::random();
            if !clean && let Err(error) = Record::new(nonce).write(handle, name) {
                if fresh {
                    let _ = sys::unlink(handle, &key.1, false); // without it, `clean` finds the file
                }
                return Err(Error::storage(&directory.join(&name.file(Role::Owner)), PAGE)(error));
            }
            failpoint!("lock.recorded");
            let forks = fork::count();
            let purpose = if clean { Purpose::Clean(nonce) } else { Purpose::Write(nonce) };
            locks.held.insert(key.clone(), Held { file, forks, purpose });
            return Ok(Attempt::Taken(Self { key, forks, purpose, fresh }));
        }
        Ok(Attempt::InTheWay("a process that keeps removing the lock file".into()))
    }

    /// Whether this process took it, and not its parent. No system call.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.forks == fork::count()
    }

    /// The nonce in the owner record.
    pub fn nonce(&self) -> u64 {
        match self.purpose {
            Purpose::Write(nonce) | Purpose::Clean(nonce) | Purpose::Relay(nonce) => nonce,
        }
    }

    /// Releases the lock. With a `directory`, first removes the record and, if `remove` is true, the lock file. Does nothing in a
    /// forked child.
    pub fn release(self, directory: Option<&OwnedFd>, name: &ChannelName, remove: bool) {
        let mut locks = LOCKS.lock();
        if !self.is_ours() {
            return;
        }
        if let Some(directory) = directory
            && let Some(held) = locks.of(&self)
            && let Ok(ours) = sys::facts(&held.file)
            && let Ok(Some(named)) = sys::facts_at(directory, &self.key.1)
            && named.id == ours.id
        {
            // `clean` finds what cannot be removed.
            if Record::read(directory, name).is_some_and(|record| record.nonce == self.nonce()) {
                let _ = sys::unlink(directory, &name.file(Role::Owner), false);
                failpoint!("close.record-removed");
            }
            if remove {
                let _ = sys::unlink(directory, &self.key.1, false);
                failpoint!("close.lock-removed");
            }
        }
        let still_recorded =
            |directory| Record::read(directory, name).is_some_and(|of| of.nonce == self.nonce());
        if directory.is_none_or(still_recorded) {
            locks.orphans.push(self.nonce());
        }
        locks.close(&self);
    }
}

enum Attempt {
    Taken(Ownership),
    /// Another process has it, but probably not for long.
    InTheWay(String),
}

fn is_cleaner(holder: Holder) -> bool {
    holder.len == CLEANER_LOCK.end
}

fn cleaner(pid: u32) -> String {
    format!("{}, which is removing what a dead writer left", process(pid))
}

fn process(pid: u32) -> String {
    match pid {
        0 => "a process of another container".into(),
        pid => format!("process {pid}"),
    }
}

fn create_lock_file(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<OwnedFd> {
    let file_name = name.file(Role::Lock);
    sys::create_at(handle, &file_name, false).map_err(|error| {
        let path = directory.join(&file_name);
        match sys::facts_at(handle, &file_name).ok().flatten().and_then(|facts| foreign(&facts)) {
            Some(reason) => Error::corrupt(path, reason),
            None => Error::storage(&path, 0)(error),
        }
    })
}

/// Whether this process holds the lock, but through another copy of this library. The record must say so, and the kernel too: a
/// process of a fork server may have the pid, the program and the start time of a dead sibling.
fn held_by_another_copy(locks: &Locks, handle: &OwnedFd, name: &ChannelName) -> bool {
    let other = |record: &Record| record.is_of(&sys::identity()) && !locks.orphans.contains(&record.nonce);
    if !Record::read(handle, name).as_ref().is_some_and(other) {
        return false;
    }
    let file = sys::facts_at(handle, &name.file(Role::Lock)).ok().flatten();
    file.is_none_or(|file| sys::has_lock(file.id).unwrap_or(true))
}

fn busy(name: &ChannelName, holder: impl Into<String>) -> Error {
    Error::ChannelBusy { name: name.name().to_owned(), policy_id: name.policy_id(), holder: holder.into() }
}

fn lost(name: &ChannelName, reason: &str) -> Error {
    Error::ChannelLost {
        name: name.name().to_owned(),
        policy_id: name.policy_id(),
        reason: reason.to_owned(),
    }
}
