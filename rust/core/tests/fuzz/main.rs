//! The fuzz targets without libFuzzer: the committed corpus, then edits of it from fixed seeds.
//!
//! `TRAINCAST_FUZZ_EXECUTIONS` sets how many edits each target gets. libFuzzer runs the same functions: see `fuzz/`.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod random;
mod targets;

use random::run;

#[test]
fn edited_segments_are_refused_or_read() {
    run("segment", 4_000, targets::segment::segment);
    println!("{}", targets::segment::counts());
}

#[test]
fn arbitrary_snapshots_are_refused_or_decoded() {
    run("snapshot", 40_000, targets::snapshot::snapshot);
}

#[test]
fn decoding_gives_what_was_encoded() {
    run("round_trip", 10_000, targets::round_trip::round_trip);
}

#[test]
fn edited_messages_are_refused_or_delivered() {
    run("wire", 4_000, targets::wire::wire);
}
