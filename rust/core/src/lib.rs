//! Newest-value broadcast over shared memory: one writer, any number of readers, and no reader that can
//! disturb anyone.
//!
//! A *channel* is a file that holds a ring of seqlock slots. Its writer puts each snapshot into the next slot
//! and then says so in one word; a reader compares that word with what it holds, and copies a slot only when
//! it is behind.
//!
//! | module | concern |
//! |---|---|
//! | [`layout`] | the memory map |
//! | [`seqlock`] | the protocol: the only module that knows memory orderings |
//! | `sys` | system calls and raw pointers: the only module with `unsafe` |
//! | [`directory`] | names and paths, and whose directory it is |
//! | `ownership` | one writer per channel, over kills and forks |
//! | `generation` | files: create, open, check, replace |
//! | `roster` | who reads, who sleeps |
//! | [`writer`], [`reader`], [`inspect`] | what users hold |
//! | [`snapshot`] | the codec of the payload |
#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")
)]

#[cfg(not(all(target_os = "linux", target_endian = "little", target_pointer_width = "64")))]
compile_error!(
    "traincast needs a 64-bit little-endian Linux: the layout of its files and its system calls are Linux's"
);

pub mod layout;
pub mod seqlock;
mod sync;

// Under loom only the protocol is built: loom's atomics cannot lie in a file.
#[cfg(not(loom))]
pub mod directory;
#[cfg(not(loom))]
pub mod error;
#[cfg(not(loom))]
mod failpoints;
#[cfg(not(loom))]
mod generation;
#[cfg(not(loom))]
pub mod inspect;
#[cfg(not(loom))]
mod ownership;
#[cfg(not(loom))]
mod process;
#[cfg(not(loom))]
pub mod reader;
#[cfg(not(loom))]
mod roster;
#[cfg(not(loom))]
mod slot;
#[cfg(not(loom))]
pub mod snapshot;
#[cfg(not(loom))]
mod sys;
#[cfg(not(loom))]
pub mod writer;

#[cfg(not(loom))]
pub use sys::{BlobBuffer, now_ns};
