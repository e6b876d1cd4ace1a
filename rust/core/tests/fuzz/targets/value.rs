//! A snapshot as a tree: created from bytes, encoded, and built by a decoder.

use std::collections::HashSet;

use traincast_core::snapshot::decode::{MalformedValues, Visitor};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::{Dtype, Key, Kind};
use traincast_core::snapshot::{to_words, words_for};

use super::input::Input;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(u64),
    BigInt(Vec<u8>),
    Str(String),
    Bytes(Vec<u8>),
    Scalar(Dtype, Vec<u64>),
    Array(Kind, Dtype, Vec<u64>, Vec<u8>),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dict(Vec<(Key<'static>, Value)>),
}

/// Largest number of nodes in a tree that is created from bytes.
const MAX_NODES: usize = 200;

impl Value {
    /// A dictionary.
    pub fn root(input: &mut Input<'_>) -> Self {
        let mut nodes = 0;
        Self::Dict(entries(input, 1, &mut nodes))
    }

    /// Any value.
    pub fn any(input: &mut Input<'_>, depth: usize, nodes: &mut usize) -> Self {
        *nodes += 1;
        let kinds = if depth < 12 && *nodes < MAX_NODES { 14 } else { 10 };
        match input.below(kinds) {
            0 => Self::None,
            1 => Self::Bool(input.byte() & 1 == 1),
            2 => Self::Int(input.number(0) as i64),
            3 => Self::Float(input.number(1 << 62)),
            4 => Self::BigInt(blob(input)),
            5 => Self::Str(text(input)),
            6 => Self::Bytes(blob(input)),
            7 => {
                let dtype = dtype(input);
                let mut bytes = input.take(dtype.itemsize).to_vec();
                bytes.resize(dtype.itemsize, 0x5a);
                Self::Scalar(dtype, to_words(&bytes))
            }
            8 | 9 => {
                let kind = if input.byte() & 1 == 0 { Kind::Array } else { Kind::Tensor };
                let dtype = dtype(input);
                let dims: Vec<_> = (0..input.below(4)).map(|_| input.below(4) as u64).collect();
                let len = dims.iter().product::<u64>() as usize * dtype.itemsize;
                let mut bytes = input.take(len).to_vec();
                bytes.resize(len, 0xa5);
                Self::Array(kind, dtype, dims, bytes)
            }
            10 => Self::List(items(input, depth, nodes)),
            11 => Self::Tuple(items(input, depth, nodes)),
            _ => Self::Dict(entries(input, depth + 1, nodes)),
        }
    }

    /// Encodes it.
    pub fn encode(&self, encoder: &mut Encoder<Vec<u8>>) {
        match self {
            Self::None => encoder.none(),
            Self::Bool(value) => encoder.bool(*value),
            Self::Int(value) => encoder.int(*value),
            Self::Float(bits) => encoder.float(f64::from_bits(*bits)),
            Self::BigInt(bytes) => encoder.bigint(bytes.clone(), bytes.len()),
            Self::Str(text) => encoder.str(text.clone().into_bytes(), text.len()),
            Self::Bytes(bytes) => encoder.byte_string(bytes.clone(), bytes.len()),
            Self::Scalar(dtype, words) => encoder.scalar(&dtype.name, dtype.itemsize, words),
            Self::Array(kind, dtype, dims, bytes) => {
                encoder.array(*kind, &dtype.name, dtype.itemsize, dims, bytes.clone(), bytes.len());
            }
            Self::List(items) => {
                encoder.container(Kind::List, items.len());
                items.iter().for_each(|item| item.encode(encoder));
            }
            Self::Tuple(items) => {
                encoder.container(Kind::Tuple, items.len());
                items.iter().for_each(|item| item.encode(encoder));
            }
            Self::Dict(items) => {
                encoder.container(Kind::Dict, items.len());
                for (key, item) in items {
                    match key {
                        Key::Str(key) => encoder.key_str(key),
                        Key::Int(key) => encoder.key_int(*key),
                        Key::BigInt(key) => encoder.key_bigint(key),
                    }
                    item.encode(encoder);
                }
            }
        }
    }

    /// The entries of the root.
    pub fn entries(&self) -> &[(Key<'static>, Value)] {
        match self {
            Self::Dict(entries) => entries,
            _ => panic!("the root is a dictionary"),
        }
    }
}

/// The blobs of an encoder as in a slot.
pub fn region(encoder: &Encoder<Vec<u8>>) -> Vec<u8> {
    let mut region = vec![0; encoder.blob_words() * 8];
    let mut end = 0;
    for blob in encoder.blobs() {
        assert!(blob.offset >= end, "blobs overlap");
        end = blob.offset + words_for(blob.bytes.len());
        region[blob.offset * 8..][..blob.bytes.len()].copy_from_slice(&blob.bytes);
    }
    region
}

fn blob(input: &mut Input<'_>) -> Vec<u8> {
    let len = input.below(24);
    input.take(len).to_vec()
}

fn text(input: &mut Input<'_>) -> String {
    String::from_utf8_lossy(&blob(input)).into_owned()
}

fn dtype(input: &mut Input<'_>) -> Dtype {
    let (name, itemsize) = match input.below(8) {
        0 => ("<f8".into(), 8),
        1 => ("|b1".into(), 1),
        2 => ("<U5".into(), 20),
        3 => ("|S0".into(), 0),
        4 => ("<c16".into(), 16),
        5 => ("bfloat16".into(), 2),
        _ => (text(input), input.below(40)),
    };
    Dtype { name: name.into_boxed_str(), itemsize }
}

fn items(input: &mut Input<'_>, depth: usize, nodes: &mut usize) -> Vec<Value> {
    (0..input.below(9)).map(|_| Value::any(input, depth + 1, nodes)).collect()
}

fn entries(input: &mut Input<'_>, depth: usize, nodes: &mut usize) -> Vec<(Key<'static>, Value)> {
    let key = |input: &mut Input<'_>| match input.below(4) {
        0 => Key::Int(input.number(0) as i64),
        1 => Key::BigInt(blob(input).into()),
        _ => Key::Str(text(input).into()),
    };
    unique((0..input.below(9)).map(|_| (key(input), Value::any(input, depth, nodes))).collect())
}

/// The first entry of each key.
pub fn unique(mut entries: Vec<(Key<'static>, Value)>) -> Vec<(Key<'static>, Value)> {
    let mut seen = HashSet::new();
    entries.retain(|(key, _)| seen.insert(key.canonical().into_owned()));
    entries
}

/// An open container: its key, and its children with their keys.
type Open = (Option<Key<'static>>, Vec<(Option<Key<'static>>, Value)>);

/// A visitor that builds a value, and checks the order of the calls.
#[derive(Default)]
pub struct Build {
    open: Vec<Open>,
    key: Option<Key<'static>>,
    pub root: Option<Value>,
}

impl Build {
    fn add(&mut self, value: Value) -> Result<(), MalformedValues> {
        let key = self.key.take();
        match self.open.last_mut() {
            Some((_, items)) => items.push((key, value)),
            None => assert!(self.root.replace(value).is_none(), "two roots"),
        }
        Ok(())
    }
}

impl Visitor for Build {
    type Error = MalformedValues;

    fn key(&mut self, key: Key<'_>) -> Result<(), MalformedValues> {
        assert!(self.key.replace(key.into_owned()).is_none(), "two keys for a value");
        Ok(())
    }
    fn none(&mut self) -> Result<(), MalformedValues> {
        self.add(Value::None)
    }
    fn bool(&mut self, value: bool) -> Result<(), MalformedValues> {
        self.add(Value::Bool(value))
    }
    fn int(&mut self, value: i64) -> Result<(), MalformedValues> {
        self.add(Value::Int(value))
    }
    fn float(&mut self, value: f64) -> Result<(), MalformedValues> {
        self.add(Value::Float(value.to_bits()))
    }
    fn bigint(&mut self, bytes: &[u8]) -> Result<(), MalformedValues> {
        self.add(Value::BigInt(bytes.to_vec()))
    }
    fn str(&mut self, value: &str) -> Result<(), MalformedValues> {
        self.add(Value::Str(value.to_owned()))
    }
    fn bytes(&mut self, value: &[u8]) -> Result<(), MalformedValues> {
        self.add(Value::Bytes(value.to_vec()))
    }
    fn scalar(&mut self, dtype: &Dtype, words: &[u64]) -> Result<(), MalformedValues> {
        assert_eq!(words.len(), words_for(dtype.itemsize));
        self.add(Value::Scalar(dtype.clone(), words.to_vec()))
    }
    fn array(
        &mut self,
        kind: Kind,
        dtype: &Dtype,
        dims: &[u64],
        bytes: &[u8],
    ) -> Result<(), MalformedValues> {
        let count = dims.iter().try_fold(1_u64, |count, dim| count.checked_mul(*dim));
        let len = if dims.contains(&0) { Some(0) } else { count };
        let wanted = len.map(|len| u128::from(len) * dtype.itemsize as u128);
        assert!(
            wanted == Some(bytes.len() as u128) || dtype.itemsize == 0 && bytes.is_empty(),
            "an array's bytes do not fit its axes"
        );
        self.add(Value::Array(kind, dtype.clone(), dims.to_vec(), bytes.to_vec()))
    }
    fn begin(&mut self, _: Kind, len: usize) -> Result<(), MalformedValues> {
        self.open.push((self.key.take(), Vec::with_capacity(len)));
        Ok(())
    }
    fn end(&mut self, kind: Kind) -> Result<(), MalformedValues> {
        let (key, items) = self.open.pop().expect("begin came before");
        self.key = key;
        let entry =
            |(key, item): (Option<Key<'static>>, Value)| (key.expect("a dict's items have keys"), item);
        self.add(match kind {
            Kind::List => Value::List(items.into_iter().map(|(_, item)| item).collect()),
            Kind::Tuple => Value::Tuple(items.into_iter().map(|(_, item)| item).collect()),
            _ => Value::Dict(items.into_iter().map(entry).collect()),
        })
    }
}
