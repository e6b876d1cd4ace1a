//! The options of a writer.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::layout::{
    DEFAULT_CAPACITY, DEFAULT_MAX_CAPACITY, LARGEST_CAPACITY, PAGE, WORD, segment_bytes, whole_pages,
};

/// What a new writer does with a channel that a dead one left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Leftover {
    /// Take it over: versions go on, the epoch grows by one.
    #[default]
    Continue,
    /// Start again at version 1. Nobody can attach to the old snapshots any more; attached readers move over with the first new
    /// snapshot.
    Replace,
    /// [`Error::ChannelExists`].
    Refuse,
}

impl Leftover {
    /// From the value of the argument `leftover`.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "continue" => Some(Self::Continue),
            "replace" => Some(Self::Replace),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

/// The options of a writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriterOptions {
    /// Bytes per slot of the first file, including the slot's own 128; rounded up to pages.
    pub capacity: usize,
    /// Upper limit of the bytes per slot.
    pub max_capacity: usize,
    /// What to do with a dead writer's channel.
    pub leftover: Leftover,
    /// How often a publish asks the kernel whether this writer still owns the channel. In between it makes no system call.
    pub verify_every: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            capacity: DEFAULT_CAPACITY,
            max_capacity: DEFAULT_MAX_CAPACITY,
            leftover: Leftover::default(),
            verify_every: Duration::from_secs(1),
        }
    }
}

impl WriterOptions {
    /// Checks that they make sense together.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`].
    pub(super) fn check(&self) -> Result<()> {
        if self.capacity == 0 || self.capacity > self.max_capacity || self.max_capacity > LARGEST_CAPACITY {
            return Err(Error::InvalidArgument(format!(
                "capacity={} and max_capacity={} do not fit together: use 1 <= capacity <= max_capacity \
                 <= {LARGEST_CAPACITY} (bytes)",
                self.capacity, self.max_capacity
            )));
        }
        Ok(())
    }

    /// Bytes that a channel takes with its first file.
    pub(crate) fn first_files(&self) -> usize {
        let segment = whole_pages(self.capacity).and_then(segment_bytes).unwrap_or(usize::MAX);
        segment.saturating_add(2 * PAGE) // the record and the roster
    }

    /// Strides of a slot for a snapshot of `words` words, to be tried in this order: with some reserve, and just enough.
    /// `present` is the stride of the file that will be replaced.
    ///
    /// # Errors
    /// [`Error::PayloadTooLarge`].
    pub(super) fn capacities(&self, words: usize, present: Option<usize>) -> Result<[usize; 2]> {
        let exact = words.checked_mul(WORD).and_then(whole_pages).unwrap_or(usize::MAX);
        let limit = whole_pages(self.max_capacity).unwrap_or(LARGEST_CAPACITY);
        if exact > limit {
            return Err(Error::PayloadTooLarge {
                needed: words.saturating_mul(WORD),
                limit: self.max_capacity,
                suggested: exact.checked_next_power_of_two().unwrap_or(exact),
            });
        }
        let start = whole_pages(present.unwrap_or(self.capacity)).unwrap_or(limit);
        // A quarter more: a snapshot that grows little by little needs few new files, and no file is much too large.
        let reserve = whole_pages(exact / 4).unwrap_or(0);
        let comfortable = if exact <= start { start } else { exact.saturating_add(reserve) };
        Ok([comfortable.min(limit), exact])
    }
}
