//! The scoreboard's file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use crate::directory::{ChannelName, Directory, Places, Role, foreign};
use crate::drafts::{Draft, allocate};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::fork::{self, Shared};
use crate::layout::{HEADER_BYTES, PAGE, SCORES_LAYOUT_VERSION, SCORES_MAGIC, WORD, identity, scores};
use crate::ring::tally::Row;
use crate::segment::packed_name;
use crate::sync::{AtomicU64, relaxed};
use crate::sys::{self, FileId, Locked, Mapping};
use crate::words::store_relaxed;

/// The scoreboards that this process keeps, with the fork count at which it took them. A second object in the process shares the
/// descriptor and the lock of the first: a file opened again would not get the lock.
static KEPT: Shared<BTreeMap<FileId, (Weak<OwnedFd>, u64)>> = Shared::new(BTreeMap::new());

/// A scoreboard's file, mapped for writing up to its size at that time.
pub(super) struct File {
    file: Arc<OwnedFd>,
    directory: Directory,
    id: FileId,
    pub path: PathBuf,
    mapping: Mapping,
    pub tasks: usize,
    block_words: usize,
}

impl File {
    /// The scoreboard of a channel, in the first place that has one.
    ///
    /// # Errors
    /// [`Error::CorruptChannel`], [`Error::IncompatibleChannel`]; what is wrong with the directory.
    pub fn find(places: &Places, name: &ChannelName) -> Result<Option<Self>> {
        for directory in places.present()? {
            if let Some(handle) = directory.find()?
                && let Some(file) = Self::open(directory, &handle, name)?
            {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    pub fn open(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> Result<Option<Self>> {
        let file_name = name.file(Role::Scores);
        let path = directory.join(&file_name);
        let file = sys::open_at(handle, &file_name, true).map_err(Error::system("open", &path))?;
        let Some(file) = file else { return Ok(None) };
        let facts = sys::facts(&file).map_err(Error::system("examine", &path))?;
        if facts.links == 0 {
            return Ok(None); // replaced or removed just now
        }
        if let Some(reason) = foreign(&facts) {
            return Err(Error::corrupt(path, reason));
        }
        let size = usize::try_from(facts.size).unwrap_or(usize::MAX);
        if size < HEADER_BYTES || !size.is_multiple_of(PAGE) {
            return Err(Error::corrupt(path, format!("it has {size} bytes, which no scoreboard has")));
        }
        let mapping = Mapping::new(&file, size, true).map_err(Error::system("map", &path))?;
        let word = |index: usize| relaxed(&mapping.words()[index]);
        if word(scores::MAGIC) != SCORES_MAGIC {
            return Err(Error::incompatible(path, "it was not written by traincast"));
        }
        let layout = word(scores::LAYOUT);
        if layout != SCORES_LAYOUT_VERSION {
            let reason =
                format!("it has layout version {layout}, and this is version {SCORES_LAYOUT_VERSION}");
            return Err(Error::incompatible(path, reason));
        }
        let tasks = usize::try_from(word(scores::TASKS)).unwrap_or(usize::MAX);
        let named = packed_name(name).into_iter().enumerate().all(|(i, part)| word(scores::NAME + i) == part);
        let sound = (1..=scores::MAX_TASKS).contains(&tasks)
            && word(scores::BLOCK_BYTES) == scores::block_bytes(tasks) as u64
            && named
            && word(scores::IDENTITY) == identity(name.name().len(), name.policy_id());
        if !sound {
            return Err(Error::corrupt(path, "its header makes no sense"));
        }
        let block_words = scores::block_bytes(tasks) / WORD;
        let (file, directory) = (Arc::new(file), directory.clone());
        Ok(Some(Self { file, directory, id: facts.id, path, mapping, tasks, block_words }))
    }

    /// Creates a scoreboard without blocks, and replaces the one that has the name.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::System`].
    pub fn create(
        directory: &Directory,
        handle: &OwnedFd,
        name: &ChannelName,
        tasks: usize,
        part_of: u64,
    ) -> Result<()> {
        let file_name = name.file(Role::Scores);
        let path = directory.join(&file_name);
        let draft = Draft::create(handle, name, HEADER_BYTES).map_err(Error::storage(&path, HEADER_BYTES))?;
        let mapping = Mapping::new(&draft.file, HEADER_BYTES, true).map_err(Error::system("map", &path))?;
        let words = mapping.words();
        let header = [
            (scores::MAGIC, SCORES_MAGIC),
            (scores::LAYOUT, SCORES_LAYOUT_VERSION),
            (scores::TASKS, tasks as u64),
            (scores::BLOCK_BYTES, scores::block_bytes(tasks) as u64),
            (scores::INCARNATION, sys::random() | 1),
            (scores::CREATED, sys::unix_ns()),
            (scores::IDENTITY, identity(name.name().len(), name.policy_id())),
            (scores::PART_OF, part_of),
        ];
        for (index, value) in header {
            store_relaxed(&words[index], value);
        }
        for (i, word) in packed_name(name).into_iter().enumerate() {
            store_relaxed(&words[scores::NAME + i], word);
        }
        failpoint!("scores.made");
        draft.commit(&file_name).map_err(Error::system("create", &path))?;
        failpoint!("scores.named");
        Ok(())
    }

    #[inline]
    pub fn header(&self, index: usize) -> &AtomicU64 {
        &self.mapping.words()[index]
    }

    /// Whether nobody collects from it any more.
    #[inline]
    pub fn ended(&self) -> bool {
        relaxed(self.header(scores::ENDED)) != 0
    }

    /// The incarnation of the scoreboard on another node that this one is a part of; 0 for a learner's own.
    pub fn part_of(&self) -> u64 {
        relaxed(self.header(scores::PART_OF))
    }

    /// How many blocks are mapped.
    pub fn blocks(&self) -> usize {
        ((self.mapping.words().len() - HEADER_BYTES / WORD) / self.block_words).min(scores::MAX_BLOCKS)
    }

    #[inline]
    fn block(&self, index: usize) -> &[AtomicU64] {
        let start = HEADER_BYTES / WORD + index * self.block_words;
        &self.mapping.words()[start..start + self.block_words]
    }

    #[inline]
    pub fn row(&self, block: usize, task: usize) -> Row<'_, { scores::COPY }> {
        let words = self.block(block);
        let copies = scores::copies(self.tasks) + 2 * scores::COPY * task;
        Row::new(&words[scores::SEQS + task], &words[copies..copies + 2 * scores::COPY])
    }

    /// The seqs of a block's rows.
    #[inline]
    pub fn seqs(&self, block: usize) -> &[AtomicU64] {
        &self.block(block)[scores::SEQS..scores::SEQS + self.tasks]
    }

    /// Maps the file again if it has grown.
    ///
    /// # Errors
    /// [`Error::System`]; [`Error::CorruptChannel`] if it has become shorter.
    pub fn remap(&mut self) -> Result<()> {
        let facts = sys::facts(&self.file).map_err(Error::system("examine", &self.path))?;
        let (size, mapped) = (facts.size as usize, self.mapping.words().len() * WORD);
        if size < mapped {
            return Err(Error::corrupt(&*self.path, "it has become shorter"));
        }
        if size > mapped {
            let whole = size - size % PAGE;
            self.mapping = Mapping::new(&self.file, whole, true).map_err(Error::system("map", &self.path))?;
        }
        Ok(())
    }

    /// Extends the file by a block. Growing needs no lock: files are only ever extended, and two processes that extend one at
    /// once add the same block.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::InvalidArgument`] if there are too many.
    pub fn grow(&mut self) -> Result<()> {
        let from = HEADER_BYTES + self.blocks() * self.block_words * WORD;
        let bytes = from + self.block_words * WORD;
        if self.blocks() == scores::MAX_BLOCKS {
            let most = scores::MAX_BLOCKS;
            return Err(Error::InvalidArgument(format!(
                "a scoreboard serves at most {most} processes at once"
            )));
        }
        allocate(&self.file, from, bytes).map_err(Error::storage(&self.path, bytes - from))?;
        failpoint!("scores.grown");
        self.remap()
    }

    /// Locks a block for as long as this file is open: a block of the given node, or with 0 a block for a process.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn try_take(&self, block: usize, node: u64) -> Result<bool> {
        if self.node(block) != node || !self.lock(self.lock_of(block))? {
            return Ok(false);
        }
        // The word changes only with the block locked, from 0 to a node's incarnation.
        if self.node(block) == node {
            return Ok(true);
        }
        self.give_back(block)?;
        Ok(false)
    }

    /// Unlocks a block.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn give_back(&self, block: usize) -> Result<()> {
        let range = self.lock_of(block);
        sys::unlock_open_file(&self.file, range).map_err(Error::system("unlock", &self.path))
    }

    /// The incarnation of another node's scoreboard, if the block holds its totals; 0 if it is for processes of this node.
    pub fn node(&self, block: usize) -> u64 {
        relaxed(&self.block(block)[scores::NODE])
    }

    /// Gives a block to another node. This object must have locked it, and nobody may have recorded into it.
    pub fn give_to(&self, block: usize, node: u64) {
        store_relaxed(&self.block(block)[scores::NODE], node);
    }

    /// Becomes the keeper of the scoreboard, unless another live process keeps it. Children that a dead keeper forked still have
    /// its lock, but do not count.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn try_keep(&mut self) -> Result<bool> {
        Ok(self.try_lock_to_keep()? || self.keeper_is_gone())
    }

    /// Stores who keeps it from now on.
    pub fn sign_as_keeper(&self, keeper: u64) {
        let process = sys::identity();
        store_relaxed(self.header(scores::KEEPER_PID), process.pid.into());
        store_relaxed(self.header(scores::KEEPER_STARTED), process.started);
        store_relaxed(self.header(scores::KEEPER_NAMESPACE), process.pid_namespace);
        store_relaxed(self.header(scores::KEEPER), keeper);
    }

    /// Whether the keeper's process has provably ended; `false` for a process of another pid namespace.
    fn keeper_is_gone(&self) -> bool {
        let [pid, started, namespace] =
            [scores::KEEPER_PID, scores::KEEPER_STARTED, scores::KEEPER_NAMESPACE]
                .map(|word| relaxed(self.header(word)));
        namespace == sys::identity().pid_namespace && sys::start_time(pid as u32) != Some(started)
    }

    fn try_lock_to_keep(&mut self) -> Result<bool> {
        let mut kept = KEPT.lock();
        kept.retain(|_, (file, _)| file.strong_count() > 0);
        if let Some((file, forks)) = kept.get(&self.id)
            && *forks == fork::count()
            && let Some(file) = file.upgrade()
        {
            self.file = file;
            return Ok(true);
        }
        let taken = self.lock(0..1)?;
        if taken {
            kept.insert(self.id, (Arc::downgrade(&self.file), fork::count()));
        }
        Ok(taken)
    }

    /// Removes the file, if it still has the scoreboard's name.
    pub fn unlink(&self, name: &ChannelName) {
        let file_name = name.file(Role::Scores);
        if let Ok(Some(handle)) = self.directory.find()
            && matches!(sys::facts_at(&handle, &file_name), Ok(Some(facts)) if facts.id == self.id)
        {
            let _ = sys::unlink(&handle, &file_name, false); // without it, `clean` finds the file
        }
    }

    fn lock(&self, range: Range<u64>) -> Result<bool> {
        let locked = sys::try_lock_open_file(&self.file, range).map_err(Error::system("lock", &self.path))?;
        Ok(locked == Locked::Yes)
    }

    fn lock_of(&self, block: usize) -> Range<u64> {
        let start = (HEADER_BYTES + block * self.block_words * WORD) as u64;
        start..start + 1
    }

    /// Whether another open file has locked a block. Not for blocks that this object has locked.
    pub fn is_taken(&self, block: usize) -> bool {
        sys::is_locked_by_open_file(&self.file, self.lock_of(block)).unwrap_or(true)
    }

    /// The pid of the process that held a block last.
    pub fn pid(&self, block: usize) -> u32 {
        relaxed(&self.block(block)[scores::PID]) as u32
    }

    /// Stores which process holds a block, for people.
    pub fn sign(&self, block: usize) {
        let process = sys::identity();
        let words = self.block(block);
        store_relaxed(&words[scores::PID], process.pid.into());
        store_relaxed(&words[scores::STARTED], process.started);
        store_relaxed(&words[scores::PID_NAMESPACE], process.pid_namespace);
    }
}

/// Whether any process records into a scoreboard or keeps it.
pub(crate) fn is_used(directory: &Directory, handle: &OwnedFd, name: &ChannelName) -> bool {
    let Ok(Some(file)) = File::open(directory, handle, name) else { return false };
    sys::is_locked_by_open_file(&file.file, 0..u64::MAX >> 1).unwrap_or(true)
}
