//! `clean` beside starting processes, and beside files that cannot be examined.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use common::machine::become_nobody;
use common::{Child, Place, fork, next, publish, watchdog};
use traincast_core::directory::{ChannelName, Directory};
use traincast_core::error::Error;
use traincast_core::inspect::{Status, leftovers, list, remove_leftover};
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Leftover, Writer, WriterOptions};

fn clean(directory: &Directory) {
    for file in leftovers(directory).unwrap() {
        remove_leftover(directory, &file.path).unwrap();
    }
}

fn cleaner(place: &Place) -> Child {
    fork(|| {
        loop {
            clean(&place.directory);
        }
    })
}

#[test]
fn writers_and_readers_start_while_clean_runs_in_a_loop() {
    watchdog();
    let place = Place::new();
    let _cleaners = [cleaner(&place), cleaner(&place)];
    for round in 0..300_u64 {
        let leftover = if round % 3 == 0 { Leftover::Replace } else { Leftover::Continue };
        // A writer starts, publishes, is read, and dies without closing: its files are cleaned up or taken over.
        let start = fork(|| {
            let mut writer = place.try_writer(leftover).unwrap();
            for seed in 1..=round % 4 {
                publish(&mut writer, 1000 * round + seed);
                let found = next(&mut place.reader(), &mut Snapshot::default());
                assert_eq!(found.seed, 1000 * round + seed, "a live channel is not cleaned up");
            }
            assert!(place.path("run@3.lock").exists() && place.path("run@3.owner").exists());
            if round % 5 == 0 {
                writer.close();
            }
            std::mem::forget(writer);
            0
        });
        assert_eq!(start.join(), 0, "start {round}");
    }
}

#[test]
fn a_live_writer_keeps_its_files_however_often_clean_runs() {
    let place = Place::new();
    let mut writer = place.writer_verifying(Duration::from_millis(1));
    publish(&mut writer, 1);
    let files = place.files();
    let cleaners = [cleaner(&place), cleaner(&place)];
    let (mut reader, mut out) = (place.reader(), Snapshot::default());
    for seed in 2..2_000 {
        publish(&mut writer, seed);
        assert_eq!(next(&mut reader, &mut out).seed, seed);
        assert_eq!(writer.take_warning(), None);
        std::thread::sleep(Duration::from_micros(100));
    }
    cleaners.into_iter().for_each(Child::kill);
    assert_eq!(place.files(), files);
}

/// Two at once: one of them removes each file, and neither fails.
#[test]
fn two_cleaners_at_once_do_not_disturb_each_other() {
    for _ in 0..50 {
        let place = Place::new();
        let names: Vec<_> = (0..4).map(|policy| ChannelName::new("many", policy).unwrap()).collect();
        fork(|| {
            for name in &names {
                let mut writer =
                    Writer::open(&place.directory, name.clone(), WriterOptions::default()).unwrap();
                publish(&mut writer, 1);
                std::mem::forget(writer);
            }
            0
        })
        .join();
        let other = fork(|| {
            clean(&place.directory);
            0
        });
        clean(&place.directory);
        assert_eq!(other.join(), 0);
        clean(&place.directory);
        assert_eq!(place.files(), [""; 0]);
    }
}

/// A relay that waits for the learner to come back holds its own lock.
#[test]
fn a_channel_that_a_relay_serves_is_not_cleaned_up() {
    let place = Place::new();
    place.leave_behind();
    let relay = fork(|| {
        let lock =
            fs::File::options().create_new(true).read(true).write(true).open(place.path("run@3.relay"));
        let lock = lock.unwrap();
        lock.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        common::machine::lock(&lock, 0..1);
        place.raise("locked");
        std::thread::sleep(Duration::from_secs(3600));
        0
    });
    place.wait_for("locked");
    assert!(leftovers(&place.directory).unwrap().is_empty());
    assert!(!remove_leftover(&place.directory, &place.path("run@3")).unwrap());
    assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 1);
    relay.kill();
    clean(&place.directory);
    assert_eq!(place.files(), [""; 0]);
}

/// Files of one channel that nobody can open, or that belong to another user, do not affect other channels.
#[test]
fn a_file_that_cannot_be_opened_hides_no_other_channel() {
    for (hidden, foreign) in
        [("run@3", false), ("run@3.lock", false), ("run@3.owner", false), ("run@3.roster", false)]
            .into_iter()
            .chain([("run@3", true), ("run@3.lock", true), ("run@3.owner", true), ("run@3.roster", true)])
    {
        let place = Place::new();
        // SAFETY: only asks for the user id.
        let root = unsafe { libc::geteuid() } == 0;
        if foreign && !root {
            continue; // only root can give a file away; the file without permissions is tried in any case
        }
        if root {
            for path in [place.directory.path(), place.directory.path().parent().unwrap()] {
                std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
            }
        }
        if foreign {
            fs::write(place.path(hidden), [0x55; 4096]).unwrap();
            fs::set_permissions(place.path(hidden), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let child = fork(|| {
            become_nobody();
            let good = ChannelName::new("good", 0).unwrap();
            let gone = ChannelName::new("zgone", 0).unwrap();
            let mut writer = Writer::open(&place.directory, good.clone(), WriterOptions::default()).unwrap();
            publish(&mut writer, 1);
            let dead = fork(|| {
                let mut writer =
                    Writer::open(&place.directory, gone.clone(), WriterOptions::default()).unwrap();
                publish(&mut writer, 1);
                std::mem::forget(writer);
                if !foreign {
                    let mut writer = place.writer();
                    publish(&mut writer, 1);
                    std::mem::forget(writer);
                }
                0
            });
            assert_eq!(dead.join(), 0);
            if !foreign {
                fs::set_permissions(place.path(hidden), fs::Permissions::from_mode(0o000)).unwrap();
            }
            let listed = list(&place.directory).unwrap();
            let status =
                |name: &ChannelName| listed.iter().find(|info| info.name == *name).map(|info| &info.status);
            assert_eq!(status(&good), Some(&Status::Live), "{hidden}");
            assert_eq!(status(&gone), Some(&Status::Dead), "{hidden}");
            let of_run = status(&common::channel());
            assert_eq!(
                matches!(of_run, Some(Status::Broken(_))),
                hidden == "run@3" || hidden == "run@3.lock" && !foreign
            );
            let found = leftovers(&place.directory).unwrap();
            let named = |file: &str| found.iter().any(|leftover| leftover.path == place.path(file));
            assert!(named("zgone@0") && !named("good@0"), "{hidden}: {found:?}");
            for file in &found {
                // Another user's file cannot always be removed; that is an error and harms nobody.
                let removed = remove_leftover(&place.directory, &file.path);
                assert!(
                    removed.is_ok()
                        || foreign
                            && matches!(removed, Err(Error::CorruptChannel { .. } | Error::System { .. })),
                    "{removed:?}"
                );
            }
            assert!(!place.path("zgone@0").exists());
            publish(&mut writer, 2);
            let mut reader = Reader::attach(&place.directory, good, Duration::ZERO).unwrap();
            assert_eq!(next(&mut reader, &mut Snapshot::default()).seed, 2);
            0
        });
        assert_eq!(child.join(), 0, "{hidden}, foreign: {foreign}");
    }
}
