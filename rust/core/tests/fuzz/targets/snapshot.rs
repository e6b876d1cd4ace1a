//! Parses and decodes the bytes of a snapshot.

use std::sync::Arc;

use traincast_core::snapshot::blobs::BlobCursor;
use traincast_core::snapshot::cache::NumberedShape;
use traincast_core::snapshot::decode::{MalformedValues, check, decode};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Shape;
use traincast_core::snapshot::{MAX_DEPTH, to_words};

use super::input::Input;
use super::value::{Build, Value, region};

/// Decodes `len (2 bytes) │ shape │ flags │ length of the values in bytes (2) │ values │ blobs`.
///
/// They are refused, or decoded to a value that survives another encoding. The shape takes memory in proportion to its bytes.
pub fn snapshot(data: &[u8]) {
    let input = &mut Input(data);
    let len = input.short();
    let bytes = input.take(len);
    let Ok(shape) = Shape::parse(bytes) else { return };
    assert_bounded(&shape, bytes);
    let flags = input.byte();
    let len = input.short();
    let mut values: Vec<_> = input.take(len).chunks(8).map(|chunk| Input(chunk).word()).collect();
    // Most inputs get the right number of values, and small ones: other numbers are refused early.
    if flags & 3 != 0 && shape.value_words < 1 << 16 {
        values.resize(shape.value_words, 1);
    }
    if flags & 4 != 0 {
        values.iter_mut().for_each(|value| *value &= 0x1f);
    }
    let blobs = input.0;
    let Some(value) = decoded(&shape, &values, blobs) else {
        return;
    };
    let shape = NumberedShape { id: 9, words: to_words(&shape.bytes), shape };
    encode_again(&Arc::new(shape), &values, blobs, &value);
}

pub fn assert_bounded(shape: &Shape, bytes: &[u8]) {
    assert_eq!(shape.bytes, bytes);
    assert!(shape.nodes.len() <= bytes.len());
    assert!(shape.key_count() < shape.nodes.len() && shape.dtypes.len() <= shape.nodes.len());
    assert!(shape.nodes.len() > shape.top_level().count());
    assert_eq!(shape.nodes[0].end as usize, shape.nodes.len());
    let mut open = Vec::new();
    for (index, node) in shape.nodes.iter().enumerate() {
        assert!(node.end as usize > index && node.value_at as usize <= shape.value_words);
        open.retain(|end| *end > index);
        if node.kind.is_container() {
            open.push(node.end as usize);
        }
        assert!(open.len() <= MAX_DEPTH, "nested too deeply");
    }
}

/// The value, if the parts fit each other. `check` and `decode` must agree.
pub fn decoded(shape: &Shape, values: &[u64], blobs: &[u8]) -> Option<Value> {
    let mut build = Build::default();
    let checked = check(shape, values, blobs);
    let result = decode(shape, values, blobs, &mut build);
    match (checked, result) {
        (Ok(()), Ok(())) => Some(build.root.expect("there is a root")),
        (Ok(()), Err(MalformedValues::NotUtf8)) => None,
        (Err(checked), Err(error)) => {
            assert!(checked == error || error == MalformedValues::NotUtf8);
            None
        }
        (checked, result) => panic!("check: {checked:?}, decode: {result:?}"),
    }
}

/// A writer can encode a snapshot that it found again: with the expected shape, without it, and entry by entry.
fn encode_again(shape: &Arc<NumberedShape>, values: &[u64], blobs: &[u8], value: &Value) {
    let encoder = &mut Encoder::default();
    encoder.start(Some(shape));
    value.encode(encoder);
    assert!(encoder.recorded().is_none(), "a shape is not its own");
    assert_eq!(decoded(&shape.shape, encoder.values(), &region(encoder)).as_ref(), Some(value));

    encoder.start(None);
    value.encode(encoder);
    let fresh = Shape::parse(encoder.recorded().expect("recorded")).expect("an encoder's shape parses");
    assert_eq!(decoded(&fresh, encoder.values(), &region(encoder)).as_ref(), Some(value));

    encoder.start(None);
    encoder.container(traincast_core::snapshot::shape::Kind::Dict, value.entries().len());
    let mut cursor = BlobCursor::default();
    for node in shape.shape.top_level() {
        encoder.splice(shape, node, values, &mut cursor, |range| blobs[range].to_vec());
    }
    let spliced = Shape::parse(encoder.recorded().expect("recorded")).expect("a spliced shape parses");
    assert_eq!(decoded(&spliced, encoder.values(), &region(encoder)).as_ref(), Some(value));
}
