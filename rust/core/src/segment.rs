//! Segment files: create, open, check. A live file never changes its size; another one takes its place.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::directory::{ChannelName, Directory, Role, foreign};
use crate::drafts;
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::fork::Shared;
use crate::layout::{
    HEADER_BYTES, HEADER_WORDS, HOST_BYTES, LARGEST_CAPACITY, LAYOUT_VERSION, Link, NAME_BYTES, PAGE,
    SEGMENT_MAGIC, SLOTS, WORD, header, identity, segment_bytes,
};
use crate::numbering::Position;
use crate::ring::bell::Bell;
use crate::ring::handover;
use crate::ring::seqlock::{Damaged, Head, Ring, RingWriter, Slot};
use crate::sync::{AtomicU64, relaxed};
use crate::sys::{self, FileId, Identity, Mapping};
use crate::words::{Counter, store_relaxed};

/// One file behind a channel, mapped.
#[derive(Debug)]
pub struct Segment {
    mapping: Mapping,
    /// Which file.
    pub id: FileId,
    /// Stride of its slots in bytes.
    pub capacity: usize,
    /// Different for each mapping that this process ever makes.
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

/// How often a file that vanishes between finding and opening it is looked up again: as long as there is one under the name,
/// another has taken its place each time.
const LOOK_UPS: u32 = 1000;

impl Segment {
    /// Opens a channel's file, for its writer (`writable`) or to look at it. `None` if there is none.
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
        // What is mapped keeps its inode, so an id in the table is that file and no later one.
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

    /// Whether the channel's name stands for this file.
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

    /// Writes down who writes it.
    pub fn sign(&self, writer: &Identity, nonce: u64) {
        self.set_header(header::NONCE, nonce);
        failpoint!("sign.half-done");
        self.set_header(header::PID, writer.pid.into());
        self.set_header(header::STARTED, writer.started);
        self.set_header(header::PID_NAMESPACE, writer.pid_namespace);
        self.set_header(header::TIME_NAMESPACE, writer.time_namespace);
    }

    /// Writes down where the snapshots come from.
    pub fn set_origin(&self, link: Link, host: &str, pid: u64) {
        self.set_header(header::ORIGIN_PID, pid);
        for (i, word) in packed::<{ HOST_BYTES / WORD }>(host).into_iter().enumerate() {
            self.set_header(header::ORIGIN_HOST + i, word);
        }
        self.set_header(header::LINK_SINCE, sys::now_ns());
        self.set_header(header::LINK, link as u64);
    }

    /// How the learner stands to this file.
    pub fn link(&self) -> Link {
        Link::from_word(self.header(header::LINK))
    }

    /// Name of the machine where the learner runs, as far as it is text.
    pub fn origin_host(&self) -> String {
        let words: [u64; HOST_BYTES / WORD] = std::array::from_fn(|i| self.header(header::ORIGIN_HOST + i));
        let bytes = words.map(u64::to_le_bytes).concat();
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    }

    /// Whether its writer has provably died: only then may somebody else store into it. Its number says nothing in another
    /// pid namespace, or once another process has it.
    pub fn writer_is_gone(&self) -> bool {
        let pid = u32::try_from(self.header(header::PID)).unwrap_or(0);
        let here = sys::identity();
        let same_namespace =
            here.pid_namespace != 0 && self.header(header::PID_NAMESPACE) == here.pid_namespace;
        pid != 0 && same_namespace && sys::start_time(pid).is_none()
    }

    fn taken(&self) -> &AtomicU64 {
        &self.mapping.words()[header::TAKEN]
    }

    /// Whether another writer has taken the channel. For this file's writer, at each publish.
    #[inline]
    pub fn is_taken(&self) -> bool {
        handover::is_taken(self.taken())
    }

    /// Takes the channel from the writer of this file; the newest position in it, after which that writer stores at most
    /// one more snapshot.
    pub fn take(&self) -> Head {
        handover::take(self.taken(), self.parts().0)
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

    /// The ring, for writing: only in a mapping that is writable, only for the channel's owner.
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

    /// Words of a slot.
    #[inline]
    pub fn slot_words(&self) -> usize {
        self.capacity / WORD
    }

    /// The bell, with the roster's word in which sleepers announce themselves.
    #[inline]
    pub fn bell<'a>(&'a self, waiters: Option<&'a AtomicU64>) -> Bell<'a> {
        Bell { head: self.parts().0, futex: self.mapping.half_word(header::FUTEX), waiters }
    }

    /// Wakes all who sleep on this file, announced or not.
    pub fn wake_all(&self) {
        let bell = self.bell(None);
        bell.bump();
        failpoint!("wake.bumped");
        sys::futex_wake(bell.futex);
    }

    /// Copies the newest snapshot by means of `copy`, which gives `None` if the slot's words cannot be true.
    /// Counts the laps too.
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

/// A segment file that may be ours, not yet mapped.
struct Opened {
    file: OwnedFd,
    id: FileId,
    size: usize,
    path: PathBuf,
}

impl Opened {
    fn new(
        directory: &Directory,
        handle: &OwnedFd,
        name: &ChannelName,
        writable: bool,
    ) -> Result<Option<Self>> {
        let file_name = name.file(Role::Segment);
        let path = directory.join(&file_name);
        for _ in 0..LOOK_UPS {
            let file = match sys::open_at(handle, &file_name, writable) {
                Ok(Some(file)) => file,
                Ok(None) => return Ok(None),
                Err(error) => {
                    let facts = sys::facts_at(handle, &file_name).ok().flatten();
                    return Err(match facts.and_then(|facts| foreign(&facts)) {
                        Some(reason) => Error::corrupt(path, reason),
                        None => Error::system("open", &path)(error),
                    });
                }
            };
            failpoint!("segment.opened");
            let facts = sys::facts(&file).map_err(Error::system("examine", &path))?;
            if facts.links == 0 {
                continue; // replaced or removed just now
            }
            if let Some(reason) = foreign(&facts) {
                return Err(Error::corrupt(path, reason));
            }
            let size = usize::try_from(facts.size).unwrap_or(usize::MAX);
            if size < HEADER_BYTES || !size.is_multiple_of(PAGE) {
                return Err(Error::corrupt(path, format!("it has {size} bytes, which no channel has")));
            }
            return Ok(Some(Self { file, id: facts.id, size, path }));
        }
        Ok(None)
    }

    /// Maps the file and believes its header only as far as it agrees with itself, the size and the name.
    fn map(self, name: &ChannelName, writable: bool) -> Result<Segment> {
        let Self { file, id, size, path } = self;
        let mapping = Mapping::new(&file, size, writable).map_err(Error::system("map", &path))?;
        failpoint!("segment.mapped");
        let word = |index: usize| relaxed(&mapping.words()[index]);
        match word(header::MAGIC) {
            SEGMENT_MAGIC => {}
            0 => return Err(Error::corrupt(path, "it begins with zeros")),
            _ => return Err(Error::incompatible(path, "it was not written by traincast")),
        }
        let layout = word(header::LAYOUT);
        if layout != LAYOUT_VERSION {
            let by = if layout == 1 { ", which traincast 0.1 wrote" } else { "" };
            let reason = format!("it has layout version {layout}{by}, and this is version {LAYOUT_VERSION}");
            return Err(Error::incompatible(path, reason));
        }
        let capacity = usize::try_from(word(header::CAPACITY)).unwrap_or(usize::MAX);
        let sound = word(header::SLOTS) == SLOTS as u64
            && capacity.is_multiple_of(PAGE)
            && (PAGE..=LARGEST_CAPACITY).contains(&capacity)
            && segment_bytes(capacity) == Some(size)
            && word(header::TOTAL) == size as u64;
        if !sound {
            let said = word(header::TOTAL);
            let reason =
                format!("its header speaks of {said} bytes in slots of {capacity}, and it has {size} bytes");
            return Err(Error::corrupt(path, reason));
        }
        let same_name =
            packed_name(name).into_iter().enumerate().all(|(i, packed)| word(header::NAME + i) == packed);
        if !same_name || word(header::IDENTITY) != identity(name.name().len(), name.policy_id()) {
            return Err(Error::corrupt(path, "it is the file of another channel"));
        }
        let segment = Segment { mapping, id, capacity, key: KEYS.next(), path: path.into() };
        let newest = segment.head().position();
        if !(Position(1)..=Position::MAX).contains(&newest) {
            let reason = format!("its newest position is {newest}");
            return Err(Error::corrupt(&*segment.path, reason));
        }
        Ok(segment)
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

fn packed_name(name: &ChannelName) -> [u64; NAME_BYTES / WORD] {
    packed(name.name())
}

/// A segment that has no name yet. Becomes the channel's with [`NewSegment::commit`], or vanishes.
pub struct NewSegment<'a> {
    /// The segment, empty at first.
    pub segment: Segment,
    draft: drafts::Draft<'a>,
    name: OsString,
}

impl<'a> NewSegment<'a> {
    /// Makes an empty segment, with all of its storage.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::System`].
    pub fn create(
        directory: &Directory,
        handle: &'a OwnedFd,
        name: &ChannelName,
        capacity: usize,
        generation: u64,
    ) -> Result<Self> {
        let file_name = name.file(Role::Segment);
        let path = directory.join(&file_name);
        let size = segment_bytes(capacity).unwrap_or(usize::MAX);
        let draft = drafts::Draft::create(handle, name, size).map_err(Error::storage(&path, size))?;
        let mapping = Mapping::new(&draft.file, size, true).map_err(Error::system("map", &path))?;
        let id = sys::facts(&draft.file).map_err(Error::system("examine", &path))?.id;
        let segment = Segment { mapping, id, capacity, key: KEYS.next(), path: path.into() };
        let words = [
            (header::MAGIC, SEGMENT_MAGIC),
            (header::LAYOUT, LAYOUT_VERSION),
            (header::TOTAL, size as u64),
            (header::CAPACITY, capacity as u64),
            (header::SLOTS, SLOTS as u64),
            (header::GENERATION, generation),
            (header::CREATED, sys::unix_ns()),
            (header::IDENTITY, identity(name.name().len(), name.policy_id())),
            (header::TAKEOVERS, 1),
        ];
        for (index, value) in words {
            segment.set_header(index, value);
        }
        failpoint!("create.header-half-done");
        for (i, word) in packed_name(name).into_iter().enumerate() {
            segment.set_header(header::NAME + i, word);
        }
        Ok(Self { segment, draft, name: file_name })
    }

    /// Gives it the channel's name. `over`: instead of the file that has it.
    ///
    /// # Errors
    /// [`Error::System`]: the name is as it was.
    pub fn commit(self, over: bool) -> Result<Segment> {
        let Self { segment, draft, name } = self;
        draft.commit(&name, over).map_err(Error::system("create", &segment.path))?;
        failpoint!("create.renamed");
        Ok(segment)
    }
}
