//! Where channels are stored: in the place that the user names, or in one of two that every process knows.
//!
//! 1. `$TRAINCAST_DIR`, if set, is the only place.
//! 2. Otherwise a new channel goes into `/dev/shm/traincast-<uid>` or, where that is impossible (no `/dev/shm`, a read-only one,
//!    no room, no inodes), into `/tmp/traincast-<uid>`. `TMPDIR` is ignored: it differs between processes.
//! 3. Readers look in both. An existing channel stays where it is: its next writer goes on in that place. No writer starts while
//!    another one lives in the other place (`ownership::elsewhere`).

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::defaults::{SHARED, own_name};
use super::{ChannelName, Directory, Role, advice};
use crate::error::{Error, Result};
use crate::sys;

/// The inodes that a channel needs: its directory, lock, record, roster and segment, and the segment that replaces the first one.
const INODES: u64 = 6;

/// The directories in which a channel may be: at least one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Places(Arc<[Directory]>);

impl Places {
    /// As the environment says, see above. Nothing is created: readers create no directory.
    ///
    /// # Errors
    /// [`Error::System`] if the working directory is needed and gone.
    pub fn from_env() -> Result<Self> {
        if let Some(path) = std::env::var_os("TRAINCAST_DIR").filter(|path| !path.is_empty()) {
            return Ok(Directory::at(path)?.into());
        }
        let name = own_name();
        SHARED
            .iter()
            .map(|shared| Directory::at(Path::new(shared).join(&name)))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Two places, the better one first.
    pub fn new(first: Directory, fallback: Directory) -> Self {
        Self([first, fallback].into())
    }

    /// All of them, the best first.
    pub fn iter(&self) -> impl Iterator<Item = &Directory> {
        self.0.iter()
    }

    /// The first of them.
    pub fn best(&self) -> &Directory {
        &self.0[0]
    }

    /// All but one.
    pub(crate) fn others(&self, than: &Directory) -> impl Iterator<Item = &Directory> {
        self.0.iter().filter(move |other| *other != than)
    }

    /// Those that exist. A fallback that belongs to somebody else counts as missing.
    ///
    /// # Errors
    /// [`Error::InsecureDirectory`] of the best one; [`Error::System`].
    pub fn present(&self) -> Result<Vec<&Directory>> {
        let mut present = Vec::new();
        for (i, directory) in self.0.iter().enumerate() {
            match directory.find() {
                Ok(Some(_)) => present.push(directory),
                Err(Error::InsecureDirectory { .. }) if i > 0 => {}
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(present)
    }

    /// Where a new channel goes that needs this many bytes.
    ///
    /// # Errors
    /// [`Error::StorageFull`] if there is room nowhere; [`Error::NoPlace`].
    pub fn for_new(&self, bytes: usize) -> Result<Choice<'_>> {
        if let [only] = &*self.0 {
            return Ok(Choice { directory: only, full: None });
        }
        let mut passed_over = Vec::new();
        for directory in &*self.0 {
            match directory.fitness(bytes) {
                Ok(()) => {
                    let full = passed_over.into_iter().find(Unfit::is_full);
                    return Ok(Choice { directory, full });
                }
                Err(unfit) => passed_over.push(unfit),
            }
        }
        Err(self.none_fits(&passed_over, bytes))
    }

    /// Where a writer puts its channel: where the channel's files are, otherwise as [`Places::for_new`] says.
    ///
    /// # Errors
    /// As [`Places::for_new`].
    pub(crate) fn for_writer(&self, name: &ChannelName, bytes: usize) -> Result<Choice<'_>> {
        match self.0.iter().find(|directory| directory.has_files_of(name)) {
            Some(directory) => Ok(Choice { directory, full: None }),
            None => self.for_new(bytes),
        }
    }

    #[cold]
    fn none_fits(&self, passed_over: &[Unfit], needed: usize) -> Error {
        let reasons = passed_over.iter().map(Unfit::to_string).collect::<Vec<_>>().join(", and ");
        let full = passed_over.iter().zip(&*self.0).find(|(unfit, _)| unfit.is_full());
        if let Some((_, directory)) = full {
            let path = directory.path().to_owned();
            return Error::StorageFull { path, needed, cause: reasons.into() };
        }
        let source = passed_over.last().and_then(|unfit| unfit.error()).unwrap_or(libc::ENOENT);
        let remedy = advice::elsewhere(self.best().path());
        Error::NoPlace { reasons, remedy, source: io::Error::from_raw_os_error(source) }
    }
}

impl From<Directory> for Places {
    fn from(directory: Directory) -> Self {
        Self([directory].into())
    }
}

impl From<&Directory> for Places {
    fn from(directory: &Directory) -> Self {
        directory.clone().into()
    }
}

impl From<&Places> for Places {
    fn from(places: &Places) -> Self {
        places.clone()
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, directory) in self.0.iter().enumerate() {
            let or = if i > 0 { " or " } else { "" };
            write!(f, "{or}{}", directory.path().display())?;
        }
        Ok(())
    }
}

/// Where a channel goes.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The directory to use.
    pub directory: &'a Directory,
    /// The better place that had no room, if there is one.
    pub full: Option<Unfit>,
}

/// Why a new channel cannot go into a directory.
#[derive(Debug)]
pub struct Unfit {
    /// The directory, or the one in which it would be created.
    of: Box<Path>,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Closed(io::Error),
    Remote(&'static str),
    NoRoom,
    NoInodes,
}

impl Unfit {
    fn is_full(&self) -> bool {
        matches!(self.why, Why::NoRoom | Why::NoInodes)
    }

    fn error(&self) -> Option<i32> {
        match &self.why {
            Why::Closed(error) => error.raw_os_error(),
            Why::Remote(_) => Some(libc::EREMOTE),
            Why::NoRoom | Why::NoInodes => Some(libc::ENOSPC),
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.of.display();
        match &self.why {
            Why::Closed(error) => match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => write!(f, "there is no directory {of}"),
                Some(libc::EROFS) => write!(f, "{of} is read-only"),
                Some(libc::EACCES | libc::EPERM) => write!(f, "user {} may not write to {of}", sys::user()),
                _ => write!(f, "{of} cannot be used: {error}"),
            },
            Why::Remote(kind) => write!(f, "{of} lies on {kind}"),
            Why::NoRoom => write!(f, "{of} is full"),
            Why::NoInodes => write!(f, "{of} has no inodes left"),
        }
    }
}

impl Directory {
    /// Whether it has room for a new channel of this many bytes.
    fn fitness(&self, bytes: usize) -> std::result::Result<(), Unfit> {
        let of = match self.find() {
            Ok(Some(_)) => self.path(),
            Ok(None) => self.path().parent().unwrap_or(self.path()),
            // An unusable directory is chosen too: the writer then reports what is wrong with it.
            Err(_) => return Ok(()),
        };
        let unfit = |why| Unfit { of: of.into(), why };
        sys::may_make_files(of).map_err(Why::Closed).map_err(unfit)?;
        let remote = sys::remote_file_system_of(of).map_err(Why::Closed).map_err(unfit)?;
        let room = sys::room(of).map_err(Why::Closed).map_err(unfit)?;
        match remote {
            Some(kind) => Err(unfit(Why::Remote(kind))),
            None if room.bytes < bytes as u64 => Err(unfit(Why::NoRoom)),
            None if room.files < INODES => Err(unfit(Why::NoInodes)),
            None => Ok(()),
        }
    }

    /// Whether it is ours and has a file that only a writer creates.
    fn has_files_of(&self, name: &ChannelName) -> bool {
        let has = |handle: &_, role| matches!(sys::facts_at(handle, &name.file(role)), Ok(Some(_)));
        match self.find() {
            Ok(Some(handle)) => has(&handle, Role::Lock) || has(&handle, Role::Segment),
            _ => false,
        }
    }
}
