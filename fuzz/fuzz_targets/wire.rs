//! libFuzzer's entry point of the target `wire`.
#![no_main]

#[allow(dead_code, reason = "each program has one target")]
#[path = "../../rust/core/tests/fuzz/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::wire::wire(data));
