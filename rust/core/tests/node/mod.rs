//! Nodes that exchange snapshots in wire form: a snapshot that is published on one is read on another.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::time::Duration;

use traincast_core::error::Result;
use traincast_core::numbering::Stamp;
use traincast_core::reader::Reader;
use traincast_core::snapshot::cache::ShapeCache;
use traincast_core::snapshot::decode::decode;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::{Dtype, Key, Kind, Shape};
use traincast_core::snapshot::wire::Message;
use traincast_core::snapshot::{Snapshot, to_bytes};
use traincast_core::writer::{Delivery, Writer};

use crate::common::{Place, channel};
use crate::value::{Build, Value};

fn key(text: &str) -> Key<'static> {
    Key::Str(text.to_owned().into())
}

/// A dictionary with every kind of leaf. All of its content follows from `seed`, and so does its structure, of which there are
/// five.
pub fn info(seed: u64) -> Value {
    let array = |kind, dtype: &str, itemsize, dims: &[u64]| {
        let len = dims.iter().product::<u64>() as usize * itemsize;
        let bytes = (0..len).map(|at| (seed as u8).wrapping_add(at as u8)).collect();
        Value::Array(kind, Dtype { name: dtype.into(), itemsize }, dims.to_vec(), bytes)
    };
    let mut entries = vec![
        (key("approx_total_training_steps"), Value::Int(seed as i64)),
        (key("lr"), Value::Float((seed as f64 / 7.0).to_bits())),
        (key("tag"), Value::Str(format!("stufe-ü-{seed}"))),
        (key("goals"), array(Kind::Array, "<f8", 8, &[2, 3])),
        (key("raw"), Value::Bytes(vec![seed as u8; (seed % 13) as usize])),
        (key("weights"), array(Kind::Tensor, "bfloat16", 2, &[5])),
        (Key::Int(-3), Value::Tuple(vec![Value::None, Value::Bool(seed.is_multiple_of(2))])),
        (Key::BigInt(vec![1; 9].into()), Value::BigInt(vec![seed as u8; 11])),
        (key("scalar"), Value::Scalar(Dtype { name: "<i8".into(), itemsize: 8 }, vec![seed])),
    ];
    for extra in 0..seed % 5 {
        entries.push((
            key(&format!("extra-{extra}")),
            Value::List(vec![Value::Int(seed as i64); extra as usize]),
        ));
    }
    Value::Dict(entries)
}

/// The seed of a dictionary. Checks that all of the content follows from it.
pub fn seed_of(value: &Value) -> u64 {
    let seed = match value.entries().first() {
        Some((_, Value::Int(steps))) => *steps as u64,
        other => panic!("no steps, but {other:?}"),
    };
    assert_eq!(*value, info(seed), "a mixture");
    seed
}

/// Publishes dictionaries.
#[derive(Default)]
pub struct Publisher {
    cache: ShapeCache<()>,
    encoder: Encoder<Vec<u8>>,
}

impl Publisher {
    pub fn publish(&mut self, writer: &mut Writer, value: &Value) -> Result<u64> {
        self.encoder.start(self.cache.last().map(|last| &last.shape));
        value.encode(&mut self.encoder);
        let payload = self.encoder.finish(&mut self.cache).unwrap();
        writer.publish(&payload).map(|version| version.get())
    }
}

/// Reads dictionaries on one node.
pub struct Node {
    pub reader: Reader,
    pub out: Snapshot,
}

impl Node {
    pub fn attach(place: &Place) -> Self {
        let reader = Reader::attach(&place.directory, channel(), Duration::from_secs(60)).unwrap();
        Self { reader, out: Snapshot::default() }
    }

    /// The newest snapshot as a message.
    pub fn message(&mut self) -> Vec<u8> {
        self.reader.read_wire(&mut self.out).unwrap()
    }

    /// The newest dictionary, if it is not the same as before.
    pub fn read(&mut self) -> Option<(Stamp, Value)> {
        self.reader.read_into(&mut self.out).unwrap().then(|| (self.out.meta.stamp, value_of(&self.out)))
    }
}

/// The content of a copied snapshot.
pub fn value_of(out: &Snapshot) -> Value {
    let shape = Shape::parse(to_bytes(&out.shape, out.meta.shape_len)).unwrap();
    let blobs: &[u8] = if out.meta.blob_words > 0 { out.blobs.bytes() } else { &[] };
    let mut build = Build::default();
    decode(&shape, &out.values, blobs, &mut build).unwrap();
    build.root.unwrap()
}

/// Publishes a message where it arrives.
pub fn deliver(writer: &mut Writer, message: &[u8]) -> Result<Delivery> {
    writer.publish_message(&Message::parse(message).unwrap(), None)
}

/// Makes the checksum of a message agree with the rest.
pub fn mend(message: &mut [u8]) {
    use traincast_core::layout::WORD;
    use traincast_core::snapshot::wire::word;

    let total = message.len() as u64;
    message[word::TOTAL * WORD..][..WORD].copy_from_slice(&total.to_le_bytes());
    let checksum = u64::from(crc32fast::hash(&message[(word::CHECKSUM + 1) * WORD..]));
    message[word::CHECKSUM * WORD..][..WORD].copy_from_slice(&checksum.to_le_bytes());
}
