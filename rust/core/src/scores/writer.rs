//! The env's side.

use crate::directory::{ChannelName, Places};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::fork;
use crate::layout::scores;

use super::file::File;

/// A process's block of a scoreboard.
pub struct ScoreWriter {
    file: File,
    block: usize,
    forks: u64,
}

impl ScoreWriter {
    /// Takes a block of a channel's scoreboard. `None` if the learner has not created one yet, or has ended it.
    ///
    /// # Errors
    /// [`Error::StorageFull`], and what is wrong with the file or its directory.
    pub fn open(places: &Places, name: &ChannelName) -> Result<Option<Self>> {
        let forks = fork::count();
        let Some(mut file) = File::find(places, name)? else { return Ok(None) };
        if file.ended() {
            return Ok(None);
        }
        loop {
            for block in 0..file.blocks() {
                if file.try_take(block, 0)? {
                    failpoint!("scores.taken");
                    file.sign(block);
                    return Ok(Some(Self { file, block, forks }));
                }
            }
            file.grow()?;
        }
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.file.tasks
    }

    /// Whether this process may record into it: this process took it, not its parent, and the scoreboard has not ended.
    #[inline]
    pub fn is_good(&self) -> bool {
        self.forks == fork::count() && !self.file.ended()
    }

    /// Records an episode, whole or not at all. Only one thread may call this at a time, and only while [`ScoreWriter::is_good`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there is no such task, or if the return or the score is not finite.
    #[inline]
    pub fn record(
        &self,
        task: usize,
        success: bool,
        episode_return: f64,
        length: u64,
        score: f64,
    ) -> Result<()> {
        if task >= self.file.tasks {
            return Err(self.no_such(task));
        }
        // False for NaN, too.
        if !(episode_return.abs() <= MAX_RETURN && score.is_finite()) {
            return Err(not_finite());
        }
        let row = self.file.row(self.block, task);
        let (seq, mut words) = row.own();
        let add = |word: &mut u64, more: f64| *word = (f64::from_bits(*word) + more).to_bits();
        words[scores::EPISODES] = words[scores::EPISODES].wrapping_add(1);
        words[scores::SUCCESSES] = words[scores::SUCCESSES].wrapping_add(success.into());
        add(&mut words[scores::RETURNS], episode_return);
        add(&mut words[scores::SQUARES], episode_return * episode_return);
        words[scores::LENGTHS] = words[scores::LENGTHS].wrapping_add(length);
        words[scores::LAST] = score.to_bits();
        let prepared = row.prepare(seq, &words);
        failpoint!("record.prepared");
        prepared.count();
        failpoint!("record.counted");
        Ok(())
    }

    #[cold]
    fn no_such(&self, task: usize) -> Error {
        let tasks = self.file.tasks;
        Error::InvalidArgument(format!(
            "there is no task {task}: the scoreboard has tasks 0 to {}",
            tasks - 1
        ))
    }
}

/// The largest absolute value of a return: the squares of a hundred million such returns add up to something finite.
const MAX_RETURN: f64 = 1e150;

#[cold]
fn not_finite() -> Error {
    Error::InvalidArgument(
        "the return and the score of an episode must be finite, and the return at most 1e150: nan, infinity or its square would \
         spoil the sums for good"
            .into(),
    )
}

impl std::fmt::Debug for ScoreWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScoreWriter({}, block {})", self.file.path.display(), self.block)
    }
}
