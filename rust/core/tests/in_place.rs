//! A file system without room for a second file: a new writer may use the previous writer's file if that writer is known to be
//! dead, and never otherwise.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;
#[path = "fuzz/targets/input.rs"]
#[allow(dead_code, reason = "the fuzzers make their values from bytes")]
mod input;
mod node;
#[path = "fuzz/targets/value.rs"]
#[allow(dead_code, reason = "as above")]
mod value;

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use common::machine::small_tmpfs;
use common::{FILES, Place, Sample, fork, next, publish, until};
use node::{Node, Publisher, info, seed_of};
use traincast_core::error::Error;
use traincast_core::inspect::list;
use traincast_core::layout::{WORD, header};
use traincast_core::numbering::{Epoch, Version};
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Leftover, Writer};

/// Room for one segment of the default size and the three other files, but not for another segment of any size.
const CRAMPED: u32 = 260 + 4 + 4 + 12;

fn inode(place: &Place) -> u64 {
    std::fs::metadata(place.path("run@3")).unwrap().ino()
}

fn header_word(place: &Place, index: usize) -> u64 {
    let bytes = std::fs::read(place.path("run@3")).unwrap();
    u64::from_le_bytes(*bytes[index * WORD..].first_chunk().unwrap())
}

/// A writer in a process of its own, which dies after it has published what `publish` does.
fn dies_after(place: &Place, publish: impl FnOnce(&mut Writer)) {
    let child = fork(|| {
        let mut writer = place.writer();
        publish(&mut writer);
        std::mem::forget(writer);
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn without_room_a_writer_goes_on_in_the_file_of_a_dead_one_and_mixes_no_shapes() {
    let place = Place::new();
    let child = fork(|| {
        small_tmpfs(place.directory.path(), CRAMPED);
        // Shape id 1 means another structure for each of the writers: `info` has five.
        dies_after(&place, |writer| {
            for seed in [5, 10, 15, 20, 25] {
                Publisher::default().publish(writer, &info(seed)).unwrap();
            }
        });
        let (file, mut reader) = (inode(&place), Node::attach(&place));
        let (mut last, value) = reader.read().unwrap();
        assert_eq!((last.version, seed_of(&value)), (Version(5), 25));
        for life in 1..=4_u64 {
            dies_after(&place, |writer| {
                assert_eq!(writer.epoch(), Epoch(1 + life));
                for turn in 1..=6 {
                    Publisher::default().publish(writer, &info(100 * life + 5 * turn + life % 5)).unwrap();
                }
            });
            assert_eq!(inode(&place), file, "in place");
            assert_eq!(header_word(&place, header::TAKEOVERS), 1 + life);
            let (stamp, value) = reader.read().unwrap();
            assert!(stamp > last);
            assert_eq!((stamp.version, stamp.epoch), (Version(5 + 6 * life), Epoch(1 + life)));
            assert_eq!(seed_of(&value), 100 * life + 30 + life % 5);
            assert_eq!(seed_of(&Node::attach(&place).read().unwrap().1), seed_of(&value));
            last = stamp;
        }
        assert_eq!(place.files(), FILES);
        // As its owner, a writer can do everything there: publish, refuse a snapshot that is too large, close.
        let mut writer = place.writer_verifying(Duration::ZERO);
        let mut publisher = Publisher::default();
        for seed in 1000..1010 {
            publisher.publish(&mut writer, &info(seed)).unwrap();
            assert_eq!(seed_of(&reader.read().unwrap().1), seed);
        }
        assert!(matches!(Sample::new(1, 9, 4, 100_000).publish(&mut writer), Err(Error::StorageFull { .. })));
        assert_eq!(list(&place.directory).unwrap()[0].writer_pid, std::process::id());
        writer.close();
        assert!(reader.reader.closed());
        assert_eq!(place.files(), [""; 0]);
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn with_room_a_writer_always_starts_a_new_file() {
    let place = Place::new();
    dies_after(&place, |writer| assert_eq!(publish(writer, 1), 1));
    let file = inode(&place);
    let mut writer = place.writer();
    assert_eq!(inode(&place), file, "the dead writer's file stays until the first snapshot");
    publish(&mut writer, 2);
    assert_ne!(inode(&place), file);
}

#[test]
fn without_room_the_file_of_a_living_writer_is_not_stored_into() {
    let place = Place::new();
    let child = fork(|| {
        small_tmpfs(place.directory.path(), CRAMPED);
        let learner = fork(|| {
            let mut writer = place.writer_verifying(Duration::MAX);
            publish(&mut writer, 1);
            drop(std::fs::File::open(place.path("run@3.lock")).unwrap()); // and with it the lock
            std::fs::write(place.path(".lost"), "").unwrap();
            until(|| place.path(".taken").exists());
            let error = Sample::new(2, 1, 4, 0).publish(&mut writer).unwrap_err();
            assert!(matches!(error, Error::ChannelLost { .. }), "{error}");
            std::fs::write(place.path(".told"), "").unwrap();
            until(|| place.path(".dead").exists());
            0
        });
        until(|| place.path(".lost").exists());
        let (mut reader, mut out) = (place.reader(), Snapshot::default());
        next(&mut reader, &mut out);
        let mut writer = place.writer();
        std::fs::write(place.path(".taken"), "").unwrap();
        until(|| place.path(".told").exists());
        for _ in 0..3 {
            let error = Sample::new(3, 1, 4, 0).publish(&mut writer).unwrap_err();
            assert!(matches!(error, Error::StorageFull { .. }), "{error}");
            assert!(!reader.read_into(&mut out).unwrap());
        }
        drop(writer);
        std::fs::write(place.path(".dead"), "").unwrap();
        assert_eq!(learner.join(), 0);
        0
    });
    assert_eq!(child.join(), 0);
}

/// A replaced file has no name any more, and nobody stores into it.
#[test]
fn without_room_a_replaced_file_is_not_stored_into() {
    let place = Place::new();
    let child = fork(|| {
        small_tmpfs(place.directory.path(), CRAMPED);
        dies_after(&place, |writer| assert_eq!(publish(writer, 1), 1));
        let (mut reader, mut out) = (place.reader(), Snapshot::default());
        next(&mut reader, &mut out);
        let mut writer = place.try_writer(Leftover::Replace).unwrap();
        // The reader has the file mapped, so its storage is not free.
        let error = Sample::new(2, 1, 4, 0).publish(&mut writer).unwrap_err();
        assert!(matches!(error, Error::StorageFull { .. }), "{error}");
        assert!(!reader.read_into(&mut out).unwrap());
        0
    });
    assert_eq!(child.join(), 0);
}
