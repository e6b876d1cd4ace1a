//! Looking at channels from outside, and removing what dead writers left.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::directory::{ChannelName, Directory, Role};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
pub use crate::layout::Link;
use crate::layout::header;
use crate::ownership::{Ownership, Record, is_served, relay_status, writer_alive};
use crate::ring::seqlock::Head;
pub use crate::roster::ReaderInfo;
use crate::roster::Roster;
use crate::scores;
use crate::segment::Segment;
use crate::snapshot::SlotMeta;
use crate::sys;

/// The status of a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Status {
    /// It has a writer.
    Live,
    /// Its writer is gone and did not close it.
    Dead,
    /// Its writer closed it and died before it had removed it.
    Closed,
    /// The file cannot be read, for this reason.
    Broken(String),
}

impl Status {
    /// As people read it: the status, and what is wrong with a broken file.
    pub fn words(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Live => ("live", None),
            Self::Dead => ("dead", None),
            Self::Closed => ("closed", None),
            Self::Broken(reason) => ("broken", Some(reason)),
        }
    }
}

/// A channel, seen from outside. Whatever a broken file does not tell is 0.
#[derive(Clone, Debug)]
pub struct ChannelInfo {
    /// Name and policy.
    pub name: ChannelName,
    /// Its status.
    pub status: Status,
    /// Newest version.
    pub version: u64,
    /// Epoch of its newest writer.
    pub epoch: u64,
    /// Its term.
    pub term: u64,
    /// The state of the link between the learner and the file on this node.
    pub link: Link,
    /// Where the learner runs: host and process id there.
    pub origin: (String, u64),
    /// The status of the relay that serves it on this node, as JSON; `None` without a relay.
    pub relay: Option<String>,
    /// How many files it has had.
    pub generation: u64,
    /// Seconds since the newest version was published.
    pub age: f64,
    /// When that was, on the clock of [`crate::now_ns`] in the writer's time namespace.
    pub published_ns: u64,
    /// When the present file was created, Unix time in seconds.
    pub created: f64,
    /// Bytes per slot.
    pub capacity: usize,
    /// Bytes of shared memory, all files together.
    pub size: u64,
    /// Process id of the writer on this node, in its own pid namespace.
    pub writer_pid: u32,
    /// The processes that read it.
    pub readers: Vec<ReaderInfo>,
    /// Its files.
    pub files: Vec<PathBuf>,
}

/// A file that a dead writer left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftoverFile {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Why it may be removed.
    pub why: String,
}

/// All channels of a directory, by name. Broken files are listed too, with what is wrong with them.
///
/// # Errors
/// What is wrong with the directory.
pub fn list(directory: &Directory) -> Result<Vec<ChannelInfo>> {
    let Some(handle) = directory.find()? else {
        return Ok(Vec::new()); // no writer has made it yet
    };
    let channels = channels(directory, &handle)?;
    let named = channels.into_iter().filter(|(_, files)| files.contains_key(&Role::Segment));
    Ok(named.filter_map(|(name, files)| inspect(directory, &handle, name, &files)).collect())
}

type Files = BTreeMap<Role, Vec<OsString>>;

fn channels(directory: &Directory, handle: &OwnedFd) -> Result<BTreeMap<ChannelName, Files>> {
    let mut channels = BTreeMap::<_, Files>::new();
    for file in sys::list(handle).map_err(Error::system("list", directory.path()))? {
        if let Some((name, role)) = ChannelName::of_file(&file) {
            channels.entry(name).or_default().entry(role).or_default().push(file);
        }
    }
    Ok(channels)
}

fn size(handle: &OwnedFd, file: &OsString) -> u64 {
    sys::facts_at(handle, file).ok().flatten().map_or(0, |facts| facts.size)
}

/// `None` if the channel has just been removed. An error of one channel is part of its own entry.
fn inspect(directory: &Directory, handle: &OwnedFd, name: ChannelName, files: &Files) -> Option<ChannelInfo> {
    let files: Vec<_> = files.values().flatten().collect();
    let mut info = ChannelInfo {
        status: Status::Dead,
        version: 0,
        epoch: 0,
        term: 0,
        link: Link::Local,
        origin: (String::new(), 0),
        relay: None,
        generation: 0,
        age: 0.0,
        published_ns: 0,
        created: 0.0,
        capacity: 0,
        size: files.iter().map(|file| size(handle, file)).sum(),
        writer_pid: 0,
        readers: Vec::new(),
        files: files.iter().map(|file| directory.join(file)).collect(),
        name,
    };
    match examine(directory, handle, &mut info) {
        Ok(true) => Some(info),
        Ok(false) => None,
        Err(error) => Some(broken(info, error)),
    }
}

/// Fills in what the channel's files say. `false` if they have just been removed.
fn examine(directory: &Directory, handle: &OwnedFd, info: &mut ChannelInfo) -> Result<bool> {
    let Some(segment) = Segment::open(directory, handle, &info.name, false)? else {
        return Ok(false);
    };
    info.generation = segment.header(header::GENERATION);
    info.created = segment.header(header::CREATED) as f64 / 1e9;
    info.writer_pid = segment.header(header::PID) as u32;
    info.link = segment.link();
    info.origin = (segment.origin_host(), segment.header(header::ORIGIN_PID));
    info.capacity = segment.capacity;
    info.relay = relay_status(directory, handle, &info.name)?;
    let (_, newest, _) = segment.read(|position, slot| SlotMeta::load(slot, position))?;
    info.version = newest.stamp.version.get();
    info.epoch = newest.stamp.epoch.get();
    info.term = newest.stamp.term.get();
    info.age = segment.age(&newest);
    info.published_ns = newest.published_ns;
    info.readers = readers(handle, &info.name);
    info.status = if segment.head().closed() {
        Status::Closed
    } else if writer_alive(directory, handle, &info.name)? {
        // A writer that has taken the channel over and not published yet is not in the segment.
        info.writer_pid =
            Record::read(handle, &info.name).map_or(info.writer_pid, |record| record.process.pid);
        Status::Live
    } else {
        Status::Dead
    };
    Ok(true)
}

fn broken(mut info: ChannelInfo, error: Error) -> ChannelInfo {
    info.status = Status::Broken(match error {
        Error::CorruptChannel { reason, .. } | Error::IncompatibleChannel { reason, .. } => reason,
        error => error.to_string(),
    });
    info
}

/// The readers in the roster. A process that moves to another file has two lines for a moment: the newer one counts.
fn readers(handle: &OwnedFd, name: &ChannelName) -> Vec<ReaderInfo> {
    let mut readers = Roster::open(handle, name).map_or_else(Vec::new, |roster| roster.readers());
    let process = |reader: &ReaderInfo| (reader.pid, reader.pid_namespace);
    let newest = |reader: &ReaderInfo| std::cmp::Reverse((reader.alive, reader.generation, reader.version));
    readers.sort_by_key(|reader| (process(reader), newest(reader)));
    readers.dedup_by_key(|reader| process(reader));
    readers
}

/// What [`remove_leftover`] would remove: the files of channels whose writer is gone.
///
/// # Errors
/// What is wrong with the directory.
pub fn leftovers(directory: &Directory) -> Result<Vec<LeftoverFile>> {
    let Some(handle) = directory.find()? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (name, files) in channels(directory, &handle)? {
        // A channel that cannot be examined is left alone; `list` shows it.
        if is_served(directory, &handle, &name).unwrap_or(true) {
            continue;
        }
        let mut files = files;
        // Envs still record, and the learner may come back for it.
        if files.contains_key(&Role::Scores) && scores::is_used(directory, &handle, &name) {
            files.remove(&Role::Scores);
        }
        let whole = files.contains_key(&Role::Segment);
        let status = inspect(directory, &handle, name, &files).filter(|_| whole).map(|info| info.status);
        for (role, file) in files.iter().flat_map(|(role, files)| files.iter().map(move |file| (*role, file)))
        {
            found.push(LeftoverFile {
                path: directory.join(file),
                size: size(&handle, file),
                why: why(role, status.as_ref()),
            });
        }
    }
    Ok(found)
}

fn why(role: Role, status: Option<&Status>) -> String {
    match (role, status) {
        (Role::Segment, Some(Status::Broken(reason))) => format!("broken: {reason}"),
        (Role::Segment, Some(Status::Closed)) => {
            "its writer closed the channel and died before it was removed".into()
        }
        (Role::Segment, _) => "its writer is gone".into(),
        (Role::Draft, _) => "its writer died while it made the file".into(),
        (Role::Roster, _) => "list of readers of a channel without a writer".into(),
        (Role::Lock, _) => "lock that no process holds".into(),
        (Role::Owner, _) => "name of a writer that is gone".into(),
        (Role::Relay, _) => "lock of a relay that is gone".into(),
        (Role::Scores, _) => "scoreboard of a channel without a writer".into(),
    }
}

/// Removes one file that [`leftovers`] has named. Takes the channel's lock and checks again first: `false` if the channel has a
/// writer now, or the file is gone. Attached readers keep their last snapshot and see the channel as closed.
///
/// # Errors
/// [`Error::InvalidArgument`] if it is no file of a channel in this directory; [`Error::System`].
pub fn remove_leftover(directory: &Directory, path: &Path) -> Result<bool> {
    let file = path.file_name().filter(|_| path.parent() == Some(directory.path()));
    let Some((file, (name, role))) = file.and_then(|file| Some((file, ChannelName::of_file(file)?))) else {
        let text = format!("{} is not a file of a channel in {}", path.display(), directory.path().display());
        return Err(Error::InvalidArgument(text));
    };
    let Some(handle) = directory.find()? else {
        return Ok(false);
    };
    let failed = |error| Error::system("remove", path)(error);
    let Some(facts) = sys::facts_at(&handle, file).map_err(failed)? else {
        return Ok(false);
    };
    if is_served(directory, &handle, &name)?
        || role == Role::Scores && scores::is_used(directory, &handle, &name)
    {
        return Ok(false);
    }
    let mut acquired = Ownership::acquire_to_clean(directory, &handle, &name);
    if matches!(acquired, Err(Error::CorruptChannel { .. })) && !writer_alive(directory, &handle, &name)? {
        // Something that is no lock file has its name. Nobody can lock it, and it blocks the channel.
        let lock = name.file(Role::Lock);
        let facts = sys::facts_at(&handle, &lock).map_err(failed)?;
        let is_directory = facts.is_some_and(|facts| facts.kind == sys::DIRECTORY);
        let removed = sys::unlink(&handle, &lock, is_directory).map_err(failed)?;
        if role == Role::Lock {
            return Ok(removed);
        }
        acquired = Ownership::acquire_to_clean(directory, &handle, &name);
    }
    let ownership = match acquired {
        Ok(ownership) => ownership,
        Err(Error::ChannelBusy { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    failpoint!("clean.owned");
    let fresh = ownership.fresh;
    let removed = if role == Role::Lock {
        Ok(true)
    } else {
        if role == Role::Segment {
            end(directory, &handle, &name);
            failpoint!("clean.ended");
        }
        sys::unlink(&handle, file, facts.kind == sys::DIRECTORY).map_err(failed)
    };
    failpoint!("clean.removed");
    ownership.release(Some(&handle), &name, fresh || role == Role::Lock);
    removed
}

/// Marks a dead channel as closed, so that its readers look for its successor.
fn end(directory: &Directory, handle: &OwnedFd, name: &ChannelName) {
    if let Ok(Some(segment)) = Segment::open(directory, handle, name, true) {
        segment.ring_writer().mark(Head::CLOSED);
        segment.wake_all();
    }
}
