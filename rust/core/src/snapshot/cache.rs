//! The shapes that a writer knows by number.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::shape::{MalformedShape, Shape};
use super::to_words;

/// The shapes that a writer met lately, each with its id and what the caller keeps beside it.
///
/// A shape is parsed only when it is met for the second time: one that is never repeated costs its recording alone.
#[derive(Debug)]
pub struct ShapeCache<T> {
    ids: FxHashMap<Arc<[u8]>, u64>,
    parsed: FxHashMap<u64, CachedShape<T>>,
    /// By id, and so by age.
    order: VecDeque<(Arc<[u8]>, u64)>,
    next_id: u64,
    last: Option<CachedShape<T>>,
}

/// A parsed shape of a [`ShapeCache`].
#[derive(Debug)]
pub struct CachedShape<T> {
    /// Never zero, never given twice by one cache.
    pub id: u64,
    /// The shape.
    pub shape: Arc<Shape>,
    /// Its byte form, zero-padded to words.
    pub words: Vec<u64>,
    /// What the caller keeps beside it.
    pub extra: T,
}

/// Shapes that a cache holds at most: structures may change at every publish.
const CACHED_SHAPES: usize = 64;

impl<T: Default> Default for ShapeCache<T> {
    fn default() -> Self {
        Self {
            ids: FxHashMap::default(),
            parsed: FxHashMap::default(),
            order: VecDeque::new(),
            next_id: 1,
            last: None,
        }
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
    pub fn id_of(&mut self, bytes: &[u8]) -> Result<u64, MalformedShape> {
        if let Some(&id) = self.ids.get(bytes) {
            let next = match self.parsed.remove(&id) {
                Some(cached) => cached,
                None => CachedShape {
                    id,
                    shape: Arc::new(Shape::parse(bytes)?),
                    words: to_words(bytes),
                    extra: T::default(),
                },
            };
            // One that was forgotten while it was the last is not kept: nobody would find it, or forget it again.
            if let Some(last) = self.last.replace(next)
                && self.order.front().is_some_and(|(_, oldest)| last.id >= *oldest)
            {
                self.parsed.insert(last.id, last);
            }
            return Ok(id);
        }
        if self.order.len() == CACHED_SHAPES
            && let Some((oldest, id)) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
            self.parsed.remove(&id);
        }
        let id = self.next_id;
        self.next_id += 1;
        let bytes = Arc::<[u8]>::from(bytes);
        self.ids.insert(Arc::clone(&bytes), id);
        self.order.push_back((bytes, id));
        Ok(id)
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
            assert!(cache.ids.len() <= CACHED_SHAPES && cache.parsed.len() <= CACHED_SHAPES);
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
