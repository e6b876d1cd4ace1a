//! Scoreboards: an episode counts exactly once, whatever is killed, stopped, forked or restarted.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::scores::{alone, assert_whole, episodes, open, record, recorder, try_writer};
use common::{Place, channel, fork, until};
use traincast_core::directory::{ChannelName, Places};
use traincast_core::error::Error;
use traincast_core::inspect;
use traincast_core::scores::{ScoreWriter, Scoreboard, Tally};

#[test]
fn what_envs_record_is_collected_by_task() {
    let _alone = alone();
    let place = Place::new();
    let mut board = open(&place, 3).unwrap();
    let writer = try_writer(&place).unwrap();
    assert_eq!((writer.tasks(), board.tasks()), (3, 3));
    writer.record(2, true, 1.5, 7, 0.25).unwrap();
    writer.record(2, false, -0.5, 3, 0.75).unwrap();
    board.collect().unwrap();
    let expected = Tally { episodes: 2, successes: 1, returns: 1.0, squares: 2.5, lengths: 10, last: 0.75 };
    assert_eq!(board.totals()[2], expected);
    assert_eq!(board.totals()[0], Tally::default());
    board.collect().unwrap();
    assert_eq!(board.totals()[2], expected);
}

#[test]
fn invalid_numbers_of_tasks_and_invalid_episodes_are_refused() {
    let _alone = alone();
    let place = Place::new();
    for tasks in [0, (1 << 20) + 1] {
        assert!(matches!(open(&place, tasks), Err(Error::InvalidArgument(_))));
    }
    let mut board = open(&place, 2).unwrap();
    let writer = try_writer(&place).unwrap();
    assert!(matches!(writer.record(2, true, 0.0, 1, 0.0), Err(Error::InvalidArgument(_))));
    for bad in [f64::NAN, f64::INFINITY] {
        assert!(matches!(writer.record(0, true, bad, 1, 0.0), Err(Error::InvalidArgument(_))));
        assert!(matches!(writer.record(0, true, 0.0, 1, bad), Err(Error::InvalidArgument(_))));
    }
    assert_eq!(episodes(&mut board), 0);
}

#[test]
fn the_episodes_of_a_killed_process_count_once_and_its_block_is_used_again() {
    let _alone = alone();
    let place = Place::new();
    let mut board = open(&place, 1).unwrap();
    let mut before = 0;
    for round in 0..40 {
        let child = recorder(&place, &format!("up-{round}"));
        until(|| episodes(&mut board) > before);
        child.kill();
        let total = episodes(&mut board);
        assert!(total > before);
        assert_whole(&board.totals()[0]);
        assert_eq!(episodes(&mut board), total, "an episode was counted twice");
        before = total;
    }
    assert_eq!(board.blocks().len(), 1, "one process at a time needs one block");
    let mut late = open(&place, 1).unwrap();
    assert_eq!(episodes(&mut late), before, "another collector finds the same");
}

/// A page of memory that a process and its forked children share.
struct Page(*const AtomicU64);

impl Page {
    fn new() -> Self {
        // SAFETY: a new mapping, which is never unmapped.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(page, libc::MAP_FAILED);
        Self(page.cast())
    }

    fn counter(&self) -> &AtomicU64 {
        // SAFETY: within the page, which is never unmapped.
        unsafe { &*self.0 }
    }
}

#[test]
fn each_process_has_its_own_block_and_every_recorded_episode_is_counted() {
    let _alone = alone();
    let place = Place::new();
    let mut board = open(&place, 8).unwrap();
    let recorded = Page::new();
    for round in 0..5 {
        let children: Vec<_> = (0..6)
            .map(|index| {
                fork(|| {
                    let writer = try_writer(&place).unwrap();
                    for step in 0..20_000 {
                        // Counted before and after: a process that is killed in between may have recorded one more episode than
                        // it says.
                        record(&writer, (index + step) % 8, 1.0);
                        recorded.counter().fetch_add(1, Ordering::SeqCst);
                    }
                    0
                })
            })
            .collect();
        let mut last = 0;
        for child in children {
            let now = episodes(&mut board);
            assert!(now >= last);
            last = now;
            assert_eq!(child.join(), 0);
        }
        assert_eq!(episodes(&mut board), recorded.counter().load(Ordering::SeqCst), "round {round}");
        board.totals().iter().for_each(assert_whole);
    }
    assert!(board.blocks().len() <= 6);
}

#[test]
fn kills_at_any_moment_lose_at_most_the_episode_that_was_being_recorded() {
    let _alone = alone();
    let place = Place::new();
    let mut board = open(&place, 1).unwrap();
    let recorded = Page::new();
    let mut killed = 0;
    for round in 0..60_u64 {
        let flag = format!("up-{round}");
        let child = fork(|| {
            let writer = try_writer(&place).unwrap();
            place.raise(&flag);
            loop {
                record(&writer, 0, 1.0);
                recorded.counter().fetch_add(1, Ordering::SeqCst);
            }
        });
        place.wait_for(&flag);
        std::thread::sleep(Duration::from_micros(37 * round));
        child.kill();
        killed += 1;
        let (counted, said) = (episodes(&mut board), recorded.counter().load(Ordering::SeqCst));
        assert!((said..=said + killed).contains(&counted), "{said} were recorded, {counted} counted");
        assert_whole(&board.totals()[0]);
    }
}

#[test]
fn a_forked_child_records_into_a_block_of_its_own() {
    let _alone = alone();
    let place = Place::new();
    let mut board = open(&place, 1).unwrap();
    let writer = try_writer(&place).unwrap();
    record(&writer, 0, 1.0);
    let child = fork(|| {
        if writer.is_good() {
            return 1;
        }
        let own = try_writer(&place).unwrap();
        record(&own, 0, 1.0);
        0
    });
    assert_eq!(child.join(), 0);
    record(&writer, 0, 1.0);
    assert_eq!(episodes(&mut board), 3);
    assert_eq!(board.blocks().len(), 2);
}

#[test]
fn a_learner_that_is_killed_and_comes_back_finds_what_was_recorded_meanwhile() {
    let _alone = alone();
    let place = Place::new();
    let learner = fork(|| {
        let board = open(&place, 2).unwrap();
        place.raise("made");
        std::mem::forget(board);
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    place.wait_for("made");
    let writer = try_writer(&place).unwrap();
    record(&writer, 1, 1.0);
    learner.kill();
    record(&writer, 1, 1.0);
    assert!(writer.is_good());
    let mut board = open(&place, 2).unwrap();
    assert_eq!(episodes(&mut board), 2);
    record(&writer, 1, 1.0);
    assert_eq!(episodes(&mut board), 3);
}

#[test]
fn children_that_a_dead_learner_forked_do_not_keep_its_scoreboard() {
    let _alone = alone();
    let place = Place::new();
    let learner = fork(|| {
        let board = open(&place, 2).unwrap();
        let child = fork(|| {
            place.raise("child");
            until(|| !place.directory.path().exists()); // until the test ends
            0
        });
        place.wait_for("child");
        std::mem::forget((board, child));
        0
    });
    assert_eq!(learner.join(), 0);
    drop(open(&place, 3).expect("nobody keeps it"));
    assert!(place.files().is_empty());
}

#[test]
fn a_scoreboard_ends_with_its_newest_keeper() {
    let _alone = alone();
    let place = Place::new();
    let first = open(&place, 1).unwrap();
    let second = open(&place, 1).unwrap(); // as if a notebook cell is run again
    let writer = try_writer(&place).unwrap();
    drop(first);
    assert!(writer.is_good());
    // Another process only reads.
    let other = fork(|| {
        let mut other = open(&place, 1).unwrap();
        i32::from(episodes(&mut other) != 0)
    });
    assert_eq!(other.join(), 0);
    assert!(writer.is_good());
    let busy = fork(|| i32::from(!matches!(open(&place, 5), Err(Error::ChannelBusy { .. }))));
    assert_eq!(busy.join(), 0);
    drop(second);
    assert!(!writer.is_good());
    assert!(try_writer(&place).is_none());
    assert!(place.files().is_empty());
}

#[test]
fn another_number_of_tasks_starts_a_new_scoreboard_and_writers_notice() {
    let _alone = alone();
    let place = Place::new();
    let first = open(&place, 1).unwrap();
    let writer = try_writer(&place).unwrap();
    record(&writer, 0, 1.0);
    let mut second = open(&place, 2).unwrap();
    assert_ne!(first.incarnation(), second.incarnation());
    assert!(!writer.is_good());
    let writer = try_writer(&place).unwrap();
    record(&writer, 1, 1.0);
    drop(first);
    assert!(writer.is_good(), "dropping the first one does not end the second one");
    assert_eq!(episodes(&mut second), 1);
}

#[test]
fn clean_leaves_a_scoreboard_alone_that_envs_record_into() {
    let _alone = alone();
    let place = Place::new();
    let learner = fork(|| {
        std::mem::forget(open(&place, 1).unwrap());
        0
    });
    assert_eq!(learner.join(), 0);
    let writer = try_writer(&place).unwrap();
    assert!(inspect::leftovers(&place.directory).unwrap().is_empty());
    assert!(!inspect::remove_leftover(&place.directory, &place.path("run@3.scores")).unwrap());
    drop(writer);
    let found = inspect::leftovers(&place.directory).unwrap();
    assert_eq!(found.iter().map(|file| &*file.path).collect::<Vec<&Path>>(), [place.path("run@3.scores")]);
    assert!(inspect::remove_leftover(&place.directory, &found[0].path).unwrap());
    assert!(place.files().is_empty());
}

#[test]
fn damaged_files_are_refused_or_replaced() {
    let _alone = alone();
    let place = Place::new();
    drop(open(&place, 1).unwrap());
    let path = place.path("run@3.scores");
    let sound = {
        std::mem::forget(open(&place, 1).unwrap());
        fs::read(&path).unwrap()
    };
    let edits: [(usize, u64); 6] = [(0, 0), (1, 7), (2, 0), (2, 1 << 40), (3, 64), (8, 99)];
    for (word, value) in edits {
        let mut bytes = sound.clone();
        bytes[8 * word..8 * word + 8].copy_from_slice(&value.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        let refused = ScoreWriter::open(&Places::from(&place.directory), &channel());
        assert!(
            matches!(refused, Err(Error::CorruptChannel { .. } | Error::IncompatibleChannel { .. })),
            "word {word}: {refused:?}"
        );
    }
    fs::write(&path, &sound[..100]).unwrap();
    assert!(ScoreWriter::open(&Places::from(&place.directory), &channel()).is_err());
    let mut board = open(&place, 1).unwrap();
    record(&try_writer(&place).unwrap(), 0, 1.0);
    assert_eq!(episodes(&mut board), 1);
}

#[test]
fn channels_have_scoreboards_of_their_own() {
    let _alone = alone();
    let place = Place::new();
    let places = Places::from(&place.directory);
    let other = ChannelName::new("other", 0).unwrap();
    let mut one = open(&place, 1).unwrap();
    let mut two = Scoreboard::open(&places, &other, 4).unwrap();
    record(&try_writer(&place).unwrap(), 0, 1.0);
    record(&ScoreWriter::open(&places, &other).unwrap().unwrap(), 3, 1.0);
    assert_eq!((episodes(&mut one), episodes(&mut two)), (1, 1));
    assert_eq!(Scoreboard::look(&places, &other).unwrap().unwrap().tasks(), 4);
}
