//! System calls and raw pointers: the only rooms with `unsafe`, and the only ones that know Linux.

mod copy;
mod linux;

pub use copy::*;
pub use linux::*;
