//! Segment files: create, open, check. A live file never changes its size; a bigger one takes its place.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use crate::directory::{ChannelName, Directory, Role, foreign};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::layout::{
    HEADER_BYTES, HEADER_WORDS, LARGEST_CAPACITY, LAYOUT_VERSION, NAME_BYTES, PAGE, SEGMENT_MAGIC, SLOTS,
    WORD, header, identity, segment_bytes,
};
use crate::process;
use crate::seqlock::{Bell, Counter, Damaged, Head, Ring, RingWriter, Slot, relaxed, store_relaxed};
use crate::sync::AtomicU64;
use crate::sys::{self, FileId, Mapping};

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
        let known = |shared: &process::Shared| shared.segments.get(&id).and_then(std::sync::Weak::upgrade);
        if let Some(segment) = known(&process::shared()) {
            return Ok(Some(segment));
        }
        let segment = Arc::new(opened.map(name, false)?);
        let mut shared = process::shared();
        if let Some(quicker) = known(&shared) {
            return Ok(Some(quicker));
        }
        shared.segments.retain(|_, segment| segment.strong_count() > 0);
        shared.segments.insert(id, Arc::downgrade(&segment));
        Ok(Some(segment))
    }

    /// One of the header's words.
    pub fn header(&self, index: usize) -> u64 {
        relaxed(&self.mapping.words()[index])
    }

    /// Sets one of the header's words, for information.
    pub fn set_header(&self, index: usize, value: u64) {
        store_relaxed(&self.mapping.words()[index], value);
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

    /// The newest version and the marks.
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
    pub fn read<T>(&self, copy: impl FnMut(u64, Slot<'_>) -> Option<T>) -> Result<(Head, T, u32)> {
        match self.ring().read(copy) {
            Ok((head, Some(copied), laps)) => Ok((head, copied, laps)),
            Ok((head, None, _)) => {
                let reason = format!("the slot of version {} has impossible lengths", head.version());
                Err(Error::corrupt(&*self.path, reason))
            }
            Err(Damaged { version, seq }) => {
                let reason =
                    format!("its newest version is {version}, but that slot's sequence number is {seq}");
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
    path: std::path::PathBuf,
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
        let file = match sys::open_at(handle, &file_name, writable) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(error) => {
                return Err(
                    match sys::facts_at(handle, &file_name).ok().flatten().and_then(|facts| foreign(&facts)) {
                        Some(reason) => Error::corrupt(path, reason),
                        None => Error::system("open", &path)(error),
                    },
                );
            }
        };
        failpoint!("segment.opened");
        let facts = sys::facts(&file).map_err(Error::system("examine", &path))?;
        if facts.links == 0 {
            return Ok(None); // removed just now
        }
        if let Some(reason) = foreign(&facts) {
            return Err(Error::corrupt(path, reason));
        }
        let size = usize::try_from(facts.size).unwrap_or(usize::MAX);
        if size < HEADER_BYTES || !size.is_multiple_of(PAGE) {
            return Err(Error::corrupt(path, format!("it has {size} bytes, which no channel has")));
        }
        Ok(Some(Self { file, id: facts.id, size, path }))
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
            let reason = format!("it has layout version {layout}, and this is version {LAYOUT_VERSION}");
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
            packed(name).into_iter().enumerate().all(|(i, packed)| word(header::NAME + i) == packed);
        if !same_name || word(header::IDENTITY) != identity(name.name().len(), name.policy_id()) {
            return Err(Error::corrupt(path, "it is the file of another channel"));
        }
        let segment = Segment { mapping, id, capacity, key: KEYS.next(), path: path.into() };
        if !(1..=Head::MAX_VERSION).contains(&segment.head().version()) {
            let reason = format!("its newest version is {}", segment.head().version());
            return Err(Error::corrupt(&*segment.path, reason));
        }
        Ok(segment)
    }
}

fn packed(name: &ChannelName) -> [u64; NAME_BYTES / WORD] {
    let mut bytes = [0; NAME_BYTES];
    bytes[..name.name().len()].copy_from_slice(name.name().as_bytes());
    let (words, _) = bytes.as_chunks::<WORD>();
    std::array::from_fn(|i| u64::from_le_bytes(words[i]))
}

/// A segment under a temporary name. Becomes the channel's with [`Draft::commit`], or vanishes.
pub struct Draft<'a> {
    /// The segment, empty at first.
    pub segment: Segment,
    handle: &'a OwnedFd,
    temporary: TemporaryName<'a>,
    name: OsString,
}

impl<'a> Draft<'a> {
    /// Makes an empty segment, with all of its storage.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::System`].
    pub fn new(
        directory: &Directory,
        handle: &'a OwnedFd,
        name: &ChannelName,
        capacity: usize,
        generation: u64,
    ) -> Result<Self> {
        let file_name = name.file(Role::Segment);
        let path = directory.join(&file_name);
        let size = segment_bytes(capacity).unwrap_or(usize::MAX);
        let (temporary, file) = TemporaryName::create(handle, name).map_err(Error::storage(&path, size))?;
        failpoint!("create.named");
        sys::allocate(&file, 0, size).map_err(Error::storage(&path, size))?;
        failpoint!("create.allocated");
        let mapping = Mapping::new(&file, size, true).map_err(Error::system("map", &path))?;
        let id = sys::facts(&file).map_err(Error::system("examine", &path))?.id;
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
        ];
        for (index, value) in words {
            segment.set_header(index, value);
        }
        failpoint!("create.header-half-done");
        for (i, word) in packed(name).into_iter().enumerate() {
            segment.set_header(header::NAME + i, word);
        }
        Ok(Self { segment, handle, temporary, name: file_name })
    }

    /// Gives it the channel's name. `over`: instead of the file that has it.
    ///
    /// # Errors
    /// [`Error::System`]: the name is as it was.
    pub fn commit(self, over: bool) -> Result<Segment> {
        let renamed = sys::rename(self.handle, &self.temporary.name, &self.name, over);
        renamed.map_err(Error::system("create", &self.segment.path))?;
        failpoint!("create.renamed");
        self.temporary.keep();
        Ok(self.segment)
    }
}

/// A file's name until it is complete; removed on drop.
pub struct TemporaryName<'a> {
    handle: &'a OwnedFd,
    pub name: OsString,
}

impl<'a> TemporaryName<'a> {
    /// Makes a new, empty file.
    pub fn create(handle: &'a OwnedFd, name: &ChannelName) -> std::io::Result<(Self, OwnedFd)> {
        loop {
            let temporary = name.draft(std::process::id(), sys::now_ns() ^ KEYS.next() << 48);
            match sys::create_at(handle, &temporary, true) {
                Ok(file) => {
                    return Ok((Self { handle, name: temporary }, file));
                }
                // Another container's process of the same number, at the same nanosecond.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The file has its real name now.
    pub fn keep(mut self) {
        self.name.clear();
    }
}

impl Drop for TemporaryName<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            let _ = sys::unlink(self.handle, &self.name, false); // without it, `clean` finds the file
        }
    }
}

/// Removes what earlier writers of the channel had begun. Only for the owner of the channel.
pub fn remove_drafts(handle: &OwnedFd, name: &ChannelName) {
    for file in sys::list(handle).unwrap_or_default() {
        if ChannelName::of_file(&file).is_some_and(|(of, role)| role == Role::Draft && of == *name) {
            let _ = sys::unlink(handle, &file, false); // without it, `clean` finds the file
        }
    }
}

/// Whether the channel's name stands for another file than this one.
pub fn renamed(handle: &OwnedFd, name: &ChannelName, id: FileId) -> bool {
    matches!(sys::facts_at(handle, &name.file(Role::Segment)), Ok(Some(facts)) if facts.id != id)
}
