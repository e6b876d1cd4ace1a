//! Files under construction: made and filled under a name of their own, and then given their real one, so that nobody ever
//! opens half of a file.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;

use crate::directory::{ChannelName, Role};
use crate::failpoints::failpoint;
use crate::sys;
use crate::words::Counter;

static DRAFTS: Counter = Counter::new();

/// How much storage one system call asks for: one that a signal interrupts gives back what it had.
const PIECE: usize = 256 * 1024;

/// A file under a name of its own. Removed on drop, unless it was given its real name.
pub struct Draft<'a> {
    name: DraftName<'a>,
    /// Open for reading and writing.
    pub file: OwnedFd,
}

struct DraftName<'a> {
    directory: &'a OwnedFd,
    name: OsString,
}

impl<'a> Draft<'a> {
    /// Makes a file of so many bytes, all of them backed by storage.
    pub fn create(directory: &'a OwnedFd, channel: &ChannelName, bytes: usize) -> io::Result<Self> {
        let draft = loop {
            let name = channel.draft(std::process::id(), sys::now_ns() ^ DRAFTS.next() << 48);
            match sys::create_at(directory, &name, true) {
                Ok(file) => break Self { name: DraftName { directory, name }, file },
                // Another container's process of the same number, at the same nanosecond.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        failpoint!("draft.named");
        allocate(&draft.file, 0, bytes)?;
        failpoint!("draft.allocated");
        Ok(draft)
    }

    /// Gives it its real name, instead of the file that has it, if there is one. It is closed before: once others can open
    /// it, a close would drop the locks that this process has on it.
    pub fn commit(self, name: &OsStr) -> io::Result<()> {
        let Self { name: mut draft, file } = self;
        drop(file);
        sys::rename(draft.directory, &draft.name, name)?;
        draft.name.clear();
        Ok(())
    }
}

impl Drop for DraftName<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            let _ = sys::unlink(self.directory, &self.name, false); // without it, `clean` finds the file
        }
    }
}

/// Backs a file by storage from `from` to `bytes`.
pub fn allocate(file: &OwnedFd, from: usize, bytes: usize) -> io::Result<()> {
    for offset in (from..bytes).step_by(PIECE) {
        failpoint!("allocate.piece");
        sys::allocate(file, offset..(offset + PIECE).min(bytes))?;
    }
    Ok(())
}

/// Removes what earlier writers of the channel had begun. Only for the owner of the channel.
pub fn remove_drafts(directory: &OwnedFd, channel: &ChannelName) {
    for file in sys::list(directory).unwrap_or_default() {
        if ChannelName::of_file(&file).is_some_and(|(of, role)| role == Role::Draft && of == *channel) {
            let _ = sys::unlink(directory, &file, false); // without it, `clean` finds the file
        }
    }
}
