//! Differential fuzzing: whatever is in a channel's file, the C reader refuses what the core refuses, and all leaves of what both
//! accept are the same. The inputs are those of the core's fuzz targets: the committed corpus and edits of it.
//!
//! `TRAINCAST_FUZZ_EXECUTIONS` sets how many edits each target gets. `make test-header-sanitized` runs the same under
//! AddressSanitizer and UndefinedBehaviorSanitizer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a finding")]

#[path = "../support/compare.rs"]
mod compare;
#[path = "../../../core/tests/fuzz/random.rs"]
mod driver;
#[path = "../../../core/tests/fuzz/targets/image.rs"]
mod image;
#[path = "../../../core/tests/fuzz/targets/input.rs"]
mod input;
mod segments;
mod snapshots;
#[path = "../../../core/tests/fuzz/targets/value.rs"]
#[allow(dead_code, reason = "the core's targets use the rest")]
mod value;

/// Arbitrary bytes as shape, values and blobs.
#[test]
fn arbitrary_snapshots_are_read_or_refused_as_by_the_core() {
    driver::run("snapshot", 30_000, snapshots::arbitrary);
    println!("{}", snapshots::counts());
}

/// Bytes that describe a dictionary to encode, so that all snapshots are well-formed.
#[test]
fn well_formed_snapshots_are_read_as_by_the_core() {
    driver::run("round_trip", 10_000, snapshots::well_formed);
    println!("{}", snapshots::counts());
}

/// A sound channel's file with edited words.
#[test]
fn edited_segments_are_read_or_refused_as_by_the_core() {
    driver::run("segment", 10_000, segments::mended);
    println!("{}", segments::counts());
}
