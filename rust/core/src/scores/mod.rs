//! The way back: counters per task that env processes add to, and the learner collects.
//!
//! One file per channel. Each process that records takes a *block* of it, and is the block's only writer; a block has a row of
//! counters per task, and they only grow (`ring/tally`). So an episode is recorded whole or not at all, whenever its process is
//! killed.
//!
//! A block whose process is gone is free, and keeps its counters: the next process goes on adding to them. What a killed process
//! has recorded is therefore counted once, by nobody's doing, and there are as many blocks as there were processes *at once*.
//!
//! On a node without the learner a relay keeps a scoreboard that is a *part* of the learner's. What it adds up to goes to the
//! learner's node as it is, and there into a block of its own ([`RemoteScores`]), which is set to it, not added to. So what comes
//! twice, late or never changes nothing for good, and whoever collects finds the node's counters beside those of processes.
//!
//! Whoever collects only reads, and remembers what it has seen of each row. The learner may die and come back, and several
//! programs may collect from one scoreboard.

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
