//! Who reads, who sleeps: a file beside the segment that readers may write. Nothing in it is needed for a
//! snapshot, all of it is best effort: without it `traincast ls` shows no readers, and sleepers wake at the
//! end of their time slice.
//!
//! A process takes a line by one compare-and-swap of its owner word, which says everything about the owner;
//! lines of dead processes are taken over. When there is none left, the file grows by a page. Growing needs
//! no lock: files are only ever extended, and two who extend at once get the longer of both. Whoever has
//! mapped the shorter file goes on with the lines that it knows.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use crate::directory::{ChannelName, Role, foreign};
use crate::failpoints::failpoint;
use crate::generation::TemporaryName;
use crate::layout::{LAYOUT_VERSION, PAGE, ROSTER_MAGIC, roster};
use crate::process;
use crate::seqlock::{claim, relaxed, store_relaxed};
use crate::sync::AtomicU64;
use crate::sys::{self, FileId, Mapping};

/// A roster, mapped for writing.
#[derive(Debug)]
pub struct Roster {
    mapping: Mapping,
    /// Which file.
    pub id: FileId,
}

/// A process that reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReaderInfo {
    /// Its process id.
    pub pid: u32,
    /// Whether it lives.
    pub alive: bool,
    /// The generation that it reads.
    pub generation: u64,
    /// The version that it has last seen, 0 if none yet.
    pub version: u64,
}

impl Roster {
    /// Opens a channel's roster; `None` if it has none, or a broken one.
    pub fn open(handle: &OwnedFd, name: &ChannelName) -> Option<Self> {
        let file = sys::open_at(handle, &name.file(Role::Roster), true).ok()??;
        let facts = sys::facts(&file).ok().filter(|facts| foreign(facts).is_none())?;
        Self::map(&file)?.checked(facts.id)
    }

    /// Opens a channel's roster or gives it a new one. Only for the channel's owner.
    pub fn open_or_create(handle: &OwnedFd, name: &ChannelName) -> Option<Self> {
        if let Some(roster) = Self::open(handle, name) {
            return Some(roster);
        }
        let (temporary, file) = TemporaryName::create(handle, name).ok()?;
        failpoint!("roster.named");
        sys::allocate(&file, 0, roster::FIRST_BYTES).ok()?;
        failpoint!("roster.allocated");
        let made = Self::map(&file)?;
        store_relaxed(&made.mapping.words()[roster::MAGIC], ROSTER_MAGIC);
        store_relaxed(&made.mapping.words()[roster::LAYOUT], LAYOUT_VERSION);
        failpoint!("roster.made");
        sys::rename(handle, &temporary.name, &name.file(Role::Roster), true).ok()?;
        failpoint!("roster.renamed");
        temporary.keep();
        Some(made)
    }

    fn map(file: &OwnedFd) -> Option<Self> {
        let facts = sys::facts(file).ok()?;
        let size = usize::try_from(facts.size).ok()?.min(roster::MAX_BYTES);
        if size < roster::FIRST_BYTES {
            return None;
        }
        Some(Self { mapping: Mapping::new(file, size - size % PAGE, true).ok()?, id: facts.id })
    }

    fn checked(self, id: FileId) -> Option<Self> {
        let words = self.mapping.words();
        let sound = relaxed(&words[roster::MAGIC]) == ROSTER_MAGIC
            && relaxed(&words[roster::LAYOUT]) == LAYOUT_VERSION;
        (sound && self.id == id).then_some(self)
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

    /// Takes a free line, or with `dead` one of a process that is gone.
    fn claim(&self, token: u64, dead: bool) -> Option<usize> {
        self.lines().find_map(|(start, line)| {
            let owner = relaxed(&line[roster::OWNER]);
            let free = if dead { owner != 0 && !alive(owner) } else { owner == 0 };
            if !free || !claim(&line[roster::OWNER], owner, token) {
                return None;
            }
            failpoint!("seat.claimed");
            store_relaxed(&line[roster::VERSION], 0);
            Some(start)
        })
    }

    /// The processes that read the channel.
    pub fn readers(&self) -> Vec<ReaderInfo> {
        let taken = self.lines().filter(|(_, line)| relaxed(&line[roster::OWNER]) != 0);
        let reader = |line: &[AtomicU64]| {
            let owner = relaxed(&line[roster::OWNER]);
            ReaderInfo {
                pid: (owner >> START_BITS) as u32,
                alive: alive(owner),
                generation: relaxed(&line[roster::GENERATION]),
                version: relaxed(&line[roster::VERSION]),
            }
        };
        taken.map(|(_, line)| reader(line)).collect()
    }
}

/// An owner word is `pid << 40 | start time in clock ticks`: together they say which process, even after its
/// number is given again.
const START_BITS: u32 = 40;

fn token(pid: u32, start: u64) -> u64 {
    u64::from(pid) << START_BITS | start & ((1 << START_BITS) - 1)
}

fn alive(owner: u64) -> bool {
    let pid = (owner >> START_BITS) as u32;
    sys::start_time(pid).is_some_and(|start| token(pid, start) == owner)
}

/// This process's line in a roster. Given back on drop.
#[derive(Debug)]
pub struct Seat {
    roster: Roster,
    line: usize,
    token: u64,
    forks: u64,
}

impl Seat {
    /// The line of this process for the segment with this `key`, the same for all of its readers. `None`: it
    /// goes without.
    pub fn take(handle: &OwnedFd, name: &ChannelName, key: u64, generation: u64) -> Option<Arc<Self>> {
        let known = |shared: &process::Shared| {
            shared.seats.get(&key).and_then(Weak::upgrade).filter(|seat| seat.is_ours())
        };
        if let Some(seat) = known(&process::shared()) {
            return Some(seat);
        }
        let seat = Arc::new(Self::claim(handle, name, generation)?);
        let mut shared = process::shared();
        if let Some(quicker) = known(&shared) {
            return Some(quicker);
        }
        shared.seats.retain(|_, seat| seat.strong_count() > 0);
        shared.seats.insert(key, Arc::downgrade(&seat));
        Some(seat)
    }

    fn claim(handle: &OwnedFd, name: &ChannelName, generation: u64) -> Option<Self> {
        let forks = process::forks();
        let pid = std::process::id();
        let token = token(pid, sys::start_time(pid)?);
        let roster = Roster::open(handle, name)?;
        failpoint!("seat.roster-opened");
        let (roster, line) = match roster.claim(token, false).or_else(|| roster.claim(token, true)) {
            Some(line) => (roster, line),
            None => {
                let roster = grown(handle, name, roster.mapping.words().len() * 8)?;
                let line = roster.claim(token, false)?;
                (roster, line)
            }
        };
        let seat = Self { roster, line, token, forks };
        store_relaxed(seat.word(roster::GENERATION), generation);
        Some(seat)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.roster.mapping.words()[self.line + index]
    }

    /// Whether it is this process's, not its parent's.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.forks == process::forks()
    }

    /// Notes that this process has seen a version.
    #[inline]
    pub fn note(&self, version: u64) {
        store_relaxed(self.word(roster::VERSION), version);
    }

    /// Where sleepers announce themselves.
    pub fn waiters(&self) -> &AtomicU64 {
        self.roster.waiters()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.is_ours() {
            claim(self.word(roster::OWNER), self.token, 0);
            failpoint!("seat.left");
        }
    }
}

/// The roster with at least a page more than `bytes`.
fn grown(handle: &OwnedFd, name: &ChannelName, bytes: usize) -> Option<Roster> {
    if bytes >= roster::MAX_BYTES {
        return None;
    }
    let file = sys::open_at(handle, &name.file(Role::Roster), true).ok()??;
    sys::facts(&file).ok().filter(|facts| foreign(facts).is_none())?;
    sys::allocate(&file, bytes, bytes + PAGE).ok()?;
    failpoint!("roster.extended");
    Roster::open(handle, name)
}
