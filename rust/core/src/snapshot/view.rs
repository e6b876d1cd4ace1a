//! A snapshot that was found to fit its shape, to be looked at in any order.

use std::ops::Range;
use std::sync::Arc;

use super::blobs::BlobCursor;
use super::decode::MalformedValues;
use super::shape::Shape;
use crate::BlobBuffer;

/// The words and bytes of a snapshot beside its shape.
#[derive(Debug)]
pub struct View<'a> {
    /// The shape.
    pub shape: &'a Shape,
    /// As many as the shape wants.
    pub values: &'a [u64],
    /// Long enough for what the values say.
    pub blobs: &'a Arc<BlobBuffer>,
    /// Where each node has its bytes. Empty if none has any.
    pub(super) places: Vec<Range<usize>>,
}

impl<'a> View<'a> {
    /// Checks that values and blobs fit the shape.
    ///
    /// # Errors
    /// [`MalformedValues`] if not.
    #[inline]
    pub fn new(
        shape: &'a Shape,
        values: &'a [u64],
        blobs: &'a Arc<BlobBuffer>,
    ) -> Result<Self, MalformedValues> {
        if values.len() != shape.value_words {
            return Err(MalformedValues::Count { wanted: shape.value_words, found: values.len() });
        }
        let places = if shape.has_blobs { places(shape, values, blobs)? } else { Vec::new() };
        Ok(Self { shape, values, blobs, places })
    }

    /// Where a node has its bytes.
    pub fn place(&self, node: usize) -> Range<usize> {
        self.places.get(node).cloned().unwrap_or_default()
    }

    /// The bytes of a node.
    pub fn bytes(&self, node: usize) -> &'a [u8] {
        &self.blobs.bytes()[self.place(node)]
    }
}

#[inline(never)]
fn places(shape: &Shape, values: &[u64], blobs: &BlobBuffer) -> Result<Vec<Range<usize>>, MalformedValues> {
    let (mut cursor, len) = (BlobCursor::default(), blobs.bytes().len());
    let mut places = Vec::with_capacity(shape.nodes.len());
    for node in &shape.nodes {
        match cursor.advance(shape, node, values) {
            Some(place) if place.end <= len => places.push(place),
            None if !node.kind.has_blob() => places.push(0..0),
            _ => return Err(MalformedValues::BlobTooLong),
        }
    }
    Ok(places)
}
