//! What is published: payloads by size. All of a snapshot's content follows from its version.

use traincast_core::layout::WORD;
use traincast_core::writer::WriterOptions;

use crate::content::mix;

/// Payloads of one size, or of sizes that change from version to version.
pub struct Class {
    pub title: &'static str,
    /// Words of values, bytes of a blob; zeros: sizes change.
    values: usize,
    blob: usize,
    /// The class's share of 10,000 verified reads, but no fewer than `least`.
    share: u64,
    least: u64,
}

pub const CLASSES: [Class; 6] = [
    Class { title: "64 B", values: 8, blob: 0, share: 8985, least: 1000 },
    Class { title: "1 KB", values: 64, blob: 512, share: 958, least: 1000 },
    // Few: after each close, a reader waits up to 10 ms before it looks for the next channel.
    Class { title: "changing", values: 0, blob: 0, share: 2, least: 1000 },
    Class { title: "16 KB", values: 1 << 10, blob: 8 << 10, share: 50, least: 1000 },
    Class { title: "256 KB", values: 16 << 10, blob: 128 << 10, share: 4, least: 500 },
    Class { title: "1 MB", values: 64 << 10, blob: 512 << 10, share: 1, least: 200 },
];

/// How much has to be read.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// Snapshots copied and checked.
    pub verified: u64,
    /// Of these: versions that were new to their reader.
    pub new: u64,
}

/// How long the parts of one snapshot are.
#[derive(Clone, Copy)]
pub struct Lengths {
    pub shape_id: u64,
    /// In words.
    pub shape: usize,
    /// In words.
    pub values: usize,
    /// In bytes.
    pub blob: usize,
}

/// Number of versions between two doublings of the largest size, where sizes change.
const STEP: u64 = 512;
/// Doublings, from 512 bytes to 512 KiB, before the writer closes its channel and starts with a small file
/// again.
const DOUBLINGS: u64 = 11;

impl Class {
    /// Its share of a goal for all classes.
    pub fn goal(&self, all: Goal) -> Goal {
        let part = |of: u64| (of * self.share).div_ceil(10_000);
        Goal { verified: part(all.verified).max(self.least), new: part(all.new).max(self.least / 4) }
    }

    /// Whether sizes change from version to version.
    pub fn changes(&self) -> bool {
        self.values == 0
    }

    /// The lengths of a version's parts.
    #[inline]
    pub fn lengths(&self, version: u64) -> Lengths {
        // The shape changes too, and so does its length: then the values begin elsewhere in the slot.
        let shape_id = 1 + version / 7 % 3;
        let shape = shape_id as usize;
        if !self.changes() {
            return Lengths { shape_id, shape, values: self.values, blob: self.blob };
        }
        let random = mix(version) as usize;
        let largest = 512_usize << (version / STEP % DOUBLINGS);
        // Most are small, so that versions advance quickly.
        let largest = if version.is_multiple_of(64) { largest } else { largest.min(2048) };
        Lengths { shape_id, shape, values: 1 + (random >> 32) % 64, blob: random % largest }
    }

    /// Whether the writer closes the channel after this version and goes on in a new one.
    pub fn begins_anew(&self, version: u64) -> bool {
        self.changes() && version > 0 && version.is_multiple_of(STEP * DOUBLINGS)
    }

    /// The smallest file that holds the payload; one page per slot where sizes change, so that it must grow.
    pub fn options(&self) -> WriterOptions {
        let slack = if self.changes() { 0 } else { 16 * WORD };
        let capacity = (self.values * WORD + self.blob + slack).max(1);
        WriterOptions { capacity, ..WriterOptions::default() }
    }
}
