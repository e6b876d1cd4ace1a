//! The reading end of a channel.

mod finding;
mod key;
mod waiter;
mod word;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::directory::{ChannelName, Directory, Places, Role};
use crate::error::Result;
use crate::failpoints::failpoint;
use crate::layout::{Link, header};
use crate::numbering::Position;
use crate::ownership::{self, Signature};
use crate::ring::seqlock::{Head, load_head};
use crate::roster::Seat;
use crate::segment::Segment;
use crate::snapshot::wire::{self, Origin};
use crate::snapshot::{SegmentKey, SlotMeta, Snapshot};
use crate::sys::{self, WordRef, tick_ns};

use finding::{Found, find};
pub use key::{Key, Leaf};
pub use waiter::Waiter;
pub use word::WordAt;

/// The head of the file that a reader is attached to. An unchanged read is [`HeadRef::load`] and nothing more.
///
/// Get a new one after a [`Reader::read_into`] that filled the snapshot from another segment.
#[derive(Clone, Debug)]
pub struct HeadRef {
    word: WordRef<Segment>,
}

impl HeadRef {
    /// The head, by one load.
    #[inline]
    pub fn load(&self) -> Head {
        load_head(self.word.get())
    }
}

/// One reader of a channel. It never writes to the segment and never makes the writer wait. What it has read is in the
/// [`Snapshot`] that the caller keeps: one reader can serve several of them.
#[derive(Debug)]
pub struct Reader {
    places: Places,
    name: ChannelName,
    found: Found,
    seat: Option<Arc<Seat>>,
    /// When the seat's lock was last taken again, on the clock of publish times.
    seated_ns: u64,
    name_checked: NameCheck,
    laps: u64,
}

/// The head that means "nothing has changed": see [`Reader::settled`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Settled {
    /// The expected head, if the file goes on; otherwise a word that no open file has.
    going_on: Head,
    /// The expected head, if the file has ended.
    ended: Head,
    until_ns: u64,
}

impl Settled {
    /// Whether nothing has changed: one load and one comparison, and for a file that has ended also a look at the coarse clock.
    #[inline]
    pub fn holds(&self, head: &HeadRef) -> bool {
        let head = head.load();
        head == self.going_on || head.ended() && self.holds_at_the_end(head)
    }

    #[cold]
    fn holds_at_the_end(&self, head: Head) -> bool {
        head == self.ended && tick_ns() < self.until_ns
    }
}

/// When the reader last compared its file with the one that has the channel's name.
#[derive(Clone, Copy, Debug)]
struct NameCheck {
    at_ns: u64,
    /// The file's head at that time. A mark that was set since then requires another comparison at once.
    head: Head,
}

/// How many successors of a file one read follows. A writer cannot replace files faster than a reader opens them for long.
const MAX_MOVES: u32 = 64;
/// How often an idle reader checks that its file still has the channel's name: somebody may have removed it without marking it.
const IDLE_CHECK_NS: u64 = 1_000_000_000;
/// How often a reader looks for the successor of a file that has ended.
const ENDED_CHECK_NS: u64 = 10_000_000;
/// How long a reader that waits for a channel sleeps between two attempts.
const ATTACH_SLICE: Duration = Duration::from_millis(2);

impl Reader {
    /// Attaches to a channel, waiting up to `timeout` for it to appear.
    ///
    /// # Errors
    /// [`crate::error::Error::ChannelNotFound`]; what is wrong with the directory or the file.
    pub fn attach(places: impl Into<Places>, name: ChannelName, timeout: Duration) -> Result<Self> {
        let (places, start) = (places.into(), Instant::now());
        loop {
            if let Some(found) = find(&places, &name)? {
                failpoint!("attach.found");
                let name_checked = NameCheck { at_ns: tick_ns(), head: found.segment.head() };
                let mut reader =
                    Self { places, name, found, seat: None, seated_ns: 0, name_checked, laps: 0 };
                reader.take_seat();
                failpoint!("attach.seated");
                return Ok(reader);
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(name.not_found(&places));
            }
            std::thread::sleep(left.min(ATTACH_SLICE));
        }
    }

    /// The head, by one load.
    #[inline]
    pub fn head(&self) -> Head {
        self.found.segment.head()
    }

    /// A reference to the head, for unchanged reads without this object.
    pub fn head_ref(&self) -> HeadRef {
        HeadRef { word: WordRef::new(&self.found.segment, header::HEAD) }
    }

    /// The mapping that it reads.
    pub fn segment_key(&self) -> SegmentKey {
        SegmentKey(self.found.segment.key)
    }

    /// Copies the channel's newest snapshot, unless `snapshot` holds it already. Returns whether it is another one than before.
    ///
    /// Follows the channel to a new file. If that cannot be opened, it goes on with the present one, and a later call tries
    /// again.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptChannel`]: then `snapshot` holds nothing, and the next call copies anew.
    #[inline(always)] // the bindings have two callers, of which one is a changed read
    pub fn read_into(&mut self, snapshot: &mut Snapshot) -> Result<bool> {
        for _ in 0..MAX_MOVES {
            let head = self.found.segment.head();
            if head.ended() && self.may_have_successor(head) && self.follow() {
                continue;
            }
            if snapshot.segment == self.segment_key() && snapshot.meta.position == head.position() {
                if self.idle_for_long() && self.follow() {
                    continue;
                }
                return Ok(false);
            }
            match self.copy(snapshot) {
                // The channel's owner may have replaced this file by a sound one.
                Err(_) if self.may_have_successor(head) && self.follow() => {}
                copied => return copied,
            }
        }
        Ok(false)
    }

    #[inline]
    fn copy(&mut self, snapshot: &mut Snapshot) -> Result<bool> {
        let before = snapshot.is_filled().then_some(snapshot.meta.stamp);
        let key = self.segment_key();
        let read = self.found.segment.read(|position, slot| snapshot.fill(slot, position, key));
        // Also if the slot was never copied: then `fill` has not forgotten it.
        let (_, (), laps) = read.inspect_err(|_| snapshot.forget())?;
        snapshot.keep(key);
        failpoint!("read.copied");
        self.laps += u64::from(laps);
        self.note(&snapshot.meta);
        // A file that was put back may begin with the snapshot that the previous one ended with.
        Ok(before != Some(snapshot.meta.stamp))
    }

    /// Notes in the roster what was read, on this process's own line.
    #[inline]
    fn note(&mut self, meta: &SlotMeta) {
        // Publish times serve as a clock that costs nothing.
        let long_ago = meta.published_ns.saturating_sub(self.seated_ns) > IDLE_CHECK_NS;
        let inherited = self.seat.as_ref().is_some_and(|seat| !seat.is_ours());
        if long_ago || inherited {
            self.keep_seat();
        }
        if let Some(seat) = &self.seat {
            seat.note(meta.position, meta.stamp.version, meta.published_ns);
        }
    }

    /// As [`Reader::read_into`], for a relay: the newest snapshot in wire form. `snapshot` is its cursor.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptChannel`].
    pub fn read_wire(&mut self, snapshot: &mut Snapshot) -> Result<Vec<u8>> {
        self.read_into(snapshot)?;
        Ok(wire::encode(snapshot, &self.origin()))
    }

    /// Where the snapshots come from.
    pub fn origin(&self) -> Origin {
        Origin { host: self.found.segment.origin_host(), pid: self.found.segment.header(header::ORIGIN_PID) }
    }

    /// The state of the link between the learner and the file at hand.
    pub fn link(&self) -> Link {
        self.found.segment.link()
    }

    /// Whether it is time to look for the successor of a file that has ended: at once if a mark is new, and then every 10 ms.
    #[cold]
    fn may_have_successor(&self, head: Head) -> bool {
        let NameCheck { at_ns, head: before } = self.name_checked;
        before != head || tick_ns().saturating_sub(at_ns) >= ENDED_CHECK_NS
    }

    fn idle_for_long(&self) -> bool {
        tick_ns().saturating_sub(self.name_checked.at_ns) > IDLE_CHECK_NS
    }

    /// Moves to the file that has the channel's name, if that is another one and its newest snapshot is whole. Returns whether it
    /// moved.
    #[cold]
    pub fn follow(&mut self) -> bool {
        // Loaded before the search: a mark that is set later causes another search.
        self.name_checked = NameCheck { at_ns: tick_ns(), head: self.found.segment.head() };
        match self.found.successor(&self.places, &self.name) {
            Some(found) => {
                failpoint!("follow.found");
                self.found = found;
                self.name_checked.head = Head::default();
                self.seat = None;
                self.take_seat();
                failpoint!("follow.moved");
                true
            }
            _ => {
                self.keep_seat();
                false
            }
        }
    }

    fn keep_seat(&mut self) {
        self.seated_ns = tick_ns();
        if self.seat.as_ref().is_none_or(|seat| !seat.is_ours() || !seat.keep()) {
            self.take_seat();
        }
    }

    #[cold]
    fn take_seat(&mut self) {
        self.seated_ns = tick_ns();
        let generation = self.found.segment.header(header::GENERATION);
        self.seat = match self.found.directory.find() {
            Ok(Some(handle)) => Seat::take(&handle, &self.name, self.found.segment.key, generation),
            _ => None,
        };
    }

    /// Makes an object that waits for the next change, so that others can use this reader in the meantime. Read *after* making
    /// it: a change in between ends the sleep at once.
    pub fn waiter(&mut self) -> Waiter {
        // A sleeper must be announced in the roster that the writer looks at.
        let handle = self.found.directory.find().ok().flatten();
        let seated = match (&self.seat, &handle) {
            (Some(seat), Some(handle)) => seat.is_ours() && seat.has_name(handle, &self.name) && seat.keep(),
            _ => false,
        };
        if !seated {
            self.take_seat();
        }
        Waiter::new(&self.places, &self.name, &self.found, self.seat.clone())
    }

    /// Whether the writer has finished with the channel, and no other writer has it now.
    pub fn closed(&mut self) -> bool {
        if self.found.segment.head().ended() {
            self.follow();
        }
        let head = self.found.segment.head();
        // The writer may have moved to a new file and closed that one before this reader saw it: then the mark is in a file that
        // is gone.
        head.closed()
            || self.found.segment.link() == Link::LearnerClosed
            || head.superseded() && !self.has_file() && !self.is_written().unwrap_or(true)
    }

    /// Whether the learner lives: on this node, or on another one from which the channel's relay hears.
    ///
    /// # Errors
    /// [`crate::error::Error::System`], or what is wrong with the directory.
    pub fn writer_alive(&mut self) -> Result<bool> {
        if self.found.segment.head().ended() {
            self.follow();
        }
        let heard = matches!(self.found.segment.link(), Link::Local | Link::Live);
        Ok(heard && !self.found.segment.head().closed() && self.is_written()?)
    }

    /// Whether the channel is served: by the writer of the file at hand, even if it has lost its lock without noticing, or by a
    /// relay that waits for the learner. A writer that took the channel and has not published does not count: it may start anew.
    ///
    /// # Errors
    /// As [`Reader::writer_alive`].
    pub fn served(&mut self) -> Result<bool> {
        if self.found.segment.head().ended() {
            self.follow();
        }
        let Found { segment, directory } = &self.found;
        let signature = Signature {
            pid: segment.header(header::PID),
            pid_namespace: segment.header(header::PID_NAMESPACE),
            nonce: segment.header(header::NONCE),
        };
        match directory.find()? {
            Some(handle) => Ok(!segment.head().closed()
                && ownership::is_served_from(signature, directory, &handle, &self.name)?),
            None => Ok(false),
        }
    }

    /// The directory of the file at hand.
    pub fn directory(&self) -> &Directory {
        &self.found.directory
    }

    fn is_written(&self) -> Result<bool> {
        match self.found.directory.find()? {
            Some(handle) => ownership::writer_alive(&self.found.directory, &handle, &self.name),
            None => Ok(false),
        }
    }

    fn has_file(&self) -> bool {
        let file = self.name.file(Role::Segment);
        let handle = self.found.directory.find().ok().flatten();
        handle.is_some_and(|handle| matches!(sys::facts_at(&handle, &file), Ok(Some(_))))
    }

    /// Seconds since a snapshot of this channel was published.
    pub fn age(&self, meta: &SlotMeta) -> f64 {
        self.found.segment.age(meta)
    }

    /// What the slot says of the newest snapshot, without copying the snapshot.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptChannel`].
    pub fn newest(&mut self) -> Result<SlotMeta> {
        let head = self.found.segment.head();
        if head.ended() && self.may_have_successor(head) || self.idle_for_long() {
            self.follow();
        }
        self.found.segment.read(|position, slot| SlotMeta::load(slot, position)).map(|(_, meta, _)| meta)
    }

    /// The head while the snapshot at this position is the newest. For a file that has ended, also the time on the coarse clock
    /// until which this may be assumed.
    #[inline]
    pub fn settled(&self, position: Position) -> Settled {
        let NameCheck { at_ns, head } = self.name_checked;
        let plain = Head::of(position);
        // Only a mark that was set before the last search for a successor: a later one requires another search.
        if head.ended() && head.position() == plain.position() {
            return Settled {
                ended: head,
                until_ns: at_ns.saturating_add(ENDED_CHECK_NS),
                ..Settled::default()
            };
        }
        Settled { going_on: plain, ..Settled::default() }
    }

    /// The channel.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// How many copies were repeated because the writer had lapped them.
    pub fn laps(&self) -> u64 {
        self.laps
    }
}

const _: fn() = || {
    fn may_change_threads<T: Send>() {}
    fn may_be_shared<T: Send + Sync>() {}
    may_change_threads::<Reader>();
    may_be_shared::<HeadRef>();
    may_be_shared::<Waiter>();
};
