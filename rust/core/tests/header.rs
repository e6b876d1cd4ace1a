//! The constants in the C headers equal those in `layout.rs`.
//!
//! `TRAINCAST_ACCEPT=1 cargo test --package traincast-core --test header` writes them.
#![cfg(not(loom))]
#![allow(clippy::expect_used, reason = "a failed expect is a failed test")]

use std::fmt::Write;
use std::path::Path;

use traincast_core::layout::{self, Link, header, scores, slot};
use traincast_core::numbering::Position;
use traincast_core::ring::seqlock::Head;
use traincast_core::snapshot::MAX_DEPTH;

fn constants() -> String {
    let mut text = String::new();
    let mut define = |name: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "#define TC_{name} {value}").expect("a string takes it");
    };
    let long = |number: u64| format!("UINT64_C({number:#x})");
    define("SEGMENT_MAGIC", &long(layout::SEGMENT_MAGIC));
    define("LAYOUT_VERSION", &layout::LAYOUT_VERSION);
    define("PAGE", &layout::PAGE);
    define("HEADER_BYTES", &layout::HEADER_BYTES);
    define("HEADER_WORDS", &layout::HEADER_WORDS);
    define("SLOTS", &layout::SLOTS);
    define("LARGEST_CAPACITY", &long(layout::LARGEST_CAPACITY as u64));
    define("LARGEST_POSITION", &long(Position::MAX.get()));
    define("NAME_BYTES", &layout::NAME_BYTES);
    define("MAX_DEPTH", &MAX_DEPTH);
    define("CLOSED", &Head::CLOSED);
    define("SUPERSEDED", &Head::SUPERSEDED);
    define("MARKS", &Head::SUCCEEDED);
    define("LINK_LEARNER_CLOSED", &(Link::LearnerClosed as u64));
    let remote: Vec<_> = layout::REMOTE_FILE_SYSTEMS.iter().map(|(kind, _)| format!("{kind:#x}")).collect();
    let lines: Vec<_> = remote.chunks(8).map(|line| line.join(", ")).collect();
    define("REMOTE_FILE_SYSTEMS", &format!("\\\n    {{{}}}", lines.join(", \\\n     ")));
    for (name, word) in [
        ("MAGIC", header::MAGIC),
        ("LAYOUT", header::LAYOUT),
        ("TOTAL", header::TOTAL),
        ("CAPACITY", header::CAPACITY),
        ("SLOTS", header::SLOTS),
        ("IDENTITY", header::IDENTITY),
        ("NAME", header::NAME),
        ("HEAD", header::HEAD),
        ("LINK", header::LINK),
    ] {
        define(&format!("HEADER_{name}"), &word);
    }
    for (name, word) in [
        ("SEQ", slot::SEQ),
        ("POSITION", slot::POSITION),
        ("TERM", slot::TERM),
        ("EPOCH", slot::EPOCH),
        ("VERSION", slot::VERSION),
        ("PUBLISHED", slot::PUBLISHED),
        ("PUBLISHED_UNIX", slot::PUBLISHED_UNIX),
        ("TAKEOVER", slot::TAKEOVER),
        ("SHAPE_ID", slot::SHAPE_ID),
        ("SHAPE_LEN", slot::SHAPE_LEN),
        ("VALUES_LEN", slot::VALUES_LEN),
        ("BLOB_WORDS", slot::BLOB_WORDS),
        ("PAYLOAD", slot::PAYLOAD),
    ] {
        define(&format!("SLOT_{name}"), &word);
    }
    text
}

fn constants_of_scores() -> String {
    let mut text = String::new();
    let mut define = |name: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "#define TC_SCORES_{name} {value}").expect("a string takes it");
    };
    define("MAGIC_WORD", &format!("UINT64_C({:#x})", layout::SCORES_MAGIC));
    define("LAYOUT_VERSION", &layout::SCORES_LAYOUT_VERSION);
    define("MAX_TASKS", &scores::MAX_TASKS);
    define("MAX_BLOCKS", &scores::MAX_BLOCKS);
    for (name, word) in [
        ("MAGIC", scores::MAGIC),
        ("LAYOUT", scores::LAYOUT),
        ("TASKS", scores::TASKS),
        ("BLOCK_BYTES", scores::BLOCK_BYTES),
        ("ENDED", scores::ENDED),
        ("PID", scores::PID),
        ("NODE", scores::NODE),
        ("SEQS", scores::SEQS),
        ("COPY", scores::COPY),
        ("EPISODES", scores::EPISODES),
        ("SUCCESSES", scores::SUCCESSES),
        ("RETURNS", scores::RETURNS),
        ("SQUARES", scores::SQUARES),
        ("LENGTHS", scores::LENGTHS),
        ("LAST", scores::LAST),
    ] {
        define(name, &word);
    }
    // Identity and name are where they are in a segment: one function of the header checks both files.
    assert_eq!((scores::IDENTITY, scores::NAME), (header::IDENTITY, header::NAME));
    text
}

/// Compares the constants of a header with the wanted ones, or writes them.
fn check(file: &str, of: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include").join(file);
    let text = std::fs::read_to_string(&path).expect("the header can be read");
    let [begin, end] = ["begin", "end"].map(|edge| format!("/* {edge} constants{of} */\n"));
    let (before, rest) = text.split_once(&begin).expect("the constants have a beginning");
    let (found, after) = rest.split_once(&end).expect("the constants have an end");
    if std::env::var_os("TRAINCAST_ACCEPT").is_some() {
        std::fs::write(&path, [before, &begin, wanted, &end, after].concat())
            .expect("the header can be written");
        return;
    }
    assert_eq!(found, wanted, "TRAINCAST_ACCEPT=1 writes the new ones");
}

#[test]
fn the_constants_of_the_c_headers_are_those_of_the_layout() {
    check("traincast.h", "", &constants());
    check("traincast_scores.h", " of scores", &constants_of_scores());
}
