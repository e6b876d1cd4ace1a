//! Under loom: each way to store a payload, while a reader copies the slot that is being rewritten.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod model;

use loom::sync::Arc;
use loom::thread;
use model::{Channel, bounded};
use traincast_core::ring::seqlock::{Slot, SlotWriter};

/// How a payload is stored, and its number of words.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// One word at a time.
    Words(usize),
    /// Bytes, the last word padded.
    Bytes(usize),
    /// Bytes, followed by zeros.
    BytesAndZeros(usize, usize),
}

impl Way {
    const fn words(self) -> usize {
        match self {
            Self::Words(words) => words,
            Self::Bytes(bytes) => bytes.div_ceil(8),
            Self::BytesAndZeros(bytes, zeros) => bytes.div_ceil(8) + zeros,
        }
    }

    fn store(self, slot: &SlotWriter<'_>, position: u64) {
        match self {
            Self::Words(words) => slot.put_words(1, &vec![position; words]),
            Self::Bytes(bytes) => slot.put_bytes(1, &vec![position as u8; bytes]),
            Self::BytesAndZeros(bytes, zeros) => {
                slot.put_bytes(1, &vec![position as u8; bytes]);
                slot.put_zeros(1 + bytes.div_ceil(8), zeros);
            }
        }
    }

    /// The word that a reader must get.
    fn wanted(self, position: u64, index: usize) -> u64 {
        match self {
            Self::Words(_) => position,
            Self::Bytes(bytes) | Self::BytesAndZeros(bytes, _) => {
                let mut word = [0; 8];
                for (at, byte) in word.iter_mut().enumerate() {
                    *byte = if index * 8 + at < bytes { position as u8 } else { 0 };
                }
                u64::from_ne_bytes(word)
            }
        }
    }
}

/// The words that the reader checks while the writer is at work: each additional one doubles the number of executions.
fn looked_at(words: usize) -> Vec<usize> {
    let mut chosen = vec![0, words / 2, words - 1];
    chosen.dedup();
    chosen
}

fn copy(way: Way, slot: Slot<'_>) -> Vec<(usize, u64)> {
    looked_at(way.words()).into_iter().map(|index| (index, slot.get(1 + index))).collect()
}

fn a_reader_gets_no_mixture(way: Way) {
    bounded(2, move || {
        let channel = Channel::empty(way.words());
        // No old word may be left anywhere.
        channel.publish_by(1, |slot| slot.put_words(1, &vec![u64::MAX; way.words()]));
        channel.publish_by(2, |slot| way.store(slot, 2));
        let channel = Arc::new(channel);
        let reader = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                let read = channel.ring().read(|position, slot| (position.get(), copy(way, slot)));
                let (_, (position, words), _) = read.expect("no writer of ours damages a file");
                for (index, word) in words {
                    assert_eq!(word, way.wanted(position, index), "{way:?}: word {index} of {position}");
                }
            })
        };
        for position in 3..=4 {
            channel.publish_by(position, |slot| way.store(slot, position));
        }
        reader.join().unwrap();
        let all = channel.ring().read(|_, slot| (0..way.words()).map(|index| slot.get(1 + index)).collect());
        let (_, all, _): (_, Vec<u64>, _) = all.expect("no writer of ours damages a file");
        let wanted: Vec<_> = (0..way.words()).map(|index| way.wanted(4, index)).collect();
        assert_eq!(all, wanted, "{way:?}");
    });
}

#[test]
fn words_are_not_mixed() {
    a_reader_gets_no_mixture(Way::Words(9));
}

#[test]
fn bytes_that_fill_no_word_are_not_mixed() {
    a_reader_gets_no_mixture(Way::Bytes(3));
}

#[test]
fn bytes_in_rows_of_eight_words_are_not_mixed() {
    a_reader_gets_no_mixture(Way::Bytes(9 * 8 + 3));
}

/// Enough bytes to be stored in bulk; under loom, that goes from the last word to the first.
#[test]
fn bytes_in_bulk_are_not_mixed() {
    a_reader_gets_no_mixture(Way::Bytes(10 * 8 + 3));
}

#[test]
fn zeros_in_a_gap_are_not_mixed() {
    a_reader_gets_no_mixture(Way::BytesAndZeros(3, 2));
}
