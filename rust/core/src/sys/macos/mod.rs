//! The beginning of a port to macOS: it type-checks (`make check-macos`), and nothing of it has ever run. `traincast_port` lets it be
//! built; without it the crate refuses.
//!
//! What is POSIX is Linux's file. Still to do: sleeping that is woken, the time at which a process started, which of the file
//! systems are another machine's, whether an open file's locks are there, and everything that only a machine would show.

mod clock;
#[path = "../linux/files.rs"]
mod files;
#[path = "../linux/locks.rs"]
mod locks;
#[path = "../linux/mapping.rs"]
mod mapping;
mod process;

pub use clock::*;
pub use files::*;
pub use locks::*;
pub use mapping::*;
pub use process::*;

/// Where directories of channels are made if the user names none. There is no file system in memory.
pub const SHARED: &[&str] = &["/tmp"];
