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
            if let Some(last) = self.last.replace(next) {
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
