//! The part that is specific to Linux, one file per concern. A port to another system is another folder with the same names;
//! `macos` is the beginning of one.
//!
//! Calls that a signal interrupts are repeated, except for sleeping.

mod clock;
mod files;
mod locks;
mod mapping;
mod process;

pub use clock::*;
pub use files::*;
pub use locks::*;
pub use mapping::*;
pub use process::*;

/// Where directories for channels are created by default, the best place first.
pub const SHARED: &[&str] = &["/dev/shm", "/tmp"];
