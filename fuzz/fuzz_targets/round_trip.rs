//! libFuzzer's entry point of the target `round_trip`.
#![no_main]

#[allow(dead_code, reason = "each program has one target")]
#[path = "../../rust/core/tests/fuzz/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::round_trip::round_trip(data));
