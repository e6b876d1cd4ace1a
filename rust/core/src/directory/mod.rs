//! Names and paths of channels; the choice and the check of their directory.

mod advice;
mod defaults;
mod names;
mod places;

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::sys;

pub use names::{ChannelName, Role};
pub use places::{Choice, Places, Unfit};

/// A directory of channels, which belongs to this user alone and is local to this machine.
///
/// Only the path is kept. The directory is opened, and its owner and mode are checked, for each use. So it needs no descriptor,
/// and a directory that was removed and created again is found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Directory {
    path: Arc<Path>,
}

impl Directory {
    /// A directory by its path.
    ///
    /// # Errors
    /// [`Error::InsecureDirectory`] if the path is empty, or begins with what a shell would have replaced; [`Error::System`] if it
    /// is relative and the working directory is gone.
    pub fn at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if let Some(reason) = unwritten(path) {
            let remedy = "give the whole path (TRAINCAST_DIR, directory=)".to_owned();
            return Err(Error::InsecureDirectory { path: path.to_owned(), reason, remedy });
        }
        let path = std::path::absolute(path).map_err(Error::system("use", path))?;
        Ok(Self { path: path.into() })
    }

    /// Creates the directory with mode 0700 if it is missing, and its parents too. For writers.
    ///
    /// # Errors
    /// [`Error::InsecureDirectory`] if it is a link, someone else's, open to others or remote; [`Error::System`] if it cannot be
    /// created.
    pub fn make(&self) -> Result<()> {
        if let Some(parent) = self.path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(Error::making(parent))?;
        }
        self.put_back().map(drop)
    }

    /// Creates the directory itself, whose parent must exist, and opens it.
    ///
    /// # Errors
    /// As [`Directory::make`].
    pub(crate) fn put_back(&self) -> Result<OwnedFd> {
        sys::make_directory(&self.path).map_err(Error::making(&self.path))?;
        self.handle()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub(crate) fn join(&self, file: &OsStr) -> PathBuf {
        self.path.join(file)
    }

    /// Checks that it can be used, if it exists.
    ///
    /// # Errors
    /// [`Error::InsecureDirectory`]; [`Error::System`].
    pub fn check_if_there(&self) -> Result<()> {
        self.find().map(drop)
    }

    /// Opens and checks it.
    ///
    /// # Errors
    /// [`Error::InsecureDirectory`]; [`Error::System`], also if it is missing.
    pub(crate) fn handle(&self) -> Result<OwnedFd> {
        self.find()?
            .ok_or_else(|| Error::system("open", &self.path)(std::io::Error::from_raw_os_error(libc::ENOENT)))
    }

    /// Opens and checks it; `None` if it is missing.
    ///
    /// # Errors
    /// [`Error::InsecureDirectory`]; [`Error::System`].
    pub(crate) fn find(&self) -> Result<Option<OwnedFd>> {
        let handle = match sys::open_directory(&self.path) {
            Ok(handle) => handle,
            Err(error) => {
                if let Ok(facts) = sys::facts_of_path(&self.path) {
                    self.check(&facts)?;
                }
                return match error.kind() {
                    std::io::ErrorKind::NotFound => Ok(None),
                    _ => Err(Error::system("open", &self.path)(error)),
                };
            }
        };
        let examined = Error::system("examine", &self.path);
        let facts = sys::facts(&handle).map_err(examined)?;
        self.check(&facts)?;
        let remote = sys::remote_file_system(&handle).map_err(Error::system("examine", &self.path))?;
        match remote {
            None => Ok(Some(handle)),
            Some(kind) => Err(self.insecure(
                format!("it lies on {kind}, which other machines may share; shared memory is one machine's"),
                advice::elsewhere(&self.path),
            )),
        }
    }

    fn check(&self, facts: &sys::FileFacts) -> Result<()> {
        let reason = if facts.kind == sys::SYMLINK {
            "it is a symbolic link".to_owned()
        } else if facts.kind != sys::DIRECTORY {
            format!("it is a {}", facts.kind)
        } else if facts.uid != sys::user() {
            format!("it belongs to user {}, and you are user {}", facts.uid, sys::user())
        } else if facts.mode & 0o077 != 0 {
            format!("others may enter it (mode {:04o})", facts.mode)
        } else {
            return Ok(());
        };
        Err(self.insecure(reason, advice::instead_of(&self.path, facts)))
    }

    fn insecure(&self, reason: String, remedy: String) -> Error {
        Error::InsecureDirectory { path: self.path.to_path_buf(), reason, remedy }
    }
}

/// Why a path is not what its user meant: a file of settings has given `~/channels` as it is, and a directory `~` in the working
/// directory is one that somebody removes by `rm -r ~` some day.
fn unwritten(path: &Path) -> Option<String> {
    match path.as_os_str().as_encoded_bytes() {
        [] => Some("it is empty".to_owned()),
        [b'~' | b'$', ..] => Some("no shell has replaced its beginning".to_owned()),
        _ => None,
    }
}

/// Why a file cannot be part of one of this user's channels; `None` if it can.
pub(crate) fn foreign(facts: &sys::FileFacts) -> Option<String> {
    if facts.kind != sys::REGULAR {
        Some(format!("it is a {}, not a regular file", facts.kind))
    } else if facts.uid != sys::user() {
        Some(format!("it belongs to user {}", facts.uid))
    } else if facts.mode & 0o077 != 0 {
        Some(format!("others may open it (mode {:04o})", facts.mode))
    } else if facts.links > 1 {
        Some(format!("it has {} names (hard links)", facts.links))
    } else {
        None
    }
}
