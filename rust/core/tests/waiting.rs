//! Sleeping until something is published.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::{Duration, Instant};

use common::{Place, Sample, fork, next, next_soon, publish, until};
use traincast_core::reader::Waiter;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::Leftover;

#[test]
fn a_slice_ends_without_news() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    next(&mut reader, &mut Snapshot::default());
    let start = Instant::now();
    let waited = (0..3).any(|_| reader.waiter().wait(Duration::from_millis(20)));
    assert!(!waited && start.elapsed() >= Duration::from_millis(20));
    let waiter = reader.waiter();
    publish(&mut writer, 2);
    assert!(waiter.wait(Duration::from_millis(20)), "what came after it was made is news");
}

#[test]
fn two_processes_wake_each_other() {
    let ping = Place::new();
    let pong = Place::new();
    let rounds = 500;
    let child = fork(|| {
        let mut out = Snapshot::default();
        let mut reader = ping.reader_soon();
        let mut writer = pong.writer();
        for round in 1..=rounds {
            let found = next_soon(&mut reader, &mut out);
            assert_eq!((found.version(), found.seed), (round, round));
            publish(&mut writer, found.seed);
        }
        std::mem::forget(writer);
        0
    });
    let mut out = Snapshot::default();
    let mut writer = ping.writer();
    publish(&mut writer, 1);
    let mut reader = pong.reader_soon();
    for round in 1..=rounds {
        assert_eq!(next_soon(&mut reader, &mut out).seed, round);
        if round < rounds {
            publish(&mut writer, round + 1);
        }
    }
    assert_eq!(child.join(), 0);
}

#[test]
fn growth_replacement_and_close_wake_sleepers() {
    let place = Place::new();
    let mut out = Snapshot::default();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    next(&mut reader, &mut out);
    std::thread::scope(|scope| {
        let grown = scope.spawn(|| next_soon(&mut reader, &mut out));
        std::thread::sleep(Duration::from_millis(5));
        Sample::new(2, 1, 1, 100_000).publish(&mut writer).unwrap();
        assert_eq!(grown.join().unwrap().seed, 2);
    });
    std::thread::scope(|scope| {
        let closed = scope.spawn(|| {
            let waiter = reader.waiter();
            while !waiter.wait(Waiter::MAX_SLICE) {}
            assert!(reader.closed());
            next_soon(&mut reader, &mut out)
        });
        std::thread::sleep(Duration::from_millis(5));
        drop(writer);
        std::thread::sleep(Duration::from_millis(5));
        let mut writer = place.writer();
        publish(&mut writer, 7);
        let found = closed.join().unwrap();
        assert_eq!((found.version(), found.seed), (1, 7));
    });
}

#[test]
fn a_killed_sleeper_costs_one_spare_wake_up() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let child = fork(|| {
        let mut reader = place.reader();
        let mut out = Snapshot::default();
        next_soon(&mut reader, &mut out);
        std::fs::write(place.path(".asleep"), "").unwrap();
        next_soon(&mut reader, &mut out);
        1
    });
    let waiters = || {
        let bytes = std::fs::read(place.path("run@3.roster")).unwrap();
        u64::from_le_bytes(bytes[64..72].try_into().unwrap())
    };
    until(|| place.path(".asleep").exists() && waiters() == 1);
    child.kill();
    publish(&mut writer, 2);
    assert_eq!(waiters(), 0);
    publish(&mut writer, 3);
    assert_eq!(waiters(), 0);
}

#[test]
fn waiting_works_without_a_roster_and_with_a_spoiled_one() {
    for content in [None, Some(&[][..]), Some(&[0xff; 5000][..]), Some(&[0; 4096][..])] {
        let place = Place::new();
        let mut out = Snapshot::default();
        let mut writer = place.writer();
        publish(&mut writer, 1);
        std::fs::remove_file(place.path("run@3.roster")).unwrap();
        if let Some(content) = content {
            std::fs::write(place.path("run@3.roster"), content).unwrap();
        }
        let mut reader = place.reader();
        next(&mut reader, &mut out);
        std::thread::scope(|scope| {
            let got = scope.spawn(|| next_soon(&mut reader, &mut out));
            std::thread::sleep(Duration::from_millis(5));
            publish(&mut writer, 2);
            assert_eq!(got.join().unwrap().seed, 2);
        });
    }
}

#[test]
fn a_file_replaced_without_a_mark_is_found() {
    let place = Place::new();
    let mut out = Snapshot::default();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    next(&mut reader, &mut out);
    std::mem::forget(writer); // its lock file goes too, so it owns nothing any more
    for file in place.files() {
        std::fs::remove_file(place.path(&file)).unwrap();
    }
    let child = fork(|| {
        let mut writer = place.try_writer(Leftover::Continue).unwrap();
        publish(&mut writer, 5);
        std::mem::forget(writer);
        0
    });
    let found = next_soon(&mut reader, &mut out);
    assert_eq!((found.version(), found.seed), (1, 5));
    assert_eq!(child.join(), 0);
}
