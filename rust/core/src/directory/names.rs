//! Names of channels, and of their files.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use super::Places;
use crate::error::{Error, Result};
use crate::layout::NAME_BYTES;

/// A channel's name and policy, checked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChannelName {
    name: Arc<str>,
    policy_id: u16,
}

/// The role of a file for its channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// The channel itself.
    Segment,
    /// Which processes read, and whether one sleeps.
    Roster,
    /// A file under construction, or one that was when its writer died.
    Draft,
    /// Which process holds the lock.
    Owner,
    /// The lock of the relay that serves the channel on this node.
    Relay,
    /// What envs report back.
    Scores,
    /// The writer's lock.
    Lock,
}

/// The suffixes of the channel's file names.
const SUFFIXES: [(Role, &str); 5] = [
    (Role::Lock, ".lock"),
    (Role::Owner, ".owner"),
    (Role::Relay, ".relay"),
    (Role::Roster, ".roster"),
    (Role::Scores, ".scores"),
];

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

    /// The channel and the role of a file, from its name alone; `None` if it is no channel's.
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

    pub(crate) fn not_found(&self, places: &Places) -> Error {
        let (name, policy_id) = (self.name.as_ref().to_owned(), self.policy_id);
        Error::ChannelNotFound { name, policy_id, places: places.to_string() }
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.policy_id)
    }
}
