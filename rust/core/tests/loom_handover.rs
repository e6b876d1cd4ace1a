//! Under loom: a writer that has lost its lock unnoticed, beside the newcomer that takes its file.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod model;

use loom::sync::Arc;
use loom::thread;
use model::{Channel, model};
use traincast_core::ring::handover;

/// Publishes as a writer does until it finds its file taken, up to `last`; the newest position that it announced.
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

// The mark that the newcomer sets afterwards is not modelled: loom lets a store that comes after an atomic addition be
// followed by it, which no machine does. See `handover.rs`.
#[test]
fn what_the_newcomer_finds_is_whole_and_nobody_goes_back() {
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

/// A newcomer that comes after the writer's end finds all that it has published.
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
