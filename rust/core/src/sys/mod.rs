//! System calls and raw pointers: the only modules with `unsafe`, and the only ones that are specific to Linux.

mod copy;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

pub use copy::*;
#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(target_os = "macos")]
pub use macos::*;
