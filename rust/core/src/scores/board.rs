//! The learner's side.

use crate::directory::{ChannelName, Places};
use crate::error::{Error, Result};
use crate::fork;
use crate::layout::{HEADER_BYTES, scores};
use crate::sync::relaxed;
use crate::sys;
use crate::words::store_relaxed;

use super::file::File;

/// The counters of a task.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Tally {
    /// Episodes.
    pub episodes: u64,
    /// Successes among them.
    pub successes: u64,
    /// Sum of their returns.
    pub returns: f64,
    /// Sum of the squares of the returns.
    pub squares: f64,
    /// Sum of their lengths.
    pub lengths: u64,
    /// Score of one of the latest episodes; 0 before the first.
    pub last: f64,
}

impl Tally {
    fn of(words: &[u64; scores::COPY]) -> Self {
        Self {
            episodes: words[scores::EPISODES],
            successes: words[scores::SUCCESSES],
            returns: f64::from_bits(words[scores::RETURNS]),
            squares: f64::from_bits(words[scores::SQUARES]),
            lengths: words[scores::LENGTHS],
            last: f64::from_bits(words[scores::LAST]),
        }
    }

    /// The words of a row.
    pub(super) fn words(&self) -> [u64; scores::COPY] {
        let mut words = [0; scores::COPY];
        words[scores::EPISODES] = self.episodes;
        words[scores::SUCCESSES] = self.successes;
        words[scores::RETURNS] = self.returns.to_bits();
        words[scores::SQUARES] = self.squares.to_bits();
        words[scores::LENGTHS] = self.lengths;
        words[scores::LAST] = self.last.to_bits();
        words
    }

    /// Whether it can be a sum over episodes. A sum that is not finite would stay so for ever.
    pub(super) fn is_plausible(&self) -> bool {
        let sums = [self.returns, self.squares, self.last];
        self.successes <= self.episodes
            && self.episodes <= i64::MAX as u64
            && sums.iter().all(|sum| sum.is_finite())
    }

    /// Adds what a row has gained since it was `before`.
    pub(super) fn advance(&mut self, now: &Self, before: &Self) {
        self.episodes = self.episodes.wrapping_add(now.episodes.wrapping_sub(before.episodes));
        self.successes = self.successes.wrapping_add(now.successes.wrapping_sub(before.successes));
        self.returns += now.returns - before.returns;
        self.squares += now.squares - before.squares;
        self.lengths = self.lengths.wrapping_add(now.lengths.wrapping_sub(before.lengths));
        self.last = now.last;
    }
}

/// What was seen of a block: how often each row had been written, and its counters.
struct Seen {
    written: Vec<u64>,
    rows: Vec<Tally>,
}

/// A scoreboard, as the learner holds it.
pub struct Scoreboard {
    file: File,
    name: ChannelName,
    /// Random, drawn for this object. 0: another process keeps the scoreboard, and this object only reads.
    keeper: u64,
    seen: Vec<Seen>,
    totals: Vec<Tally>,
    forks: u64,
}

impl Scoreboard {
    /// The scoreboard of a channel with `tasks` tasks: an existing one, or a new one. Dropping this object ends the scoreboard,
    /// unless a later object of this process or another process keeps it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the number of tasks is out of range; [`Error::ChannelBusy`] if another process keeps one
    /// with another number; [`Error::StorageFull`], and what is wrong with the directory.
    pub fn open(places: &Places, name: &ChannelName, tasks: usize) -> Result<Self> {
        Self::open_part(places, name, tasks, 0)
    }

    /// The same for a relay on a node without the learner: a part of the scoreboard on the learner's node with the incarnation
    /// `part_of`. A learner on this node replaces it.
    ///
    /// # Errors
    /// As [`Scoreboard::open`]; [`Error::ChannelBusy`] also if a learner of this node keeps one.
    pub fn open_part(places: &Places, name: &ChannelName, tasks: usize, part_of: u64) -> Result<Self> {
        if !(1..=scores::MAX_TASKS).contains(&tasks) {
            let most = scores::MAX_TASKS;
            return Err(Error::InvalidArgument(format!("a scoreboard has 1 to {most} tasks, not {tasks}")));
        }
        loop {
            let usable = match File::find(places, name) {
                Ok(Some(file)) if file.ended() => None,
                Ok(file) => file,
                // The learner may replace a file that is no scoreboard.
                Err(Error::CorruptChannel { .. } | Error::IncompatibleChannel { .. }) => None,
                Err(error) => return Err(error),
            };
            match usable {
                Some(file) if file.tasks == tasks && file.part_of() == part_of => {
                    return Self::keep(file, name);
                }
                Some(mut file) => {
                    let gives_way = part_of == 0 && file.part_of() != 0;
                    if !gives_way && !file.try_keep()? {
                        let held = file.tasks;
                        let holder = format!(
                            "another process keeps its scoreboard, with {held} tasks instead of {tasks}"
                        );
                        let (name, policy_id) = (name.name().to_owned(), name.policy_id());
                        return Err(Error::ChannelBusy { name, policy_id, holder });
                    }
                    store_relaxed(file.header(scores::ENDED), 1);
                }
                None => {}
            }
            let directory = places.for_writer(name, HEADER_BYTES)?.directory;
            directory.make()?;
            let handle = directory.handle()?;
            File::create(directory, &handle, name, tasks, part_of)?;
        }
    }

    /// Opens a scoreboard that somebody keeps, to read it. `None` if there is none.
    ///
    /// # Errors
    /// As [`Scoreboard::open`].
    pub fn look(places: &Places, name: &ChannelName) -> Result<Option<Self>> {
        Ok(File::find(places, name)?.filter(|file| !file.ended()).map(|file| Self::new(file, name, 0)))
    }

    fn keep(mut file: File, name: &ChannelName) -> Result<Self> {
        let keeper = if file.try_keep()? { sys::random() | 1 } else { 0 };
        if keeper != 0 {
            file.sign_as_keeper(keeper);
        }
        Ok(Self::new(file, name, keeper))
    }

    fn new(file: File, name: &ChannelName, keeper: u64) -> Self {
        let totals = vec![Tally::default(); file.tasks];
        Self { file, name: name.clone(), keeper, seen: Vec::new(), totals, forks: fork::count() }
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.file.tasks
    }

    /// The incarnation: another one counts from zero.
    pub fn incarnation(&self) -> u64 {
        relaxed(self.file.header(scores::INCARNATION))
    }

    /// Whether it has ended: no learner collects from it any more.
    pub fn ended(&self) -> bool {
        self.file.ended()
    }

    /// The blocks: whether a process holds it, the pid of the last process that did, and its episodes.
    pub fn blocks(&self) -> Vec<(bool, u32, u64)> {
        let episodes = |seen: &Seen| seen.rows.iter().map(|row| row.episodes).sum();
        let block =
            |(index, seen): (usize, &Seen)| (self.file.is_taken(index), self.file.pid(index), episodes(seen));
        self.seen.iter().enumerate().map(block).collect()
    }

    /// Reads all rows that have changed. Never waits.
    ///
    /// # Errors
    /// [`Error::System`]; [`Error::CorruptChannel`].
    pub fn collect(&mut self) -> Result<()> {
        self.file.remap()?;
        let tasks = self.file.tasks;
        let new = || Seen { written: vec![0; tasks], rows: vec![Tally::default(); tasks] };
        self.seen.resize_with(self.file.blocks(), new);
        for (block, seen) in self.seen.iter_mut().enumerate() {
            let written = self.file.seqs(block).iter().zip(&mut seen.written).zip(&mut seen.rows).enumerate();
            for (task, ((seq, written), before)) in written {
                if relaxed(seq) == *written {
                    continue;
                }
                // If the writer interferes with every attempt, the next call sees the row.
                let Some((seq, words)) = self.file.row(block, task).read() else { continue };
                let now = Tally::of(&words);
                self.totals[task].advance(&now, before);
                (*written, *before) = (seq, now);
            }
        }
        Ok(())
    }

    /// The totals of each task since the file was created, as the last [`Scoreboard::collect`] found them.
    pub fn totals(&self) -> &[Tally] {
        &self.totals
    }

    /// Ends the scoreboard if this object keeps it: writers stop, and the file is removed.
    pub fn close(&mut self) {
        let keeper = std::mem::take(&mut self.keeper);
        if keeper == 0 || self.forks != fork::count() || relaxed(self.file.header(scores::KEEPER)) != keeper {
            return;
        }
        store_relaxed(self.file.header(scores::ENDED), 1);
        self.file.unlink(&self.name);
    }
}

impl Drop for Scoreboard {
    fn drop(&mut self) {
        self.close();
    }
}
