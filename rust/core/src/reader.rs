//! The reading end of a channel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::directory::{ChannelName, Directory, Role};
use crate::error::Result;
use crate::failpoints::failpoint;
use crate::generation::{Segment, renamed};
use crate::layout::header;
use crate::ownership;
use crate::roster::Seat;
use crate::seqlock::{Head, load_head};
use crate::slot::KnownShape;
pub use crate::slot::{SlotBuffer, SlotMeta};
use crate::sys::{self, WordRef, tick_ns};

/// What [`Reader::refresh`] has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refresh {
    /// Nothing newer than last time.
    Unchanged,
    /// A newer snapshot, now in the buffer.
    Snapshot,
}

/// The head of the file that a reader is attached to. [`HeadRef::load`] is all that an unchanged read takes.
///
/// After a [`Reader::refresh`] whose `generation_key` differs from the one before, take a new one.
#[derive(Clone, Debug)]
pub struct HeadRef {
    word: WordRef<Segment>,
}

impl HeadRef {
    /// `version << 2 | superseded << 1 | closed`, by one load.
    #[inline]
    pub fn load(&self) -> u64 {
        load_head(self.word.get()).bits()
    }
}

/// One reader of a channel. It never writes the channel, and never makes the writer wait.
#[derive(Debug)]
pub struct Reader {
    directory: Directory,
    name: ChannelName,
    segment: Arc<Segment>,
    seat: Option<Arc<Seat>>,
    /// Of the last snapshot read from `segment`; 0: none yet.
    version: u64,
    epoch: u64,
    published_ns: u64,
    /// The head when that was read.
    seen: Head,
    /// When the name was last compared with `segment`.
    looked_ns: u64,
    laps: u64,
}

/// How many successors of a file one refresh follows: a writer cannot replace files as fast as they can be
/// opened for long.
const MAX_MOVES: u32 = 64;
/// How often an idle reader makes sure that its file is still the one with the name: somebody may have
/// removed it without a mark.
const LOOK_EVERY_NS: u64 = 1_000_000_000;
/// How long a reader that waits for a channel sleeps between two looks.
const ATTACH_SLICE: Duration = Duration::from_millis(2);

impl Reader {
    /// Attaches to a channel, waiting up to `timeout` for it to appear.
    ///
    /// # Errors
    /// [`crate::error::Error::ChannelNotFound`]; what is wrong with the directory or the file.
    pub fn attach(directory: &Directory, name: ChannelName, timeout: Duration) -> Result<Self> {
        let start = Instant::now();
        loop {
            if let Some(segment) = find(directory, &name)? {
                failpoint!("attach.found");
                let mut reader = Self {
                    directory: directory.clone(),
                    name,
                    segment,
                    seat: None,
                    version: 0,
                    epoch: 0,
                    published_ns: 0,
                    seen: Head::default(),
                    looked_ns: tick_ns(),
                    laps: 0,
                };
                reader.take_seat();
                failpoint!("attach.seated");
                return Ok(reader);
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(name.not_found(directory));
            }
            std::thread::sleep(left.min(ATTACH_SLICE));
        }
    }

    /// The head now: `version << 2 | superseded << 1 | closed`, by one load.
    #[inline]
    pub fn head(&self) -> u64 {
        self.segment.head().bits()
    }

    /// The head at the last [`Reader::refresh`]: what to hand to [`Waiter::wait`] so that nothing in between
    /// is missed.
    #[inline]
    pub fn seen_head(&self) -> u64 {
        self.seen.bits()
    }

    /// Where the head is, for an unchanged read without this object.
    pub fn head_cell(&self) -> HeadRef {
        HeadRef { word: WordRef::new(&self.segment, header::HEAD) }
    }

    /// Copies the newest snapshot if it is newer than the last one. The shape is left out if `known_shape` is
    /// its id and it comes from the same file and writer as the last one.
    ///
    /// Follows the channel to a new file. When that cannot be opened, the last snapshot stays, and the next
    /// call tries again.
    ///
    /// # Errors
    /// [`crate::error::Error::CorruptChannel`]. The last snapshot stays what it is, and the next call tries
    /// again.
    #[inline]
    pub fn refresh(&mut self, known_shape: u64, out: &mut SlotBuffer) -> Result<Refresh> {
        for _ in 0..MAX_MOVES {
            let head = self.segment.head();
            if head.ended() && self.follow() {
                continue;
            }
            if head.version() == self.version {
                self.seen = head;
                if self.overdue() && self.follow() {
                    continue;
                }
                return Ok(Refresh::Unchanged);
            }
            return self.copy(known_shape, out).map(|()| Refresh::Snapshot);
        }
        Ok(Refresh::Unchanged)
    }

    /// Moves to the file that has the channel's name now, if the present one is closed or superseded.
    pub fn look(&mut self) {
        if self.segment.head().ended() {
            self.look_up();
        }
    }

    /// Moves to the file that has the channel's name now: somebody may have replaced it without a mark.
    pub fn look_up(&mut self) {
        self.follow();
    }

    /// The next [`Reader::refresh`] copies the newest snapshot, shape and all, even if that was copied before.
    pub fn forget(&mut self) {
        self.version = 0;
        self.epoch = 0;
    }

    #[inline]
    fn copy(&mut self, known_shape: u64, out: &mut SlotBuffer) -> Result<()> {
        let known = KnownShape { id: known_shape, epoch: self.epoch };
        let segment = &self.segment;
        let (head, (), laps) = segment.read(|version, slot| out.fill(slot, version, segment.key, known))?;
        let meta = &out.meta;
        failpoint!("read.copied");
        self.version = head.version();
        self.epoch = meta.epoch;
        self.published_ns = meta.published_ns;
        self.seen = head;
        self.laps += u64::from(laps);
        match &self.seat {
            Some(seat) if seat.is_ours() => seat.note(meta.version),
            _ => self.take_seat(),
        }
        Ok(())
    }

    /// Moves to the file that has the channel's name now, if it is another one and is open for business.
    #[cold]
    fn follow(&mut self) -> bool {
        self.looked_ns = tick_ns();
        match find(&self.directory, &self.name) {
            Ok(Some(segment)) if segment.id != self.segment.id => {
                failpoint!("follow.found");
                self.segment = segment;
                self.version = 0;
                self.epoch = 0;
                self.seat = None;
                self.take_seat();
                failpoint!("follow.moved");
                true
            }
            _ => false,
        }
    }

    fn overdue(&self) -> bool {
        tick_ns().saturating_sub(self.looked_ns) > LOOK_EVERY_NS
    }

    #[cold]
    fn take_seat(&mut self) {
        let generation = self.segment.header(header::GENERATION);
        let handle = self.directory.handle().ok();
        self.seat = handle.and_then(|handle| Seat::take(&handle, &self.name, self.segment.key, generation));
        // Another reader of this process may have seen more: one that has seen nothing says nothing.
        if let Some(seat) = self.seat.as_ref().filter(|_| self.version > 0) {
            seat.note(self.version);
        }
    }

    /// What waits for a change without this object, so that it can be locked for others meanwhile.
    pub fn waiter(&self) -> Waiter {
        Waiter {
            directory: self.directory.clone(),
            name: self.name.clone(),
            segment: Arc::clone(&self.segment),
            seat: self.seat.clone(),
        }
    }

    /// Whether the writer has finished with the channel. A successor that has appeared since is found by the
    /// next [`Reader::refresh`].
    pub fn closed(&self) -> bool {
        let head = self.segment.head();
        // Closed after it had moved to a bigger file, and before this reader looked: the mark is in that
        // file, which is gone.
        head.closed() || head.superseded() && !self.named() && !self.writer_lives().unwrap_or(true)
    }

    /// Whether the channel has a live writer.
    ///
    /// # Errors
    /// [`crate::error::Error::System`], or what is wrong with the directory.
    pub fn writer_alive(&self) -> Result<bool> {
        Ok(!self.segment.head().closed() && self.writer_lives()?)
    }

    fn writer_lives(&self) -> Result<bool> {
        ownership::writer_alive(&self.directory, &self.directory.handle()?, &self.name)
    }

    fn named(&self) -> bool {
        let file = self.name.file(Role::Segment);
        self.directory.handle().is_ok_and(|handle| matches!(sys::facts_at(&handle, &file), Ok(Some(_))))
    }

    /// When the snapshot read last was published, on the clock of [`crate::now_ns`]; 0 before the first.
    pub fn published_ns(&self) -> u64 {
        self.published_ns
    }

    /// The version read last from the present file; 0 before the first.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The channel.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Which mapping of which file it reads.
    pub fn generation_key(&self) -> u64 {
        self.segment.key
    }

    /// How many copies were made again because the writer had gone round the ring meanwhile.
    pub fn laps(&self) -> u64 {
        self.laps
    }
}

/// The channel's file, unless it is about to vanish.
fn find(directory: &Directory, name: &ChannelName) -> Result<Option<Arc<Segment>>> {
    let found = Segment::open_shared(directory, &directory.handle()?, name)?;
    Ok(found.filter(|segment| !segment.head().closed()))
}

/// Waits for a change of a channel.
#[derive(Clone, Debug)]
pub struct Waiter {
    directory: Directory,
    name: ChannelName,
    segment: Arc<Segment>,
    seat: Option<Arc<Seat>>,
}

impl Waiter {
    /// Longest time that one call sleeps: what a lost wake-up, or a signal, may cost.
    pub const MAX_SLICE: Duration = Duration::from_millis(50);

    /// Sleeps until the head is no longer `seen_head`, another file has the channel's name, or up to `slice`
    /// is over. `true`: call [`Reader::refresh`]. `false`: nothing yet, or a signal arrived.
    pub fn wait(&self, seen_head: u64, slice: Duration) -> bool {
        let seen = Head::from_bits(seen_head);
        let bell = self.segment.bell(self.seat.as_ref().map(|seat| seat.waiters()));
        if let Some(value) = bell.prepare(seen) {
            failpoint!("wait.announced");
            sys::futex_wait(bell.futex, value, slice.min(Self::MAX_SLICE));
            failpoint!("wait.woken");
        }
        self.segment.head() != seen || self.moved()
    }

    /// Nobody rings for a file that was replaced without a mark.
    fn moved(&self) -> bool {
        self.directory.handle().is_ok_and(|handle| renamed(&handle, &self.name, self.segment.id))
    }
}

const _: fn() = || {
    fn may_change_threads<T: Send>() {}
    fn may_be_shared<T: Send + Sync>() {}
    may_change_threads::<Reader>();
    may_be_shared::<HeadRef>();
    may_be_shared::<Waiter>();
};
