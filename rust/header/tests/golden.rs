//! The headers also read the old files that `rust/core/tests/golden.rs` and `golden_scores.rs` test the core with.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "../../core/tests/common/mod.rs"]
mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Place, channel};
use traincast_core::directory::Places;
use traincast_core::scores::Scoreboard;
use traincast_header::{Reader, Scores};

/// A place with an old file in it.
fn place(folder: &str, file: &str) -> Place {
    let place = Place::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/golden").join(folder);
    fs::copy(golden.join(file), place.path(file)).unwrap();
    fs::set_permissions(place.path(file), fs::Permissions::from_mode(0o600)).unwrap();
    place
}

#[test]
fn a_segment_of_layout_2_is_read() {
    let place = place("layout-2", "run@3");
    let mut reader = Reader::open(Some(place.directory.path()), "run", 3).unwrap();
    let numbers = reader.numbers();
    assert_eq!(numbers.stamp, [0x0011_2233_4455_6677, 1, 1 << 40]);
    assert_eq!(numbers.published_ns, 5_000_000);
    assert_eq!(numbers.published_unix_ns, 1_700_000_000_005_000_000);
    let mut steps = reader.key(c"approx_total_training_steps").unwrap();
    assert_eq!(reader.i64(&mut steps), Ok(5));
    let mut rate = reader.key(c"lr").unwrap();
    assert_eq!(reader.f64(&mut rate), Ok(5.0 / 7.0));
    let mut tag = reader.key(c"tag").unwrap();
    assert_eq!(reader.str(&mut tag).unwrap(), "stufe-ü-5".as_bytes());
    let mut goals = reader.key(c"goals").unwrap();
    let array = reader.view(&mut goals).unwrap();
    assert_eq!((array.dtype, array.shape, array.count), (&b"<f8"[..], &[2, 3][..], 6));
    assert!(array.bytes.iter().enumerate().all(|(at, &byte)| byte == 5 + at as u8));
}

#[test]
fn a_segment_of_layout_1_is_refused() {
    let place = place("layout-1", "run@3");
    assert_eq!(Reader::open(Some(place.directory.path()), "run", 3).err(), Some(libc::EPROTO));
}

#[test]
fn a_scoreboard_of_layout_1_is_recorded_into() {
    let place = place("scores-1", "run@3.scores");
    let mut scores = Scores::open(place.directory.path(), "run", 3).unwrap();
    assert_eq!(scores.record(8, true, 1.5, 2), Ok(true));
    assert_eq!(scores.tasks(), 9);
    let places = Places::from(&place.directory);
    let mut board = Scoreboard::look(&places, &channel()).unwrap().unwrap();
    board.collect().unwrap();
    let tally = board.totals()[8];
    assert_eq!((tally.episodes, tally.successes, tally.returns, tally.lengths), (4, 3, 4.0, 21));
}
