//! The core without Python: the protocol and the codec, each alone, with the payload of the other benchmarks.
#![allow(clippy::expect_used, reason = "a failed expectation ends the benchmark")]
#![allow(missing_docs, reason = "criterion's macros define functions without any")]

mod channel;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use traincast_core::reader::{Reader, SlotBuffer};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Shape;
use traincast_core::snapshot::to_words;
use traincast_core::writer::{Blob, Payload, Writer, WriterOptions};

use self::channel::{encoded, name, payload, place, walk};

const ARRAY_BYTES: usize = 400_000;

fn codec(criterion: &mut Criterion) {
    let shape = Arc::new(Shape::parse(encoded().0).expect("a good shape"));
    let mut encoder = Encoder::<()>::default();
    let mut step = 0;
    criterion.bench_function("encode, known shape", |bencher| {
        bencher.iter(|| {
            step += 1;
            encoder.start(Some(&shape));
            walk(&mut encoder, black_box(step));
            black_box(encoder.values());
        });
    });
    criterion.bench_function("encode, new shape", |bencher| {
        bencher.iter(|| {
            step += 1;
            encoder.start(None);
            walk(&mut encoder, black_box(step));
            black_box(encoder.recorded());
        });
    });
}

fn small(criterion: &mut Criterion) {
    let mut place = place(WriterOptions::default());
    let (shape, mut values) = encoded();
    let words = to_words(&shape);
    let mut publish = |writer: &mut Writer| {
        values[0] += 1;
        writer.publish(&payload(&words, shape.len(), &values)).expect("published")
    };
    publish(&mut place.writer);
    let mut reader = Reader::attach(&place.directory, name(), Duration::ZERO).expect("a reader");
    let head = reader.head_cell();
    criterion.bench_function("publish, ten values", |bencher| {
        bencher.iter(|| publish(&mut place.writer));
    });
    criterion.bench_function("is there something new?", |bencher| {
        bencher.iter(|| black_box(head.load()));
    });
    let mut out = SlotBuffer::default();
    let mut known = 0;
    criterion.bench_function("read, ten new values", |bencher| {
        bencher.iter_batched(
            || publish(&mut place.writer),
            |_| {
                let found = reader.refresh(known, &mut out).expect("read");
                if found == traincast_core::reader::Refresh::Snapshot {
                    known = out.meta.shape_id;
                }
            },
            BatchSize::PerIteration,
        );
    });
}

fn array(criterion: &mut Criterion) {
    let options = WriterOptions { capacity: 1 << 20, ..WriterOptions::default() };
    let mut place = place(options);
    let bytes = vec![7_u8; ARRAY_BYTES];
    let blobs = [Blob { offset: 0, bytes: &bytes }];
    let payload = Payload {
        shape_id: 1,
        shape: &[1],
        shape_len: 8,
        values: &[ARRAY_BYTES as u64],
        blobs: &blobs,
        blob_words: ARRAY_BYTES / 8,
    };
    place.writer.publish(&payload).expect("published");
    let mut reader = Reader::attach(&place.directory, name(), Duration::ZERO).expect("a reader");
    let mut group = criterion.benchmark_group("400 KB");
    group.throughput(Throughput::Bytes(ARRAY_BYTES as u64));
    group.bench_function("publish", |bencher| {
        bencher.iter(|| place.writer.publish(&payload).expect("published"));
    });
    let mut out = SlotBuffer::default();
    group.bench_function("read", |bencher| {
        bencher.iter_batched(
            || place.writer.publish(&payload).expect("published"),
            |_| reader.refresh(0, &mut out).expect("read"),
            BatchSize::PerIteration,
        );
    });
    let mut copy = vec![0_u8; ARRAY_BYTES];
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(&bytes)));
    });
    group.finish();
}

criterion_group!(benches, codec, small, array);
criterion_main!(benches);
