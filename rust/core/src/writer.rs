//! The writing end of a channel.

use std::os::fd::OwnedFd;

use crate::directory::{ChannelName, Directory, Role};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::generation::{Draft, Segment, remove_drafts};
use crate::layout::{
    DEFAULT_CAPACITY, DEFAULT_MAX_CAPACITY, LARGEST_CAPACITY, SLOTS, WORD, header, whole_pages,
};
use crate::ownership::Ownership;
use crate::roster::Roster;
use crate::seqlock::Head;
pub use crate::slot::{Blob, Payload, SlotBuffer, SlotMeta};
use crate::slot::{KnownShape, examine};
use crate::sys;

/// What a new writer does with the channel that a dead one left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Leftover {
    /// Take it over: versions go on, the epoch grows by one.
    #[default]
    Continue,
    /// Start anew at version 1. Nobody can attach to what the dead writer left; readers that are attached
    /// move over with the first snapshot.
    Replace,
    /// [`Error::ChannelExists`].
    Refuse,
}

/// How a channel is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriterOptions {
    /// Bytes per slot to start with, the slot's own 64 among them; rounded up to pages.
    pub capacity: usize,
    /// Bytes per slot beyond which it never grows.
    pub max_capacity: usize,
    /// What to do with a dead writer's channel.
    pub leftover: Leftover,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { capacity: DEFAULT_CAPACITY, max_capacity: DEFAULT_MAX_CAPACITY, leftover: Leftover::default() }
    }
}

impl WriterOptions {
    fn check(&self) -> Result<()> {
        if self.capacity == 0 || self.capacity > self.max_capacity || self.max_capacity > LARGEST_CAPACITY {
            return Err(Error::InvalidArgument(format!(
                "capacity={} and max_capacity={} do not fit together: use 1 <= capacity <= max_capacity \
                 <= {LARGEST_CAPACITY} (bytes)",
                self.capacity, self.max_capacity
            )));
        }
        Ok(())
    }
}

/// The one writer of a channel. Dropping it closes the channel.
#[derive(Debug)]
pub struct Writer {
    directory: Directory,
    name: ChannelName,
    options: WriterOptions,
    /// `None` once closed.
    ownership: Option<Ownership>,
    /// `None` before the first snapshot.
    segment: Option<Segment>,
    /// Which shape this writer has stored in each slot of `segment`, 0 = none: then the shape's bytes need
    /// not be stored again.
    shapes: [u64; SLOTS],
    /// The dead writer's segment whose readers are to be woken by the first snapshot.
    replaced: Option<Segment>,
    roster: Option<Roster>,
    version: u64,
    epoch: u64,
    /// The next snapshot must go into a new segment: the present one is marked superseded, or its versions
    /// do not join up.
    renew: bool,
}

impl Writer {
    /// Takes a channel. Nobody sees it before its first snapshot.
    ///
    /// # Errors
    /// [`Error::ChannelBusy`] if another writer lives; what is wrong with the directory, or with the file
    /// that is there.
    pub fn open(directory: &Directory, name: ChannelName, options: WriterOptions) -> Result<Self> {
        options.check()?;
        let handle = directory.handle()?;
        let ownership = Ownership::acquire(directory, &handle, &name)?;
        failpoint!("open.owned");
        let mut writer = Self {
            directory: directory.clone(),
            name,
            options,
            ownership: Some(ownership),
            segment: None,
            shapes: [0; SLOTS],
            replaced: None,
            roster: None,
            version: 0,
            epoch: 1,
            renew: false,
        };
        match writer.take_over(&handle) {
            Ok(()) => Ok(writer),
            Err(error) => {
                if let Some(ownership) = writer.ownership.take() {
                    let fresh = ownership.fresh;
                    ownership.release(fresh.then_some(&handle));
                }
                Err(error)
            }
        }
    }

    /// Deals with what an earlier writer left.
    fn take_over(&mut self, handle: &OwnedFd) -> Result<()> {
        remove_drafts(handle, &self.name);
        failpoint!("takeover.drafts-removed");
        let Some(left) = Segment::open(&self.directory, handle, &self.name, true)? else {
            return Ok(());
        };
        failpoint!("takeover.mapped");
        let head = left.head();
        if head.closed() {
            // Its writer died between marking and removing it: that channel is over.
            return self.remove(handle, &left);
        }
        match self.options.leftover {
            Leftover::Refuse => Err(Error::ChannelExists {
                name: self.name.name().to_owned(),
                policy_id: self.name.policy_id(),
                version: head.version(),
            }),
            Leftover::Replace => {
                left.ring_writer().mark(Head::SUPERSEDED);
                failpoint!("replace.marked");
                self.remove(handle, &left)?;
                failpoint!("replace.removed");
                self.replaced = Some(left);
                Ok(())
            }
            Leftover::Continue => {
                let (_, newest, _) = left.read(|version, slot| examine(slot, version))?;
                self.version = newest.version;
                let epoch = left.header(header::EPOCH).max(newest.epoch);
                self.epoch = epoch.checked_add(1).ok_or_else(|| {
                    let path = self.directory.join(&self.name.file(Role::Segment));
                    Error::corrupt(path, "it has used up its epochs")
                })?;
                // Marked by a writer that died before the bigger segment had the name: ours completes the
                // growth.
                self.renew = head.superseded();
                failpoint!("takeover.examined");
                self.sign(&left);
                failpoint!("takeover.signed");
                self.roster = Roster::open_or_create(handle, &self.name);
                failpoint!("takeover.roster-opened");
                self.segment = Some(left);
                Ok(())
            }
        }
    }

    fn remove(&self, handle: &OwnedFd, segment: &Segment) -> Result<()> {
        if !crate::generation::renamed(handle, &self.name, segment.id) {
            let file = self.name.file(Role::Segment);
            sys::unlink(handle, &file, false)
                .map_err(Error::system("remove", &self.directory.join(&file)))?;
        }
        Ok(())
    }

    /// Writes down who writes.
    fn sign(&self, segment: &Segment) {
        let pid = std::process::id();
        segment.set_header(header::EPOCH, self.epoch);
        failpoint!("sign.half-done");
        segment.set_header(header::PID, pid.into());
        segment.set_header(header::STARTED, sys::start_time(pid).unwrap_or(0));
    }

    /// Publishes a snapshot; its version. No system call, unless somebody sleeps or the snapshot needs a
    /// bigger file.
    ///
    /// # Errors
    /// [`Error::ChannelClosed`], [`Error::ForkedWriter`], [`Error::PayloadTooLarge`], [`Error::StorageFull`],
    /// [`Error::System`]: nothing has changed then, for nobody.
    #[inline]
    pub fn publish(&mut self, payload: &Payload<'_>) -> Result<u64> {
        let now = sys::tick_ns();
        self.check_open()?;
        if let Some(fault) = payload.fault() {
            return Err(faulty(fault));
        }
        let version = self.version + 1;
        let words = payload.slot_words().unwrap_or(usize::MAX);
        match &self.segment {
            Some(segment) if words <= segment.slot_words() && !self.renew && version <= Head::MAX_VERSION => {
                let stored = &mut self.shapes[version as usize % SLOTS];
                let shape_is_there = *stored == payload.shape_id;
                *stored = payload.shape_id;
                store(segment, payload, version, self.epoch, now, shape_is_there);
                self.version = version;
                let bell = segment.bell(self.roster.as_ref().map(Roster::waiters));
                if bell.ring() {
                    failpoint!("publish.rung");
                    sys::futex_wake(bell.futex);
                    failpoint!("publish.woken");
                }
                Ok(version)
            }
            _ => self.publish_anew(payload, version, words),
        }
    }

    /// Publishes into a new segment, which takes the place of the present one, if any.
    #[cold]
    fn publish_anew(&mut self, payload: &Payload<'_>, version: u64, words: usize) -> Result<u64> {
        if version > Head::MAX_VERSION {
            return Err(Error::InvalidArgument(format!(
                "version {version} is too large: start a new channel"
            )));
        }
        let capacity = self.capacity_for(words)?;
        let generation = self.segment.as_ref().map_or(0, |old| old.header(header::GENERATION));
        let handle = self.directory.handle()?;
        let draft = Draft::new(&self.directory, &handle, &self.name, capacity, generation.saturating_add(1))?;
        self.sign(&draft.segment);
        store(&draft.segment, payload, version, self.epoch, sys::tick_ns(), false);
        failpoint!("create.first-stored");
        if self.roster.is_none() {
            self.roster = Roster::open_or_create(&handle, &self.name);
        }
        // Marked before the name is given away: a reader that finds the mark and still the old file under the
        // name looks again at its next read; the other way round, it might never look.
        if let Some(old) = &self.segment {
            old.ring_writer().mark(Head::SUPERSEDED);
            failpoint!("grow.marked");
        }
        let new = match draft.commit(self.segment.is_some()) {
            Ok(new) => new,
            Err(error) => {
                if let Some(old) = &self.segment {
                    old.ring_writer().announce(old.head().version()); // takes the mark off
                }
                return Err(error);
            }
        };
        self.shapes = [0; SLOTS];
        self.shapes[version as usize % SLOTS] = payload.shape_id;
        self.version = version;
        self.renew = false;
        failpoint!("create.done");
        for old in [self.segment.replace(new), self.replaced.take()].into_iter().flatten() {
            old.wake_all();
        }
        Ok(version)
    }

    /// Stride of a slot in which so many words fit: the present one, doubled as often as needed.
    fn capacity_for(&self, words: usize) -> Result<usize> {
        let needed = words.checked_mul(WORD).and_then(whole_pages).unwrap_or(usize::MAX);
        let limit = whole_pages(self.options.max_capacity).unwrap_or(LARGEST_CAPACITY);
        let present = self.segment.as_ref().map_or(self.options.capacity, |segment| segment.capacity);
        let mut capacity = whole_pages(present).unwrap_or(limit);
        while capacity < needed && capacity < limit {
            capacity = capacity.saturating_mul(2).min(limit);
        }
        if capacity < needed {
            return Err(Error::PayloadTooLarge {
                needed: words.saturating_mul(WORD),
                limit: self.options.max_capacity,
                suggested: needed.checked_next_power_of_two().unwrap_or(needed),
            });
        }
        Ok(capacity)
    }

    /// Copies the newest snapshot: what this writer has published last, or found. `None` if there is none.
    ///
    /// # Errors
    /// [`Error::CorruptChannel`].
    pub fn latest(&self, out: &mut SlotBuffer) -> Result<Option<SlotMeta>> {
        let Some(segment) = &self.segment else {
            return Ok(None);
        };
        segment.read(|version, slot| out.fill(slot, version, segment.key, KnownShape::default()))?;
        Ok(Some(out.meta))
    }

    /// As [`Writer::publish`], after [`Writer::resume_at`]. If that or the publishing fails, the numbering is
    /// what it was.
    ///
    /// # Errors
    /// Those of both.
    #[cold]
    pub fn publish_resumed(&mut self, payload: &Payload<'_>, version: u64, epoch: u64) -> Result<u64> {
        let before = (self.version, self.epoch, self.renew);
        let published = self.resume_at(version, epoch).and_then(|()| self.publish(payload));
        if published.is_err() {
            (self.version, self.epoch, self.renew) = before;
        }
        published
    }

    /// Numbering goes on above that of a saved state: the next version is larger than `version`, the epoch
    /// larger than `epoch`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the numbers are out of range; [`Error::ChannelClosed`],
    /// [`Error::ForkedWriter`].
    pub fn resume_at(&mut self, version: u64, epoch: u64) -> Result<()> {
        self.check_open()?;
        if version >= Head::MAX_VERSION || epoch == u64::MAX {
            return Err(Error::InvalidArgument(format!(
                "version {version} and epoch {epoch} cannot have been saved by traincast"
            )));
        }
        if version > self.version {
            // A version's slot follows from the version: after a jump it might be that of the newest
            // snapshot. A new segment's cannot.
            self.renew = true;
            self.version = version;
        }
        self.epoch = self.epoch.max(epoch + 1);
        Ok(())
    }

    /// The version published last; 0 before the first.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The epoch.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The channel.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Where the channel is.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether it was closed.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.ownership.is_none()
    }

    /// Whether this process may use it. No system call.
    ///
    /// # Errors
    /// [`Error::ForkedWriter`] in a child of the process that made it.
    #[inline]
    pub fn check_fork(&self) -> Result<()> {
        if self.is_closed() { Ok(()) } else { self.check_open() }
    }

    /// Whether it may publish. No system call.
    ///
    /// # Errors
    /// [`Error::ChannelClosed`], [`Error::ForkedWriter`].
    #[inline]
    pub fn check_open(&self) -> Result<()> {
        match &self.ownership {
            Some(ownership) if ownership.is_ours() => Ok(()),
            _ => Err(self.not_open()),
        }
    }

    #[cold]
    fn not_open(&self) -> Error {
        let (name, policy_id) = (self.name.name().to_owned(), self.name.policy_id());
        match self.is_closed() {
            true => Error::ChannelClosed { name, policy_id },
            false => Error::ForkedWriter { name, policy_id },
        }
    }

    /// Ends the channel: readers keep their last snapshot and see that it is closed; the files go. In a
    /// forked child: nothing.
    ///
    /// What cannot be removed (no descriptor is free, say) stays for the next writer or `traincast clean`.
    pub fn close(&mut self) {
        if self.check_open().is_err() {
            return;
        }
        let handle = self.directory.handle().ok();
        if let Some(segment) = &self.segment {
            segment.ring_writer().mark(Head::CLOSED);
            failpoint!("close.marked");
            segment.wake_all();
            failpoint!("close.woken");
        }
        let mut removed = true;
        if let Some(handle) = &handle {
            if let Some(segment) = &self.segment {
                removed = self.remove(handle, segment).is_ok();
                failpoint!("close.segment-removed");
            }
            let _ = sys::unlink(handle, &self.name.file(Role::Roster), false);
            failpoint!("close.roster-removed");
        }
        if let Some(ownership) = self.ownership.take() {
            ownership.release(handle.as_ref().filter(|_| removed));
        }
        (self.segment, self.replaced, self.roster) = (None, None, None);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

#[cold]
fn faulty(fault: &str) -> Error {
    Error::InvalidArgument(format!("the payload cannot be published: {fault}"))
}

/// Stores a snapshot and makes it the newest.
#[inline]
fn store(segment: &Segment, payload: &Payload<'_>, version: u64, epoch: u64, now: u64, shape_is_there: bool) {
    let ring = segment.ring_writer();
    let slot = ring.begin(version);
    failpoint!("publish.slot-opened");
    payload.store(&slot, version, epoch, now, shape_is_there);
    failpoint!("publish.stored");
    slot.finish();
    failpoint!("publish.complete");
    ring.announce(version);
    failpoint!("publish.announced");
}

const _: fn() = || {
    fn may_change_threads<T: Send>() {}
    may_change_threads::<Writer>();
};
