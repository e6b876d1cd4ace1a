//! Numbers at their ends, in a file that says so: refused, and nothing is lost.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Place, Sample, next, publish};
use traincast_core::error::Error;
use traincast_core::layout::{HEADER_WORDS, WORD, header, slot};
use traincast_core::seqlock::Head;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::Leftover;

/// A channel whose writer is gone, with some of its words changed; the words of its newest slot count from there.
fn left_behind(words: &[(usize, u64)], slot_words: &[(usize, u64)]) -> Place {
    let place = Place::new();
    let mut writer = place.writer();
    for seed in 1..=3 {
        publish(&mut writer, seed);
    }
    let mut bytes = std::fs::read(place.path("run@3")).unwrap();
    writer.close();
    let newest = HEADER_WORDS + 3 * traincast_core::layout::DEFAULT_CAPACITY / WORD;
    let slot_words = slot_words.iter().map(|(at, value)| (newest + at, *value));
    for (at, value) in words.iter().copied().chain(slot_words) {
        bytes[at * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
    }
    std::fs::write(place.path("run@3"), bytes).unwrap();
    std::fs::set_permissions(place.path("run@3"), std::fs::Permissions::from_mode(0o600)).unwrap();
    place
}

#[test]
fn when_versions_are_used_up_the_last_snapshot_stays() {
    // Its slot is the newest one's: MAX_VERSION is 3 more than a multiple of 4.
    let last = Head::MAX_VERSION;
    let place = left_behind(
        &[(header::HEAD, Head::of(last).bits())],
        &[(slot::SEQ, 2 * last + 2), (slot::VERSION, last)],
    );
    let mut writer = place.writer();
    for _ in 0..2 {
        let refused = Sample::new(4, 1, 4, 0).publish(&mut writer);
        assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
        let (meta, seed) = next(&mut place.reader(), &mut Snapshot::default());
        assert_eq!((meta.version, seed), (last, 3));
    }
}

#[test]
fn a_writer_refuses_a_channel_whose_epochs_are_used_up() {
    for place in
        [left_behind(&[(header::EPOCH, u64::MAX)], &[]), left_behind(&[], &[(slot::EPOCH, u64::MAX)])]
    {
        let refused = place.try_writer(Leftover::Continue);
        assert!(matches!(refused, Err(Error::CorruptChannel { .. })), "{refused:?}");
        assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).1, 3);
        publish(&mut place.try_writer(Leftover::Replace).unwrap(), 4);
    }
}

#[test]
fn no_snapshot_is_of_epoch_zero() {
    let place = left_behind(&[], &[(slot::EPOCH, 0)]);
    let refused = place.reader().read_into(&mut Snapshot::default());
    assert!(matches!(refused, Err(Error::CorruptChannel { .. })), "{refused:?}");
}
