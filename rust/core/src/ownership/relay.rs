//! The lock of the relay that serves a channel on this node, and the relay's status in the lock file.
//!
//! It is a record lock with the same traps as the writer's, so it goes through the same table. One process never has two relays
//! of a channel: a relay is a process of its own. [`RelayLock::keep`] notices when the lock was dropped or the file removed; if a
//! second relay has come in the meantime, that one stays. While both believe that they serve the channel, the writer's lock lets
//! only one of them write.

use std::io;
use std::os::fd::OwnedFd;

use super::service::is_relayed;
use super::{Held, LOCKS, LOOKS, LockKey, Purpose, busy, process};
use crate::directory::{ChannelName, Directory, Role, foreign};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::fork;
use crate::layout::{RELAY_STATUS_BYTES, RELAY_STATUS_MOST, WRITER_LOCK};
use crate::sys::{self, Locked};

/// The right to be the channel's relay on this node. Ends with [`RelayLock::release`] or with the process.
#[derive(Debug)]
pub struct RelayLock {
    directory: Directory,
    name: ChannelName,
    key: LockKey,
    forks: u64,
    purpose: Purpose,
}

impl RelayLock {
    /// Takes the lock, in this directory.
    ///
    /// # Errors
    /// [`Error::ChannelBusy`] if another process serves the channel; [`Error::CorruptChannel`] if the file is no lock file.
    pub fn acquire(directory: &Directory, name: &ChannelName) -> Result<Self> {
        directory.make()?;
        let handle = directory.handle()?;
        let file_name = name.file(Role::Relay);
        let path = directory.join(&file_name);
        let failed = |error| Error::system("lock", &path)(error);
        let key = (sys::facts(&handle).map_err(failed)?.id, file_name);
        let mut locks = LOCKS.lock();
        if locks.own(&key).is_some() {
            return Err(busy(name, "a relay in this process serves it"));
        }
        for _ in 0..LOOKS {
            let file = sys::create_at(&handle, &key.1, false).map_err(Error::storage(&path, 0))?;
            let facts = sys::facts(&file).map_err(failed)?;
            if let Some(reason) = foreign(&facts) {
                return Err(Error::corrupt(path, reason));
            }
            if sys::try_lock(&file, WRITER_LOCK).map_err(failed)? == Locked::Contended {
                let holder = sys::lock_holder(&file, WRITER_LOCK).map_err(failed)?;
                let holder = process(holder.map_or(0, |holder| holder.pid));
                return Err(busy(name, format!("the relay in {holder} serves it on this node")));
            }
            failpoint!("relay.locked");
            // The previous relay or `clean` may have removed the file before it was locked.
            if sys::facts_at(&handle, &key.1).map_err(failed)?.is_none_or(|named| named.id != facts.id) {
                continue;
            }
            let (forks, purpose) = (fork::count(), Purpose::Relay(sys::random()));
            locks.held.insert(key.clone(), Held { file, forks, purpose });
            return Ok(Self { directory: directory.clone(), name: name.clone(), key, forks, purpose });
        }
        Err(busy(name, "a process keeps removing the relay's lock file"))
    }

    /// Where the channel is.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Checks that the lock is still this relay's, and takes it again if it was dropped or its file removed.
    ///
    /// # Errors
    /// [`Error::ChannelBusy`]: another relay serves the channel now, and this one should exit.
    pub fn keep(&mut self) -> Result<()> {
        if self.holds_named_file()? {
            return Ok(());
        }
        self.let_go();
        *self = Self::acquire(&self.directory, &self.name)?;
        Ok(())
    }

    fn holds_named_file(&self) -> Result<bool> {
        let Some(handle) = self.directory.find()? else { return Ok(false) };
        let mut locks = LOCKS.lock();
        let Some(held) = locks.own(&self.key).filter(|held| held.purpose == self.purpose) else {
            return Ok(false);
        };
        let path = self.directory.join(&self.key.1);
        let looked = || {
            let ours = sys::facts(&held.file)?.id;
            // Taken again: the kernel does not tell a process about its own lock.
            let locked = sys::try_lock(&held.file, WRITER_LOCK)? == Locked::Yes;
            Ok(locked && sys::facts_at(&handle, &self.key.1)?.is_some_and(|named| named.id == ours))
        };
        looked().map_err(Error::system("lock", &path))
    }

    /// Writes the status that `ls` shows: JSON text, cut at [`RELAY_STATUS_MOST`] and padded with spaces. For information only: a
    /// reader may see half of it, which does not parse.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::System`].
    pub fn announce(&self, status: &str) -> Result<()> {
        let status = &status.as_bytes()[..status.len().min(RELAY_STATUS_MOST)];
        let mut locks = LOCKS.lock();
        let Some(held) = locks.own(&self.key).filter(|held| held.purpose == self.purpose) else {
            return Ok(());
        };
        let path = self.directory.join(&self.key.1);
        // Overwrites all of the previous status, which may be longer.
        let size = sys::facts(&held.file).map_err(Error::system("look at", &path))?.size as usize;
        let size = size
            .max(status.len().next_multiple_of(RELAY_STATUS_BYTES))
            .clamp(RELAY_STATUS_BYTES, RELAY_STATUS_MOST);
        let mut bytes = status.to_vec();
        bytes.resize(size, b' ');
        sys::write_start(&held.file, &bytes).map_err(Error::storage(&path, size))
    }

    /// Removes the file while it is still locked, and releases the lock. Does nothing in a forked child.
    pub fn release(self) {
        if self.forks == fork::count() && self.holds_named_file().unwrap_or(false) {
            // With the lock held, nobody else removes it. `clean` finds a file that cannot be removed.
            if let Ok(Some(handle)) = self.directory.find() {
                let _ = sys::unlink(&handle, &self.key.1, false);
                failpoint!("relay.removed");
            }
        }
        self.let_go();
    }

    fn let_go(&self) {
        let mut locks = LOCKS.lock();
        if locks.own(&self.key).is_some_and(|held| held.purpose == self.purpose) {
            locks.held.remove(&self.key);
        }
    }
}

/// The status of the channel's relay; `None` if there is no live relay. Never opens a file that this process has locked.
///
/// # Errors
/// [`Error::System`].
pub fn relay_status(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<Option<String>> {
    if !is_relayed(directory, handle, name)? {
        return Ok(None);
    }
    let file_name = name.file(Role::Relay);
    let path = directory.join(&file_name);
    let failed = |error| Error::system("read", &path)(error);
    let key = (sys::facts(handle).map_err(failed)?.id, file_name);
    let mut locks = LOCKS.lock();
    let read = match locks.own(&key) {
        Some(held) => text_of(&held.file),
        None => sys::open_at(handle, &key.1, false)
            .and_then(|file| file.map_or(Ok(String::new()), |file| text_of(&file))),
    };
    read.map(Some).map_err(failed)
}

fn text_of(file: &OwnedFd) -> io::Result<String> {
    let size = (sys::facts(file)?.size as usize).min(RELAY_STATUS_MOST);
    let mut bytes = vec![0; size];
    let read = sys::read_start(file, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..read]).trim_end().to_owned())
}
