//! The way back: counters per task that env processes add to, and the learner collects.
//!
//! One file per channel. Each process that records takes a *block* of it, and is the block's only writer; a block has a row of
//! counters per task, and they only grow (`ring/tally`). So an episode is recorded whole or not at all, whenever its process is
//! killed.
//!
//! A block whose process is gone is free, and keeps its counters: the next process goes on adding to them. What a killed process
//! has recorded is therefore counted once, by nobody's doing, and there are as many blocks as there were processes *at once*.
//!
//! Whoever collects only reads, and remembers what it has seen of each row. The learner may die and come back, and several
//! programs may collect from one scoreboard.

mod account;
mod board;
mod file;
mod writer;

pub use account::Account;
pub use board::{Scoreboard, Tally};
pub(crate) use file::is_used;
pub use writer::ScoreWriter;
