//! C readers in processes of their own, and a writer that publishes as fast as possible, in files that grow, are closed and
//! opened again: no snapshot may be torn, and none may be older than the one before.
//!
//! `TRAINCAST_STRESS_READS` is the number of snapshots that each reader checks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "../../../core/tests/common/mod.rs"]
mod common;
#[path = "../../../core/tests/fuzz/targets/input.rs"]
#[allow(dead_code, reason = "the fuzzers make their values from bytes")]
mod input;
#[path = "../support/proven.rs"]
mod proven;
#[path = "../../../core/tests/fuzz/targets/value.rs"]
#[allow(dead_code, reason = "as above")]
mod value;

use std::process::{Child, Command, Stdio};

use common::{Place, watchdog};
use proven::{mix, proven};
use traincast_core::layout::PAGE;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::{Payload, PlacedBlob, to_words};
use traincast_core::writer::{Writer, WriterOptions};
use value::region;

const READERS: usize = 3;
const SNAPSHOTS: u64 = 6_000;
/// Number of files that each must have read: the writer has grown and started again in the meantime.
const FILES: u64 = 4;
/// Number of snapshots that are prepared and then published without a pause, again and again.
const BURST: u64 = 32;
const ROUNDS: u64 = 40;

fn open(place: &Place) -> Writer {
    place.writer_with(WriterOptions { capacity: PAGE, ..WriterOptions::default() }).unwrap()
}

/// A snapshot as it is stored.
struct Encoded {
    id: u64,
    shape: Vec<u8>,
    values: Vec<u64>,
    blobs: Vec<u8>,
}

impl Encoded {
    /// Every fourth is large, so that readers are often preempted while they copy it; the others are small, so that the writer
    /// has lapped the readers when they go on.
    fn new(seed: u64, largest: u64) -> Self {
        let words = if seed.is_multiple_of(4) { largest } else { mix(seed ^ 7) % 64 };
        let mut encoder = Encoder::default();
        encoder.start(None);
        proven(seed, words as usize).encode(&mut encoder);
        Self {
            id: 1 + seed % 3,
            shape: encoder.recorded().unwrap().to_vec(),
            values: encoder.values().to_vec(),
            blobs: region(&encoder),
        }
    }

    fn publish(&self, writer: &mut Writer) {
        let payload = Payload {
            shape_id: self.id,
            shape: &to_words(&self.shape),
            shape_len: self.shape.len(),
            values: &self.values,
            blobs: &[PlacedBlob { offset: 0, bytes: &self.blobs[..] }],
            blob_words: self.blobs.len().div_ceil(8),
        };
        writer.publish(&payload).unwrap();
    }
}

/// The readers, which are killed when the test ends in any way.
struct Readers(Vec<Child>);

impl Readers {
    /// Whether all have ended successfully.
    fn over(&mut self) -> bool {
        let mut over = true;
        for child in &mut self.0 {
            match child.try_wait().unwrap() {
                Some(status) => assert!(status.success(), "a reader has ended: {status}"),
                None => over = false,
            }
        }
        over
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill(); // it may have ended
            let _ = child.wait();
        }
    }
}

fn main() {
    watchdog();
    let goal = std::env::var("TRAINCAST_STRESS_READS").map_or(SNAPSHOTS, |text| text.parse().unwrap());
    let place = Place::new();
    let reader = |_| {
        Command::new(env!("TRAINCAST_RACER"))
            .arg(place.directory.path())
            .args([goal.to_string(), FILES.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut readers = Readers((0..READERS).map(reader).collect());
    let (mut writer, mut seed, mut published) = (open(&place), 0, 0);
    while !readers.over() {
        // In each life of the channel the largest snapshots grow; then it is closed and opened again.
        let life = seed / BURST % 4;
        if seed > 0 && life == 0 {
            writer.close();
            writer = open(&place);
        }
        let burst: Vec<_> = (seed..seed + BURST).map(|seed| Encoded::new(seed, 256 << (2 * life))).collect();
        for _ in 0..ROUNDS {
            burst.iter().for_each(|snapshot| snapshot.publish(&mut writer));
        }
        seed += BURST;
        published += BURST * ROUNDS;
    }
    println!(
        "stress of the C reader: {published} snapshots published beside {READERS} processes, none torn, none gone back"
    );
}
