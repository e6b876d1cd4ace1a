//! Scoreboards across nodes: another node's episodes count once, whichever relay is killed.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use common::scores::{alone, assert_whole, episodes, open, record, try_writer};
use common::{Place, channel, fork, until};
use traincast_core::directory::Places;
use traincast_core::error::Error;
use traincast_core::scores::{RemoteScores, Scoreboard, Tally};

/// A relay's handle of the learner's scoreboard.
fn remote(place: &Place) -> RemoteScores {
    RemoteScores::open(&Places::from(&place.directory), &channel()).unwrap().unwrap()
}

/// Totals of `episodes` episodes of task 0.
fn totals(episodes: u64) -> [(usize, Tally); 1] {
    let sum = episodes as f64;
    let tally = Tally {
        episodes,
        successes: episodes,
        returns: sum,
        squares: sum,
        lengths: 10 * episodes,
        last: 1.0,
    };
    [(0, tally)]
}

#[test]
fn totals_of_another_node_count_once_beside_those_of_processes() {
    let _alone = alone();
    let (here, there) = (Place::new(), Place::new());
    let mut board = open(&here, 2).unwrap();
    let places = Places::from(&there.directory);
    let mut part = Scoreboard::open_part(&places, &channel(), 2, board.incarnation()).unwrap();
    let mut relay = remote(&here);
    let (local, far) = (try_writer(&here).unwrap(), try_writer(&there).unwrap());
    for round in 1..=5 {
        record(&local, 0, 1.0);
        record(&far, 0, 1.0);
        part.collect().unwrap();
        let all: Vec<_> = part.totals().iter().copied().enumerate().collect();
        assert_eq!(relay.take(part.incarnation(), &all).unwrap(), 1);
        assert_eq!(relay.take(part.incarnation(), &all).unwrap(), 0, "the same again");
        assert_eq!(relay.take(part.incarnation(), &totals(round - 1)).unwrap(), 0, "late");
        assert_eq!(episodes(&mut board), 2 * round);
        assert_whole(&board.totals()[0]);
    }
    drop(relay);
    // Nobody has locked that block, and still no process may take it.
    let other = try_writer(&here).unwrap();
    record(&other, 0, 1.0);
    assert_eq!(remote(&here).take(part.incarnation(), &totals(6)).unwrap(), 1);
    assert_eq!(episodes(&mut board), 12);
    assert_eq!(board.blocks().len(), 3);
}

#[test]
fn a_killed_relay_leaves_whole_rows_and_the_next_one_goes_on() {
    let _alone = alone();
    let place = Place::new();
    let mut board = open(&place, 1).unwrap();
    let mut before = 0;
    for round in 0..40 {
        let flag = format!("up-{round}");
        let child = fork(|| {
            let mut relay = remote(&place);
            place.raise(&flag);
            let mut counted = before;
            loop {
                counted += 1;
                relay.take(7, &totals(counted)).unwrap();
            }
        });
        place.wait_for(&flag);
        until(|| episodes(&mut board) > before);
        child.kill();
        before = episodes(&mut board);
        assert_whole(&board.totals()[0]);
        assert_eq!(remote(&place).take(7, &totals(before)).unwrap(), 0);
    }
    assert_eq!(board.blocks().len(), 1);
}

#[test]
fn a_relay_never_takes_a_learners_scoreboard_and_a_learner_takes_a_relays() {
    let _alone = alone();
    let place = Place::new();
    let places = Places::from(&place.directory);
    let part = |tasks| Scoreboard::open_part(&places, &channel(), tasks, 7);
    let kept = part(2).unwrap();
    assert!(RemoteScores::open(&places, &channel()).unwrap().is_none());
    let child = fork(|| {
        let _board = open(&place, 2).unwrap();
        place.raise("learns");
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    place.wait_for("learns");
    assert!(kept.ended());
    assert!(matches!(part(2), Err(Error::ChannelBusy { .. })));
    child.kill();
    assert!(part(2).is_ok(), "its learner is gone");
}
