//! Whether anybody writes or serves a channel. Never opens a lock file that this process has locked.

use std::os::fd::OwnedFd;

use super::{LOCKS, Purpose, Record, held_by_another_copy, is_cleaner};
use crate::directory::{ChannelName, Directory, Role};
use crate::error::{Error, Result};
use crate::layout::WRITER_LOCK;
use crate::sys;

/// Who wrote a channel's file, as its header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    pub pid: u64,
    pub pid_namespace: u64,
    /// That of the writer's owner record.
    pub nonce: u64,
}

/// Who holds a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holder {
    /// This process.
    Own,
    /// Another one, by its number as it is seen from here; 0 if it cannot be seen.
    Other(u32),
}

/// Whether a channel has a live writer. A relay that serves it on this node is one.
///
/// # Errors
/// [`Error::System`].
pub fn writer_alive(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<bool> {
    Ok(holder(directory, handle, name, Role::Lock)?.is_some())
}

/// Whether somebody serves the channel: its writer, or a relay that waits for the learner to come back. A writer that lives and
/// has only lost its lock, without knowing it yet, counts: it will take the lock again.
///
/// # Errors
/// [`Error::System`].
pub fn is_served(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<bool> {
    Ok(writer_alive(directory, handle, name)?
        || is_relayed(directory, handle, name)?
        || Record::read(handle, name).is_some_and(|record| record.process_lives()))
}

/// As [`is_served`], by whoever wrote the file with this signature. A newcomer that has taken the channel and not published yet
/// does not serve it from there: nobody knows whether it goes on from that file or begins anew.
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
    // The lock first: whoever takes it writes the record only then, and until then the record is that of the one before.
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
        return Ok(None); // what cannot be locked is held by nobody
    }
    let Some(file) = sys::open_at(handle, &key.1, false).map_err(failed)? else { return Ok(None) };
    let holder = sys::lock_holder(&file, WRITER_LOCK).map_err(failed)?;
    Ok(holder.filter(|holder| !is_cleaner(*holder)).map(|holder| Holder::Other(holder.pid)))
}
