//! Self-checking content: each word follows from the version and its place, so that the smallest mixture of two versions is
//! noticed.

use std::fmt;

use traincast_core::snapshot::{self, Payload, PlacedBlob};

use crate::classes::{Class, Lengths};

/// A bijection in which each bit of the result depends on all bits of the argument (MurmurHash3's finalizer).
#[inline]
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

/// Word `i` of a part is its seed plus `i` times this. Seeds differ, so two versions differ in every word, and sums can be
/// vectorised.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Shape,
    Values,
    Blob,
}

/// `of`: the version; for a shape, its id.
#[inline]
fn seed(part: Part, of: u64) -> u64 {
    mix(of << 2 | part as u64)
}

#[inline]
fn word(seed: u64, index: usize) -> u64 {
    seed.wrapping_add(STRIDE.wrapping_mul(index as u64))
}

/// A snapshot to publish. Reused for each version, it need not allocate.
#[derive(Default)]
pub struct Snapshot {
    shape_id: u64,
    shape: Vec<u64>,
    values: Vec<u64>,
    blob: Vec<u8>,
}

impl Snapshot {
    /// Becomes the snapshot of a version.
    pub fn fill(&mut self, class: &Class, version: u64) {
        let lengths = class.lengths(version);
        let words = |to: &mut Vec<u64>, seed: u64, len: usize| {
            to.clear();
            to.extend((0..len).map(|index| word(seed, index)));
        };
        self.shape_id = lengths.shape_id;
        words(&mut self.shape, seed(Part::Shape, lengths.shape_id), lengths.shape);
        words(&mut self.values, seed(Part::Values, version), lengths.values);
        let seed = seed(Part::Blob, version);
        self.blob.resize(lengths.blob, 0);
        let (whole, rest) = self.blob.as_chunks_mut::<8>();
        for (index, bytes) in whole.iter_mut().enumerate() {
            *bytes = word(seed, index).to_le_bytes();
        }
        rest.copy_from_slice(&word(seed, whole.len()).to_le_bytes()[..rest.len()]);
    }

    /// Calls `publish` with it as a payload.
    #[inline]
    pub fn lend<T>(&self, publish: impl FnOnce(&Payload<'_>) -> T) -> T {
        let blobs = [PlacedBlob { offset: 0, bytes: &self.blob[..] }];
        publish(&Payload {
            shape_id: self.shape_id,
            shape: &self.shape,
            shape_len: self.shape.len() * 8,
            values: &self.values,
            blobs: if self.blob.is_empty() { &[] } else { &blobs },
            blob_words: self.blob.len().div_ceil(8),
        })
    }
}

/// The first word that does not belong to the version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Torn {
    Lengths,
    Word { part: Part, of: u64, index: usize, found: u64 },
}

impl fmt::Display for Torn {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Word { part, of, index, found } = *self else {
            return write!(to, "the lengths are those of another version");
        };
        let wanted = word(seed(part, of), index);
        write!(to, "{part:?} word {index} is {found:#018x} instead of {wanted:#018x}")?;
        match (of + 1..=of + (1 << 20)).find(|&later| word(seed(part, later), index) == found) {
            Some(later) => write!(to, ", which is that of {later}"),
            None => Ok(()),
        }
    }
}

/// Checks every word of a copied snapshot.
#[inline]
pub fn check(class: &Class, out: &snapshot::Snapshot) -> Result<(), Torn> {
    let meta = &out.meta;
    let version = meta.stamp.version.get();
    let Lengths { shape_id, shape, values, blob } = class.lengths(version);
    let lengths = (meta.shape.id, meta.shape_len, meta.values_len, meta.blob_words);
    let blobs: &[u64] = if meta.blob_words > 0 { out.blobs.words() } else { &[] };
    let copied = (out.shape.len(), out.values.len(), blobs.len());
    let blob_words = blob.div_ceil(8);
    if lengths != (shape_id, shape * 8, values, blob_words) || copied != (shape, values, blob_words) {
        return Err(Torn::Lengths);
    }
    words(Part::Shape, shape_id, &out.shape)?;
    words(Part::Values, version, &out.values)?;
    let (whole, last) = blobs.split_at(blob / 8);
    words(Part::Blob, version, whole)?;
    match last {
        // The last word's unused bytes are zeros.
        [last] => {
            let wanted = word(seed(Part::Blob, version), whole.len()) & !(u64::MAX << (blob % 8 * 8));
            let torn = Torn::Word { part: Part::Blob, of: version, index: whole.len(), found: *last };
            if *last == wanted { Ok(()) } else { Err(torn) }
        }
        _ => Ok(()),
    }
}

#[inline]
fn words(part: Part, of: u64, words: &[u64]) -> Result<(), Torn> {
    let seed = seed(part, of);
    // No early exit, which would prevent vectorisation.
    let (mut wanted, mut wrong) = (seed, 0);
    for found in words {
        wrong |= found ^ wanted;
        wanted = wanted.wrapping_add(STRIDE);
    }
    if wrong == 0 { Ok(()) } else { Err(first_wrong(part, of, words)) }
}

#[cold]
fn first_wrong(part: Part, of: u64, words: &[u64]) -> Torn {
    let seed = seed(part, of);
    let index = (0..words.len()).find(|&index| words[index] != word(seed, index)).expect("one was wrong");
    Torn::Word { part, of, index, found: words[index] }
}
