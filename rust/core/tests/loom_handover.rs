//! Under loom: a writer that has not noticed that it lost its lock, and the newcomer that takes its file.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod model;

use loom::sync::Arc;
use loom::thread;
use model::{Channel, model};
use traincast_core::ring::handover;

/// Publishes like a writer until it finds that its file was taken, up to `last`. Returns the last position that it announced.
fn publish_until_taken(channel: &Channel, last: u64) -> u64 {
    for position in 2..=last {
        if handover::is_taken(&channel.taken, 0) {
            return position - 1;
        }
        channel.publish_and_ring(position);
    }
    last
}

#[test]
fn after_a_file_was_taken_its_writer_stores_at_most_one_more_snapshot() {
    model(|| {
        let channel = Channel::new();
        let old = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || publish_until_taken(&channel, 4))
        };
        let (_, found) = handover::take(&channel.taken, &channel.head);
        let last = old.join().unwrap();
        let found = found.position().get();
        assert!(last <= found + 1, "{last} was announced after the newcomer had found {found}");
    });
}

// A mark that races with an announcement is not modelled: loom lets an atomic read-modify-write be ordered after a later store,
// which no machine does. See `handover.rs`.
#[test]
fn the_newcomer_finds_a_whole_snapshot_and_no_position_goes_back() {
    model(|| {
        let channel = Channel::new();
        let old = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || publish_until_taken(&channel, 3))
        };
        let (_, found) = handover::take(&channel.taken, &channel.head);
        let newest = channel.read();
        assert!(newest.position() >= found.position());
        let last = old.join().unwrap();
        assert_eq!(channel.read().position().get(), last);
    });
}

/// T3: a writer that announces after the newcomer has loaded the head sees that its file was taken, and can set the mark again.
#[test]
fn a_writer_that_announces_after_the_newcomers_look_learns_that_its_file_was_taken() {
    model(|| {
        let channel = Channel::new();
        let old = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                channel.publish_and_ring(2);
                handover::is_taken(&channel.taken, 0)
            })
        };
        let (_, found) = handover::take(&channel.taken, &channel.head);
        let knows = old.join().unwrap();
        assert!(knows || found.position().get() == 2, "neither knows about the other");
    });
}

/// Of two newcomers at once, each has a number of its own, and the one with the smaller number notices the other.
#[test]
fn of_several_newcomers_only_the_last_finds_that_it_is_the_last() {
    model(|| {
        let channel = Channel::new();
        let other = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || handover::take(&channel.taken, &channel.head).0)
        };
        let (own, _) = handover::take(&channel.taken, &channel.head);
        let other = other.join().unwrap();
        assert!(own != other && own.max(other) == 2);
        assert_eq!(handover::is_taken(&channel.taken, own), own == 1);
    });
}

/// Two newcomers want to store into the file of a dead writer: each takes it and then checks who has signed it. One that finds no
/// live writer signs, settles, and checks whether the file was taken again.
#[test]
fn of_two_newcomers_at_most_one_stores_in_place() {
    fn stores(channel: &Channel, name: u64) -> bool {
        let (own, _) = handover::take(&channel.taken, &channel.head);
        if channel.signature.load(std::sync::atomic::Ordering::Relaxed) != 0 {
            return false; // a live writer has signed it
        }
        channel.signature.store(name, std::sync::atomic::Ordering::Relaxed);
        handover::settle();
        !handover::is_taken(&channel.taken, own)
    }
    model(|| {
        let channel = Channel::new();
        let other = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || stores(&channel, 7))
        };
        let here = stores(&channel, 8);
        assert!(!(here && other.join().unwrap()), "two writers in one file");
    });
}

/// A newcomer that comes after the writer's end finds its last snapshot.
#[test]
fn the_newest_snapshot_of_a_dead_writer_is_found() {
    model(|| {
        let channel = Channel::new();
        let dead = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || publish_until_taken(&channel, 3))
        };
        assert_eq!(dead.join().unwrap(), 3);
        assert_eq!(handover::take(&channel.taken, &channel.head).1.position().get(), 3);
        assert_eq!(channel.read().position().get(), 3);
    });
}
