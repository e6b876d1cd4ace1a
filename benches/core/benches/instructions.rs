//! The core's calls under callgrind, by gungraun: `make test-instructions` compares what it counts with the baseline.
#![allow(clippy::expect_used, reason = "a failed expectation ends the benchmark")]
#![allow(missing_docs, reason = "gungraun's macros define functions without any")]

mod channel;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use traincast_core::reader::{HeadRef, Reader, SlotBuffer};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Shape;
use traincast_core::snapshot::to_words;
use traincast_core::writer::WriterOptions;

use self::channel::{Place, encoded, name, payload, place, walk};

/// A channel in use: one of each, with its caches filled.
struct Warm {
    place: Place,
    shape: Arc<Shape>,
    words: Vec<u64>,
    encoder: Encoder<()>,
    step: i64,
    reader: Reader,
    head: HeadRef,
    out: SlotBuffer,
}

impl Warm {
    fn publish(&mut self) {
        self.step += 1;
        self.encoder.start(Some(&self.shape));
        walk(&mut self.encoder, self.step);
        let payload = payload(&self.words, self.shape.bytes.len(), self.encoder.values());
        self.place.writer.publish(&payload).expect("published");
    }

    fn read(&mut self) {
        let known = self.out.meta.shape_id;
        self.reader.refresh(known, &mut self.out).expect("read");
    }
}

/// `news`: whether there is something that was not read yet.
fn warm(news: bool) -> Box<Warm> {
    let mut place = place(WriterOptions::default());
    let (bytes, values) = encoded();
    let words = to_words(&bytes);
    place.writer.publish(&payload(&words, bytes.len(), &values)).expect("published");
    let reader = Reader::attach(&place.directory, name(), Duration::ZERO).expect("a reader");
    let head = reader.head_cell();
    let shape = Arc::new(Shape::parse(bytes).expect("a good shape"));
    let (encoder, out) = (Encoder::default(), SlotBuffer::default());
    let mut warm = Box::new(Warm { place, shape, words, encoder, step: 0, reader, head, out });
    for _ in 0..8 {
        warm.publish();
        warm.read();
    }
    if news {
        warm.publish();
    }
    warm
}

#[library_benchmark]
#[bench::core(args = (false), setup = warm)]
fn unchanged_read(warm: Box<Warm>) -> Box<Warm> {
    black_box(warm.head.load() == warm.reader.seen_head());
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
    warm.publish();
    warm
}

library_benchmark_group!(name = calls, benchmarks = [unchanged_read, changed_read, publish]);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = calls
);
