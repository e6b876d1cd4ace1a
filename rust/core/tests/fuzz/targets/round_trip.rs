//! Encoding and then decoding gives the same value, whatever the encoder and its caches have seen before.

use std::sync::Arc;

use traincast_core::snapshot::blobs::BlobCursor;
use traincast_core::snapshot::cache::{NumberedShape, ShapeCache};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::{Kind, Shape};
use traincast_core::snapshot::to_words;

use super::input::Input;
use super::snapshot::decoded;
use super::value::{Value, region};

/// The state that a writer keeps between publishes.
#[derive(Default)]
struct Publisher {
    cache: ShapeCache<()>,
    encoder: Encoder<Vec<u8>>,
    /// The last snapshot: its shape, values and blobs.
    last: Option<(Arc<NumberedShape>, Vec<u64>, Vec<u8>)>,
}

impl Publisher {
    /// Ends an encoding of `value`, checks it, and returns the shape's id.
    fn finish(&mut self, value: &Value) -> u64 {
        let shape = match self.encoder.recorded() {
            Some(bytes) => {
                let shape = Shape::parse(bytes).expect("an encoder's shape parses");
                Arc::new(NumberedShape { id: 0, words: to_words(bytes), shape })
            }
            None => {
                let last = self.cache.last().expect("nothing was recorded, so one was expected");
                Arc::clone(&last.shape)
            }
        };
        let blobs = region(&self.encoder);
        assert_eq!(decoded(&shape.shape, self.encoder.values(), &blobs).as_ref(), Some(value));
        self.last = Some((Arc::clone(&shape), self.encoder.values().to_vec(), blobs));
        let payload = self.encoder.finish(&mut self.cache).expect("an encoder's shape parses");
        assert_eq!(payload.fault(), None);
        assert_eq!((payload.shape, payload.shape_len), (&shape.words[..], shape.shape.bytes.len()));
        let id = payload.shape_id;
        if let Some(last) = self.cache.last().filter(|last| last.shape.id == id) {
            assert_eq!(last.shape.shape.bytes, shape.shape.bytes, "two shapes of one id");
        }
        id
    }

    /// Publishes a whole dictionary.
    fn publish(&mut self, value: &Value) -> u64 {
        self.encoder.start(self.cache.last().map(|last| &last.shape));
        value.encode(&mut self.encoder);
        self.finish(value)
    }

    /// Publishes the last dictionary, which is `value`, with the entries in `changes` replaced. Returns the new dictionary.
    fn update(&mut self, value: &Value, changes: &[(usize, Value)]) -> Value {
        let (shape, values, blobs) = self.last.take().expect("published before");
        let mut entries = value.entries().to_vec();
        let expected = self.cache.last().map(|last| &last.shape);
        let expected = expected.filter(|last| last.shape.bytes == shape.shape.bytes);
        let shape = expected.map_or(shape, Arc::clone);
        let encoder = &mut self.encoder;
        encoder.start(self.cache.last().map(|last| &last.shape));
        encoder.container(Kind::Dict, entries.len());
        let mut cursor = BlobCursor::default();
        for (index, node) in shape.shape.top_level().enumerate() {
            let Some((_, change)) = changes.iter().find(|(at, _)| *at == index) else {
                encoder.splice(&shape, node, &values, &mut cursor, |range| blobs[range].to_vec());
                continue;
            };
            for below in &shape.shape.nodes[node..shape.shape.nodes[node].end as usize] {
                cursor.advance(&shape.shape, below, &values);
            }
            let (key, entry) = &mut entries[index];
            match key {
                traincast_core::snapshot::shape::Key::Str(key) => encoder.key_str(key),
                traincast_core::snapshot::shape::Key::Int(key) => encoder.key_int(*key),
                traincast_core::snapshot::shape::Key::BigInt(key) => encoder.key_bigint(key),
            }
            change.encode(encoder);
            entry.clone_from(change);
        }
        let value = Value::Dict(entries);
        self.finish(&value);
        value
    }
}

/// Publishes up to six dictionaries that `data` describes, some of them twice, some with entries replaced.
pub fn round_trip(data: &[u8]) {
    let input = &mut Input(data);
    let mut publisher = Publisher::default();
    let mut met: Vec<(Value, u64)> = Vec::new();
    for _ in 0..6 {
        if input.is_empty() {
            break;
        }
        let plan = input.byte();
        let again = usize::from(plan >> 4) % met.len().max(1);
        match (plan % 3, met.last()) {
            (0, Some(_)) => {
                let (value, id) = &met[again];
                assert_eq!(publisher.publish(value), *id, "a shape that was met has a new id");
            }
            (1, Some((value, _))) => {
                let mut nodes = 100;
                let change = |input: &mut Input<'_>| (input.below(8), Value::any(input, 1, &mut nodes));
                let mut change = change;
                let changes = [change(input), change(input)];
                let value = value.clone();
                publisher.publish(&value);
                let updated = publisher.update(&value, &changes[..1 + usize::from(plan >> 7)]);
                let id = publisher.publish(&updated);
                met.push((updated, id));
            }
            _ => {
                let value = Value::root(input);
                let id = publisher.publish(&value);
                assert_eq!(publisher.publish(&value), id);
                met.push((value, id));
            }
        }
    }
}
