//! The shapes that a writer knows by number.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::FxHasher;

use super::shape::{MalformedShape, Shape};
use super::to_words;

/// The shapes that a writer met lately, each with its id and what the caller keeps beside it.
///
/// A shape is parsed only when it is met for the second time: one that is never repeated costs its recording alone.
#[derive(Debug)]
pub struct ShapeCache<T> {
    /// Oldest first. Their ids follow each other.
    met: VecDeque<Met<T>>,
    /// Of each: looking through so few costs less than a table that changes with every new one.
    hashes: VecDeque<u64>,
    next_id: u64,
    last: Option<CachedShape<T>>,
}

#[derive(Debug)]
struct Met<T> {
    bytes: Vec<u8>,
    /// Unless it is the last one.
    parsed: Option<CachedShape<T>>,
}

/// A parsed shape with the number that a writer stores it under.
#[derive(Debug, Default)]
pub struct NumberedShape {
    /// Never zero, never given twice by one cache.
    pub id: u64,
    /// The shape.
    pub shape: Shape,
    /// Its byte form, zero-padded to words.
    pub words: Vec<u64>,
}

/// A parsed shape of a [`ShapeCache`].
#[derive(Debug)]
pub struct CachedShape<T> {
    /// The shape.
    pub shape: Arc<NumberedShape>,
    /// What the caller keeps beside it.
    pub extra: T,
}

/// Shapes that a cache holds at most: structures may change at every publish.
const CACHED_SHAPES: usize = 64;

impl<T: Default> Default for ShapeCache<T> {
    fn default() -> Self {
        Self { met: VecDeque::new(), hashes: VecDeque::new(), next_id: 1, last: None }
    }
}

impl<T: Default> ShapeCache<T> {
    /// The shape to expect next.
    #[inline]
    pub fn last(&self) -> Option<&CachedShape<T>> {
        self.last.as_ref()
    }

    /// The same, to keep things beside it.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut CachedShape<T>> {
        self.last.as_mut()
    }

    /// The id of a recorded byte form; what repeats becomes the shape to expect next.
    ///
    /// # Errors
    /// [`MalformedShape`] if the events that were recorded do not form a snapshot.
    #[cold]
    pub fn id_of(&mut self, bytes: &[u8]) -> Result<u64, MalformedShape> {
        let mut hasher = FxHasher::default();
        hasher.write(bytes);
        let hash = hasher.finish();
        let oldest = self.next_id - self.met.len() as u64;
        let known = self.hashes.iter().position(|of| *of == hash);
        let Some(at) = known.filter(|&at| self.met[at].bytes == bytes) else {
            return Ok(self.add(hash, bytes)); // with the hash of another shape, once in 2⁶⁴, a shape stays a new one
        };
        let id = oldest + at as u64;
        let next = match self.met[at].parsed.take() {
            Some(cached) => cached,
            None => {
                let (shape, words) = (Shape::parse(bytes)?, to_words(bytes));
                CachedShape { shape: Arc::new(NumberedShape { id, shape, words }), extra: T::default() }
            }
        };
        // One that was forgotten while it was the last is not kept: nobody would find it, or forget it again.
        if let Some(last) = self.last.replace(next)
            && let Some(at) = last.shape.id.checked_sub(oldest)
        {
            self.met[at as usize].parsed = Some(last);
        }
        Ok(id)
    }

    fn add(&mut self, hash: u64, bytes: &[u8]) -> u64 {
        let mut memory = Vec::new();
        if self.met.len() == CACHED_SHAPES
            && let Some(forgotten) = self.met.pop_front()
        {
            self.hashes.pop_front();
            memory = forgotten.bytes;
            memory.clear();
        }
        memory.extend_from_slice(bytes);
        self.met.push_back(Met { bytes: memory, parsed: None });
        self.hashes.push_back(hash);
        self.next_id += 1;
        self.next_id - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dictionary of one key, whose value is None.
    fn shape(key: usize) -> Vec<u8> {
        [&[9, 1, 0, 5], format!("{key:05}").as_bytes(), &[0]].concat()
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut cache = ShapeCache::<()>::default();
        let mut id_of = |key| {
            cache.id_of(&shape(key)).expect("it is well formed");
            assert!(cache.met.len() <= CACHED_SHAPES && cache.hashes.len() == cache.met.len());
        };
        for turn in 1..=2 * CACHED_SHAPES {
            // The last one stays the last while so many others come that it is forgotten; then another takes its place.
            let others = turn * CACHED_SHAPES..(turn + 1) * CACHED_SHAPES;
            for key in [0, 0].into_iter().chain(others.clone()).chain([others.end - 1]) {
                id_of(key);
            }
        }
    }
}
