//! The core collects every episode that C records, whole and once, beside Rust's writers, kills and forks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "../../core/tests/common/mod.rs"]
mod common;

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Place, channel, fork, until};
use traincast_core::directory::Places;
use traincast_core::scores::{ScoreWriter, Scoreboard, Tally};
use traincast_header::Scores;

/// Lets one test run at a time: a child that another test forked would also have this test's open files and their locks.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn board(place: &Place, tasks: usize) -> Scoreboard {
    Scoreboard::open(&Places::from(&place.directory), &channel(), tasks).unwrap()
}

fn scores(place: &Place) -> Scores {
    Scores::open(place.directory.path(), "run", 3).unwrap()
}

fn tally(board: &mut Scoreboard, task: usize) -> Tally {
    board.collect().unwrap();
    board.totals()[task]
}

#[test]
fn an_episode_is_counted_with_all_that_it_says() {
    let _alone = alone();
    let place = Place::new();
    let mut scores = scores(&place);
    assert_eq!(
        (scores.record(2, true, 1.5, 7), scores.tasks()),
        (Ok(false), 0),
        "there is no scoreboard yet"
    );
    let mut board = board(&place, 3);
    assert_eq!(scores.record(2, true, 1.5, 7), Ok(true));
    assert_eq!(scores.record(2, false, -0.5, 3), Ok(true));
    assert_eq!(scores.tasks(), 3);
    let expected = Tally { episodes: 2, successes: 1, returns: 1.0, squares: 2.5, lengths: 10, last: -0.5 };
    assert_eq!(tally(&mut board, 2), expected);
    assert_eq!(scores.record(3, true, 0.0, 1), Err(libc::EINVAL));
    assert_eq!(scores.error(), "the scoreboard has no such task");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e151, -1e160] {
        assert_eq!(scores.record(0, true, bad, 1), Err(libc::EINVAL));
    }
    assert_eq!(tally(&mut board, 0), Tally::default());
    drop(board);
    assert_eq!(scores.record(2, true, 1.0, 1), Ok(false), "it has ended");
    scores.close();
    scores.close();
    assert_eq!(scores.record(2, true, 1.0, 1), Err(libc::EBADF));
}

#[test]
fn c_and_rust_share_a_scoreboard_and_go_on_in_each_others_blocks() {
    let _alone = alone();
    let place = Place::new();
    let mut board = board(&place, 200);
    let places = Places::from(&place.directory);
    for round in 1..=3 {
        let rust = ScoreWriter::open(&places, &channel()).unwrap().unwrap();
        let (mut one, mut other) = (scores(&place), scores(&place));
        for task in 0..200 {
            assert_eq!(
                (one.record(task, true, 1.0, 2), other.record(task, true, 1.0, 2)),
                (Ok(true), Ok(true))
            );
            rust.record(task, true, 1.0, 2, 1.0).unwrap();
        }
        let episodes = 3 * round;
        for task in [0, 1, 7, 8, 199] {
            let Tally { episodes: found, returns, lengths, .. } = tally(&mut board, task);
            assert_eq!((found, returns, lengths), (episodes, episodes as f64, 2 * episodes));
        }
        assert_eq!(board.blocks().len(), 3);
    }
}

#[test]
fn a_killed_process_leaves_whole_episodes_and_a_forked_child_counts_in_a_block_of_its_own() {
    let _alone = alone();
    let place = Place::new();
    let mut board = board(&place, 1);
    let mut before = 0;
    for round in 0..20 {
        let flag = format!("up-{round}");
        let child = fork(|| {
            let mut scores = scores(&place);
            assert_eq!(scores.record(0, true, 1.0, 10), Ok(true));
            place.raise(&flag);
            while scores.record(0, true, 1.0, 10) == Ok(true) {}
            1
        });
        place.wait_for(&flag);
        until(|| tally(&mut board, 0).episodes > before);
        child.kill();
        let Tally { episodes, successes, returns, lengths, .. } = tally(&mut board, 0);
        assert_eq!((successes, returns, lengths), (episodes, episodes as f64, 10 * episodes));
        before = episodes;
    }
    assert_eq!(board.blocks().len(), 1);
    let mut scores = scores(&place);
    scores.record(0, true, 1.0, 10).unwrap();
    let child = fork(|| i32::from(scores.record(0, true, 1.0, 10) != Ok(true)));
    assert_eq!(child.join(), 0);
    scores.record(0, true, 1.0, 10).unwrap();
    assert_eq!((tally(&mut board, 0).episodes, board.blocks().len()), (before + 3, 2));
}

#[test]
fn another_scoreboard_of_the_name_is_found_and_a_damaged_one_refused() {
    let _alone = alone();
    let place = Place::new();
    let first = board(&place, 1);
    let mut scores = scores(&place);
    scores.record(0, true, 1.0, 1).unwrap();
    let mut second = board(&place, 9);
    assert_eq!(scores.record(8, true, 1.0, 1), Ok(true));
    assert_eq!(tally(&mut second, 8).episodes, 1);
    drop(first);
    let path = place.path("run@3.scores");
    let sound = fs::read(&path).unwrap();
    drop(second);
    for (word, value, errno) in [
        (0, 0, libc::EPROTO),
        (1, 7, libc::EPROTO),
        (2, 0, libc::EBADMSG),
        (2, 1 << 40, libc::EBADMSG),
        (3, 64, libc::EBADMSG),
        (7, 1, libc::EBADMSG),
        (8, 99, libc::EBADMSG),
    ] {
        let mut bytes = sound.clone();
        bytes[8 * word..8 * word + 8].copy_from_slice(&u64::to_le_bytes(value));
        fs::write(&path, &bytes).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(self::scores(&place).record(0, true, 1.0, 1), Err(errno), "word {word}");
    }
    fs::write(&path, &sound[..100]).unwrap();
    assert_eq!(self::scores(&place).record(0, true, 1.0, 1), Err(libc::EBADMSG));
}
