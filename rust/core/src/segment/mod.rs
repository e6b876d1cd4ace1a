//! Segment files. This file is about using them; opening and creating them have files of their own. A live file never changes its
//! size: a larger one replaces it.

mod creation;
mod opening;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Weak};

use crate::directory::{ChannelName, Directory, Role};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::fork::Shared;
use crate::layout::{HEADER_WORDS, HOST_BYTES, Link, NAME_BYTES, SLOTS, WORD, header};
use crate::numbering::Position;
use crate::ring::bell::Bell;
use crate::ring::handover;
use crate::ring::seqlock::{Damaged, Head, Ring, RingWriter, Slot};
use crate::snapshot::SlotMeta;
use crate::sync::{AtomicU64, relaxed};
use crate::sys::{self, FileId, Identity, Mapping};

use crate::words::{Counter, store_relaxed};
pub use creation::NewSegment;
use opening::Opened;

/// One file behind a channel, mapped.
#[derive(Debug)]
pub struct Segment {
    mapping: Mapping,
    /// Which file.
    pub id: FileId,
    /// Stride of its slots in bytes.
    pub capacity: usize,
    /// A number that no other mapping of this process ever has.
    pub key: u64,
    path: Arc<Path>,
}

impl AsRef<Mapping> for Segment {
    fn as_ref(&self) -> &Mapping {
        &self.mapping
    }
}

static KEYS: Counter = Counter::new();

/// Segments mapped for reading: one mapping for all readers of the process.
static MAPPED: Shared<BTreeMap<FileId, Weak<Segment>>> = Shared::new(BTreeMap::new());

impl Segment {
    /// Opens a channel's file, for writing if `writable`. `None` if there is none.
    ///
    /// # Errors
    /// [`Error::CorruptChannel`], [`Error::IncompatibleChannel`]; [`Error::System`].
    pub fn open(
        directory: &Directory,
        handle: &OwnedFd,
        name: &ChannelName,
        writable: bool,
    ) -> Result<Option<Self>> {
        match Opened::new(directory, handle, name, writable)? {
            Some(opened) => opened.map(name, writable).map(Some),
            None => Ok(None),
        }
    }

    /// Opens a channel's file for reading; all readers of the process share a mapping.
    ///
    /// # Errors
    /// As [`Segment::open`].
    pub fn open_shared(
        directory: &Directory,
        handle: &OwnedFd,
        name: &ChannelName,
    ) -> Result<Option<Arc<Self>>> {
        let Some(opened) = Opened::new(directory, handle, name, false)? else {
            return Ok(None);
        };
        let id = opened.id;
        // A mapped file keeps its inode, so an id in the table means that file and no later one.
        if let Some(segment) = MAPPED.lock().get(&id).and_then(Weak::upgrade) {
            return Ok(Some(segment));
        }
        let segment = Arc::new(opened.map(name, false)?);
        let mut mapped = MAPPED.lock();
        if let Some(quicker) = mapped.get(&id).and_then(Weak::upgrade) {
            return Ok(Some(quicker));
        }
        mapped.retain(|_, segment| segment.strong_count() > 0);
        mapped.insert(id, Arc::downgrade(&segment));
        Ok(Some(segment))
    }

    /// Whether this file has the channel's name.
    pub fn has_name(&self, handle: &OwnedFd, name: &ChannelName) -> bool {
        matches!(sys::facts_at(handle, &name.file(Role::Segment)), Ok(Some(facts)) if facts.id == self.id)
    }

    /// One of the header's words.
    pub fn header(&self, index: usize) -> u64 {
        relaxed(&self.mapping.words()[index])
    }

    /// Sets one of the header's words, for information.
    pub fn set_header(&self, index: usize, value: u64) {
        store_relaxed(&self.mapping.words()[index], value);
    }

    /// Stores the identity of its writer.
    pub fn sign(&self, writer: &Identity, nonce: u64) {
        // The pid first: while it is a live process's, nobody takes the file over in place.
        self.set_header(header::PID, writer.pid.into());
        failpoint!("sign.half-done");
        self.set_header(header::NONCE, nonce);
        self.set_header(header::STARTED, writer.started);
        self.set_header(header::PID_NAMESPACE, writer.pid_namespace);
        self.set_header(header::TIME_NAMESPACE, writer.time_namespace);
    }

    /// Stores where the snapshots come from.
    pub fn set_origin(&self, link: Link, host: &str, pid: u64) {
        self.set_header(header::ORIGIN_PID, pid);
        for (i, word) in packed::<{ HOST_BYTES / WORD }>(host).into_iter().enumerate() {
            self.set_header(header::ORIGIN_HOST + i, word);
        }
        self.set_link(link);
    }

    /// Stores the state of the link to the learner, and that it begins now.
    pub fn set_link(&self, link: Link) {
        self.set_header(header::LINK_SINCE, sys::now_ns());
        self.set_header(header::LINK, link as u64);
    }

    /// The state of the link to the learner.
    pub fn link(&self) -> Link {
        Link::from_word(self.header(header::LINK))
    }

    /// Name of the machine where the learner runs; invalid UTF-8 is replaced.
    pub fn origin_host(&self) -> String {
        let words: [u64; HOST_BYTES / WORD] = std::array::from_fn(|i| self.header(header::ORIGIN_HOST + i));
        let bytes = words.map(u64::to_le_bytes).concat();
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    }

    /// Whether its writer has provably died: only then may another process store into the file. `false` for a writer of another
    /// pid namespace, and if another process has its pid now.
    pub fn writer_is_gone(&self) -> bool {
        let pid = u32::try_from(self.header(header::PID)).unwrap_or(0);
        let here = sys::identity();
        let same_namespace =
            here.pid_namespace != 0 && self.header(header::PID_NAMESPACE) == here.pid_namespace;
        same_namespace && sys::is_gone(pid)
    }

    /// Seconds since one of its snapshots was published.
    ///
    /// In another time namespace than the writer's, the monotonic clock has another origin: there the wall clock is used.
    pub fn age(&self, meta: &SlotMeta) -> f64 {
        let ns = if self.header(header::TIME_NAMESPACE) == sys::time_namespace() {
            sys::now_ns().saturating_sub(meta.published_ns)
        } else {
            sys::unix_ns().saturating_sub(meta.published_unix_ns)
        };
        ns as f64 / 1e9
    }

    fn taken(&self) -> &AtomicU64 {
        &self.mapping.words()[header::TAKEN]
    }

    /// Whether another writer has taken the channel since the newcomer with the number `own`. The file's writer asks at each
    /// publish.
    #[inline]
    pub fn is_taken(&self, own: u64) -> bool {
        handover::is_taken(self.taken(), own)
    }

    /// Takes the channel from the writer of this file, which stores at most one more snapshot. Returns this newcomer's number.
    pub fn take(&self) -> u64 {
        handover::take(self.taken(), self.parts().0).0
    }

    /// Marks that another file has the channel's name, and wakes all sleepers.
    pub fn end(&self) {
        self.ring_writer().mark(Head::SUCCEEDED);
        failpoint!("end.marked");
        self.wake_all();
    }

    fn parts(&self) -> (&AtomicU64, &[AtomicU64]) {
        let (header, slots) = self.mapping.words().split_at(HEADER_WORDS);
        (&header[header::HEAD], slots)
    }

    /// The ring, for reading.
    #[inline]
    pub fn ring(&self) -> Ring<'_> {
        let (head, slots) = self.parts();
        Ring::new(head, slots, SLOTS)
    }

    /// The ring, for writing: only in a writable mapping, and only for the channel's owner.
    #[inline]
    pub fn ring_writer(&self) -> RingWriter<'_> {
        let (head, slots) = self.parts();
        RingWriter::new(head, slots, SLOTS)
    }

    /// The newest position and the marks.
    #[inline]
    pub fn head(&self) -> Head {
        self.ring().head()
    }

    /// Number of words in a slot.
    #[inline]
    pub fn slot_words(&self) -> usize {
        self.capacity / WORD
    }

    /// The bell; `waiters` is the roster's word in which sleepers announce themselves.
    #[inline]
    pub fn bell<'a>(&'a self, waiters: Option<&'a AtomicU64>) -> Bell<'a> {
        Bell { head: self.parts().0, futex: self.mapping.half_word(header::FUTEX), waiters }
    }

    /// Wakes all sleepers of this file, announced or not.
    pub fn wake_all(&self) {
        let bell = self.bell(None);
        bell.bump();
        failpoint!("wake.bumped");
        sys::futex_wake(bell.futex);
    }

    /// Copies the newest snapshot by calling `copy`, which returns `None` if the slot's words are invalid. Also returns the
    /// number of laps.
    ///
    /// # Errors
    /// [`Error::CorruptChannel`].
    #[inline]
    pub fn read<T>(&self, copy: impl FnMut(Position, Slot<'_>) -> Option<T>) -> Result<(Head, T, u32)> {
        match self.ring().read(copy) {
            Ok((head, Some(copied), laps)) => Ok((head, copied, laps)),
            Ok((head, None, _)) => {
                let reason = format!("the slot of position {} has impossible numbers", head.position());
                Err(Error::corrupt(&*self.path, reason))
            }
            Err(Damaged { position, seq }) => {
                let reason =
                    format!("its newest position is {position}, but that slot's sequence number is {seq}");
                Err(Error::corrupt(&*self.path, reason))
            }
        }
    }
}

fn packed<const WORDS: usize>(text: &str) -> [u64; WORDS] {
    let bytes = text.as_bytes();
    std::array::from_fn(|i| {
        let mut word = [0; WORD];
        let rest = bytes.get(i * WORD..).unwrap_or_default();
        let len = rest.len().min(WORD);
        word[..len].copy_from_slice(&rest[..len]);
        u64::from_le_bytes(word)
    })
}

/// A channel's name as its files store it.
pub(crate) fn packed_name(name: &ChannelName) -> [u64; NAME_BYTES / WORD] {
    packed(name.name())
}
