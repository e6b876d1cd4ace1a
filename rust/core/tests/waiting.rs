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
fn a_wait_without_news_ends_with_its_slice() {
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
    assert!(waiter.wait(Duration::from_millis(20)), "a snapshot that came after the waiter was made is news");
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
fn a_killed_sleeper_costs_one_needless_wake_up() {
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
fn waiting_works_without_a_roster_and_with_a_damaged_one() {
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
    std::mem::forget(writer); // its lock file is removed too, so it owns nothing any more
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

/// Number of voluntary context switches of this thread.
fn sleeps() -> u64 {
    // SAFETY: a struct of numbers, for which zeros are valid, and which the call fills.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
        usage.ru_nvcsw as u64
    }
}

#[test]
fn an_idle_waiter_wakes_twice_a_second() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let child = fork(|| {
        let (mut reader, mut out) = (place.reader(), Snapshot::default());
        next(&mut reader, &mut out);
        let (start, before) = (Instant::now(), sleeps());
        while start.elapsed() < Duration::from_secs(4) {
            let waiter = reader.waiter();
            assert!(!reader.read_into(&mut out).unwrap());
            waiter.wait(Waiter::MAX_SLICE);
        }
        let (woken, most) = (sleeps() - before, 2 * start.elapsed().as_secs() + 4);
        assert!(woken <= most, "woken {woken} times, more than {most}");
        0
    });
    assert_eq!(child.join(), 0);
}

/// A lost wake-up costs the rest of the slice. If a sleep ends much earlier, its wake-up was not lost.
#[test]
fn every_event_ends_a_sleep_before_its_slice_is_over() {
    for event in ["publish", "growth", "replacement", "close"] {
        let woken = (0..20).any(|_| {
            let place = Place::new();
            let mut writer = place.writer_verifying(Duration::ZERO);
            publish(&mut writer, 1);
            let sleeper = fork(|| {
                let (mut reader, mut out) = (place.reader(), Snapshot::default());
                next(&mut reader, &mut out);
                let waiter = reader.waiter();
                place.raise("asleep");
                let start = Instant::now();
                while !waiter.wait(Waiter::MAX_SLICE) {}
                i32::from(start.elapsed() < Waiter::MAX_SLICE)
            });
            place.wait_for("asleep");
            std::thread::sleep(Duration::from_millis(20));
            match event {
                "publish" => drop(publish(&mut writer, 2)),
                "growth" => drop(Sample::new(2, 1, 1, 100_000).publish(&mut writer).unwrap()),
                "replacement" => {
                    std::fs::remove_file(place.path("run@3")).unwrap();
                    publish(&mut writer, 2);
                }
                _ => writer.close(),
            }
            sleeper.join() == 1
        });
        assert!(woken, "{event}");
    }
}

/// A newcomer starts a new file, and wakes the sleepers of the old one.
#[test]
fn a_takeover_wakes_sleepers_at_the_dead_writers_file() {
    let place = Place::new();
    place.leave_behind();
    let sleeper = fork(|| {
        let (mut reader, mut out) = (place.reader(), Snapshot::default());
        next(&mut reader, &mut out);
        place.raise("asleep");
        i32::from(next_soon(&mut reader, &mut out).seed != 2)
    });
    place.wait_for("asleep");
    let mut writer = place.writer();
    publish(&mut writer, 2);
    assert_eq!(sleeper.join(), 0);
}

/// The roster is replaced while readers sleep: the writer wakes them, and they announce themselves in the new one.
#[test]
fn a_roster_that_is_replaced_under_sleepers_costs_none_of_them_a_snapshot() {
    let place = Place::new();
    let mut writer = place.writer_verifying(Duration::ZERO);
    publish(&mut writer, 1);
    let sleeper = fork(|| {
        let (mut reader, mut out) = (place.reader(), Snapshot::default());
        (1..=20).all(|seed| {
            let found = next_soon(&mut reader, &mut out).seed == seed;
            place.raise(&format!("read {seed}"));
            found
        }) as i32
            - 1
    });
    for seed in 2..=20 {
        place.wait_for(&format!("read {}", seed - 1));
        std::fs::remove_file(place.path("run@3.roster")).unwrap();
        publish(&mut writer, seed);
    }
    assert_eq!(sleeper.join(), 0);
}
