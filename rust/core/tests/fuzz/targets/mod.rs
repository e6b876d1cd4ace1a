//! The fuzz targets: functions of bytes that panic if a promise is broken. libFuzzer (`fuzz/`) and the bounded driver beside this
//! module call the same functions.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a finding")]

mod image;
mod input;
pub mod round_trip;
pub mod segment;
pub mod snapshot;
mod value;
pub mod wire;
