//! The fuzz targets without libFuzzer: the committed corpus, then edits of it, from seeds that never change.
//!
//! `TRAINCAST_FUZZ_EXECUTIONS` sets how many edits each target gets. libFuzzer runs the same functions: see `fuzz/`.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod random;
mod targets;

use random::run;

#[test]
fn segments() {
    run("segment", 4_000, targets::segment::segment);
    println!("{}", targets::segment::counts());
}

#[test]
fn snapshots() {
    run("snapshot", 40_000, targets::snapshot::snapshot);
}

#[test]
fn round_trips() {
    run("round_trip", 10_000, targets::round_trip::round_trip);
}

#[test]
fn messages() {
    run("wire", 4_000, targets::wire::wire);
}
