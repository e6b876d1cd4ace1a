//! The lock of the relay that serves a channel on this node, and what the relay says of itself in that file.
//!
//! It is a record lock with the same traps as the writer's, so it goes through the same table. Two relays of one process do not
//! occur: a relay is a process of its own. That the lock was dropped unnoticed, or the file removed, is found by
//! [`RelayLock::keep`]; a second relay may have come meanwhile, and then that one stays. While both think that they serve the
//! channel the writer's lock still lets only one of them write.

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
            // Whoever tidied up may have removed the file before it was locked.
            if sys::facts_at(&handle, &key.1).map_err(failed)?.is_none_or(|named| named.id != facts.id) {
                continue;
            }
            let (forks, purpose) = (fork::count(), Purpose::Relay(sys::random()));
            locks.held.insert(key.clone(), Held { file, forks, purpose });
            return Ok(Self { directory: directory.clone(), name: name.clone(), key, forks, purpose });
        }
        Err(busy(name, "somebody removes the relay's lock file again and again"))
    }

    /// Where the channel is.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Makes sure that the lock is still this relay's, and takes it again where it was dropped or removed.
    ///
    /// # Errors
    /// [`Error::ChannelBusy`]: another relay serves the channel by now, and this one should end.
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
            // Taken again: one's own lock cannot be asked for.
            let locked = sys::try_lock(&held.file, WRITER_LOCK)? == Locked::Yes;
            Ok(locked && sys::facts_at(&handle, &self.key.1)?.is_some_and(|named| named.id == ours))
        };
        looked().map_err(Error::system("lock", &path))
    }

    /// Writes down what `ls` shows: JSON text, cut at [`RELAY_STATUS_MOST`] and padded with spaces. For information only: a
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
        // Over all that stands there, which may be longer.
        let size = sys::facts(&held.file).map_err(Error::system("look at", &path))?.size as usize;
        let size = size
            .max(status.len().next_multiple_of(RELAY_STATUS_BYTES))
            .clamp(RELAY_STATUS_BYTES, RELAY_STATUS_MOST);
        let mut bytes = status.to_vec();
        bytes.resize(size, b' ');
        sys::write_start(&held.file, &bytes).map_err(Error::storage(&path, size))
    }

    /// Lets go, and removes the file while it is still locked. In a forked child: nothing.
    pub fn release(self) {
        if self.forks == fork::count() && self.holds_named_file().unwrap_or(false) {
            // Under the lock nobody else removes it. What cannot be removed is found by `clean`.
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

/// What the channel's relay says of itself; `None` if there is none that lives. Never opens a file that this process has locked.
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
