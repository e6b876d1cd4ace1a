//! The shapes to which a writer has given an id.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::FxHasher;

use super::shape::{MalformedShape, Shape};
use super::to_words;

/// The shapes that a writer met lately, each with its id and a value that the caller keeps with it.
///
/// A shape is parsed only when it is met for the second time: a shape that is never repeated only costs its recording.
#[derive(Debug)]
pub struct ShapeCache<T> {
    /// Oldest first, with consecutive ids.
    met: VecDeque<Met<T>>,
    /// The hash of each: searching so few costs less than keeping a hash table up to date.
    hashes: VecDeque<u64>,
    next_id: u64,
    last: Option<CachedShape<T>>,
}

#[derive(Debug)]
struct Met<T> {
    bytes: Vec<u8>,
    /// `None` before the second time, and while it is in `last`.
    parsed: Option<CachedShape<T>>,
}

/// A parsed shape with the id under which a writer stores it.
#[derive(Debug, Default)]
pub struct NumberedShape {
    /// Never 0 in a cache, and never given twice by one cache.
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
    /// What the caller keeps with it.
    pub extra: T,
}

/// Largest number of shapes in a cache: structures may change at every publish.
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

    /// The same, mutable, so that the caller can keep something with it.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut CachedShape<T>> {
        self.last.as_mut()
    }

    /// The id of a recorded byte form. A shape that repeats becomes the one to expect next.
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
            return Ok(self.add(hash, bytes)); // a shape with another one's hash (a chance of 2⁻⁶⁴) gets a new id each time
        };
        let id = oldest + at as u64;
        let next = match self.met[at].parsed.take() {
            Some(cached) => cached,
            None => {
                let (shape, words) = (Shape::parse(bytes)?, to_words(bytes));
                CachedShape { shape: Arc::new(NumberedShape { id, shape, words }), extra: T::default() }
            }
        };
        // A shape that was forgotten while it was the last is not put back: it has no entry any more.
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
    fn the_cache_is_bounded() {
        let mut cache = ShapeCache::<()>::default();
        let mut id_of = |key| {
            cache.id_of(&shape(key)).expect("it is well formed");
            assert!(cache.met.len() <= CACHED_SHAPES && cache.hashes.len() == cache.met.len());
        };
        for turn in 1..=2 * CACHED_SHAPES {
            // Key 0 stays the last one while so many others come that it is forgotten; then another takes its place.
            let others = turn * CACHED_SHAPES..(turn + 1) * CACHED_SHAPES;
            for key in [0, 0].into_iter().chain(others.clone()).chain([others.end - 1]) {
                id_of(key);
            }
        }
    }
}
