//! Publishing and reading, growing, closing, taking over: all in one process.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Place, Sample, channel, next, publish, verify};
use traincast_core::directory::ChannelName;
use traincast_core::error::Error;
use traincast_core::reader::{Reader, Refresh, SlotBuffer};
use traincast_core::writer::{Leftover, Writer, WriterOptions};

#[test]
fn a_reader_gets_each_snapshot_once() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = SlotBuffer::default();
    assert_eq!((writer.version(), writer.epoch()), (0, 1));
    assert_eq!(publish(&mut writer, 10), 1);
    let mut reader = place.reader();
    let (meta, seed) = next(&mut reader, &mut out);
    assert_eq!((meta.version, meta.epoch, seed), (1, 1, 10));
    assert_eq!(reader.refresh(meta.shape_id, &mut out).unwrap(), Refresh::Unchanged);
    for version in 2..20 {
        assert_eq!(publish(&mut writer, 10 * version), version);
        assert_eq!(reader.head(), version << 2);
        let (meta, seed) = next(&mut reader, &mut out);
        assert_eq!((meta.version, seed), (version, 10 * version));
    }
    assert_eq!(reader.head(), reader.head_cell().load());
    assert_eq!(reader.version(), 19);
    assert_eq!(reader.published_ns() / 1_000_000_000, traincast_core::now_ns() / 1_000_000_000);
}

#[test]
fn a_channel_is_invisible_before_its_first_snapshot() {
    let place = Place::new();
    let mut writer = place.writer();
    assert_eq!(place.files(), ["run@3.lock"]);
    let error = Reader::attach(&place.directory, channel(), Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::ChannelNotFound { .. }), "{error}");
    assert!(error.to_string().contains("\"run\" (policy 3)"), "{error}");
    publish(&mut writer, 1);
    assert_eq!(place.files(), ["run@3", "run@3.lock", "run@3.roster"]);
    place.reader();
}

#[test]
fn a_known_shape_is_not_copied_and_an_unknown_one_is() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = SlotBuffer::default();
    Sample::new(1, 7, 4, 0).publish(&mut writer).unwrap();
    let mut reader = place.reader();
    let (first, _) = next(&mut reader, &mut out);
    let marker = vec![42];
    for seed in 2..12 {
        Sample::new(seed, 7, 4, 0).publish(&mut writer).unwrap();
        out.shape = marker.clone();
        assert!(matches!(reader.refresh(first.shape_id, &mut out).unwrap(), Refresh::Snapshot));
        assert_eq!(out.shape, marker);
    }
    // Round and round with two shapes: each slot's shape is its snapshot's, for one who knows none.
    for seed in 12..40 {
        Sample::new(seed, 7 + seed / 3 % 2, 4, 0).publish(&mut writer).unwrap();
        assert_eq!(next(&mut reader, &mut out).1, seed);
        assert_eq!(out.shape.len(), 3);
    }
}

#[test]
fn a_snapshot_that_does_not_fit_moves_the_channel_to_a_bigger_file() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = SlotBuffer::default();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    next(&mut reader, &mut out);
    let small = std::fs::metadata(place.path("run@3")).unwrap().len();
    assert_eq!(small, 266_240);
    let key = reader.generation_key();
    let head = reader.head_cell();
    for (version, bytes) in [(2, 100_000), (3, 100), (4, 1_000_003), (5, 5)] {
        assert_eq!(Sample::new(version, 1, 4, bytes).publish(&mut writer).unwrap(), version);
        let (meta, seed) = next(&mut reader, &mut out);
        assert_eq!(
            (meta.version, meta.epoch, seed, out.blobs.bytes().len()),
            (version, 1, version, bytes.div_ceil(8) * 8)
        );
    }
    assert_eq!(head.load(), 1 << 2 | 2, "the old file says that it is superseded");
    assert_ne!(reader.generation_key(), key);
    assert_eq!(std::fs::metadata(place.path("run@3")).unwrap().len(), 4096 + 4 * (1 << 20));
    assert_eq!(place.files(), ["run@3", "run@3.lock", "run@3.roster"]);
}

#[test]
fn a_snapshot_over_the_maximum_is_refused_and_nothing_changes() {
    let place = Place::new();
    let options = WriterOptions { max_capacity: 100_000, ..WriterOptions::default() };
    let mut writer = Writer::open(&place.directory, channel(), options).unwrap();
    let mut out = SlotBuffer::default();
    let too_large = Sample::new(9, 1, 4, 120_000);
    assert!(too_large.publish(&mut writer).is_err());
    assert_eq!(place.files(), ["run@3.lock"]);
    publish(&mut writer, 1);
    let error = too_large.publish(&mut writer).unwrap_err();
    assert!(matches!(error, Error::PayloadTooLarge { .. }));
    let text = error.to_string();
    assert!(
        text.contains("needs 120120 bytes")
            && text.contains("100000")
            && text.contains("max_capacity=131072"),
        "{text}"
    );
    let mut reader = place.reader();
    assert_eq!(next(&mut reader, &mut out).1, 1);
    // Between the doubled size and the maximum there is room.
    assert_eq!(Sample::new(2, 1, 4, 99_000).publish(&mut writer).unwrap(), 2);
    assert_eq!(next(&mut reader, &mut out).1, 2);
}

#[test]
fn closing_leaves_readers_their_snapshot_and_no_file() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = SlotBuffer::default();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    publish(&mut writer, 2);
    assert!(reader.writer_alive().unwrap() && !reader.closed());
    writer.close();
    writer.close();
    assert!(writer.is_closed() && reader.closed() && !reader.writer_alive().unwrap());
    assert!(place.files().is_empty());
    assert_eq!(next(&mut reader, &mut out).1, 2);
    assert_eq!(reader.refresh(0, &mut out).unwrap(), Refresh::Unchanged);
    let error = Sample::new(1, 1, 1, 0).publish(&mut writer).unwrap_err();
    assert!(matches!(error, Error::ChannelClosed { .. }), "{error}");
    // A later channel of that name: the reader moves over.
    let mut writer = place.writer();
    assert_eq!(reader.refresh(0, &mut out).unwrap(), Refresh::Unchanged);
    publish(&mut writer, 77);
    assert_eq!(next(&mut reader, &mut out).1, 77);
    assert!(!reader.closed());
}

#[test]
fn a_reader_that_slept_through_growth_and_close_sees_that_the_channel_is_closed() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let reader = place.reader();
    Sample::new(2, 1, 1, 100_000).publish(&mut writer).unwrap();
    assert!(!reader.closed());
    drop(writer);
    assert!(reader.closed());
}

#[test]
fn a_second_writer_in_the_process_is_refused() {
    let place = Place::new();
    let mut writer = place.writer();
    for _ in 0..3 {
        let error = place.try_writer(Leftover::Replace).unwrap_err();
        assert!(matches!(error, Error::ChannelBusy { .. }), "{error}");
        assert!(error.to_string().contains("in this process"), "{error}");
    }
    publish(&mut writer, 1);
    assert!(place.reader().writer_alive().unwrap());
    let other = ChannelName::new("run", 4).unwrap();
    Writer::open(&place.directory, other, WriterOptions::default()).unwrap();
    drop(writer);
    place.writer();
}

#[test]
fn arrays_keep_what_they_show() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = SlotBuffer::default();
    Sample::new(1, 1, 1, 1000).publish(&mut writer).unwrap();
    let mut reader = place.reader();
    let mut held = Vec::new();
    for seed in 2..30 {
        let (meta, _) = next(&mut reader, &mut out);
        assert_eq!(out.blobs.words().as_ptr().align_offset(64), 0);
        held.push((meta, Arc::clone(&out.blobs), out.blobs.words().to_vec()));
        Sample::new(seed, 1, 1, 1000 + seed as usize).publish(&mut writer).unwrap();
        for (_, blobs, words) in &held {
            assert_eq!(blobs.words(), words);
        }
        if seed % 5 == 0 {
            held.clear();
        }
    }
}

#[test]
fn numbering_goes_on_above_a_saved_state() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = SlotBuffer::default();
    writer.resume_at(40, 3).unwrap();
    assert_eq!(publish(&mut writer, 1), 41);
    assert_eq!(writer.epoch(), 4);
    let mut reader = place.reader();
    assert_eq!(next(&mut reader, &mut out).0.version, 41);
    for (given, gets) in [(10, 42), (49, 50), (51, 52), (200, 201)] {
        writer.resume_at(given, 1).unwrap();
        assert_eq!(publish(&mut writer, given), gets);
        let (meta, seed) = next(&mut reader, &mut out);
        assert_eq!((meta.version, meta.epoch, seed), (gets, 4, given));
        assert_eq!(publish(&mut writer, 5), gets + 1);
        assert_eq!(next(&mut reader, &mut out).0.version, gets + 1);
        if given == 10 {
            writer.resume_at(0, 0).unwrap();
            assert_eq!(publish(&mut writer, 6), 44);
            next(&mut reader, &mut out);
        }
    }
    assert!(writer.resume_at(u64::MAX, 1).is_err());
}

#[test]
fn the_writer_finds_its_own_newest_snapshot() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = SlotBuffer::default();
    assert_eq!(writer.latest(&mut out).unwrap(), None);
    for seed in 1..10 {
        Sample::new(seed, seed, 3, 33).publish(&mut writer).unwrap();
        let meta = writer.latest(&mut out).unwrap().unwrap();
        assert_eq!((meta.version, verify(&meta, &out)), (seed, seed));
    }
}

#[test]
fn readers_of_a_process_share_a_mapping() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let readers: Vec<_> = (0..4096).map(|_| place.reader()).collect();
    assert!(readers.iter().all(|reader| reader.generation_key() == readers[0].generation_key()));
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mine = place.path("run@3");
    let mapped = maps.lines().filter(|line| line.ends_with(mine.to_str().unwrap())).count();
    assert_eq!(mapped, 2, "the writer's and the readers'");
    assert!(size_of::<Reader>() <= 256);
}
