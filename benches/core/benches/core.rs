//! The core without Python: the protocol and the codec, each alone, with the payload of the other benchmarks.
#![allow(clippy::expect_used, reason = "a failed expectation ends the benchmark")]
#![allow(missing_docs, reason = "criterion's macros define functions without any")]

mod channel;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::shape::Kind;
use traincast_core::writer::WriterOptions;

use self::channel::{Bytes, Place, name, place, walk};

const ARRAY_BYTES: usize = 400_000;

fn publish_array(place: &mut Place, bytes: Bytes) {
    place.encoding.start();
    let encoder = &mut place.encoding.encoder;
    encoder.container(Kind::Dict, 1);
    encoder.key_str("array");
    encoder.array(Kind::Array, "|u1", 1, &[bytes.len() as u64], bytes, bytes.len());
    place.store();
}

fn codec(criterion: &mut Criterion) {
    let mut place = place(WriterOptions::default());
    (0..3).for_each(|_| place.publish()); // what is met again is expected
    let encoding = &mut place.encoding;
    criterion.bench_function("encode, known shape", |bencher| {
        bencher.iter(|| {
            encoding.start();
            walk(&mut encoding.encoder, black_box(encoding.step));
            black_box(encoding.encoder.values());
        });
    });
    criterion.bench_function("encode, new shape", |bencher| {
        bencher.iter(|| {
            encoding.encoder.start(None);
            walk(&mut encoding.encoder, black_box(7));
            black_box(encoding.encoder.recorded());
        });
    });
}

fn small(criterion: &mut Criterion) {
    let mut place = place(WriterOptions::default());
    place.publish();
    let mut reader = Reader::attach(&place.directory, name(), Duration::ZERO).expect("a reader");
    let head = reader.head_ref();
    criterion.bench_function("publish, ten values", |bencher| {
        bencher.iter(|| place.publish());
    });
    criterion.bench_function("is there something new?", |bencher| {
        bencher.iter(|| black_box(head.load()));
    });
    let mut snapshot = Snapshot::default();
    criterion.bench_function("read, ten new values", |bencher| {
        bencher.iter_batched(
            || place.publish(),
            |()| reader.read_into(&mut snapshot).expect("read"),
            BatchSize::PerIteration,
        );
    });
}

fn array(criterion: &mut Criterion) {
    let mut place = place(WriterOptions { capacity: 1 << 20, ..WriterOptions::default() });
    let bytes = vec![7_u8; ARRAY_BYTES].leak();
    publish_array(&mut place, bytes);
    let mut reader = Reader::attach(&place.directory, name(), Duration::ZERO).expect("a reader");
    let mut group = criterion.benchmark_group("400 KB");
    group.throughput(Throughput::Bytes(ARRAY_BYTES as u64));
    group.bench_function("publish", |bencher| {
        bencher.iter(|| publish_array(&mut place, bytes));
    });
    let mut snapshot = Snapshot::default();
    group.bench_function("read", |bencher| {
        bencher.iter_batched(
            || publish_array(&mut place, bytes),
            |()| reader.read_into(&mut snapshot).expect("read"),
            BatchSize::PerIteration,
        );
    });
    let mut copy = vec![0_u8; ARRAY_BYTES];
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(bytes)));
    });
    group.finish();
}

criterion_group!(benches, codec, small, array);
criterion_main!(benches);
