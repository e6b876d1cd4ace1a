//! A scoreboard, and processes that record into it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use traincast_core::directory::Places;
use traincast_core::error::Result;
use traincast_core::scores::{ScoreWriter, Scoreboard, Tally};

use super::{Child, Place, channel, fork};

/// Lets one test run at a time: a child that another test forked would also have this test's open files and their locks.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The scoreboard of the place's channel.
pub fn open(place: &Place, tasks: usize) -> Result<Scoreboard> {
    Scoreboard::open(&Places::from(&place.directory), &channel(), tasks)
}

/// A writer of the scoreboard, if there is one.
pub fn try_writer(place: &Place) -> Option<ScoreWriter> {
    ScoreWriter::open(&Places::from(&place.directory), &channel()).unwrap()
}

/// Records an episode of ten steps; a success if its return is not 0.
pub fn record(writer: &ScoreWriter, task: usize, episode_return: f64) {
    writer.record(task, episode_return > 0.0, episode_return, 10, episode_return).unwrap();
}

/// A process that records into task 0 until it is told to stop or killed. It writes the number of episodes to a file.
pub fn recorder(place: &Place, flag: &str) -> Child {
    let child = fork(|| {
        let writer = try_writer(place).unwrap();
        place.raise(flag);
        loop {
            record(&writer, 0, 1.0);
        }
    });
    place.wait_for(flag);
    child
}

/// The episodes that have been counted so far.
pub fn episodes(board: &mut Scoreboard) -> u64 {
    board.collect().unwrap();
    board.totals().iter().map(|tally| tally.episodes).sum()
}

/// Checks that the counters of a task belong to whole episodes.
pub fn assert_whole(tally: &Tally) {
    let Tally { episodes, successes, returns, squares, lengths, .. } = *tally;
    assert_eq!((successes, lengths), (episodes, 10 * episodes));
    assert_eq!((returns, squares), (episodes as f64, episodes as f64));
}
