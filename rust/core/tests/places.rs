//! Two places in which a channel may be: it still has one writer, and its readers find it.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::time::Duration;

use common::{Place, channel, fork, next, publish, until};
use traincast_core::directory::{Directory, Places};
use traincast_core::error::Error;
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Writer, WriterOptions};

/// The place of the test, and one beside it.
fn two(place: &Place) -> [Directory; 2] {
    let other = Directory::at(place.beside("other")).unwrap();
    other.make().unwrap();
    [place.directory.clone(), other]
}

fn open(places: impl Into<Places>) -> Result<Writer, Error> {
    Writer::open(places, channel(), WriterOptions::default())
}

fn file_count(directory: &Directory) -> usize {
    std::fs::read_dir(directory.path()).unwrap().count()
}

/// Each half of the processes prefers a different place, so that the order of the places does not decide the race.
#[test]
fn of_writers_that_start_at_the_same_moment_in_two_places_at_most_one_lives() {
    let mut lived = 0;
    for round in 0..200 {
        let place = Place::new();
        let [one, other] = two(&place);
        let children: Vec<_> = (0..4)
            .map(|i| {
                let (first, second) = if i % 2 == 0 { (&one, &other) } else { (&other, &one) };
                let places = Places::new(first.clone(), second.clone());
                let place = &place;
                fork(move || {
                    place.wait_for("go");
                    match open(&places) {
                        Ok(writer) => {
                            place.raise(&format!("lives-{i}"));
                            place.wait_for("enough");
                            drop(writer);
                            0
                        }
                        Err(Error::ChannelBusy { .. }) => {
                            place.raise(&format!("busy-{i}"));
                            0
                        }
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        place.raise("go");
        let count = |what: &str| (0..4).filter(|i| place.beside(&format!("{what}-{i}")).exists()).count();
        until(|| count("lives") + count("busy") == 4);
        assert!(count("lives") <= 1, "round {round}: {} writers live", count("lives"));
        lived += count("lives");
        place.raise("enough");
        for child in children {
            assert_eq!(child.join(), 0);
        }
        assert_eq!(file_count(&one) + file_count(&other), 0);
    }
    assert!(lived > 0, "all writers were refused");
}

#[test]
fn a_leftover_in_one_place_is_not_touched_while_a_writer_lives_in_the_other() {
    let place = Place::new();
    let [one, other] = two(&place);
    let dead = fork(|| {
        let mut writer = open(&one).unwrap();
        publish(&mut writer, 1);
        std::mem::forget(writer);
        0
    });
    assert_eq!(dead.join(), 0);
    let mut living = open(&other).unwrap();
    publish(&mut living, 1);
    let places = Places::new(one.clone(), other.clone());
    let left = std::fs::read(place.path("run@3")).unwrap();
    let error = open(&places).unwrap_err();
    let says = format!("process {}, in {}", std::process::id(), other.path().display());
    assert!(matches!(&error, Error::ChannelBusy { holder, .. } if *holder == says), "{error}");
    assert_eq!(std::fs::read(place.path("run@3")).unwrap(), left);
    drop(living);
    let mut writer = open(&places).unwrap();
    assert_eq!(publish(&mut writer, 2), 2);
}

#[test]
fn a_reader_finds_the_channel_in_either_place_and_follows_it() {
    let place = Place::new();
    let [one, other] = two(&place);
    let places = Places::new(one.clone(), other.clone());
    let error = Reader::attach(&places, channel(), Duration::ZERO).unwrap_err().to_string();
    let both = format!("in {} or {}:", one.path().display(), other.path().display());
    assert!(error.contains(&both), "{error}");
    let mut writer = open(&other).unwrap();
    publish(&mut writer, 1);
    let (mut reader, mut out) =
        (Reader::attach(&places, channel(), Duration::ZERO).unwrap(), Snapshot::default());
    assert_eq!(next(&mut reader, &mut out).seed, 1);
    for (seed, directory) in [(2, &one), (3, &other), (4, &one)] {
        drop(writer);
        assert!(reader.closed());
        writer = open(directory).unwrap();
        publish(&mut writer, seed);
        until(|| reader.read_into(&mut out).unwrap());
        assert_eq!(common::verify(&out).seed, seed);
        assert!(reader.writer_alive().unwrap());
    }
}

/// Somebody else's directory with the name of the fallback does not keep anybody from using the better place.
#[test]
fn a_bad_fallback_does_not_matter_if_the_better_place_works() {
    let place = Place::new();
    let [one, other] = two(&place);
    std::fs::remove_dir(other.path()).unwrap();
    std::os::unix::fs::symlink("/", other.path()).unwrap();
    let places = Places::new(one, other);
    let missing = Reader::attach(&places, channel(), Duration::ZERO);
    assert!(matches!(missing, Err(Error::ChannelNotFound { .. })), "{missing:?}");
    let mut writer = open(&places).unwrap();
    publish(&mut writer, 1);
    let mut reader = Reader::attach(&places, channel(), Duration::ZERO).unwrap();
    assert_eq!(next(&mut reader, &mut Snapshot::default()).seed, 1);
    assert_eq!(places.present().unwrap(), [places.best()]);
}
