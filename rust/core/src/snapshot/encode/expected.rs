//! The fast path for leaves that match the expected shape.

use crate::snapshot::shape::Node;

/// The expected nodes, for a caller that compares several at a time.
pub struct Expected<'a> {
    /// The nodes of the shape.
    pub(super) nodes: &'a [Node],
    pub(super) values: &'a mut Vec<u64>,
    pub(super) cursor: &'a mut usize,
}

impl Expected<'_> {
    /// The node that is expected next.
    #[inline]
    pub fn next(&self) -> Option<&Node> {
        self.nodes.get(*self.cursor)
    }

    /// The run of bools, ints and floats that come next, at most `most`, and a word for each, to be filled in. `most` must not be
    /// larger than the number of values at hand, because room for that many words is allocated.
    #[inline(always)]
    pub fn run(&mut self, most: usize) -> (&[Node], &mut [u64]) {
        let Some(first) = self.next() else { return (&[], &mut []) };
        let (start, count) = (first.value_at as usize, most.min(first.run as usize));
        if self.values.len() < start + count {
            self.make_room(start + count);
        }
        (&self.nodes[*self.cursor..][..count], &mut self.values[start..][..count])
    }

    #[cold]
    fn make_room(&mut self, words: usize) {
        self.values.resize(words, 0);
    }

    /// Moves past `count` nodes: those whose words were filled in, or a container of the expected kind and length.
    #[inline]
    pub fn pass(&mut self, count: usize) {
        *self.cursor += count;
    }
}
