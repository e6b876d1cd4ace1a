//! C readers in processes of their own beside a writer that publishes as fast as it can, in files that grow, close and open again:
//! no snapshot may be torn, and none older than the one before.
//!
//! `TRAINCAST_STRESS_READS` says how many snapshots each of them is to check.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "../../../core/tests/common/mod.rs"]
mod common;
#[path = "../../../core/tests/fuzz/targets/input.rs"]
#[allow(dead_code, reason = "the fuzzers make their values from bytes")]
mod input;
#[path = "../../../core/tests/node/mod.rs"]
mod node;
#[path = "../support/proven.rs"]
mod proven;
#[path = "../../../core/tests/fuzz/targets/value.rs"]
#[allow(dead_code, reason = "as above")]
mod value;

use std::process::{Child, Command, Stdio};

use common::{Place, watchdog};
use node::Publisher;
use proven::{mix, proven};
use traincast_core::layout::PAGE;
use traincast_core::writer::{Writer, WriterOptions};
use value::Value;

const READERS: usize = 3;
const SNAPSHOTS: u64 = 3_000;
/// Files that each must have met: the writer has grown and begun anew under its eyes.
const FILES: u64 = 4;
/// After so many snapshots the writer closes its channel, and opens it again.
const LIFE: u64 = 4_096;
/// Snapshots that are made beforehand, to be published without a pause.
const BURST: u64 = 64;

fn open(place: &Place) -> Writer {
    place.writer_with(WriterOptions { capacity: PAGE, ..WriterOptions::default() }).unwrap()
}

/// Most are small, so that versions go by quickly; in each life the largest grow step by step.
fn snapshot(seed: u64) -> Value {
    let largest = if seed.is_multiple_of(512) { 64 << (seed % LIFE / 512) } else { 64 };
    proven(seed, (mix(seed ^ 7) % largest) as usize)
}

/// Ends with the test, whatever ends the test.
struct Readers(Vec<Child>);

impl Readers {
    /// Whether all have ended, and well.
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
            let _ = child.kill(); // it may be over
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
    let (mut writer, mut publisher, mut seed) = (open(&place), Publisher::default(), 0);
    while !readers.over() {
        if seed > 0 && seed % LIFE < BURST {
            writer.close();
            (writer, publisher) = (open(&place), Publisher::default());
        }
        let burst: Vec<_> = (seed + 1..=seed + BURST).map(snapshot).collect();
        for value in &burst {
            publisher.publish(&mut writer, value).unwrap();
        }
        seed += BURST;
    }
    println!(
        "stress of the C reader: {seed} snapshots published beside {READERS} processes, none torn, none gone back"
    );
}
