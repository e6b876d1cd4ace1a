//! A small cache of what a reader keeps for each shape that it has met lately.

use super::{SegmentKey, Snapshot};
use crate::numbering::ShapeKey;

/// Enough for shapes that take turns, and few enough to forget those that never return.
const KEPT: usize = 8;

/// A value for each of the last few shapes, by index.
#[derive(Debug)]
pub struct Recent<T> {
    /// The file and the shape; `None` for an entry that must not be found again.
    met: Vec<(Option<(SegmentKey, ShapeKey)>, T)>,
    /// The entry to replace next, once there are [`KEPT`].
    oldest: usize,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { met: Vec::new(), oldest: 0 }
    }
}

impl<T: Default> Recent<T> {
    /// The index of a snapshot's shape, if it is known.
    #[inline]
    pub fn find(&self, snapshot: &Snapshot) -> Option<usize> {
        let name = Some((snapshot.segment, snapshot.meta.shape));
        self.met.iter().position(|(met, _)| *met == name)
    }

    /// Makes room for another shape and returns its index. The caller replaces the value there; [`Recent::name`] then lets it be
    /// found.
    #[cold]
    pub fn make_room(&mut self) -> usize {
        if self.met.len() < KEPT {
            self.met.push((None, T::default()));
            return self.met.len() - 1;
        }
        let next = (self.oldest + 1) % KEPT;
        let at = std::mem::replace(&mut self.oldest, next);
        self.met[at].0 = None;
        at
    }

    /// Assigns an entry to the shape of a snapshot; with `None` it is never found again.
    pub fn name(&mut self, at: usize, snapshot: Option<&Snapshot>) {
        self.met[at].0 = snapshot.map(|snapshot| (snapshot.segment, snapshot.meta.shape));
    }

    /// The value at an index.
    #[inline]
    pub fn at(&mut self, at: usize) -> &mut T {
        &mut self.met[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut recent = Recent::<u64>::default();
        let mut snapshot = Snapshot::default();
        let mut of = |id| {
            snapshot.meta.shape.id = id;
            snapshot.segment = SegmentKey(1);
            if let Some(at) = recent.find(&snapshot) {
                return Some(*recent.at(at));
            }
            let at = recent.make_room();
            assert!(recent.find(&snapshot).is_none());
            *recent.at(at) = id;
            recent.name(at, Some(&snapshot));
            None
        };
        for id in 1..=8 {
            assert_eq!(of(id), None);
        }
        for id in 1..=8 {
            assert_eq!(of(id), Some(id));
        }
        assert_eq!([of(9), of(2), of(9), of(1), of(2), of(8)], [None, Some(2), Some(9), None, None, Some(8)]);
    }
}
