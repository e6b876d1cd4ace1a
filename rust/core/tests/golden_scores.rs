//! A scoreboard from the day on which its layout was fixed: each later version writes the same bytes, records into the file, and
//! collects the same sums.
//!
//! `GOLDEN=write cargo test -p traincast-core --test golden_scores` writes `tests/golden/scores-1` again: only for a layout that
//! is not released yet.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Place, channel};
use traincast_core::directory::Places;
use traincast_core::layout::{HEADER_WORDS, PAGE, WORD, scores};
use traincast_core::scores::{ScoreWriter, Scoreboard, Tally};

const FILE: &str = "run@3.scores";
/// More than eight, so that there is padding.
const TASKS: usize = 9;
const CREATED: u64 = 1_700_000_000_000_000_000;
const INCARNATION: u64 = 0x0123_4567_89ab_cdef;
const KEEPER: u64 = 0x1111_2222_3333_4445;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/scores-1").join(FILE)
}

fn set(bytes: &mut [u8], index: usize, value: u64) {
    bytes[index * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
}

fn get(bytes: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(*bytes[index * WORD..].first_chunk().unwrap())
}

/// Records episodes, some by each of two writers.
fn record(first: &ScoreWriter, second: &ScoreWriter) {
    first.record(0, true, 1.5, 7, 0.25).unwrap();
    first.record(8, false, -2.0, 3, -0.5).unwrap();
    first.record(8, true, 4.0, 5, 0.75).unwrap();
    second.record(8, true, 0.5, 11, 1.0).unwrap();
}

/// The sums of these, by task.
fn expected() -> Vec<Tally> {
    let mut totals = vec![Tally::default(); TASKS];
    totals[0] = Tally { episodes: 1, successes: 1, returns: 1.5, squares: 2.25, lengths: 7, last: 0.25 };
    totals[8] = Tally { episodes: 3, successes: 2, returns: 2.5, squares: 20.25, lengths: 19, last: 1.0 };
    totals
}

/// The file, written by the present code. Words that differ between runs and machines are set to fixed values.
fn make() -> Vec<u8> {
    let place = Place::new();
    let places = Places::from(&place.directory);
    let _board = Scoreboard::open(&places, &channel(), TASKS).unwrap();
    let writer = || ScoreWriter::open(&places, &channel()).unwrap().unwrap();
    let (first, second) = (writer(), writer());
    record(&first, &second);
    let mut bytes = fs::read(place.path(FILE)).unwrap();
    let header = [(scores::INCARNATION, INCARNATION), (scores::CREATED, CREATED), (scores::KEEPER, KEEPER)];
    let keeper = [(scores::KEEPER_PID, 4711), (scores::KEEPER_STARTED, 33), (scores::KEEPER_NAMESPACE, 44)];
    for (index, value) in header.into_iter().chain(keeper) {
        assert_ne!(get(&bytes, index), 0, "header word {index}");
        set(&mut bytes, index, value);
    }
    for block in 0..2 {
        let start = HEADER_WORDS + block * PAGE / WORD;
        for (index, value) in [(scores::PID, 8128), (scores::STARTED, 88), (scores::PID_NAMESPACE, 44)] {
            set(&mut bytes, start + index, value + block as u64);
        }
    }
    bytes
}

/// A place with the old file in it.
fn place() -> Place {
    let place = Place::new();
    fs::copy(golden(), place.path(FILE)).unwrap();
    fs::set_permissions(place.path(FILE), fs::Permissions::from_mode(0o600)).unwrap();
    place
}

#[test]
fn the_files_are_written_as_when_the_layout_was_made() {
    let made = make();
    if std::env::var("GOLDEN").as_deref() == Ok("write") {
        fs::create_dir_all(golden().parent().unwrap()).unwrap();
        fs::write(golden(), made).unwrap();
        return;
    }
    let golden = fs::read(golden()).unwrap();
    let first = golden.iter().zip(&made).position(|(golden, made)| golden != made);
    assert_eq!((golden.len(), None), (made.len(), first.map(|at| at / WORD)), "length, first word");
}

/// The offsets are literals: if a constant changed, older programs would look elsewhere.
#[test]
fn the_words_are_where_the_documentation_says() {
    let bytes = fs::read(golden()).unwrap();
    assert_eq!((&bytes[..8], bytes.len()), (&b"trainsco"[..], 3 * 4096));
    let word = |index: usize| get(&bytes, index);
    assert_eq!([1, 2, 3, 4, 5, 6].map(word), [1, 9, 4096, INCARNATION, CREATED, 0]);
    assert_eq!((word(7), &bytes[64..70]), (3 | 3 << 32, &b"run\0\0\0"[..]));
    assert_eq!([24, 25, 26, 27].map(word), [KEEPER, 4711, 33, 44]);
    for (block, seqs, newest) in [(0, [1, 2], [2, 1]), (1, [0, 1], [1, 1])] {
        let word = |index: usize| get(&bytes, 512 + 512 * block + index);
        assert_eq!([0, 1, 2].map(word), [8128, 88, 44].map(|value| value + block as u64));
        assert_eq!([word(8), word(16)], seqs, "episodes of tasks 0 and 8");
        // The seqs end at 17; two copies of 8 words for each task follow from 24 on.
        let copy = 24 + 8 * (16 + seqs[1] as usize % 2);
        assert_eq!([0, 1].map(|index| word(copy + index)), newest);
    }
    let returns = f64::from_bits(get(&bytes, 512 + 24 + 8 * 16 + 2));
    assert_eq!(returns, 2.0);
}

#[test]
fn a_scoreboard_is_added_up_and_counted_on() {
    let place = place();
    let places = Places::from(&place.directory);
    let mut look = Scoreboard::look(&places, &channel()).unwrap().unwrap();
    look.collect().unwrap();
    assert_eq!((look.incarnation(), look.totals()), (INCARNATION, &expected()[..]));
    let mut board = Scoreboard::open(&places, &channel(), TASKS).unwrap();
    assert_eq!(board.incarnation(), INCARNATION, "a new learner continues it");
    let writer = ScoreWriter::open(&places, &channel()).unwrap().unwrap();
    writer.record(0, false, 0.5, 3, 0.0).unwrap();
    board.collect().unwrap();
    let mut totals = expected();
    totals[0] = Tally { episodes: 2, successes: 1, returns: 2.0, squares: 2.5, lengths: 10, last: 0.0 };
    assert_eq!(board.totals(), totals);
}
