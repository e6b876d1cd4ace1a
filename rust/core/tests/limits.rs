//! Files whose numbers have reached their limits: refused, and nothing is lost.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Place, next, publish};
use traincast_core::error::Error;
use traincast_core::layout::{HEADER_WORDS, WORD, header, slot};
use traincast_core::numbering::{Epoch, Position, Term, Version};
use traincast_core::ring::seqlock::Head;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::Leftover;

/// A channel whose writer is gone, with some words changed: words of the file, and words of the newest slot.
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
fn a_writer_refuses_a_channel_whose_numbers_are_used_up() {
    for (word, value) in [(slot::EPOCH, u64::MAX), (slot::VERSION, Version::MAX.get() + 1)] {
        let place = left_behind(&[], &[(word, value)]);
        let refused = place.try_writer(Leftover::Continue);
        assert!(matches!(refused, Err(Error::CorruptChannel { .. })), "{refused:?}");
        assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 3, "nothing is lost");
        publish(&mut place.try_writer(Leftover::Replace).unwrap(), 4);
    }
}

#[test]
fn the_largest_numbers_work_like_any_others() {
    let place =
        left_behind(&[], &[(slot::EPOCH, Epoch::MAX.get() - 1), (slot::VERSION, Version::MAX.get() - 9)]);
    let mut writer = place.writer();
    // The previous writer may live, and then it may have published one more.
    assert_eq!(publish(&mut writer, 4), Version::MAX.get() - 7);
    let found = next(&mut place.reader(), &mut Snapshot::default());
    assert_eq!((found.version(), found.epoch()), (Version::MAX.get() - 7, Epoch::MAX.get()));
}

#[test]
fn replacing_starts_a_later_term_even_if_the_clock_was_set_back() {
    let last = u64::MAX - 1;
    let place = left_behind(&[], &[(slot::TERM, last)]);
    let mut writer = place.try_writer(Leftover::Replace).unwrap();
    assert_eq!(publish(&mut writer, 4), 1);
    let found = next(&mut place.reader(), &mut Snapshot::default());
    assert_eq!(found.stamp().term, Term(last + 1));
}

#[test]
fn positions_beyond_the_largest_are_refused() {
    let position = Position(Position::MAX.get() + 1);
    let place = left_behind(&[(header::HEAD, Head::of(position).bits())], &[]);
    for leftover in [Leftover::Continue, Leftover::Replace] {
        let refused = place.try_writer(leftover);
        assert!(matches!(refused, Err(Error::CorruptChannel { .. })), "{refused:?}");
    }
}

/// No writer stores these numbers, so the slot was never filled.
#[test]
fn a_slot_with_zero_numbers_is_refused() {
    for word in [slot::VERSION, slot::SHAPE_ID, slot::TAKEOVER] {
        let place = left_behind(&[], &[(word, 0)]);
        let refused = place.reader().read_into(&mut Snapshot::default());
        assert!(matches!(refused, Err(Error::CorruptChannel { .. })), "{refused:?}");
    }
}
