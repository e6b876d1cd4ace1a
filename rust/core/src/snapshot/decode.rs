//! Decoding: a shape and its values become calls of a visitor.

use super::blobs::BlobCursor;
use super::shape::{Dtype, Key, Kind, Shape};

/// Receives a snapshot in preorder. Every method may refuse.
pub trait Visitor {
    /// The error with which it refuses.
    type Error: From<MalformedValues>;
    /// The key of the next value.
    fn key(&mut self, key: Key<'_>) -> Result<(), Self::Error>;
    /// `None`.
    fn none(&mut self) -> Result<(), Self::Error>;
    /// A `bool`.
    fn bool(&mut self, value: bool) -> Result<(), Self::Error>;
    /// An `int` of at most 64 bits.
    fn int(&mut self, value: i64) -> Result<(), Self::Error>;
    /// A `float`, bit for bit.
    fn float(&mut self, value: f64) -> Result<(), Self::Error>;
    /// An `int`: two's complement, little endian.
    fn bigint(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
    /// A `str`.
    fn str(&mut self, value: &str) -> Result<(), Self::Error>;
    /// A `bytes`.
    fn bytes(&mut self, value: &[u8]) -> Result<(), Self::Error>;
    /// A numpy scalar, as words.
    fn scalar(&mut self, dtype: &Dtype, words: &[u64]) -> Result<(), Self::Error>;
    /// A numpy array or torch tensor in C order.
    fn array(&mut self, kind: Kind, dtype: &Dtype, dims: &[u64], bytes: &[u8]) -> Result<(), Self::Error>;
    /// A container of `len` children, which follow.
    fn begin(&mut self, kind: Kind, len: usize) -> Result<(), Self::Error>;
    /// The end of the innermost open container.
    fn end(&mut self, kind: Kind) -> Result<(), Self::Error>;
}

/// The values do not fit the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedValues {
    /// Too few or too many words.
    #[error("the shape needs {wanted} value words, and the snapshot has {found}")]
    Count {
        /// Words that the shape needs.
        wanted: usize,
        /// Words that the snapshot has.
        found: usize,
    },
    /// A blob extends beyond the end.
    #[error("a string or array is longer than the snapshot that holds it")]
    BlobTooLong,
    /// A string is not valid UTF-8.
    #[error("a string is not valid UTF-8")]
    NotUtf8,
}

/// Checks that values and blobs fit a shape, so that every blob that [`BlobCursor`] finds exists.
///
/// # Errors
/// [`MalformedValues`] if not.
pub fn check(shape: &Shape, values: &[u64], blobs: &[u8]) -> Result<(), MalformedValues> {
    if values.len() != shape.value_words {
        return Err(MalformedValues::Count { wanted: shape.value_words, found: values.len() });
    }
    let mut cursor = BlobCursor::default();
    for node in shape.nodes.iter().filter(|node| node.kind.has_blob()) {
        let range = cursor.advance(shape, node, values).ok_or(MalformedValues::BlobTooLong)?;
        blobs.get(range).ok_or(MalformedValues::BlobTooLong)?;
    }
    Ok(())
}

/// Walks a snapshot. Everything in `values` and `blobs` is checked before it is used.
///
/// # Errors
/// [`MalformedValues`], as the visitor's error, or what the visitor itself refuses with.
pub fn decode<V: Visitor>(
    shape: &Shape,
    values: &[u64],
    blobs: &[u8],
    visitor: &mut V,
) -> Result<(), V::Error> {
    if values.len() != shape.value_words {
        return Err(MalformedValues::Count { wanted: shape.value_words, found: values.len() }.into());
    }
    let mut cursor = BlobCursor::default();
    let mut open: Vec<(u32, Kind)> = Vec::new();
    for (index, node) in shape.nodes.iter().enumerate() {
        close(&mut open, index, visitor)?;
        if let Some(key) = shape.key(node.key as usize) {
            visitor.key(key)?;
        }
        let blob = if node.kind.has_blob() {
            let range = cursor.advance(shape, node, values).ok_or(MalformedValues::BlobTooLong)?;
            blobs.get(range).ok_or(MalformedValues::BlobTooLong)?
        } else {
            &[]
        };
        let at = node.value_at as usize;
        match node.kind {
            Kind::None => visitor.none()?,
            Kind::Bool => visitor.bool(values[at] != 0)?,
            Kind::Int => visitor.int(values[at] as i64)?,
            Kind::Float => visitor.float(f64::from_bits(values[at]))?,
            Kind::BigInt => visitor.bigint(blob)?,
            Kind::Str => visitor.str(std::str::from_utf8(blob).map_err(|_| MalformedValues::NotUtf8)?)?,
            Kind::Bytes => visitor.bytes(blob)?,
            Kind::Scalar => {
                visitor.scalar(&shape.dtypes[node.aux as usize], &values[shape.value_range(index)])?;
            }
            Kind::Array | Kind::Tensor => {
                let dims = &values[at..at + usize::from(node.ndim)];
                visitor.array(node.kind, &shape.dtypes[node.aux as usize], dims, blob)?;
            }
            Kind::List | Kind::Tuple | Kind::Dict => {
                visitor.begin(node.kind, node.aux as usize)?;
                open.push((node.end, node.kind));
            }
        }
    }
    close(&mut open, shape.nodes.len(), visitor)
}

fn close<V: Visitor>(open: &mut Vec<(u32, Kind)>, index: usize, visitor: &mut V) -> Result<(), V::Error> {
    while let Some(&(end, kind)) = open.last()
        && end as usize <= index
    {
        visitor.end(kind)?;
        open.pop();
    }
    Ok(())
}
