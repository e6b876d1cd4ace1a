//! Newest-value broadcast over shared memory: one writer and any number of readers. No reader can disturb the
//! writer or another reader.
//!
//! A *channel* is a file that holds a ring of seqlock slots. Its writer stores each snapshot in the next slot
//! and then announces it in one word, the *head*. A reader compares the head with the position that it holds, and
//! copies a slot only when it is behind.
//!
//! # Reading
//!
//! An env in Rust attaches a [`reader::Reader`] to a channel and makes a [`reader::Key`] for each value that it uses. The example
//! `env` (`cargo run --package traincast-core --example env`) is complete.
//!
//! ```
//! use std::time::Duration;
//! use traincast_core::directory::{ChannelName, Places};
//! use traincast_core::reader::{Key, Reader};
//!
//! struct Env {
//!     reader: Reader,
//!     goal: Key,
//! }
//!
//! impl Env {
//!     /// Waits up to ten seconds for the learner.
//!     fn attach(run: &str) -> Result<Self, Box<dyn std::error::Error>> {
//!         let reader = Reader::attach(Places::from_env()?, ChannelName::new(run, 0)?, Duration::from_secs(10))?;
//!         let goal = reader.key("reward_shaping.goal")?;
//!         Ok(Self { reader, goal })
//!     }
//!
//!     /// The newest coefficient; 1 while nobody has published one.
//!     fn reset(&mut self) -> traincast_core::error::Result<f64> {
//!         Ok(self.goal.f64(&mut self.reader)?.unwrap_or(1.0))
//!     }
//! }
//! ```
//!
//! [`reader::Reader::read_into`] copies a whole snapshot; [`snapshot::decode::decode`] walks through it.
//!
//! # Modules
//!
//! | module | concern |
//! |---|---|
//! | [`layout`] | the memory map |
//! | [`numbering`] | position, version, epoch, term: one type each, so that they cannot be confused |
//! | [`ring`] | the protocol: the only modules with memory orderings, beside `sync` and `words` |
//! | `sys` | system calls and raw pointers: the only module with `unsafe` |
//! | `fork` | the fork count, and a lock that survives a fork |
//! | [`directory`] | names and paths; checks of a directory's owner and mode |
//! | `drafts` | files under construction |
//! | `ownership` | one writer per channel, across kills, forks and lost locks |
//! | `segment` | a channel's files: create, open, check |
//! | `roster` | which processes read, and whether one sleeps |
//! | [`scores`] | the way back: counters per task |
//! | [`snapshot`] | a snapshot: its codec, its form in a slot and on the wire |
//! | [`writer`], [`reader`], [`inspect`] | the public handles |
//! | [`relay`] | what a node's relay does beyond reading and writing |
#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")
)]

#[cfg(not(all(
    any(target_os = "linux", all(target_os = "macos", traincast_port)),
    target_endian = "little",
    target_pointer_width = "64"
)))]
compile_error!(
    "traincast needs a 64-bit little-endian Linux: the layout of its files and its system calls are Linux's"
);

pub mod layout;
pub mod numbering;
pub mod ring;
mod sync;

// Under loom only the protocol is built: loom's atomics cannot be mapped from a file.
#[cfg(not(loom))]
pub mod directory;
#[cfg(not(loom))]
mod drafts;
#[cfg(not(loom))]
pub mod error;
#[cfg(not(loom))]
mod failpoints;
#[cfg(not(loom))]
mod fork;
#[cfg(not(loom))]
pub mod inspect;
#[cfg(not(loom))]
mod ownership;
#[cfg(not(loom))]
pub mod reader;
#[cfg(not(loom))]
pub mod relay;
#[cfg(not(loom))]
mod roster;
#[cfg(not(loom))]
pub mod scores;
#[cfg(not(loom))]
mod segment;
#[cfg(not(loom))]
pub mod snapshot;
#[cfg(not(loom))]
mod sys;
#[cfg(loom)]
#[path = "sys/loom.rs"]
mod sys;
#[cfg(not(loom))]
mod words;
#[cfg(not(loom))]
pub mod writer;

#[cfg(not(loom))]
pub use sys::{BlobBuffer, now_ns, tick_ns};
