//! Publishing and reading, growing, closing, taking over: all in one process.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{FILES, Place, Sample, channel, next, next_polled, publish, verify};
use traincast_core::directory::ChannelName;
use traincast_core::error::Error;
use traincast_core::numbering::{Epoch, Position, Version};
use traincast_core::reader::Reader;
use traincast_core::ring::seqlock::Head;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Leftover, Writer, WriterOptions};

#[test]
fn a_reader_gets_each_snapshot_once() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = Snapshot::default();
    assert_eq!((writer.version(), writer.epoch()), (Version(0), Epoch(1)));
    assert_eq!(publish(&mut writer, 10), 1);
    let mut reader = place.reader();
    let found = next(&mut reader, &mut out);
    assert_eq!((found.version(), found.epoch(), found.position(), found.seed), (1, 1, 1, 10));
    assert!(!reader.read_into(&mut out).unwrap());
    for version in 2..20 {
        assert_eq!(publish(&mut writer, 10 * version), version);
        assert_eq!(reader.head(), Head::of(Position(version)));
        let found = next(&mut reader, &mut out);
        assert_eq!((found.version(), found.seed), (version, 10 * version));
    }
    assert_eq!(reader.head(), reader.head_ref().load());
    assert!(traincast_core::now_ns() - out.meta.published_ns < 600_000_000_000);
    assert!(unix_ns().abs_diff(out.meta.published_unix_ns) < 600_000_000_000);
}

fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// One reader serves several snapshots, each of which says what its owner has seen.
#[test]
fn each_snapshot_is_a_cursor_of_its_own() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    let (mut first, mut second) = (Snapshot::default(), Snapshot::default());
    assert!(!first.is_filled());
    assert_eq!(next(&mut reader, &mut first).seed, 1);
    publish(&mut writer, 2);
    assert_eq!(next(&mut reader, &mut second).seed, 2);
    assert_eq!(next(&mut reader, &mut first).seed, 2);
    assert!(!reader.read_into(&mut first).unwrap() && !reader.read_into(&mut second).unwrap());
    first.forget();
    assert!(reader.read_into(&mut first).unwrap(), "copied anew");
    assert_eq!(verify(&first).seed, 2);
}

#[test]
fn a_channel_is_invisible_before_its_first_snapshot() {
    let place = Place::new();
    let mut writer = place.writer();
    assert_eq!(place.files(), ["run@3.lock", "run@3.owner"]);
    let error = Reader::attach(&place.directory, channel(), Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::ChannelNotFound { .. }), "{error}");
    assert!(error.to_string().contains("\"run\" (policy 3)"), "{error}");
    publish(&mut writer, 1);
    assert_eq!(place.files(), FILES);
    place.reader();
}

#[test]
fn a_known_shape_is_not_copied_and_an_unknown_one_is() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = Snapshot::default();
    Sample::new(1, 7, 4, 0).publish(&mut writer).unwrap();
    let mut reader = place.reader();
    next(&mut reader, &mut out);
    let marker = vec![42];
    for seed in 2..12 {
        Sample::new(seed, 7, 4, 0).publish(&mut writer).unwrap();
        out.shape.clone_from(&marker);
        assert!(reader.read_into(&mut out).unwrap());
        assert_eq!(out.shape, marker);
    }
    out.forget();
    // Round the ring with two shapes: a reader that knows neither finds the right one in each slot.
    for seed in 12..40 {
        Sample::new(seed, 7 + seed / 3 % 2, 4, 0).publish(&mut writer).unwrap();
        if seed % 2 == 0 {
            out.forget();
        }
        assert_eq!(next(&mut reader, &mut out).seed, seed);
    }
}

#[test]
fn a_snapshot_that_does_not_fit_moves_the_channel_to_a_bigger_file() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = Snapshot::default();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    next(&mut reader, &mut out);
    let small = std::fs::metadata(place.path("run@3")).unwrap().len();
    assert_eq!(small, 266_240);
    let key = reader.segment_key();
    let head = reader.head_ref();
    for (version, bytes) in [(2, 100_000), (3, 100), (4, 1_000_003), (5, 5)] {
        assert_eq!(Sample::new(version, 1, 4, bytes).publish(&mut writer).unwrap(), version);
        let found = next(&mut reader, &mut out);
        assert_eq!(
            (found.version(), found.epoch(), found.seed, out.blobs.bytes().len()),
            (version, 1, version, bytes.div_ceil(8) * 8)
        );
    }
    assert_eq!(head.load(), Head::from_bits(1 << 2 | Head::SUCCEEDED), "the old file is marked");
    assert_ne!(reader.segment_key(), key);
    assert_eq!(place.files(), FILES);
}

/// The necessary size and a quarter more, in whole pages, but never more than allowed.
#[test]
fn a_bigger_file_has_what_is_needed_and_some_reserve() {
    let stride = |place: &Place| (std::fs::metadata(place.path("run@3")).unwrap().len() - 4096) / 4;
    let pages = |bytes: u64| bytes.next_multiple_of(4096);
    let place = Place::new();
    let mut writer = place.writer_with(WriterOptions { capacity: 4096, ..WriterOptions::default() }).unwrap();
    publish(&mut writer, 1);
    assert_eq!(stride(&place), 4096);
    for (blob, quarter) in [(5_000, true), (5_500, false), (1_000_003, true), (1_100_000, false), (10, false)]
    {
        let before = stride(&place);
        Sample::new(2, 1, 4, blob as usize).publish(&mut writer).unwrap();
        let exact = pages(128 + 24 + 32 + u64::next_multiple_of(blob, 8));
        assert_eq!(stride(&place), if quarter { exact + pages(exact / 4) } else { before }, "{blob}");
    }
    drop(writer);
    let options = WriterOptions { capacity: 4096, max_capacity: 100_000, ..WriterOptions::default() };
    let mut writer = place.writer_with(options).unwrap();
    publish(&mut writer, 1);
    Sample::new(2, 1, 4, 95_000).publish(&mut writer).unwrap();
    assert_eq!(stride(&place), pages(100_000));
}

#[test]
fn a_snapshot_over_the_maximum_is_refused_and_nothing_changes() {
    let place = Place::new();
    let options = WriterOptions { max_capacity: 100_000, ..WriterOptions::default() };
    let mut writer = Writer::open(&place.directory, channel(), options).unwrap();
    let mut out = Snapshot::default();
    let too_large = Sample::new(9, 1, 4, 120_000);
    assert!(too_large.publish(&mut writer).is_err());
    assert_eq!(place.files(), ["run@3.lock", "run@3.owner"]);
    publish(&mut writer, 1);
    let error = too_large.publish(&mut writer).unwrap_err();
    assert!(matches!(error, Error::PayloadTooLarge { .. }));
    let text = error.to_string();
    assert!(
        text.contains("needs 120184 bytes")
            && text.contains("100000")
            && text.contains("max_capacity=131072"),
        "{text}"
    );
    let mut reader = place.reader();
    assert_eq!(next(&mut reader, &mut out).seed, 1);
    // Sizes between the first one and the maximum are possible.
    assert_eq!(Sample::new(2, 1, 4, 99_000).publish(&mut writer).unwrap(), 2);
    assert_eq!(next(&mut reader, &mut out).seed, 2);
}

#[test]
fn closing_leaves_readers_their_snapshot_and_no_file() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = Snapshot::default();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    publish(&mut writer, 2);
    assert!(reader.writer_alive().unwrap() && !reader.closed());
    writer.close();
    writer.close();
    assert!(writer.is_closed() && reader.closed() && !reader.writer_alive().unwrap());
    assert!(place.files().is_empty());
    assert_eq!(next(&mut reader, &mut out).seed, 2);
    assert!(!reader.read_into(&mut out).unwrap());
    let error = Sample::new(1, 1, 1, 0).publish(&mut writer).unwrap_err();
    assert!(matches!(error, Error::ChannelClosed { .. }), "{error}");
    // A later channel of that name: the reader moves to it.
    let mut writer = place.writer();
    assert!(!reader.read_into(&mut out).unwrap());
    publish(&mut writer, 77);
    assert_eq!(next_polled(&mut reader, &mut out).seed, 77);
    assert!(!reader.closed());
}

#[test]
fn a_reader_that_slept_through_growth_and_close_sees_that_the_channel_is_closed() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let mut reader = place.reader();
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
fn blobs_that_are_held_do_not_change_with_later_reads() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = Snapshot::default();
    Sample::new(1, 1, 1, 1000).publish(&mut writer).unwrap();
    let mut reader = place.reader();
    let mut held = Vec::new();
    for seed in 2..30 {
        next(&mut reader, &mut out);
        assert_eq!(out.blobs.words().as_ptr().align_offset(64), 0);
        held.push((Arc::clone(&out.blobs), out.blobs.words().to_vec()));
        Sample::new(seed, 1, 1, 1000 + seed as usize).publish(&mut writer).unwrap();
        for (blobs, words) in &held {
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
    let mut out = Snapshot::default();
    writer.resume_at(Version(40), Epoch(3)).unwrap();
    assert_eq!(writer.version(), Version(40));
    assert_eq!(publish(&mut writer, 1), 41);
    assert_eq!(writer.epoch(), Epoch(4));
    let mut reader = place.reader();
    assert_eq!(next(&mut reader, &mut out).version(), 41);
    let key = reader.segment_key();
    for (given, gets) in [(10, 42), (49, 50), (51, 52), (200, 201), (204, 205)] {
        writer.resume_at(Version(given), Epoch(1)).unwrap();
        assert_eq!(publish(&mut writer, given), gets);
        let found = next(&mut reader, &mut out);
        assert_eq!((found.version(), found.epoch(), found.seed), (gets, 4, given));
        assert_eq!(publish(&mut writer, 5), gets + 1);
        assert_eq!(next(&mut reader, &mut out).version(), gets + 1);
        if given == 10 {
            writer.resume_at(Version(0), Epoch(0)).unwrap();
            assert_eq!(publish(&mut writer, 6), 44);
            next(&mut reader, &mut out);
        }
    }
    assert_eq!(reader.segment_key(), key, "the file stays, however far versions jump");
    assert!(writer.resume_at(Version(u64::MAX), Epoch(1)).is_err());
}

#[test]
fn a_resumption_that_fails_changes_no_number() {
    let place = Place::new();
    let options = WriterOptions { max_capacity: 100_000, ..WriterOptions::default() };
    let mut writer = place.writer_with(options).unwrap();
    publish(&mut writer, 1);
    for (blob, version) in [(120_000, Version(40)), (0, Version::MAX)] {
        let refused =
            Sample::new(9, 1, 4, blob).lend(|payload| writer.publish_resumed(payload, version, Epoch(7)));
        assert!(refused.is_err());
        assert_eq!((writer.version(), writer.epoch()), (Version(1), Epoch(1)));
    }
    let published =
        Sample::new(2, 1, 4, 0).lend(|payload| writer.publish_resumed(payload, Version(40), Epoch(7)));
    assert_eq!((published.unwrap(), writer.epoch()), (Version(41), Epoch(8)));
}

#[test]
fn the_writer_finds_its_own_newest_snapshot() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut out = Snapshot::default();
    assert!(!writer.latest(&mut out).unwrap());
    for seed in 1..10 {
        Sample::new(seed, seed, 3, 33).publish(&mut writer).unwrap();
        assert!(writer.latest(&mut out).unwrap());
        let found = verify(&out);
        assert_eq!((found.version(), found.seed), (seed, seed));
    }
}

#[test]
fn readers_of_a_process_share_a_mapping() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let readers: Vec<_> = (0..4096).map(|_| place.reader()).collect();
    assert!(readers.iter().all(|reader| reader.segment_key() == readers[0].segment_key()));
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mine = place.path("run@3");
    let mapped = maps.lines().filter(|line| line.ends_with(mine.to_str().unwrap())).count();
    assert_eq!(mapped, 2, "the writer's and the readers'");
    assert!(size_of::<Reader>() <= 256);
}
