//! What is Linux's: one file per concern. A port to another system is another folder with the same names, as `macos` begins one.
//!
//! Everything here is retried when a signal interrupts it.

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

/// Where directories of channels are made if the user names none, the best first.
pub const SHARED: &[&str] = &["/dev/shm", "/tmp"];
