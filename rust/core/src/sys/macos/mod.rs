//! The beginning of a port to macOS: it type-checks (`make check-macos`), and none of it has ever run. It is only built with
//! `--cfg traincast_port`.
//!
//! The POSIX parts are Linux's files. Still to do: wake-ups of sleepers, start times of processes, the names of remote file
//! systems, whether open-file-description locks exist, and whatever only a real machine would show.

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

/// Where directories for channels are created by default. There is no file system in memory.
pub const SHARED: &[&str] = &["/tmp"];
