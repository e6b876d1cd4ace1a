//! The way back: counters per task that env processes add to, and the learner collects.
//!
//! There is one file per channel. Each process that records takes a *block* of it and is the block's only writer. A block has a
//! row of counters per task, and they only grow (`ring/tally`). So an episode is recorded whole or not at all, whenever its
//! process is killed.
//!
//! A block whose process is gone is free and keeps its counters: the next process goes on adding to them. So the episodes of a
//! killed process are counted exactly once without any clean-up, and there are as many blocks as there were processes *at the
//! same time*.
//!
//! On a node without the learner a relay keeps a scoreboard that is a *part* of the learner's. Its totals travel to the learner's
//! node and are stored, not added, in a block of their own there ([`RemoteScores`]). So totals that arrive twice, late or not at
//! all do no lasting harm, and collecting finds the node's counters next to those of processes.
//!
//! Collecting only reads, and remembers what it has seen of each row. The learner may die and come back, and several programs may
//! collect from one scoreboard.

mod account;
mod board;
mod file;
mod remote;
mod writer;

pub use account::Account;
pub use board::{Scoreboard, Tally};
pub(crate) use file::is_used;
pub use remote::RemoteScores;
pub use writer::ScoreWriter;
