//! The writing end of a channel.
//!
//! A writer stores into a file that it created itself. A takeover starts a new file, so two writers never store into one,
//! whatever has happened to the lock. The one exception is a file system without room for a second file; there the previous
//! writer must be provably dead.

mod closing;
mod elsewhere;
mod message;
mod options;
mod renewal;
mod takeover;
mod verify;

use crate::directory::{ChannelName, Choice, Directory, Places};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::layout::{Link, SLOTS};
use crate::numbering::{Epoch, Position, Stamp, Term, Version};
use crate::ownership::{Ownership, check_elsewhere};
use crate::roster::Roster;
use crate::segment::Segment;
use crate::snapshot::cache::ShapeCache;
use crate::snapshot::payload::Publication;
use crate::snapshot::wire::Origin;
use crate::snapshot::{Payload, SegmentKey, Snapshot};
use crate::sys::{self, Identity};

use elsewhere::name_learner;
pub use message::Delivery;
pub use options::{Leftover, WriterOptions};
use takeover::Predecessor;

/// The one writer of a channel. Dropping it closes the channel.
#[derive(Debug)]
pub struct Writer {
    directory: Directory,
    name: ChannelName,
    options: WriterOptions,
    state: State,
    /// `None` before the first snapshot.
    segment: Option<Segment>,
    /// The file that another writer left, until the first snapshot replaces it.
    predecessor: Option<Predecessor>,
    /// The id of the shape that this writer has stored in each slot of `segment`, 0 = none. The bytes of the same shape need not
    /// be stored again.
    shapes: [u64; SLOTS],
    roster: Option<Roster>,
    /// Position of the newest snapshot in `segment`.
    position: Position,
    /// Numbers of the channel's newest snapshot; version 0 if there is none.
    newest: Stamp,
    /// Numbers of the next snapshot that is published here.
    next: Stamp,
    /// The newest version, or that of a saved state from which the next snapshot continues.
    version: Version,
    /// Which of the writers of `segment` this is: 1 for the one that created it, otherwise its number among the newcomers, plus
    /// 1.
    takeover: u64,
    /// The next snapshot goes into a new file: `segment` has lost its name, or has another origin in its header.
    renew: bool,
    verify_at_ns: u64,
    /// Unix time minus monotonic time, at the last verification.
    unix_offset_ns: u64,
    process: Identity,
    /// Where the snapshots come from, as in the header of `segment`.
    origin: (Link, Origin),
    /// The shapes of messages.
    message_shapes: ShapeCache<()>,
    warning: Warning,
}

/// ```text
/// Open ──close──▶ Closed
///   └───verify───▶ Lost
/// ```
#[derive(Debug)]
enum State {
    Open(Ownership),
    Closed,
    /// Another writer has the channel; why.
    Lost(String),
}

/// A problem that the user is told once and that does not end the training.
#[derive(Debug)]
enum Warning {
    None,
    Due(String),
    Given,
}

impl Writer {
    /// Takes a channel. Nobody sees it before its first snapshot.
    ///
    /// # Errors
    /// [`Error::ChannelBusy`] if there is another live writer, in any of the places; what is wrong with the directory or with an
    /// existing file; [`Error::NoPlace`]; [`Error::StorageFull`].
    pub fn open(places: impl Into<Places>, name: ChannelName, options: WriterOptions) -> Result<Self> {
        Self::open_in(&places.into(), name, options)
    }

    fn open_in(places: &Places, name: ChannelName, options: WriterOptions) -> Result<Self> {
        options.check()?;
        let Choice { directory, full } = places.for_writer(&name, options.first_files())?;
        directory.make()?;
        let handle = directory.handle()?;
        let ownership = Ownership::acquire(directory, &handle, &name)
            .map_err(|error| name_learner(error, directory, &handle, &name))?;
        failpoint!("open.owned");
        let fresh = ownership.fresh;
        if let Err(error) = check_elsewhere(places, directory, &name) {
            ownership.release(Some(&handle), &name, fresh);
            return Err(error);
        }
        let process = sys::identity();
        let origin = Origin { host: sys::host_name(), pid: process.pid.into() };
        let mut writer = Self {
            directory: directory.clone(),
            name,
            options,
            state: State::Open(ownership),
            segment: None,
            predecessor: None,
            shapes: [0; SLOTS],
            roster: None,
            position: Position(0),
            newest: Stamp::default(),
            next: Stamp { term: Term(sys::unix_ns()), epoch: Epoch(1), version: Version(1) },
            version: Version(0),
            takeover: 1,
            renew: false,
            verify_at_ns: 0,
            unix_offset_ns: 0,
            process,
            origin: (Link::Local, origin),
            message_shapes: ShapeCache::default(),
            warning: full.map_or(Warning::None, |full| Warning::moved(directory, &full)),
        };
        writer.schedule(sys::tick_ns());
        match writer.take_over(&handle) {
            Ok(()) => Ok(writer),
            Err(error) => {
                if let State::Open(ownership) = std::mem::replace(&mut writer.state, State::Closed) {
                    ownership.release(Some(&handle), &writer.name, fresh);
                }
                Err(error)
            }
        }
    }

    /// Publishes a snapshot and returns its version. Makes no system call, unless somebody sleeps, the snapshot needs a new file,
    /// or it is time to verify that this writer still owns the channel.
    ///
    /// # Errors
    /// [`Error::ChannelClosed`], [`Error::ChannelLost`], [`Error::ForkedWriter`], [`Error::PayloadTooLarge`],
    /// [`Error::StorageFull`], [`Error::System`]: then nothing has changed, for the readers either.
    #[inline]
    pub fn publish<B: AsRef<[u8]>>(&mut self, payload: &Payload<'_, B>) -> Result<Version> {
        let now = sys::tick_ns();
        self.check_open()?;
        if let Some(fault) = payload.fault() {
            return Err(faulty(fault));
        }
        if self.origin.0 != Link::Local {
            self.set_origin(Link::Local, Origin { host: sys::host_name(), pid: self.process.pid.into() });
        }
        let stamp = self.next;
        self.store(payload, stamp, now, now, now.wrapping_add(self.unix_offset_ns))?;
        Ok(stamp.version)
    }

    /// Stores a snapshot and makes it the newest.
    #[inline]
    fn store<B: AsRef<[u8]>>(
        &mut self,
        payload: &Payload<'_, B>,
        stamp: Stamp,
        now: u64,
        published_ns: u64,
        published_unix_ns: u64,
    ) -> Result<()> {
        let position = self.position.next();
        let publication =
            Publication { position, stamp, published_ns, published_unix_ns, takeover: self.takeover };
        let words = payload.slot_words().unwrap_or(usize::MAX);
        let Some(segment) = &self.segment else {
            return self.store_slowly(payload, publication, words, now);
        };
        if words > segment.slot_words()
            || now >= self.verify_at_ns
            || self.renew
            || segment.is_taken(self.own())
        {
            return self.store_slowly(payload, publication, words, now);
        }
        store_into(segment, &mut self.shapes, payload, &publication);
        self.note(&publication);
        self.ring();
        Ok(())
    }

    /// As [`Writer::store`], where more than storing words may be necessary.
    #[cold]
    fn store_slowly<B: AsRef<[u8]>>(
        &mut self,
        payload: &Payload<'_, B>,
        publication: Publication,
        words: usize,
        now: u64,
    ) -> Result<()> {
        self.verify(now)?;
        let fits = self.segment.as_ref().is_some_and(|segment| words <= segment.slot_words());
        if !fits || self.renew {
            match self.store_anew(payload, publication, words) {
                Ok(()) => return Ok(()),
                // Attached readers are still served, and the next verification tries again to get the name back.
                Err(error) if fits && !self.is_closed() => self.warn(&error),
                Err(error) => return Err(error),
            }
            self.renew = false;
            if let Some(segment) = &self.segment {
                segment.set_origin(self.origin.0, &self.origin.1.host, self.origin.1.pid);
            }
        }
        if let Some(segment) = &self.segment {
            store_into(segment, &mut self.shapes, payload, &publication);
        }
        self.note(&publication);
        self.ring();
        Ok(())
    }

    #[inline]
    fn note(&mut self, publication: &Publication) {
        self.position = publication.position;
        self.newest = publication.stamp;
        self.version = publication.stamp.version;
        self.next.version = publication.stamp.version.next();
    }

    /// The value of the word *taken* of `segment` while nobody has taken the channel from this writer.
    #[inline]
    fn own(&self) -> u64 {
        self.takeover.wrapping_sub(1)
    }

    /// Wakes sleepers, and marks the file as ended if another writer has taken the channel.
    #[inline(always)]
    fn ring(&self) {
        let Some(segment) = &self.segment else { return };
        let bell = segment.bell(self.roster.as_ref().map(Roster::waiters));
        if bell.ring() {
            failpoint!("publish.rung");
            sys::futex_wake(bell.futex);
            failpoint!("publish.woken");
        }
        // The announcement may have wiped out the newcomer's mark (T3).
        if segment.is_taken(self.own()) {
            segment.end();
        }
    }

    /// Copies the newest snapshot, which this writer has published or found. Returns whether there is one.
    ///
    /// # Errors
    /// [`Error::CorruptChannel`].
    pub fn latest(&self, out: &mut Snapshot) -> Result<bool> {
        let left = self.predecessor.as_ref().filter(|left| left.continued).map(|left| &left.segment);
        let Some(segment) = self.segment.as_ref().or(left) else {
            return Ok(false);
        };
        let key = SegmentKey(segment.key);
        segment.read(|position, slot| out.fill(slot, position, key))?;
        out.keep(key);
        Ok(true)
    }

    /// The channel's newest version, or that of a saved state from which the next snapshot continues; 0 before the first.
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The version of the next snapshot.
    #[inline]
    pub fn next_version(&self) -> Version {
        self.next.version
    }

    /// The epoch of the next snapshot.
    #[inline]
    pub fn epoch(&self) -> Epoch {
        self.next.epoch
    }

    /// The channel.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Where the channel is.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether it was closed, or has lost its channel.
    #[inline]
    pub fn is_closed(&self) -> bool {
        !matches!(self.state, State::Open(_))
    }

    fn nonce(&self) -> u64 {
        match &self.state {
            State::Open(ownership) => ownership.nonce(),
            _ => 0,
        }
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
    /// [`Error::ChannelClosed`], [`Error::ChannelLost`], [`Error::ForkedWriter`].
    #[inline]
    pub fn check_open(&self) -> Result<()> {
        match &self.state {
            State::Open(ownership) if ownership.is_ours() => Ok(()),
            _ => Err(self.not_open()),
        }
    }

    #[cold]
    fn not_open(&self) -> Error {
        let (name, policy_id) = (self.name.name().to_owned(), self.name.policy_id());
        match &self.state {
            State::Open(_) => Error::ForkedWriter { name, policy_id },
            State::Closed => Error::ChannelClosed { name, policy_id },
            State::Lost(reason) => Error::ChannelLost { name, policy_id, reason: reason.clone() },
        }
    }
}

/// Stores a snapshot and makes it the newest.
#[inline(always)]
fn store_into<B: AsRef<[u8]>>(
    segment: &Segment,
    shapes: &mut [u64; SLOTS],
    payload: &Payload<'_, B>,
    publication: &Publication,
) {
    let position = publication.position;
    let stored = &mut shapes[position.get() as usize % SLOTS];
    let shape_is_there = *stored == payload.shape_id;
    *stored = payload.shape_id;
    let ring = segment.ring_writer();
    let slot = ring.begin(position);
    failpoint!("publish.slot-opened");
    payload.store(&slot, publication, shape_is_there);
    failpoint!("publish.stored");
    slot.finish();
    failpoint!("publish.complete");
    ring.announce(position);
    failpoint!("publish.announced");
}

#[cold]
fn faulty(fault: &str) -> Error {
    Error::InvalidArgument(format!("the payload cannot be published: {fault}"))
}

const _: fn() = || {
    fn may_change_threads<T: Send>() {}
    may_change_threads::<Writer>();
};
