//! What can go wrong: one enum, a variant per exception of the Python package. Messages are whole sentences
//! that name the thing, the limit and the remedy.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use crate::numbering::Stamp;
use crate::snapshot::wire::MalformedMessage;
use crate::sys;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No channel has that name: nothing is published yet, or it is closed.
    #[error(
        "there is no channel {name:?} (policy {policy_id}) in {places}: its writer has not published yet, has closed \
         it, or uses another directory (as another user, container or job may: set TRAINCAST_DIR to one that both see)"
    )]
    ChannelNotFound {
        /// The channel's name.
        name: String,
        /// The channel's policy.
        policy_id: u16,
        /// Where it was looked for.
        places: String,
    },
    /// Another live writer owns the channel.
    #[error(
        "channel {name:?} (policy {policy_id}) has a live writer: {holder}; close that one, or use another name"
    )]
    ChannelBusy {
        /// The channel's name.
        name: String,
        /// The channel's policy.
        policy_id: u16,
        /// Who owns it.
        holder: String,
    },
    /// A dead writer left the channel behind, and the new one was told to refuse it.
    #[error(
        "a writer that no longer lives left channel {name:?} (policy {policy_id}) behind at version \
         {version}; take it over with leftover=\"continue\", start anew with leftover=\"replace\", or remove it \
         with `traincast clean`"
    )]
    ChannelExists {
        /// The channel's name.
        name: String,
        /// The channel's policy.
        policy_id: u16,
        /// Its newest version.
        version: u64,
    },
    /// The file is damaged or is not a regular file.
    #[error("{} is damaged: {reason}; `traincast clean` removes it once its writer is gone", path.display())]
    CorruptChannel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file has another program's format or another layout version.
    #[error(
        "{} cannot be read: {reason}; use the same version of traincast on both sides, or remove the file with \
         `traincast clean`",
        path.display()
    )]
    IncompatibleChannel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The writer was closed before.
    #[error(
        "this writer of channel {name:?} (policy {policy_id}) is closed; make a new one to publish again"
    )]
    ChannelClosed {
        /// The channel's name.
        name: String,
        /// The channel's policy.
        policy_id: u16,
    },
    /// Another writer has the channel, or had it in the meantime.
    #[error(
        "this writer has lost channel {name:?} (policy {policy_id}): {reason}. It publishes nothing more; make a new writer \
         if the channel is to be this process's again"
    )]
    ChannelLost {
        /// The channel's name.
        name: String,
        /// The channel's policy.
        policy_id: u16,
        /// What happened.
        reason: String,
    },
    /// A message is older than what the channel has.
    #[error(
        "the message is older ({message}) than the newest snapshot of channel {name:?} (policy {policy_id}): {newest}"
    )]
    Outdated {
        /// The channel's name.
        name: String,
        /// The channel's policy.
        policy_id: u16,
        /// Numbers of the message.
        message: Stamp,
        /// Numbers of the newest snapshot.
        newest: Stamp,
    },
    /// The bytes are not a snapshot in wire form.
    #[error(transparent)]
    MalformedMessage(#[from] MalformedMessage),
    /// The encoded snapshot is larger than the channel's limit.
    #[error(
        "the snapshot needs {needed} bytes, and this channel may not grow beyond {limit} per snapshot; \
         pass max_capacity={suggested} or more to the writer, or publish less"
    )]
    PayloadTooLarge {
        /// Bytes that the snapshot needs.
        needed: usize,
        /// `max_capacity`.
        limit: usize,
        /// A `max_capacity` that would do.
        suggested: usize,
    },
    /// A channel name or policy id that is not allowed.
    #[error("{0}")]
    InvalidName(String),
    /// Another argument that is not allowed.
    #[error("{0}")]
    InvalidArgument(String),
    /// No room in the file system.
    #[error(
        "no room for {needed} bytes in {}: {cause}; what was published before is still there. Free some \
         space, enlarge the file system (docker: --shm-size), or point TRAINCAST_DIR, for learner and envs alike, at \
         another local one",
        path.display()
    )]
    StorageFull {
        /// What was to be written.
        path: PathBuf,
        /// Its size in bytes.
        needed: usize,
        /// Which limit was reached.
        cause: Cow<'static, str>,
    },
    /// A writer was used in a forked child.
    #[error(
        "this writer of channel {name:?} (policy {policy_id}) belongs to the process that made it; \
         a forked child may read the channel, or write another one of its own"
    )]
    ForkedWriter {
        /// The channel's name.
        name: String,
        /// The channel's policy.
        policy_id: u16,
    },
    /// The directory of the channels cannot be trusted.
    #[error("{} cannot hold channels: {reason}; {remedy}", path.display())]
    InsecureDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// No default directory for channels can be created.
    #[error("there is no place for channels: {reasons}; {remedy}")]
    NoPlace {
        /// What is wrong with each.
        reasons: String,
        /// What to do about it.
        remedy: String,
        /// What the system says of the last one.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(action, source))]
    System {
        /// What was attempted, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Whether the file system has an inode left for another file beside this one.
fn has_inodes(path: &Path) -> bool {
    path.parent().is_none_or(|parent| sys::room(parent).map_or(true, |room| room.files > 0))
}

fn advice(action: &str, error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "; this process has too many files open: raise `ulimit -n`",
        Some(libc::ENFILE) => "; the machine has too many files open",
        Some(libc::ENOMEM) => {
            "; the process has no address space left for it: raise `ulimit -v`, or use a smaller max_capacity"
        }
        Some(libc::EROFS) => "; the file system is read-only: point TRAINCAST_DIR at another one",
        Some(libc::EACCES | libc::EPERM) if action == "lock" => {
            "; file locks are denied here (by a security module, or a sandbox): allow them, or point TRAINCAST_DIR at a \
             directory where they are allowed"
        }
        Some(libc::EACCES | libc::EPERM) if action == MAKE => {
            "; you have no permission to create it: set TRAINCAST_DIR, for the learner and the envs, to a directory of your own"
        }
        Some(libc::ENOTDIR | libc::EEXIST) => {
            "; a file is in the way: set TRAINCAST_DIR, for learner and envs alike, to a path of directories alone"
        }
        Some(libc::EOVERFLOW) => {
            "; this process's user or group has no number outside of its user namespace, and so can own no file: start \
             the namespace with one (unshare: --map-root-user or --map-current-user)"
        }
        Some(libc::EACCES | libc::EPERM) => "; the directory must belong to you, with mode 0700",
        Some(libc::ENOENT) => "; the directory has been removed",
        _ => "",
    }
}

/// The [`Error::System::action`] of creating a directory.
const MAKE: &str = "make";

impl Error {
    pub(crate) fn corrupt(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::CorruptChannel { path: path.into(), reason: reason.into() }
    }

    pub(crate) fn incompatible(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::IncompatibleChannel { path: path.into(), reason: reason.into() }
    }

    /// For use in `map_err`: a failed system call and its purpose.
    pub(crate) fn system(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, path: path.to_owned(), source }
    }

    /// For use in `map_err`: a directory could not be created.
    pub(crate) fn making(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match Self::storage(path, 0)(source) {
            Self::System { source, path, .. } => Self::System { action: MAKE, path, source },
            full => full,
        }
    }

    /// For use in `map_err`: `needed` bytes of storage could not be allocated.
    pub(crate) fn storage(path: &Path, needed: usize) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let cause = match source.raw_os_error() {
                Some(libc::ENOSPC) if !has_inodes(path) => {
                    "the file system has no inodes left, it holds too many files"
                }
                Some(libc::ENOSPC) => "the file system is full",
                Some(libc::EDQUOT) => "the quota is used up",
                Some(libc::EFBIG) => "files may not become that large here (`ulimit -f`)",
                _ => {
                    return Self::System { action: "write", path: path.to_owned(), source };
                }
            };
            Self::StorageFull { path: path.to_owned(), needed, cause: cause.into() }
        }
    }
}
