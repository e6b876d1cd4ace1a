//! The core's calls under callgrind, by gungraun: `make test-instructions` compares what it counts with the baseline.
#![allow(clippy::expect_used, reason = "a failed expectation ends the benchmark")]
#![allow(missing_docs, reason = "gungraun's macros define functions without any")]

mod channel;

use std::hint::black_box;
use std::time::Duration;

use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use traincast_core::reader::{HeadRef, Reader};
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::WriterOptions;

use self::channel::{Place, name, place};

/// A channel in use: one of each, with its caches filled.
struct Warm {
    place: Place,
    reader: Reader,
    head: HeadRef,
    snapshot: Snapshot,
}

impl Warm {
    fn read(&mut self) {
        self.reader.read_into(&mut self.snapshot).expect("read");
    }
}

/// `news`: whether there is something that was not read yet.
fn warm(news: bool) -> Box<Warm> {
    let mut place = place(WriterOptions::default());
    place.publish();
    let reader = Reader::attach(&place.directory, name(), Duration::ZERO).expect("a reader");
    let head = reader.head_ref();
    let mut warm = Box::new(Warm { place, reader, head, snapshot: Snapshot::default() });
    for _ in 0..8 {
        warm.place.publish();
        warm.read();
    }
    if news {
        warm.place.publish();
    }
    warm
}

#[library_benchmark]
#[bench::core(args = (false), setup = warm)]
fn unchanged_read(warm: Box<Warm>) -> Box<Warm> {
    black_box(warm.reader.settled(warm.snapshot.meta.position).holds(&warm.head));
    warm
}

#[library_benchmark]
#[bench::core(args = (true), setup = warm)]
fn changed_read(mut warm: Box<Warm>) -> Box<Warm> {
    warm.read();
    warm
}

#[library_benchmark]
#[bench::core(args = (false), setup = warm)]
fn publish(mut warm: Box<Warm>) -> Box<Warm> {
    warm.place.publish();
    warm
}

library_benchmark_group!(name = calls, benchmarks = [unchanged_read, changed_read, publish]);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = calls
);
