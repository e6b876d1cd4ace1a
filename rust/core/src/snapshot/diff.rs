//! Finds the leaves that differ between two snapshots of one shape, for a reader that only replaces these.

use std::ops::Range;
use std::sync::Arc;

use super::shape::{Kind, NO_KEY, Shape};
use super::view::View;
use crate::BlobBuffer;

/// A node and its place in its container.
#[derive(Clone, Debug)]
pub struct Part {
    /// The node.
    pub node: u32,
    /// The index of the container among [`Diff::containers`].
    pub parent: u32,
    /// An index into the shape's keys, or a position in a list.
    pub slot: u32,
    /// What the node is.
    pub kind: Kind,
    /// Its value words.
    start: u32,
    end: u32,
    /// Whether it has bytes among the blobs.
    blobs: bool,
}

/// The parts of a shape, and the last snapshot of it.
#[derive(Debug, Default)]
pub struct Diff {
    /// The root, then all dictionaries and lists that are directly in such a container, outer ones first.
    pub containers: Vec<Part>,
    /// Parts whose objects two snapshots may share: numbers, strings, and tuples of these.
    pub leaves: Vec<Part>,
    /// Parts whose objects are built again for each snapshot: arrays, and tuples that hold something mutable.
    pub fresh: Vec<Part>,
    /// Whether any leaf has bytes.
    texts: bool,
    /// Whether each leaf is one word, and there are no other words.
    plain: bool,
    values: Vec<u64>,
    /// The bytes and each node's range of them, if any leaf has bytes.
    bytes: Option<(Arc<BlobBuffer>, Vec<Range<usize>>)>,
    changed: Vec<u32>,
}

impl Diff {
    /// Starts with a snapshot.
    pub fn of(view: &View<'_>) -> Self {
        let mut diff = Self::default();
        diff.add(view.shape, 0, 0, 0);
        diff.texts = diff.leaves.iter().any(|leaf| leaf.blobs);
        diff.plain = diff.leaves.iter().all(|leaf| leaf.kind.is_number())
            && diff.leaves.len() == view.shape.value_words;
        diff.values.extend_from_slice(view.values);
        diff.keep_bytes(view);
        diff
    }

    /// Adds a node and those below it. Returns the node after it.
    fn add(&mut self, shape: &Shape, at: usize, parent: u32, slot: u32) -> usize {
        let node = &shape.nodes[at];
        let words = shape.value_range(at);
        let below = &shape.nodes[at..node.end as usize];
        let part = Part {
            node: at as u32,
            parent,
            slot,
            kind: node.kind,
            start: words.start as u32,
            end: words.end as u32,
            blobs: below.iter().any(|node| node.kind.has_blob()),
        };
        match node.kind {
            Kind::Dict | Kind::List => {
                let index = self.containers.len() as u32;
                self.containers.push(part);
                let mut next = at + 1;
                for position in 0..node.aux {
                    let key = shape.nodes[next].key;
                    next = self.add(shape, next, index, if key == NO_KEY { position } else { key });
                }
            }
            Kind::None => {}
            _ => {
                let own = |kind| matches!(kind, Kind::Dict | Kind::List | Kind::Array | Kind::Tensor);
                let parts =
                    if below.iter().any(|node| own(node.kind)) { &mut self.fresh } else { &mut self.leaves };
                parts.push(part);
            }
        }
        node.end as usize
    }

    /// Moves on to a newer snapshot. Returns whether at most `most` leaves differ; then [`Diff::changed`] has them.
    #[inline]
    pub fn advance(&mut self, view: &View<'_>, most: usize) -> bool {
        self.changed.clear();
        let few = self.compare(view, most);
        self.values.clear();
        self.values.extend_from_slice(view.values);
        self.keep_bytes(view);
        few
    }

    /// The leaves that differed.
    #[inline]
    pub fn changed(&self) -> impl Iterator<Item = &Part> {
        self.changed.iter().map(|&leaf| &self.leaves[leaf as usize])
    }

    /// Whether there are only numbers: then [`Diff::exchange`] can move on to a newer snapshot.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Moves on to a newer snapshot of numbers only, and passes each number that differs to `take`.
    ///
    /// # Errors
    /// That of `take`; then this object must not be used any more.
    #[inline]
    pub fn exchange<E>(
        &mut self,
        view: &View<'_>,
        mut take: impl FnMut(&Part, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        for ((leaf, old), new) in self.leaves.iter().zip(&mut self.values).zip(view.values) {
            if old != new {
                *old = *new;
                take(leaf, *new)?;
            }
        }
        Ok(())
    }

    fn compare(&mut self, view: &View<'_>, most: usize) -> bool {
        for (index, leaf) in self.leaves.iter().enumerate() {
            let words = leaf.start as usize..leaf.end as usize;
            if self.values[words.clone()] != view.values[words] || leaf.blobs && self.bytes_differ(view, leaf)
            {
                if self.changed.len() == most {
                    return false;
                }
                self.changed.push(index as u32);
            }
        }
        true
    }

    #[inline(never)]
    fn bytes_differ(&self, view: &View<'_>, leaf: &Part) -> bool {
        let Some((blobs, places)) = &self.bytes else { return true };
        let node = leaf.node as usize;
        (node..view.shape.nodes[node].end as usize)
            .any(|node| blobs.bytes().get(places[node].clone()) != Some(view.bytes(node)))
    }

    fn keep_bytes(&mut self, view: &View<'_>) {
        if self.texts {
            self.bytes = Some((Arc::clone(view.blobs), view.places.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::encode::Encoder;
    use crate::snapshot::to_words;
    use crate::sync::AtomicU64;

    struct Sample {
        shape: Shape,
        values: Vec<u64>,
        blobs: Arc<BlobBuffer>,
    }

    /// `{"a": int, "d": {"b": float, "n": None}, "l": [int], "t": (str,), "f": ([int],)}`, the last two if there is a text.
    fn sample(ints: [i64; 3], float: f64, text: Option<&str>) -> Sample {
        let mut encoder = Encoder::<Vec<u8>>::default();
        encoder.start(None);
        encoder.container(Kind::Dict, if text.is_some() { 5 } else { 3 });
        encoder.key_str("a");
        encoder.int(ints[0]);
        encoder.key_str("d");
        encoder.container(Kind::Dict, 2);
        encoder.key_str("b");
        encoder.float(float);
        encoder.key_str("n");
        encoder.none();
        encoder.key_str("l");
        encoder.container(Kind::List, 1);
        encoder.int(ints[1]);
        if let Some(text) = text {
            encoder.key_str("t");
            encoder.container(Kind::Tuple, 1);
            encoder.str(text.into(), text.len());
            encoder.key_str("f");
            encoder.container(Kind::Tuple, 1);
            encoder.container(Kind::List, 1);
            encoder.int(ints[2]);
        }
        let shape = Shape::parse(encoder.recorded().expect("it was recorded")).expect("it is well formed");
        let mut blobs = Arc::new(BlobBuffer::default());
        let words = to_words(text.unwrap_or_default().as_bytes()).into_iter().map(AtomicU64::new);
        Arc::get_mut(&mut blobs).expect("it is new").refill(&words.collect::<Vec<_>>());
        Sample { shape, values: encoder.values().to_vec(), blobs }
    }

    fn changed(diff: &Diff) -> Vec<u32> {
        diff.changed().map(|part| part.node).collect()
    }

    fn view<'a>(first: &'a Sample, next: &'a Sample) -> View<'a> {
        View::new(&first.shape, &next.values, &next.blobs).expect("it fits")
    }

    #[test]
    fn numbers_that_differ_are_handed_over() {
        let first = sample([1, 2, 3], 0.5, None);
        let mut diff = Diff::of(&view(&first, &first));
        assert!(diff.is_plain());
        let mut step = |next: &Sample| {
            let mut found = Vec::new();
            let exchanged = diff.exchange(&view(&first, next), |leaf, word| {
                found.push((leaf.node, word));
                Ok::<_, ()>(())
            });
            assert_eq!(exchanged, Ok(()));
            assert_eq!(diff.values, next.values);
            found
        };
        assert_eq!(step(&sample([1, 2, 3], 0.5, None)), []);
        assert_eq!(step(&sample([4, 2, 3], 1.5, None)), [(1, 4), (3, 1.5_f64.to_bits())]);
        assert_eq!(step(&sample([4, 5, 3], 1.5, None)), [(6, 5)]);
        let last = sample([6, 7, 3], 2.5, None);
        let refused = diff.exchange(&view(&first, &last), |leaf, _| Err(leaf.node));
        assert_eq!(refused, Err(1));
        let text = sample([1, 2, 3], 0.5, Some("text"));
        assert!(!Diff::of(&view(&text, &text)).is_plain());
    }

    #[test]
    fn leaves_that_differ_are_found() {
        for text in [None, Some("text")] {
            let first = sample([1, 2, 3], 0.5, text);
            let mut diff = Diff::of(&view(&first, &first));
            assert_eq!(diff.containers.iter().map(|part| part.node).collect::<Vec<_>>(), [0, 2, 5]);
            let mut step = |next: &Sample, most: usize| {
                let few = diff.advance(&view(&first, next), most);
                assert_eq!(diff.values, next.values);
                few.then(|| changed(&diff))
            };
            assert_eq!(step(&sample([1, 2, 3], 0.5, text), 0), Some(vec![]));
            assert_eq!(step(&sample([4, 2, 3], 0.5, text), 1), Some(vec![1]));
            assert_eq!(step(&sample([4, 5, 3], 1.5, text), 2), Some(vec![3, 6]));
            assert_eq!(step(&sample([5, 6, 3], 2.5, text), 2), None);
            assert_eq!(
                step(&sample([5, 6, 3], 2.5, text), 0),
                Some(vec![]),
                "a snapshot with too many differences is the last one, too"
            );
            if text.is_some() {
                assert_eq!(
                    step(&sample([5, 6, 9], 2.5, Some("next")), 9),
                    Some(vec![7]),
                    "a fresh part is no leaf"
                );
                assert_eq!(step(&sample([5, 6, 9], 2.5, Some("longer text")), 9), Some(vec![7]));
            }
        }
    }
}
