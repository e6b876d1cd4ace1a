//! Where the blobs of a snapshot are.

use std::ops::Range;

use super::shape::{Kind, Node, Shape};
use super::{ARRAY_ALIGN_WORDS, words_for};

/// Finds the blob of one leaf after the other: its place follows from the lengths before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlobCursor {
    words: usize,
}

impl BlobCursor {
    /// The byte range of the node's blob, `None` if the node has none or if its length overflows. Nodes must come in
    /// preorder, each once.
    #[inline]
    pub fn advance(&mut self, shape: &Shape, node: &Node, values: &[u64]) -> Option<Range<usize>> {
        let at = node.value_at as usize;
        let (start, len) = match node.kind {
            Kind::BigInt | Kind::Str | Kind::Bytes => (self.words, usize::try_from(*values.get(at)?).ok()?),
            Kind::Array | Kind::Tensor => {
                let mut len = shape.dtypes[node.aux as usize].itemsize;
                let dims = values.get(at..at + usize::from(node.ndim))?;
                // An empty axis makes the array empty, however long the others claim to be.
                if dims.contains(&0) {
                    len = 0;
                } else {
                    for &dim in dims {
                        len = len.checked_mul(usize::try_from(dim).ok()?)?;
                    }
                }
                (self.words.checked_next_multiple_of(ARRAY_ALIGN_WORDS)?, len)
            }
            _ => return None,
        };
        let byte = start.checked_mul(8)?;
        let end = byte.checked_add(len)?;
        self.words = start.checked_add(words_for(len))?;
        Some(byte..end)
    }
}
