//! The codec alone: decoding gives what was encoded, and a shape that is met again is recognised.
#![allow(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use proptest::prelude::*;
use traincast_core::snapshot::blobs::BlobCursor;
use traincast_core::snapshot::cache::{NumberedShape, ShapeCache};
use traincast_core::snapshot::decode::{MalformedValues, decode};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::{Dtype, Key, Kind, Shape};
use traincast_core::snapshot::to_words;

#[path = "fuzz/targets/input.rs"]
#[allow(dead_code, reason = "the fuzzers make their values from bytes, these tests from strategies")]
mod input;
#[path = "fuzz/targets/value.rs"]
#[allow(dead_code, reason = "as above")]
mod value;

use value::{Build, Value, region, unique};

fn bytes_dtype(name: &str, itemsize: usize) -> Dtype {
    Dtype { name: name.into(), itemsize }
}

fn any_value() -> impl Strategy<Value = Value> {
    let array = (any::<bool>(), prop::collection::vec(0_u64..4, 0..4), any::<u8>());
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Float),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::BigInt),
        ".{0,12}".prop_map(Value::Str),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        prop::collection::vec(any::<u64>(), 0..3)
            .prop_map(|words| Value::Scalar(bytes_dtype("<x", words.len() * 8), words)),
        array.prop_map(|(tensor, dims, byte)| {
            let len = dims.iter().product::<u64>() as usize;
            Value::Array(
                if tensor { Kind::Tensor } else { Kind::Array },
                bytes_dtype("|u1", 1),
                dims,
                vec![byte; len],
            )
        }),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Tuple),
            entries(inner).prop_map(Value::Dict),
        ]
    })
}

fn entries(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(Key<'static>, Value)>> {
    let key = prop_oneof![
        ".{0,6}".prop_map(|text| Key::Str(text.into())),
        any::<i64>().prop_map(Key::Int),
        prop::collection::vec(any::<u8>(), 9..12).prop_map(|bytes| Key::BigInt(bytes.into())),
    ];
    prop::collection::vec((key, inner), 0..6).prop_map(unique)
}

/// The shape that was encoded, as in a writer's cache.
fn numbered(cache: &ShapeCache<()>, encoder: &Encoder<Vec<u8>>) -> Arc<NumberedShape> {
    match encoder.recorded() {
        Some(bytes) => {
            let shape = Shape::parse(bytes).expect("an encoder's shape parses");
            Arc::new(NumberedShape { id: 0, words: to_words(bytes), shape })
        }
        None => cache.last().expect("nothing was recorded, so a shape was expected").shape.clone(),
    }
}

/// The id of the snapshot's shape, and the decoded value.
fn round_trip(cache: &mut ShapeCache<()>, encoder: &mut Encoder<Vec<u8>>, info: &Value) -> (u64, Value) {
    encoder.start(cache.last().map(|last| &last.shape));
    info.encode(encoder);
    let shape = numbered(cache, encoder);
    let mut build = Build::default();
    decode(&shape.shape, encoder.values(), &region(encoder), &mut build).expect("it decodes");
    let payload = encoder.finish(cache).expect("an encoder's shape parses");
    assert_eq!(payload.fault(), None);
    assert_eq!((payload.shape, payload.shape_len), (&shape.words[..], shape.shape.bytes.len()));
    (payload.shape_id, build.root.expect("there is a root"))
}

proptest! {
    #[test]
    fn decoding_gives_what_was_encoded(
        infos in prop::collection::vec(entries(any_value()).prop_map(Value::Dict), 1..6)
    ) {
        let mut cache = ShapeCache::default();
        let mut encoder = Encoder::default();
        for info in infos.iter().chain(&infos).chain(&infos) {
            let (first, back) = round_trip(&mut cache, &mut encoder, info);
            prop_assert_eq!(&back, info);
            let (second, back) = round_trip(&mut cache, &mut encoder, info);
            prop_assert_eq!(&back, info);
            prop_assert_eq!(first, second);
            // Once a shape is repeated, it is expected and nothing is recorded any more.
            round_trip(&mut cache, &mut encoder, info);
            prop_assert!(encoder.recorded().is_none());
        }
    }

    #[test]
    fn a_splice_equals_an_encoding(info in entries(any_value()), change in 0_usize..8, to in any_value()) {
        let mut cache = ShapeCache::<()>::default();
        let mut encoder = Encoder::default();
        for _ in 0..3 {
            round_trip(&mut cache, &mut encoder, &Value::Dict(info.clone()));
        }
        let shape = cache.last().expect("met three times").shape.clone();
        let (values, old) = (encoder.values().to_vec(), region(&encoder));

        let mut changed = info.clone();
        encoder.start(Some(&shape));
        encoder.container(Kind::Dict, info.len());
        let mut blobs = BlobCursor::default();
        for (index, node) in shape.shape.top_level().enumerate() {
            if index == change {
                for below in &shape.shape.nodes[node..shape.shape.nodes[node].end as usize] {
                    blobs.advance(&shape.shape, below, &values);
                }
                prop_assert!(encoder.expected_key().is_some());
                to.encode(&mut encoder);
                changed[index].1 = to.clone();
            } else {
                encoder.splice(&shape, node, &values, &mut blobs, |range| old[range].to_vec());
            }
        }
        let shape = numbered(&cache, &encoder);
        let mut build = Build::default();
        decode(&shape.shape, encoder.values(), &region(&encoder), &mut build).expect("it decodes");
        prop_assert_eq!(build.root.expect("there is a root"), Value::Dict(changed));
    }

    #[test]
    fn a_shape_is_parsed_the_same_in_used_memory(infos in prop::collection::vec(entries(any_value()), 1..4), rot in any::<u8>()) {
        let mut used = Shape::default();
        for info in infos {
            let mut encoder = Encoder::<Vec<u8>>::default();
            encoder.start(None);
            Value::Dict(info).encode(&mut encoder);
            let mut bytes = encoder.recorded().expect("recorded").to_vec();
            used = used.parse_again(&to_words(&bytes), bytes.len()).expect("an encoder's shape parses");
            let fresh = Shape::parse(&bytes[..]).expect("the same");
            prop_assert_eq!(format!("{:?}", used), format!("{:?}", fresh));
            // Also if it is refused half-way.
            let middle = bytes.len() / 2;
            bytes[middle] ^= rot;
            let (again, fresh) = (used.parse_again(&to_words(&bytes), bytes.len()), Shape::parse(bytes));
            prop_assert_eq!(format!("{:?}", again), format!("{:?}", fresh));
            used = again.unwrap_or_default();
        }
    }

    #[test]
    fn any_bytes_are_refused_or_decoded(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        values in prop::collection::vec(any::<u64>(), 0..16),
        blobs in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = bytes;
        bytes.insert(0, Kind::Dict as u8);
        if let Ok(shape) = Shape::parse(bytes) {
            let mut values = values;
            values.resize(shape.value_words, 1);
            let _ = decode(&shape, &values, &blobs, &mut Build::default());
        }
    }
}

#[test]
fn lengths_that_overflow_are_refused() {
    let mut encoder = Encoder::<Vec<u8>>::default();
    encoder.start(None);
    encoder.container(Kind::Dict, 1);
    encoder.key_str("a");
    encoder.array(Kind::Array, "<f8", 8, &[1, 1], vec![0; 8], 8);
    let shape = Shape::parse(encoder.recorded().expect("recorded")).expect("parses");
    for dims in [[u64::MAX, 2], [1 << 61, 1], [1 << 32, 1 << 32], [2, 1]] {
        let result = decode(&shape, &dims, &[0; 8], &mut Build::default());
        assert_eq!(result, Err(MalformedValues::BlobTooLong), "{dims:?}");
    }
}
