//! Writers and readers in processes of their own, killed and forked.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use common::{FILES, Place, Sample, channel, fork, next, next_polled, publish, until, watchdog};
use traincast_core::directory::ChannelName;
use traincast_core::error::Error;
use traincast_core::layout::header;
use traincast_core::numbering::{Epoch, Position, Stamp, Version};
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Leftover, Writer, WriterOptions};

fn forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

#[test]
fn a_new_writer_takes_over_from_a_killed_one() {
    let place = Place::new();
    let mut out = Snapshot::default();
    let child = fork(|| {
        let mut writer = place.writer();
        for seed in 1..=5 {
            publish(&mut writer, seed);
        }
        forever()
    });
    let mut reader = place.reader_soon();
    until(|| reader.head().position() == Position(5));
    let error = place.try_writer(Leftover::Continue).unwrap_err();
    assert!(matches!(error, Error::ChannelBusy { .. }));
    assert!(error.to_string().contains(&format!("process {}", child.pid)), "{error}");
    assert!(reader.writer_alive().unwrap());
    child.kill();
    assert!(!reader.writer_alive().unwrap() && !reader.closed());
    let found = next(&mut reader, &mut out);
    let term = found.stamp().term;
    assert_eq!(found.seed, 5);
    assert!(matches!(place.try_writer(Leftover::Refuse), Err(Error::ChannelExists { version: 5, .. })));
    let mut writer = place.writer();
    assert_eq!((writer.version(), writer.epoch()), (Version(5), Epoch(2)));
    let mut latest = Snapshot::default();
    assert!(writer.latest(&mut latest).unwrap() && common::verify(&latest).version() == 5);
    assert!(reader.writer_alive().unwrap());
    assert_eq!(publish(&mut writer, 66), 6);
    let key = reader.segment_key();
    let found = next(&mut reader, &mut out);
    assert_eq!((found.version(), found.epoch(), found.seed), (6, 2, 66));
    assert_eq!(found.stamp().term, term, "the channel's term goes on");
    assert_ne!(reader.segment_key(), key, "two writers never store into one file");
}

#[test]
fn a_writer_is_dead_although_its_forked_children_live() {
    let place = Place::new();
    let child = fork(|| {
        let mut writer = place.writer();
        let orphan = fork(|| forever());
        std::fs::write(place.path(".orphan"), orphan.pid.to_string()).unwrap();
        publish(&mut writer, 1);
        forever()
    });
    let mut reader = place.reader_soon();
    let orphan: i32 = std::fs::read_to_string(place.path(".orphan")).unwrap().parse().unwrap();
    child.kill();
    // SAFETY: signal 0 only checks that the process exists.
    assert_eq!(unsafe { libc::kill(orphan, 0) }, 0, "the orphan lives");
    assert!(!reader.writer_alive().unwrap());
    assert_eq!(publish(&mut place.writer(), 2), 2);
    // SAFETY: the orphan that this test made.
    unsafe { libc::kill(orphan, libc::SIGKILL) };
}

#[test]
fn a_forked_child_cannot_write_with_its_parents_writer() {
    let place = Place::new();
    let mut out = Snapshot::default();
    let mut writer = Some(place.writer());
    publish(writer.as_mut().unwrap(), 1);
    let mut reader = place.reader();
    let child = fork(|| {
        let mut writer = writer.take().unwrap();
        assert!(matches!(Sample::new(2, 1, 1, 0).publish(&mut writer), Err(Error::ForkedWriter { .. })));
        assert!(writer.check_fork().is_err());
        writer.close();
        assert!(!writer.is_closed());
        drop(writer);
        assert!(matches!(place.try_writer(Leftover::Replace), Err(Error::ChannelBusy { .. })));
        assert!(reader.writer_alive().unwrap());
        assert_eq!(next(&mut reader, &mut out).seed, 1);
        let other = ChannelName::new("child", 0).unwrap();
        let mut other = Writer::open(&place.directory, other, WriterOptions::default()).unwrap();
        publish(&mut other, 1);
        // A grandchild: the same again.
        let grandchild = fork(|| i32::from(Sample::new(1, 1, 1, 0).publish(&mut other).is_ok()));
        assert_eq!(grandchild.join(), 0);
        publish(&mut other, 2);
        0
    });
    assert_eq!(child.join(), 0);
    let writer = writer.as_mut().unwrap();
    assert_eq!(publish(writer, 3), 2);
    assert_eq!(next(&mut reader, &mut out).seed, 3);
    assert!(place.is_busy_for_another(), "the parent's lock is still held");
}

#[test]
fn a_forked_child_takes_over_its_dead_parents_channel_and_holds_it() {
    let place = Place::new();
    let parent = fork(|| {
        let mut writer = place.writer();
        publish(&mut writer, 1);
        let child = fork(|| {
            let mut mine = loop {
                match place.try_writer(Leftover::Continue) {
                    Ok(mine) => break mine,
                    Err(Error::ChannelBusy { .. }) => std::thread::sleep(Duration::from_millis(1)),
                    Err(error) => panic!("{error}"),
                }
            };
            publish(&mut mine, 2);
            drop(place.reader()); // this opens and closes files, and the lock must survive that
            forever()
        });
        std::fs::write(place.path(".child"), child.pid.to_string()).unwrap();
        std::mem::forget(child);
        std::mem::forget(writer);
        0
    });
    assert_eq!(parent.join(), 0);
    let child: i32 = std::fs::read_to_string(place.path(".child")).unwrap().parse().unwrap();
    let mut reader = place.reader();
    let mut out = Snapshot::default();
    until(|| reader.read_into(&mut out).unwrap() && common::verify(&out).seed == 2);
    assert!(reader.writer_alive().unwrap());
    assert!(place.is_busy_for_another());
    // SAFETY: the child that this test made.
    unsafe { libc::kill(child, libc::SIGKILL) };
    until(|| !reader.writer_alive().unwrap());
    assert!(!place.is_busy_for_another());
}

#[test]
fn looking_at_a_channel_does_not_drop_its_lock() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    for _ in 0..5 {
        assert!(reader.writer_alive().unwrap());
        assert_eq!(traincast_core::inspect::list(&place.directory).unwrap().len(), 1);
        assert!(traincast_core::inspect::leftovers(&place.directory).unwrap().is_empty());
        assert!(place.try_writer(Leftover::Continue).is_err());
    }
    assert!(place.is_busy_for_another());
}

#[test]
fn replacing_hides_the_old_run_and_moves_its_readers() {
    let place = Place::new();
    let mut out = Snapshot::default();
    fork(|| {
        let mut writer = place.writer();
        publish(&mut writer, 1);
        publish(&mut writer, 2);
        std::mem::forget(writer);
        0
    })
    .join();
    let mut reader = place.reader();
    let before = next(&mut reader, &mut out).stamp();
    assert_eq!(before.version, Version(2));
    let mut writer = place.try_writer(Leftover::Replace).unwrap();
    assert_eq!((writer.version(), writer.epoch()), (Version(0), Epoch(1)));
    assert!(!writer.latest(&mut Snapshot::default()).unwrap());
    assert!(!reader.read_into(&mut out).unwrap());
    assert!(!reader.closed());
    let late = traincast_core::reader::Reader::attach(&place.directory, channel(), Duration::ZERO);
    assert!(matches!(late, Err(Error::ChannelNotFound { .. })));
    assert_eq!(publish(&mut writer, 9), 1);
    let found = next_polled(&mut reader, &mut out);
    assert_eq!((found.version(), found.epoch(), found.seed), (1, 1, 9));
    assert!(found.stamp() > before, "a later term of the channel, in which the numbers begin again");
}

/// Sets the head of a file that may no longer have a name.
fn set_head(file: &std::fs::File, head: u64) {
    std::os::unix::fs::FileExt::write_all_at(file, &head.to_le_bytes(), 8 * header::HEAD as u64).unwrap();
}

/// A writer is killed after the larger file has the name, and before it has marked the old one.
#[test]
fn readers_find_a_larger_file_whose_writer_died_before_it_marked_the_old_one() {
    let place = Place::new();
    let mut out = Snapshot::default();
    let child = fork(|| {
        let mut writer = place.writer();
        publish(&mut writer, 1);
        until(|| place.path(".attached").exists());
        Sample::new(2, 1, 1, 100_000).publish(&mut writer).unwrap();
        std::mem::forget(writer);
        0
    });
    let mut reader = place.reader_soon();
    assert_eq!(next(&mut reader, &mut out).seed, 1);
    let old = std::fs::OpenOptions::new().write(true).open(place.path("run@3")).unwrap();
    std::fs::write(place.path(".attached"), "").unwrap();
    assert_eq!(child.join(), 0);
    set_head(&old, 1 << 2);
    assert_eq!(next_polled(&mut reader, &mut out).seed, 2);
}

/// The file's mark says that there is a newer file, but there is none.
#[test]
fn a_mark_without_a_successor_stops_no_reader_and_no_writer() {
    let place = Place::new();
    let mut out = Snapshot::default();
    fork(|| {
        let mut writer = place.writer();
        publish(&mut writer, 1);
        publish(&mut writer, 2);
        std::mem::forget(writer);
        0
    })
    .join();
    let mut reader = place.reader();
    assert_eq!(next(&mut reader, &mut out).seed, 2);
    set_head(&std::fs::OpenOptions::new().write(true).open(place.path("run@3")).unwrap(), 2 << 2 | 2);
    std::fs::write(place.path(".run@3.1.2.tmp"), "half").unwrap();
    // Attached readers and new ones go on with the last snapshot.
    for _ in 0..3 {
        assert!(!reader.read_into(&mut out).unwrap());
        assert!(!reader.waiter().wait(Duration::from_millis(1)));
    }
    assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 2);
    assert!(!reader.closed());
    let mut writer = place.writer();
    assert_eq!((writer.version(), writer.epoch()), (Version(2), Epoch(2)));
    assert_eq!(place.files(), FILES);
    assert!(!reader.read_into(&mut out).unwrap());
    let key = reader.segment_key();
    assert_eq!(publish(&mut writer, 3), 3);
    assert_eq!(next_polled(&mut reader, &mut out).seed, 3);
    assert_ne!(reader.segment_key(), key);
    assert_eq!(traincast_core::inspect::list(&place.directory).unwrap()[0].generation, 2);
}

#[test]
fn killed_at_random_moments_nothing_is_torn_and_versions_never_go_back() {
    watchdog();
    let place = Place::new();
    let mut out = Snapshot::default();
    let mut reader = None;
    let (mut last, mut seed) = (Stamp::default(), 0x9e37u64);
    for round in 0..40u64 {
        let child = fork(|| {
            let mut writer = place.writer();
            loop {
                let version = writer.version().get() + 1;
                // Now and then too large for the file, so that some kills happen during growth.
                let blob =
                    if version.is_multiple_of(997) { 70_000 << (round % 2) } else { version as usize % 4000 };
                Sample::new(version, version % 5 + 1, 16, blob).publish(&mut writer).unwrap();
            }
        });
        let reader = reader.get_or_insert_with(|| place.reader_soon());
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let end = std::time::Instant::now() + Duration::from_micros(seed >> 33 & 0x7fff);
        while std::time::Instant::now() < end {
            if reader.read_into(&mut out).unwrap() {
                let found = common::verify(&out);
                assert_eq!(found.seed, found.version());
                assert!(found.stamp() > last, "{} after {last}", found.stamp());
                last = found.stamp();
            }
        }
        child.kill();
        let mut late = place.reader();
        assert!(next(&mut late, &mut Snapshot::default()).stamp() >= last);
    }
    let mut writer = place.writer();
    publish(&mut writer, 1);
    assert_eq!(place.files(), FILES, "drafts of dead writers are gone");
    assert!(writer.version() > last.version);
}

#[test]
fn readers_verify_every_snapshot_of_a_writer_that_never_pauses() {
    watchdog();
    for (values, blob, reads) in [(1, 0, 3000), (8, 0, 3000), (64, 1000, 1000), (16, 100_000, 100)] {
        let place = Place::new();
        let child = fork(|| {
            let mut writer = place.writer();
            loop {
                let version = writer.version().get() + 1;
                Sample::new(version, 1, values, blob).publish(&mut writer).unwrap();
            }
        });
        let readers: Vec<_> = (0..2).map(|_| place.reader_soon()).collect();
        std::thread::scope(|scope| {
            for mut reader in readers {
                scope.spawn(move || {
                    let (mut out, mut last, mut verified) = (Snapshot::default(), 0, 0);
                    while verified < reads {
                        if reader.read_into(&mut out).unwrap() {
                            let found = common::verify(&out);
                            assert!(found.seed == found.version() && found.seed > last);
                            (last, verified) = (found.seed, verified + 1);
                        }
                    }
                });
            }
        });
        child.kill();
    }
}

#[test]
fn forks_while_other_threads_open_and_close_channels_leave_no_child_stuck() {
    watchdog();
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for i in 0..2 {
            let (place, stop) = (&place, &stop);
            scope.spawn(move || {
                let name = ChannelName::new("busy", i).unwrap();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let mut own =
                        Writer::open(&place.directory, name.clone(), WriterOptions::default()).unwrap();
                    publish(&mut own, 1);
                    drop(place.reader());
                }
            });
        }
        for _ in 0..100 {
            let child = fork(|| {
                let mut out = Snapshot::default();
                let mut reader = place.reader();
                next(&mut reader, &mut out);
                i32::from(!reader.writer_alive().unwrap())
            });
            assert_eq!(child.join(), 0);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
