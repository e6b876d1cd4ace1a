//! Under loom: a row of a scoreboard, with a writer, a reader, and a writer that goes on after a kill.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod model;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;
use model::model;
use traincast_core::ring::tally::Row;

/// Enough words to see a mixture.
const WORDS: usize = 2;

struct Words {
    seq: AtomicU64,
    copies: Vec<AtomicU64>,
}

impl Words {
    fn new() -> Arc<Self> {
        Arc::new(Self { seq: AtomicU64::new(0), copies: (0..2 * WORDS).map(|_| AtomicU64::new(0)).collect() })
    }

    fn row(&self) -> Row<'_, WORDS> {
        Row::new(&self.seq, &self.copies)
    }

    /// Adds an episode to `before` episodes.
    fn add(&self, before: u64) {
        self.row().prepare(before, &[before + 1, 10 * (before + 1)]).count();
    }
}

#[test]
fn a_reader_sees_whole_episodes_and_never_fewer_than_before() {
    model(|| {
        let words = Words::new();
        let writer = {
            let words = Arc::clone(&words);
            thread::spawn(move || (0..3).for_each(|before| words.add(before)))
        };
        let mut last = 0;
        for _ in 0..2 {
            if let Some((seq, read)) = words.row().read() {
                assert_eq!((read[0], read[1]), (seq, 10 * seq), "a mixture");
                assert!(seq >= last, "it went back");
                last = seq;
            }
        }
        writer.join().unwrap();
        let (seq, read) = words.row().read().unwrap();
        assert_eq!((seq, read[0], read[1]), (3, 3, 30));
    });
}
