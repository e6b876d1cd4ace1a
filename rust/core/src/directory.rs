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
    /// The writer's lock.
    Lock,
}

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
        let suffix = match role {
            Role::Segment => "",
            Role::Roster => ".roster",
            Role::Lock => ".lock",
            Role::Draft => ".tmp",
        };
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
        } else if let Some(rest) = file.strip_suffix(".lock") {
            (Role::Lock, rest)
        } else if let Some(rest) = file.strip_suffix(".roster") {
            (Role::Roster, rest)
        } else {
            (Role::Segment, file)
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
    /// `$TRAINCAST_DIR`, else `/dev/shm/traincast-<uid>`, else `traincast-<uid>` in the temporary directory;
    /// made if it is missing.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn from_env() -> Result<Self> {
        if let Some(path) = std::env::var_os("TRAINCAST_DIR").filter(|path| !path.is_empty()) {
            return Self::open(path);
        }
        let name = format!("traincast-{}", sys::user());
        let shared = Path::new("/dev/shm").join(&name);
        // What exists is used or refused: falling back would part a writer from its readers.
        if sys::facts_of_path(&shared).is_ok() || sys::make_directory(&shared).is_ok() {
            return Self::open(shared);
        }
        Self::open(std::env::temp_dir().join(name))
    }

    /// A directory, made with mode 0700 if it is missing.
    ///
    /// # Errors
    /// [`Error::InsecureDirectory`] if it is a link, someone else's, open to others or remote;
    /// [`Error::System`] if it cannot be made.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = std::path::absolute(path).map_err(Error::system("use", path))?;
        let directory = Self { path: path.into() };
        if let Some(parent) = directory.path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(Error::system("create", parent))?;
        }
        sys::make_directory(&directory.path).map_err(Error::system("create", &directory.path))?;
        let handle = directory.handle()?;
        let remote = sys::remote_file_system(&handle).map_err(Error::system("examine", &directory.path))?;
        match remote {
            None => Ok(directory),
            Some(kind) => Err(directory.insecure(
                format!(
                    "it lies on {kind}, which may be shared with other machines, and shared memory is not"
                ),
                "use a local file system",
            )),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub(crate) fn join(&self, file: &OsStr) -> PathBuf {
        self.path.join(file)
    }

    /// Opens and checks it.
    pub(crate) fn handle(&self) -> Result<OwnedFd> {
        let handle = match sys::open_directory(&self.path) {
            Ok(handle) => handle,
            Err(error) => {
                if let Ok(facts) = sys::facts_of_path(&self.path) {
                    self.check(&facts)?;
                }
                return Err(Error::system("open", &self.path)(error));
            }
        };
        let facts = sys::facts(&handle).map_err(Error::system("examine", &self.path))?;
        self.check(&facts)?;
        Ok(handle)
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
