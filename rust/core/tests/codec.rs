//! The codec alone: what is encoded is decoded, and a shape that is met again is recognised.
#![allow(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use proptest::prelude::*;
use traincast_core::snapshot::cache::ShapeCache;
use traincast_core::snapshot::decode::{MalformedValues, Visitor, decode};
use traincast_core::snapshot::encode::{BlobCursor, Encoder};
use traincast_core::snapshot::shape::{Dtype, Key, Kind, Shape};

#[derive(Clone, Debug, PartialEq)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(u64),
    BigInt(Vec<u8>),
    Str(String),
    Bytes(Vec<u8>),
    Scalar(Vec<u64>),
    Array(Kind, Vec<u64>, Vec<u8>),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dict(Vec<(Key, Value)>),
}

fn encode(encoder: &mut Encoder<Vec<u8>>, value: &Value) {
    match value {
        Value::None => encoder.none(),
        Value::Bool(value) => encoder.bool(*value),
        Value::Int(value) => encoder.int(*value),
        Value::Float(bits) => encoder.float(f64::from_bits(*bits)),
        Value::BigInt(bytes) => encoder.bigint(bytes.clone(), bytes.len()),
        Value::Str(text) => encoder.str(text.clone().into_bytes(), text.len()),
        Value::Bytes(bytes) => encoder.byte_string(bytes.clone(), bytes.len()),
        Value::Scalar(words) => encoder.scalar("<x", words.len() * 8, words),
        Value::Array(kind, dims, bytes) => encoder.array(*kind, "|u1", 1, dims, bytes.clone(), bytes.len()),
        Value::List(items) => {
            encoder.container(Kind::List, items.len());
            items.iter().for_each(|item| encode(encoder, item));
        }
        Value::Tuple(items) => {
            encoder.container(Kind::Tuple, items.len());
            items.iter().for_each(|item| encode(encoder, item));
        }
        Value::Dict(items) => {
            encoder.container(Kind::Dict, items.len());
            for (key, item) in items {
                match key {
                    Key::Str(key) => encoder.key_str(key),
                    Key::Int(key) => encoder.key_int(*key),
                    Key::BigInt(key) => encoder.key_bigint(key),
                }
                encode(encoder, item);
            }
        }
    }
}

type Refusal = MalformedValues;

type Items = Vec<(Option<Key>, Value)>;

/// Puts the events together again: one list of (key, value) for each open container.
#[derive(Default)]
struct Build {
    open: Vec<(Option<Key>, Items)>,
    key: Option<Key>,
    root: Option<Value>,
}

impl Build {
    fn add(&mut self, value: Value) -> Result<(), Refusal> {
        let key = self.key.take();
        match self.open.last_mut() {
            Some((_, items)) => items.push((key, value)),
            None => self.root = Some(value),
        }
        Ok(())
    }
}

impl Visitor for Build {
    type Error = Refusal;
    fn key(&mut self, key: &Key) -> Result<(), Refusal> {
        self.key = Some(key.clone());
        Ok(())
    }
    fn none(&mut self) -> Result<(), Refusal> {
        self.add(Value::None)
    }
    fn bool(&mut self, value: bool) -> Result<(), Refusal> {
        self.add(Value::Bool(value))
    }
    fn int(&mut self, value: i64) -> Result<(), Refusal> {
        self.add(Value::Int(value))
    }
    fn float(&mut self, value: f64) -> Result<(), Refusal> {
        self.add(Value::Float(value.to_bits()))
    }
    fn bigint(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.add(Value::BigInt(bytes.to_vec()))
    }
    fn str(&mut self, value: &str) -> Result<(), Refusal> {
        self.add(Value::Str(value.to_owned()))
    }
    fn bytes(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.add(Value::Bytes(value.to_vec()))
    }
    fn scalar(&mut self, _: &Dtype, words: &[u64]) -> Result<(), Refusal> {
        self.add(Value::Scalar(words.to_vec()))
    }
    fn array(&mut self, kind: Kind, _: &Dtype, dims: &[u64], bytes: &[u8]) -> Result<(), Refusal> {
        self.add(Value::Array(kind, dims.to_vec(), bytes.to_vec()))
    }
    fn begin(&mut self, _: Kind, _: usize) -> Result<(), Refusal> {
        self.open.push((self.key.take(), Vec::new()));
        Ok(())
    }
    fn end(&mut self, kind: Kind) -> Result<(), Refusal> {
        let (key, items) = self.open.pop().expect("begin came before");
        self.key = key;
        let entry = |(key, item): (Option<Key>, Value)| (key.expect("a dict's items have keys"), item);
        self.add(match kind {
            Kind::List => Value::List(items.into_iter().map(|(_, item)| item).collect()),
            Kind::Tuple => Value::Tuple(items.into_iter().map(|(_, item)| item).collect()),
            _ => Value::Dict(items.into_iter().map(entry).collect()),
        })
    }
}

fn region(encoder: &Encoder<Vec<u8>>) -> Vec<u8> {
    let mut region = vec![0; encoder.blob_words() * 8];
    for blob in encoder.blobs() {
        region[blob.offset * 8..][..blob.bytes.len()].copy_from_slice(&blob.bytes);
    }
    region
}

fn value() -> impl Strategy<Value = Value> {
    let array = (any::<bool>(), prop::collection::vec(0_u64..4, 0..4), any::<u8>());
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Float),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::BigInt),
        ".{0,12}".prop_map(Value::Str),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        prop::collection::vec(any::<u64>(), 0..3).prop_map(Value::Scalar),
        array.prop_map(|(tensor, dims, byte)| {
            let len = dims.iter().product::<u64>() as usize;
            Value::Array(if tensor { Kind::Tensor } else { Kind::Array }, dims, vec![byte; len])
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

fn entries(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(Key, Value)>> {
    let key = prop_oneof![
        ".{0,6}".prop_map(|text| Key::Str(text.into())),
        any::<i64>().prop_map(Key::Int),
        prop::collection::vec(any::<u8>(), 9..12).prop_map(|bytes| Key::BigInt(bytes.into())),
    ];
    prop::collection::vec((key, inner), 0..6)
}

fn round_trip(cache: &mut ShapeCache<()>, encoder: &mut Encoder<Vec<u8>>, info: &Value) -> (u64, Value) {
    encoder.start(cache.last().map(|last| &last.shape));
    encode(encoder, info);
    let (id, shape) = match encoder.recorded() {
        Some(bytes) => (
            cache.id_of(bytes).expect("an encoder's shape parses"),
            Arc::new(Shape::parse(bytes).expect("an encoder's shape parses")),
        ),
        None => {
            let last = cache.last().expect("nothing was recorded, so a shape was expected");
            (last.id, last.shape.clone())
        }
    };
    let mut build = Build::default();
    decode(&shape, encoder.values(), &region(encoder), &mut build).expect("it decodes");
    (id, build.root.expect("there is a root"))
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        infos in prop::collection::vec(entries(value()).prop_map(Value::Dict), 1..6)
    ) {
        let mut cache = ShapeCache::default();
        let mut encoder = Encoder::default();
        for info in infos.iter().chain(&infos).chain(&infos) {
            let (first, back) = round_trip(&mut cache, &mut encoder, info);
            prop_assert_eq!(&back, info);
            let (second, back) = round_trip(&mut cache, &mut encoder, info);
            prop_assert_eq!(&back, info);
            prop_assert_eq!(first, second);
            // Once repeated, a shape is expected and nothing is recorded any more.
            round_trip(&mut cache, &mut encoder, info);
            prop_assert!(encoder.recorded().is_none());
        }
    }

    #[test]
    fn a_splice_equals_an_encoding(info in entries(value()), change in 0_usize..8, to in value()) {
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
        for (index, node) in shape.top_level().enumerate() {
            if index == change {
                for below in &shape.nodes[node..shape.nodes[node].end as usize] {
                    blobs.advance(&shape, below, &values);
                }
                prop_assert!(encoder.expected_key().is_some());
                encode(&mut encoder, &to);
                changed[index].1 = to.clone();
            } else {
                encoder.splice(&shape, node, &values, &mut blobs, |range| old[range].to_vec());
            }
        }
        let shape = match encoder.recorded() {
            Some(bytes) => Arc::new(Shape::parse(bytes).expect("a spliced shape parses")),
            None => shape,
        };
        let mut build = Build::default();
        decode(&shape, encoder.values(), &region(&encoder), &mut build).expect("it decodes");
        prop_assert_eq!(build.root.expect("there is a root"), Value::Dict(changed));
    }

    #[test]
    fn any_bytes_are_refused_or_decoded(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        values in prop::collection::vec(any::<u64>(), 0..16),
        blobs in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = bytes;
        bytes.insert(0, Kind::Dict as u8);
        if let Ok(shape) = Shape::parse(&bytes) {
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
