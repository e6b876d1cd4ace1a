//! A snapshot that was checked against its shape, for access in any order.

use std::ops::Range;
use std::sync::Arc;

use super::blobs::BlobCursor;
use super::decode::MalformedValues;
use super::shape::Shape;
use crate::BlobBuffer;

/// The shape, the words and the bytes of a snapshot.
#[derive(Debug)]
pub struct View<'a> {
    /// The shape.
    pub shape: &'a Shape,
    /// As many words as the shape needs.
    pub values: &'a [u64],
    /// As long as the values say, or longer.
    pub blobs: &'a Arc<BlobBuffer>,
    /// The byte range of each node among the blobs. Empty if no node has one.
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

    /// The byte range of a node among the blobs.
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
