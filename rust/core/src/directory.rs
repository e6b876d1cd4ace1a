//! Names and paths; whose directory it is.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::layout::NAME_BYTES;
use crate::sys;

/// A channel's name and policy, checked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChannelName {
    name: Arc<str>,
    policy_id: u16,
}

/// What a file in the directory is to its channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// The channel itself.
    Segment,
    /// Who reads, who sleeps.
    Roster,
    /// A file that was not complete when its writer died, or is not yet.
    Draft,
    /// Whose process the lock is.
    Owner,
    /// The lock of the relay that serves the channel on this node.
    Relay,
    /// The writer's lock.
    Lock,
}

/// What follows the channel's name in the names of its files.
const SUFFIXES: [(Role, &str); 4] =
    [(Role::Lock, ".lock"), (Role::Owner, ".owner"), (Role::Relay, ".relay"), (Role::Roster, ".roster")];

impl ChannelName {
    /// Checks a name and a policy.
    ///
    /// # Errors
    /// [`Error::InvalidName`] with the rule that was broken.
    pub fn new(name: &str, policy_id: impl Into<i128>) -> Result<Self> {
        let policy_id: i128 = policy_id.into();
        let rule =
            "a channel name has 1 to 128 of the characters A-Z a-z 0-9 . _ - and does not start with a dot";
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fault = if name.is_empty() {
            "it is empty".to_owned()
        } else if name.len() > NAME_BYTES {
            format!("it has {} bytes", name.len())
        } else if name.starts_with('.') {
            "it starts with a dot".to_owned()
        } else if let Some(character) = name.chars().find(|c| !c.is_ascii() || !allowed(*c as u8)) {
            format!("it contains {character:?}")
        } else {
            let Ok(policy_id) = u16::try_from(policy_id) else {
                return Err(Error::InvalidName(format!(
                    "policy_id {policy_id} is not allowed: use a number from 0 to 65535"
                )));
            };
            return Ok(Self { name: name.into(), policy_id });
        };
        let shown: String = name.chars().take(NAME_BYTES).collect();
        Err(Error::InvalidName(format!("the channel name {shown:?} is not allowed: {fault}; {rule}")))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The policy.
    pub fn policy_id(&self) -> u16 {
        self.policy_id
    }

    /// The name of one of the channel's files. (Drafts: see [`ChannelName::draft`].)
    pub(crate) fn file(&self, role: Role) -> OsString {
        let suffix = SUFFIXES.iter().find(|(of, _)| *of == role).map_or("", |(_, suffix)| suffix);
        format!("{self}{suffix}").into()
    }

    /// The name of a file under construction.
    pub(crate) fn draft(&self, pid: u32, nonce: u64) -> OsString {
        format!(".{self}.{pid}.{nonce:x}.tmp").into()
    }

    /// Whose file this is, from its name alone; `None` if it is nobody's.
    pub(crate) fn of_file(file: &OsStr) -> Option<(Self, Role)> {
        let file = file.to_str()?;
        let (role, rest) = if let Some(rest) = file.strip_prefix('.') {
            let (rest, _nonce) = rest.strip_suffix(".tmp")?.rsplit_once('.')?;
            (Role::Draft, rest.rsplit_once('.')?.0)
        } else {
            let suffixed = |(role, suffix): &(Role, &'static str)| Some((*role, file.strip_suffix(suffix)?));
            SUFFIXES.iter().find_map(suffixed).unwrap_or((Role::Segment, file))
        };
        let (name, policy) = rest.split_once('@')?;
        let channel = Self::new(name, policy.parse::<u16>().ok()?).ok()?;
        (channel.to_string() == rest).then_some((channel, role))
    }

    pub(crate) fn not_found(&self, directory: &Directory) -> Error {
        Error::ChannelNotFound {
            name: self.name.as_ref().to_owned(),
            policy_id: self.policy_id,
            directory: directory.path().to_owned(),
        }
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.policy_id)
    }
}

/// A directory of channels: ours alone, local.
///
/// Only its path is kept: it is opened, and its owner and mode checked, for each use. So it costs no
/// descriptor, and one that was removed and made again is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    path: Arc<Path>,
}

impl Directory {
    /// `$TRAINCAST_DIR`, else `/dev/shm/traincast-<uid>`, else `traincast-<uid>` in the temporary directory. Only named:
    /// a reader makes no directory.
    ///
    /// # Errors
    /// [`Error::System`] if the working directory is needed, and gone.
    pub fn from_env() -> Result<Self> {
        if let Some(path) = std::env::var_os("TRAINCAST_DIR").filter(|path| !path.is_empty()) {
            return Self::at(path);
        }
        let name = format!("traincast-{}", sys::user());
        let shared = Path::new("/dev/shm");
        // What exists is used or refused: falling back would part a writer from its readers.
        if sys::facts_of_path(&shared.join(&name)).is_ok() || sys::may_make_files(shared) {
            return Self::at(shared.join(name));
        }
        Self::at(std::env::temp_dir().join(name))
    }

    /// A directory by its path.
    ///
    /// # Errors
    /// [`Error::System`] if the path is relative, and the working directory gone.
    pub fn at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = std::path::absolute(path).map_err(Error::system("use", path))?;
        Ok(Self { path: path.into() })
    }

    /// Makes the directory with mode 0700 if it is missing, and whatever of its path is missing too. For writers.
    ///
    /// # Errors
    /// [`Error::InsecureDirectory`] if it is a link, someone else's, open to others or remote;
    /// [`Error::System`] if it cannot be made.
    pub fn make(&self) -> Result<()> {
        if let Some(parent) = self.path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(Error::system("create", parent))?;
        }
        self.put_back().map(drop)
    }

    /// Makes the directory alone, whose parent must be there. Opens it.
    ///
    /// # Errors
    /// As [`Directory::make`].
    pub(crate) fn put_back(&self) -> Result<OwnedFd> {
        sys::make_directory(&self.path).map_err(Error::system("create", &self.path))?;
        self.handle()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub(crate) fn join(&self, file: &OsStr) -> PathBuf {
        self.path.join(file)
    }

    /// Whether it can be used, if it is there.
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
                "use a local file system",
            )),
        }
    }

    fn check(&self, facts: &sys::FileFacts) -> Result<()> {
        if facts.kind == sys::SYMLINK {
            Err(self.insecure("it is a symbolic link", "name the directory itself"))
        } else if facts.kind != sys::DIRECTORY {
            Err(self.insecure(format!("it is a {}", facts.kind), "remove it"))
        } else if facts.uid != sys::user() {
            let reason = format!("it belongs to user {}, and you are user {}", facts.uid, sys::user());
            Err(self.insecure(reason, "have its owner remove it"))
        } else if facts.mode & 0o077 != 0 {
            let reason = format!("others may enter it (mode {:04o})", facts.mode);
            Err(self.insecure(reason, format!("run `chmod 700 {}`", self.path.display())))
        } else {
            Ok(())
        }
    }

    fn insecure(&self, reason: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::InsecureDirectory {
            path: self.path.to_path_buf(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

/// Why a file is not one that this user made as part of a channel; `None` if it is.
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
