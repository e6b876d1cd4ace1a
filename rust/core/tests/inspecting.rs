//! The functions behind `traincast ls` and `traincast clean`.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use common::{Place, Sample, channel, fork, next, next_polled, publish, until};
use traincast_core::directory::ChannelName;
use traincast_core::inspect::{ReaderInfo, Status, leftovers, list, remove_leftover};
use traincast_core::numbering::{Epoch, Version};
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Writer, WriterOptions};

#[test]
fn an_empty_directory_has_no_channels_and_no_leftovers() {
    let place = Place::new();
    assert!(list(&place.directory).unwrap().is_empty() && leftovers(&place.directory).unwrap().is_empty());
}

#[test]
fn a_live_channel_shows_its_writer_and_how_far_readers_lag() {
    let place = Place::new();
    let mut out = Snapshot::default();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let child = fork(|| {
        let mut reader = place.reader();
        next(&mut reader, &mut Snapshot::default());
        std::fs::write(place.path(".read"), "").unwrap();
        std::thread::sleep(Duration::from_secs(3600));
        0
    });
    until(|| place.path(".read").exists());
    for seed in 2..=4 {
        publish(&mut writer, seed);
    }
    let mut reader = place.reader();
    next(&mut reader, &mut out);
    let info = &list(&place.directory).unwrap()[0];
    assert_eq!(info.name, channel());
    assert_eq!((&info.status, info.version, info.epoch, info.generation), (&Status::Live, 4, 1, 1));
    assert_eq!((info.capacity, info.size), (65536, 266_240 + 4096 + 64));
    assert!(info.size <= 320 * 1024);
    assert_eq!(info.writer_pid, std::process::id());
    assert!(info.age >= 0.0 && info.age < 600.0 && info.created > 1.7e9);
    assert_eq!(info.files.len(), 4);
    let lags: Vec<_> = info.readers.iter().map(|reader| (reader.pid, reader.alive, reader.version)).collect();
    let mut expected = vec![(child.pid as u32, true, 1), (std::process::id(), true, 4)];
    expected.sort_unstable();
    assert_eq!(lags, expected);
    for reader in &info.readers {
        let behind = reader.behind_ns(info.published_ns, info.generation).unwrap();
        assert_eq!(behind, info.published_ns - reader.published_ns);
        assert!(behind == 0 || reader.version == 1);
    }
    let pid = child.pid as u32;
    child.kill();
    let info = &list(&place.directory).unwrap()[0];
    assert!(info.readers.iter().any(|reader| reader.pid == pid && !reader.alive));
    drop(reader);
    let info = &list(&place.directory).unwrap()[0];
    assert_eq!(info.readers.len(), 1, "a reader that is dropped frees its line");
}

#[test]
fn a_reader_is_as_far_behind_as_its_snapshot_is_older_than_the_newest() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    let behind = || {
        let info = &list(&place.directory).unwrap()[0];
        info.readers[0].behind_ns(info.published_ns, info.generation)
    };
    assert_eq!(behind(), None, "it has seen none yet");
    next(&mut reader, &mut Snapshot::default());
    assert_eq!(behind(), Some(0));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(behind(), Some(0), "nothing has been published since");
    publish(&mut writer, 2);
    let first = behind().unwrap();
    assert!((30_000_000..600_000_000_000).contains(&first), "{first}"); // publish times have the grain of a tick
    assert_eq!(behind(), Some(first), "it does not grow while nothing is published");
    next(&mut reader, &mut Snapshot::default());
    assert_eq!(behind(), Some(0));
}

#[test]
fn a_reader_that_saw_a_snapshot_by_another_clock_is_not_said_to_be_up_to_date() {
    let seen = |version, generation, published_ns| ReaderInfo {
        pid: 1,
        alive: true,
        pid_namespace: 1,
        elsewhere: false,
        generation,
        version,
        published_ns,
    };
    let behind = |reader: ReaderInfo| reader.behind_ns(1000, 3);
    assert_eq!(behind(seen(7, 3, 400)), Some(600));
    assert_eq!(behind(seen(7, 2, 400)), Some(600), "in the previous file");
    assert_eq!(behind(seen(9, 3, 1001)), Some(0), "published after the newest was read");
    assert_eq!(behind(seen(9, 4, 1001)), Some(0), "in a newer file");
    assert_eq!(behind(seen(7, 2, 1001)), None, "an older one cannot be newer");
    assert_eq!(behind(seen(0, 3, 0)), None);
    assert_eq!(behind(seen(7, 3, u64::MAX)), Some(0));
}

#[test]
fn a_roster_grows_with_its_readers_and_reuses_the_lines_of_dead_ones() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let attach_and_die = |count: usize| {
        let children: Vec<_> = (0..count)
            .map(|_| {
                fork(|| {
                    std::mem::forget(place.reader());
                    std::thread::sleep(Duration::from_secs(3600));
                    0
                })
            })
            .collect();
        until(|| {
            list(&place.directory).unwrap()[0].readers.iter().filter(|reader| reader.alive).count() == count
        });
        children.into_iter().for_each(common::Child::kill);
    };
    attach_and_die(70);
    let roster = || std::fs::metadata(place.path("run@3.roster")).unwrap().len();
    assert_eq!(roster(), 8192);
    attach_and_die(100);
    assert_eq!(roster(), 8192, "170 readers, but never more than 126 at once");
}

#[test]
fn only_what_the_dead_left_is_a_leftover() {
    let place = Place::new();
    let mut live =
        Writer::open(&place.directory, ChannelName::new("live", 0).unwrap(), WriterOptions::default())
            .unwrap();
    publish(&mut live, 1);
    // Writers that died with a channel, before their first snapshot, and while creating a file.
    let unpublished = ChannelName::new("unpublished", 1).unwrap();
    fork(|| {
        let mut writer = place.writer();
        publish(&mut writer, 1);
        std::mem::forget(writer);
        std::mem::forget(
            Writer::open(&place.directory, unpublished.clone(), WriterOptions::default()).unwrap(),
        );
        0
    })
    .join();
    std::fs::write(place.path(".run@3.4711.abc.tmp"), "half").unwrap();
    for foreign in ["notes.txt", "@1", "run@x", "run@03", ".git", "a b@1.lock"] {
        std::fs::write(place.path(foreign), "").unwrap();
    }
    let (mut reader, mut out) = (place.reader(), Snapshot::default());
    let names: Vec<_> = list(&place.directory)
        .unwrap()
        .into_iter()
        .map(|info| (info.name.to_string(), info.status))
        .collect();
    assert_eq!(names, [("live@0".to_owned(), Status::Live), ("run@3".to_owned(), Status::Dead)]);
    let found = leftovers(&place.directory).unwrap();
    let paths: Vec<_> = found.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "run@3",
            "run@3.roster",
            ".run@3.4711.abc.tmp",
            "run@3.owner",
            "run@3.lock",
            "unpublished@1.owner",
            "unpublished@1.lock"
        ]
    );
    assert!(found.iter().all(|file| !file.why.is_empty()));
    for file in &found {
        assert!(remove_leftover(&place.directory, &file.path).unwrap(), "{:?}", file.path);
        assert!(!remove_leftover(&place.directory, &file.path).unwrap(), "{:?}", file.path);
    }
    assert!(leftovers(&place.directory).unwrap().is_empty());
    let rest = [
        ".git",
        "@1",
        "a b@1.lock",
        "live@0",
        "live@0.lock",
        "live@0.owner",
        "live@0.roster",
        "notes.txt",
        "run@03",
        "run@x",
    ];
    assert_eq!(place.files(), rest);
    // An attached reader keeps the snapshot and finds the successor.
    assert_eq!(next(&mut reader, &mut out).seed, 1);
    assert!(reader.closed());
    let mut successor = place.writer();
    publish(&mut successor, 8);
    assert_eq!(next_polled(&mut reader, &mut out).seed, 8);
    // A live channel is never removed; nor is a file that is no channel.
    assert!(!remove_leftover(&place.directory, &place.path("live@0")).unwrap());
    assert!(remove_leftover(&place.directory, &place.path("notes.txt")).is_err());
    assert!(remove_leftover(&place.directory, std::path::Path::new("/etc/passwd")).is_err());
    publish(&mut live, 2);
    Reader::attach(&place.directory, ChannelName::new("live", 0).unwrap(), Duration::ZERO).unwrap();
}

#[test]
fn a_channel_whose_close_was_cut_short_is_closed_and_the_next_writer_starts_anew() {
    let place = Place::new();
    let mut writer = place.writer();
    Sample::new(1, 1, 1, 0).publish(&mut writer).unwrap();
    let bytes = std::fs::read(place.path("run@3")).unwrap();
    let mut reader = place.reader();
    drop(writer);
    let mut closed = bytes;
    closed[64 * 8] |= 1;
    std::fs::write(place.path("run@3"), closed).unwrap();
    std::fs::set_permissions(place.path("run@3"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    assert_eq!(list(&place.directory).unwrap()[0].status, Status::Closed);
    assert!(Reader::attach(&place.directory, channel(), Duration::ZERO).is_err());
    let mut writer = place.writer();
    assert_eq!((writer.version(), writer.epoch()), (Version(0), Epoch(1)));
    publish(&mut writer, 4);
    assert_eq!(next_polled(&mut reader, &mut Snapshot::default()).seed, 4);
}
