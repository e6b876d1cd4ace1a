//! What the core's tests share, but with dictionaries as samples.

#[path = "../../../core/tests/common/mod.rs"]
mod core;

pub use core::{Child, FILES, Place, channel, fork, machine, until, verify, watchdog};
use traincast_core::error::Result;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::{Payload, to_words};
use traincast_core::writer::Writer;

use crate::proven::proven;

/// Like the core's sample, but a dictionary, whose structure follows from its seed.
pub struct Sample {
    seed: u64,
    blob: usize,
}

impl Sample {
    pub fn new(seed: u64, _shape_id: u64, _values: usize, blob: usize) -> Self {
        Self { seed, blob }
    }

    pub fn publish(&self, writer: &mut Writer) -> Result<u64> {
        let mut encoder = Encoder::<Vec<u8>>::default();
        encoder.start(None);
        proven(self.seed, self.blob / 8).encode(&mut encoder);
        let shape = encoder.recorded().expect("it was recorded").to_vec();
        let payload = Payload {
            shape_id: 1 + self.seed % 3,
            shape: &to_words(&shape),
            shape_len: shape.len(),
            values: encoder.values(),
            blobs: encoder.blobs(),
            blob_words: encoder.blob_words(),
        };
        writer.publish(&payload).map(|version| version.get())
    }
}
