//! Whether a channel is written or served. Never opens a lock file that this process has locked.

use std::os::fd::OwnedFd;

use super::{LOCKS, Purpose, Record, held_by_another_copy, is_cleaner};
use crate::directory::{ChannelName, Directory, Role};
use crate::error::{Error, Result};
use crate::layout::WRITER_LOCK;
use crate::sys;

/// The writer of a channel's file, as its header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    pub pid: u64,
    pub pid_namespace: u64,
    /// The nonce of the writer's owner record.
    pub nonce: u64,
}

/// The holder of a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holder {
    /// This process.
    Own,
    /// Another process, by its pid in this pid namespace; 0 if it has none here.
    Other(u32),
}

/// Whether a channel has a live writer. A relay that writes it on this node counts as one.
///
/// # Errors
/// [`Error::System`].
pub fn writer_alive(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<bool> {
    Ok(holder(directory, handle, name, Role::Lock)?.is_some())
}

/// Whether the channel is served: by its writer, or by a relay that waits for the learner to come back. A live writer that has
/// lost its lock without noticing counts: it will take the lock again.
///
/// # Errors
/// [`Error::System`].
pub fn is_served(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<bool> {
    Ok(writer_alive(directory, handle, name)?
        || is_relayed(directory, handle, name)?
        || Record::read(handle, name).is_some_and(|record| record.process_lives()))
}

/// As [`is_served`], but only by the writer with this signature or by a relay. A newcomer that has taken the channel and not
/// published yet does not count: nobody knows whether it will continue from the file or start again.
///
/// # Errors
/// [`Error::System`].
pub fn is_served_from(
    signature: Signature,
    directory: &Directory,
    handle: &OwnedFd,
    name: &ChannelName,
) -> Result<bool> {
    if is_relayed(directory, handle, name)? {
        return Ok(true);
    }
    // The lock first: a newcomer writes its record only after it has the lock, and until then the record is the previous owner's.
    let holder = holder(directory, handle, name, Role::Lock)?;
    let record = Record::read(handle, name);
    let comparable = signature.pid_namespace == sys::identity().pid_namespace;
    Ok(match holder {
        Some(Holder::Other(pid)) if comparable && u64::from(pid) != signature.pid => false,
        Some(_) => record.is_none_or(|record| record.nonce == signature.nonce),
        None => record.is_some_and(|record| record.nonce == signature.nonce && record.process_lives()),
    })
}

/// Whether a relay serves the channel on this node.
pub(super) fn is_relayed(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<bool> {
    Ok(holder(directory, handle, name, Role::Relay)?.is_some())
}

fn holder(directory: &Directory, handle: &OwnedFd, name: &ChannelName, role: Role) -> Result<Option<Holder>> {
    let file_name = name.file(role);
    let path = directory.join(&file_name);
    let failed = |error| Error::system("examine", &path)(error);
    let key = (sys::facts(handle).map_err(failed)?.id, file_name);
    let mut locks = LOCKS.lock();
    if let Some(held) = locks.own(&key) {
        return Ok((!matches!(held.purpose, Purpose::Clean(_))).then_some(Holder::Own));
    }
    if role == Role::Lock && held_by_another_copy(&locks, handle, name) {
        return Ok(Some(Holder::Own));
    }
    let facts = sys::facts_at(handle, &key.1).map_err(failed)?;
    if facts.is_none_or(|facts| facts.kind != sys::REGULAR) {
        return Ok(None); // nobody can hold a lock on such a file
    }
    let Some(file) = sys::open_at(handle, &key.1, false).map_err(failed)? else { return Ok(None) };
    let holder = sys::lock_holder(&file, WRITER_LOCK).map_err(failed)?;
    Ok(holder.filter(|holder| !is_cleaner(*holder)).map(|holder| Holder::Other(holder.pid)))
}
