//! Verifying that the lock is still ours.

use std::os::fd::OwnedFd;

use super::{Held, LOCKS, LOOKS, Locks, Ownership, Record, create_lock_file, is_cleaner, lost, process};
use crate::directory::{ChannelName, Directory, Role, foreign};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::layout::{PAGE, WRITER_LOCK};
use crate::sys::{self, Locked};

/// Result of [`Ownership::verify`], unless the channel is lost.
#[derive(Debug)]
pub enum Standing {
    /// All is as it was.
    Kept,
    /// Something had been removed and was put back: other files of the channel may be gone as well.
    Restored,
    /// `clean` is at work on the files, or somebody removes and creates them at this moment: verify again soon.
    Unclear,
    /// Something was removed and cannot be put back, but nobody else has the channel.
    Adrift(Error),
}

/// How a live writer can lose its channel.
const CAUSE: &str = "its lock was dropped, by something in this process that opened and closed the lock file, or its files were \
                     removed";

impl Ownership {
    /// Asks the kernel whether this process still owns the channel. Puts back what was removed: the directory (its last path
    /// component), the lock file, the record.
    ///
    /// A process cannot ask about its own lock (`F_GETLK` does not show it), it can only take the lock again. That succeeds even
    /// after another owner came and went. So the record decides: if it is another owner's, the channel is lost.
    ///
    /// # Errors
    /// [`Error::ChannelLost`].
    pub fn verify(&mut self, directory: &Directory, name: &ChannelName) -> Result<Standing> {
        let put_back = match directory.find() {
            Ok(Some(handle)) => Ok((handle, false)),
            Ok(None) => directory.put_back().map(|handle| (handle, true)),
            Err(error) => Err(error),
        };
        let (handle, put_back) = match put_back {
            Ok(found) => found,
            Err(error) => return Ok(Standing::Adrift(error)),
        };
        failpoint!("verify.directory");
        let verdict = self.verify_in(directory, &handle, name);
        match verdict {
            Ok(Standing::Kept) if put_back => Ok(Standing::Restored),
            Err(Error::ChannelLost { .. }) | Ok(_) => verdict,
            Err(error) => Ok(Standing::Adrift(error)), // nobody else was found
        }
    }

    fn verify_in(&mut self, directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<Standing> {
        let path = directory.join(&self.key.1);
        let failed = |error| Error::system("lock", &path)(error);
        let mut locks = LOCKS.lock();
        let mut moved = false;
        for _ in 0..LOOKS {
            let Some(held) = locks.of(self) else { return Err(lost(name, "its lock was released")) };
            let file_id = sys::facts(&held.file).map_err(failed)?.id;
            if sys::try_lock(&held.file, WRITER_LOCK).map_err(failed)? == Locked::Contended {
                match sys::lock_holder(&held.file, WRITER_LOCK).map_err(failed)? {
                    Some(holder) if !is_cleaner(holder) => {
                        return Err(self.lost_to(&mut locks, process(holder.pid), name));
                    }
                    _ => return Ok(Standing::Unclear),
                }
            }
            failpoint!("verify.locked");
            let record = Record::read(handle, name);
            if let Some(other) = record.filter(|record| record.nonce != self.nonce()) {
                return Err(self.lost_to(&mut locks, process(other.process.pid), name));
            }
            // Checked after locking: the file may have lost its name before, and then the file that has the name is the lock.
            if sys::facts_at(handle, &self.key.1).map_err(failed)?.is_some_and(|named| named.id == file_id) {
                if record.is_none() {
                    let written = Record::new(self.nonce()).write(handle, name);
                    written.map_err(Error::storage(&directory.join(&name.file(Role::Owner)), PAGE))?;
                    failpoint!("verify.recorded");
                }
                return Ok(if moved || record.is_none() { Standing::Restored } else { Standing::Kept });
            }
            let file = create_lock_file(directory, handle, name)?;
            failpoint!("verify.lock-made");
            if let Some(reason) = foreign(&sys::facts(&file).map_err(failed)?) {
                return Err(Error::corrupt(path, reason));
            }
            let key = (sys::facts(handle).map_err(failed)?.id, self.key.1.clone());
            locks.close(self);
            let held = Held { file, forks: self.forks, purpose: self.purpose };
            locks.held.insert(key.clone(), held);
            self.key = key;
            moved = true;
        }
        Ok(Standing::Unclear)
    }

    /// A description of the new owner, as far as the record tells.
    pub fn successor(&self, directory: &Directory, name: &ChannelName) -> String {
        let record = directory.find().ok().flatten().and_then(|handle| Record::read(&handle, name));
        let who = match record.filter(|record| record.nonce != self.nonce()) {
            Some(other) => format!("{} has it", process(other.process.pid)),
            None => "another writer had it meanwhile".into(),
        };
        format!("{who}; {CAUSE}")
    }

    /// Closes the lock file, and makes the error that names the new owner.
    fn lost_to(&self, locks: &mut Locks, holder: String, name: &ChannelName) -> Error {
        locks.close(self);
        lost(name, &format!("{holder} has it; {CAUSE}"))
    }
}
