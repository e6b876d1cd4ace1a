//! Which processes read a channel, and whether one sleeps: a file beside the segment that readers may write. Snapshots do not
//! depend on it, and all of it is best effort: without it `traincast ls` shows no readers, and sleepers wake at the end of their
//! time slice.
//!
//! A process holds a line by a record lock on the line's bytes. Only the kernel knows whether the process lives: a pid of another
//! container means nothing here. The content of the line is for people. The lock ends with its process, and then any process may
//! take the line. When no line is free, the file grows by a page. Growing needs no lock: files are only ever extended, and if two
//! processes extend one at once, the longer size stays. A process that has mapped the shorter file goes on with the lines that it
//! knows.
//!
//! *Any* close of the file in a process drops all locks that the process has on it. So a process keeps one descriptor for each
//! roster, in [`FILES`], for as long as it has a line. A forked child goes on with the inherited descriptor and takes locks of
//! its own through it. Other code in the process may close the file too, so a seat takes its lock again about once a second.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use crate::directory::{ChannelName, Role, foreign};
use crate::drafts::{Draft, allocate};
use crate::failpoints::failpoint;
use crate::fork::{self, Shared};
use crate::layout::{LAYOUT_VERSION, PAGE, ROSTER_MAGIC, WORD, roster};
use crate::numbering::{Position, Version};
use crate::sync::{AtomicU64, relaxed};
use crate::sys::{self, FileId, Locked, Mapping};
use crate::words::store_relaxed;

/// The descriptors of rosters that this process has open. Unused ones are closed only with this table locked: a later close would
/// drop the locks of a seat that has opened the file again.
static FILES: Shared<BTreeMap<FileId, Arc<OwnedFd>>> = Shared::new(BTreeMap::new());

/// The lines that this process holds, with the fork count at which it took them.
static LINES: Shared<BTreeSet<(FileId, usize, u64)>> = Shared::new(BTreeSet::new());

/// How many taken lines are tried before the file grows: their processes may have died.
const TRIED: usize = 256;

/// A roster, mapped for writing.
#[derive(Debug)]
pub struct Roster {
    mapping: Mapping,
    id: FileId,
    /// `None` only while the roster is being dropped.
    file: Option<Arc<OwnedFd>>,
}

impl Drop for Roster {
    fn drop(&mut self) {
        let mut files = FILES.lock();
        self.file = None;
        files.retain(|_, file| Arc::strong_count(file) > 1);
    }
}

/// A process that reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReaderInfo {
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// Whether the process lives.
    pub alive: bool,
    /// Inode of that namespace.
    pub pid_namespace: u64,
    /// Whether that is another namespace than the caller's: another container.
    pub elsewhere: bool,
    /// The generation that it reads.
    pub generation: u64,
    /// The version that it has seen last; 0 before the first.
    pub version: u64,
    /// When that was published, on the clock of [`crate::now_ns`]; 0 before the first.
    pub published_ns: u64,
}

impl ReaderInfo {
    /// By how many ns the snapshot that it has seen last is older than the channel's newest one, which was published at
    /// `newest_ns` and is in the file with this `generation`. `None` if it has seen none yet, or if the two times are of
    /// different clocks.
    ///
    /// The writer noted both times, so the reader's own time namespace does not matter. A writer of another time namespace that
    /// took the channel over has a clock with another origin: a time that is later than the newest but belongs to an older file
    /// is of such another clock. In the same file or a newer one, a later time means that a snapshot has been published in the
    /// meantime.
    pub fn behind_ns(&self, newest_ns: u64, generation: u64) -> Option<u64> {
        let comparable = self.published_ns <= newest_ns || self.generation >= generation;
        (self.version != 0 && comparable).then(|| newest_ns.saturating_sub(self.published_ns))
    }
}

impl Roster {
    /// Opens a channel's roster; `None` if there is none or it is damaged.
    pub fn open(handle: &OwnedFd, name: &ChannelName) -> Option<Self> {
        let file_name = name.file(Role::Roster);
        let (file, id) = {
            let mut files = FILES.lock();
            let named = sys::facts_at(handle, &file_name).ok()?.filter(|facts| foreign(facts).is_none())?;
            match files.get(&named.id) {
                Some(file) => (Arc::clone(file), named.id),
                None => {
                    let file = Arc::new(sys::open_at(handle, &file_name, true).ok()??);
                    let facts = sys::facts(&file).ok()?;
                    if facts.id != named.id || foreign(&facts).is_some() {
                        return None; // replaced just now
                    }
                    files.insert(facts.id, Arc::clone(&file));
                    (file, facts.id)
                }
            }
        };
        let roster = Self::map(file, id)?;
        let words = roster.mapping.words();
        let sound = relaxed(&words[roster::MAGIC]) == ROSTER_MAGIC
            && relaxed(&words[roster::LAYOUT]) == LAYOUT_VERSION;
        sound.then_some(roster)
    }

    /// Opens a channel's roster, or creates a new one. Only for the channel's owner.
    pub fn open_or_create(handle: &OwnedFd, name: &ChannelName) -> Option<Self> {
        if let Some(roster) = Self::open(handle, name) {
            return Some(roster);
        }
        let draft = Draft::create(handle, name, roster::FIRST_BYTES).ok()?;
        let made = Mapping::new(&draft.file, roster::FIRST_BYTES, true).ok()?;
        store_relaxed(&made.words()[roster::MAGIC], ROSTER_MAGIC);
        store_relaxed(&made.words()[roster::LAYOUT], LAYOUT_VERSION);
        failpoint!("roster.made");
        draft.commit(&name.file(Role::Roster)).ok()?;
        failpoint!("roster.renamed");
        Self::open(handle, name)
    }

    fn map(file: Arc<OwnedFd>, id: FileId) -> Option<Self> {
        let size = usize::try_from(sys::facts(&file).ok()?.size).ok()?.min(roster::MAX_BYTES);
        if size < roster::FIRST_BYTES {
            return None;
        }
        Some(Self { mapping: Mapping::new(&file, size - size % PAGE, true).ok()?, id, file: Some(file) })
    }

    fn try_lock(&self, line: usize) -> bool {
        let locked = self.file.as_ref().map(|file| sys::try_lock(file, bytes_of(line)));
        matches!(locked, Some(Ok(Locked::Yes)))
    }

    fn is_locked(&self, line: usize) -> bool {
        let holder = self.file.as_ref().map(|file| sys::lock_holder(file, bytes_of(line)));
        matches!(holder, Some(Ok(Some(_))))
    }

    /// Whether this is the file that has the roster's name.
    pub fn has_name(&self, handle: &OwnedFd, name: &ChannelName) -> bool {
        matches!(sys::facts_at(handle, &name.file(Role::Roster)), Ok(Some(facts)) if facts.id == self.id)
    }

    /// Where sleepers announce themselves.
    #[inline]
    pub fn waiters(&self) -> &AtomicU64 {
        &self.mapping.words()[roster::WAITERS]
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &[AtomicU64])> {
        let words = self.mapping.words();
        (roster::LINES..).step_by(roster::LINE).zip(words[roster::LINES..].chunks_exact(roster::LINE))
    }

    /// Takes a free line, or one whose process is gone.
    fn claim(&self, token: u64) -> Option<usize> {
        let mut own = LINES.lock();
        let forks = fork::count();
        let taken = |line: &[AtomicU64]| relaxed(&line[roster::OWNER]) != 0;
        let free = self.lines().filter(|(_, line)| !taken(line)).map(|(start, _)| start);
        let others: Vec<_> = self.lines().filter(|(_, line)| taken(line)).map(|(start, _)| start).collect();
        // If there are many, not always the same ones.
        let first = if others.is_empty() { 0 } else { token as usize % others.len() };
        let tried = others.iter().cycle().skip(first).take(others.len().min(TRIED)).copied();
        let line = free
            .chain(tried)
            .find(|&start| !own.contains(&(self.id, start, forks)) && self.try_lock(start))?;
        failpoint!("seat.locked");
        own.insert((self.id, line, forks));
        Some(line)
    }

    /// The processes that read the channel.
    pub fn readers(&self) -> Vec<ReaderInfo> {
        let own = LINES.lock();
        let forks = fork::count();
        let here = sys::identity().pid_namespace;
        let taken = self.lines().filter(|(_, line)| relaxed(&line[roster::OWNER]) != 0);
        let reader = |(start, line): (usize, &[AtomicU64])| ReaderInfo {
            pid: relaxed(&line[roster::PID]) as u32,
            alive: own.contains(&(self.id, start, forks)) || self.is_locked(start),
            pid_namespace: relaxed(&line[roster::PID_NAMESPACE]),
            elsewhere: relaxed(&line[roster::PID_NAMESPACE]) != here,
            generation: relaxed(&line[roster::GENERATION]),
            version: relaxed(&line[roster::VERSION]),
            published_ns: relaxed(&line[roster::PUBLISHED]),
        };
        taken.map(reader).collect()
    }
}

/// The bytes of a line that are locked.
fn bytes_of(line: usize) -> Range<u64> {
    let start = (line * WORD) as u64;
    start..start + (roster::LINE * WORD) as u64
}

/// This process's line in a roster. Released on drop.
#[derive(Debug)]
pub struct Seat {
    roster: Roster,
    line: usize,
    token: u64,
    forks: u64,
}

/// Seats by the key of the segment.
static SEATS: Shared<BTreeMap<u64, Weak<Seat>>> = Shared::new(BTreeMap::new());

impl Seat {
    /// This process's line for the segment with this `key`, which all of its readers share. `None` if no line can be had: the
    /// reader works without one.
    pub fn take(handle: &OwnedFd, name: &ChannelName, key: u64, generation: u64) -> Option<Arc<Self>> {
        let usable = |seat: &Arc<Self>| seat.is_ours() && seat.roster.has_name(handle, name);
        let known = SEATS.lock().get(&key).and_then(Weak::upgrade);
        if let Some(seat) = known.filter(|seat| usable(seat) && seat.keep()) {
            return Some(seat);
        }
        let seat = Arc::new(Self::claim(handle, name, generation)?);
        let mut seats = SEATS.lock();
        seats.retain(|_, seat| seat.strong_count() > 0);
        seats.insert(key, Arc::downgrade(&seat));
        Some(seat)
    }

    fn claim(handle: &OwnedFd, name: &ChannelName, generation: u64) -> Option<Self> {
        let forks = fork::count();
        let token = sys::random() | 1;
        let mut roster = Roster::open(handle, name)?;
        failpoint!("seat.roster-opened");
        let line = match roster.claim(token) {
            Some(line) => line,
            None => {
                roster = grown(&roster)?;
                roster.claim(token)?
            }
        };
        let seat = Self { roster, line, token, forks };
        let process = sys::identity();
        store_relaxed(seat.word(roster::OWNER), token);
        failpoint!("seat.claimed");
        let words = [
            (roster::PID, process.pid.into()),
            (roster::STARTED, process.started),
            (roster::PID_NAMESPACE, process.pid_namespace),
            (roster::GENERATION, generation),
            (roster::POSITION, 0),
            (roster::VERSION, 0),
            (roster::PUBLISHED, 0),
        ];
        for (index, value) in words {
            store_relaxed(seat.word(index), value);
        }
        Some(seat)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.roster.mapping.words()[self.line + index]
    }

    /// Whether this process took it, and not its parent.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.forks == fork::count()
    }

    /// Takes the lock again, because any code in the process may have dropped it. `false`: the line is lost.
    pub fn keep(&self) -> bool {
        relaxed(self.word(roster::OWNER)) == self.token && self.roster.try_lock(self.line)
    }

    /// Whether it is in the file that has the roster's name.
    pub fn has_name(&self, handle: &OwnedFd, name: &ChannelName) -> bool {
        self.roster.has_name(handle, name)
    }

    /// Notes what this process has seen.
    #[inline]
    pub fn note(&self, position: Position, version: Version, published_ns: u64) {
        let line = &self.roster.mapping.words()[self.line..][..roster::LINE];
        store_relaxed(&line[roster::POSITION], position.get());
        store_relaxed(&line[roster::VERSION], version.get());
        store_relaxed(&line[roster::PUBLISHED], published_ns);
    }

    /// Where sleepers announce themselves.
    pub fn waiters(&self) -> &AtomicU64 {
        self.roster.waiters()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        let mut own = LINES.lock();
        if relaxed(self.word(roster::OWNER)) == self.token {
            store_relaxed(self.word(roster::OWNER), 0);
            failpoint!("seat.left");
            if let Some(file) = &self.roster.file {
                let _ = sys::unlock(file, bytes_of(self.line)); // otherwise the lock ends with the process
            }
        }
        own.remove(&(self.roster.id, self.line, self.forks));
    }
}

/// The roster, at least a page longer.
fn grown(roster: &Roster) -> Option<Roster> {
    let bytes = roster.mapping.words().len() * WORD;
    if bytes >= roster::MAX_BYTES {
        return None;
    }
    let file = Arc::clone(roster.file.as_ref()?);
    allocate(&file, bytes, bytes + PAGE).ok()?;
    failpoint!("roster.extended");
    Roster::map(file, roster.id)
}
