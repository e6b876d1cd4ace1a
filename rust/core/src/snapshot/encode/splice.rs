//! Copying entries of an earlier snapshot into the next one.

use std::ops::Range;
use std::sync::Arc;

use super::Encoder;
use crate::snapshot::ARRAY_ALIGN_WORDS;
use crate::snapshot::blobs::BlobCursor;
use crate::snapshot::cache::NumberedShape;
use crate::snapshot::shape::{Kind, Node};

impl<B> Encoder<B> {
    /// Adds a node of an earlier snapshot with these `values`, including its key. `blob` returns the holder of a byte range of
    /// that snapshot's blobs.
    pub fn splice(
        &mut self,
        numbered: &Arc<NumberedShape>,
        node: usize,
        values: &[u64],
        blobs: &mut BlobCursor,
        blob: impl Fn(Range<usize>) -> B,
    ) {
        self.splice_from(|node| node.key_at, numbered, node, values, blobs, blob);
    }

    /// The same without the key, which the caller has sent.
    pub fn splice_value(
        &mut self,
        numbered: &Arc<NumberedShape>,
        node: usize,
        values: &[u64],
        blobs: &mut BlobCursor,
        blob: impl Fn(Range<usize>) -> B,
    ) {
        self.splice_from(|node| node.tag_at, numbered, node, values, blobs, blob);
    }

    fn splice_from(
        &mut self,
        from: fn(&Node) -> u32,
        numbered: &Arc<NumberedShape>,
        node: usize,
        values: &[u64],
        blobs: &mut BlobCursor,
        blob: impl Fn(Range<usize>) -> B,
    ) {
        let shape = &numbered.shape;
        let next = shape.nodes[node].end as usize;
        let words = shape.value_range(node);
        let mut at = None;
        if self.cursor == node && Arc::ptr_eq(&self.expected, numbered) {
            self.cursor = next;
            at = Some(words.start);
        } else {
            self.diverge(from);
            let bytes = from(&shape.nodes[node]) as usize..shape.byte_range(node).end;
            self.record.extend_from_slice(&shape.bytes[bytes]);
        }
        self.words(at, &values[words]);
        if shape.has_blobs {
            for node in &shape.nodes[node..next] {
                // The values were checked when the snapshot was read, so a place is always found.
                if let Some(range) = blobs.advance(shape, node, values) {
                    let aligned = matches!(node.kind, Kind::Array | Kind::Tensor);
                    let align = if aligned { ARRAY_ALIGN_WORDS } else { 1 };
                    let len = range.len();
                    self.place(self.blob_words.next_multiple_of(align), blob(range), len);
                }
            }
        }
    }
}
