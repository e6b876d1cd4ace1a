//! Files under construction: created and filled under a temporary name and then renamed, so that nobody ever opens half a file.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;

use crate::directory::{ChannelName, Role};
use crate::failpoints::failpoint;
use crate::sys;
use crate::words::Counter;

static DRAFTS: Counter = Counter::new();

/// Bytes that one system call allocates: a call that a signal interrupts frees what it had allocated.
const PIECE: usize = 256 * 1024;

/// A file under a temporary name. Removed on drop, unless it was committed.
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
    /// Creates a file of `bytes` bytes and allocates all of its storage.
    pub fn create(directory: &'a OwnedFd, channel: &ChannelName, bytes: usize) -> io::Result<Self> {
        let draft = loop {
            let name = channel.draft(std::process::id(), sys::now_ns() ^ DRAFTS.next() << 48);
            match sys::create_at(directory, &name, true) {
                Ok(file) => break Self { name: DraftName { directory, name }, file },
                // A process of another container with the same pid chose it, at the same nanosecond.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        failpoint!("draft.named");
        allocate(&draft.file, 0, bytes)?;
        failpoint!("draft.allocated");
        Ok(draft)
    }

    /// Renames the file to its final name and replaces the file that has it. Closes the file first: once others can open it, a
    /// close would drop the locks that this process has on it.
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

/// Allocates a file's storage from byte `from` to byte `bytes`.
pub fn allocate(file: &OwnedFd, from: usize, bytes: usize) -> io::Result<()> {
    for offset in (from..bytes).step_by(PIECE) {
        failpoint!("allocate.piece");
        sys::allocate(file, offset..(offset + PIECE).min(bytes))?;
    }
    Ok(())
}

/// Removes the drafts that earlier writers of the channel left. Only for the channel's owner.
pub fn remove_drafts(directory: &OwnedFd, channel: &ChannelName) {
    for file in sys::list(directory).unwrap_or_default() {
        if ChannelName::of_file(&file).is_some_and(|(of, role)| role == Role::Draft && of == *channel) {
            let _ = sys::unlink(directory, &file, false); // without it, `clean` finds the file
        }
    }
}
