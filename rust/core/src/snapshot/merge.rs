//! Updates: a snapshot in which some nodes are replaced and others are added. The new nodes are encoded separately.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Snapshot;
use super::blobs::BlobCursor;
use super::cache::NumberedShape;
use super::encode::Encoder;
use super::lookup::{KeyPath, Lost};
use super::shape::{Key, Kind, Shape};

/// The byte form of an empty dictionary, to which the first update is applied.
pub const EMPTY: &[u8] = &[Kind::Dict as u8, 0];

/// The place of a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Replaces this node.
    Node(usize),
    /// Appends to this dictionary, under a key that it does not have.
    New(usize, Key<'static>),
}

impl Target {
    /// The node that is replaced or gets a new entry.
    fn place(&self) -> usize {
        match self {
            Self::Node(node) | Self::New(node, _) => *node,
        }
    }

    /// Whether it is a new entry of the root with that key.
    pub fn adds_to_root(&self, wanted: &str) -> bool {
        matches!(self, Self::New(0, Key::Str(key)) if key == wanted)
    }
}

/// Why changes cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misplaced {
    /// The path of the change with this index leads nowhere.
    Lost(usize, Lost),
    /// The changes with these indices conflict: the second one has the same place as the first one or a place inside of it.
    Within(usize, usize),
}

/// The places of the entries of a dictionary that become entries of the root.
pub fn entries_of_root(shape: &Shape, changed: &Shape) -> Vec<Target> {
    let nodes: FxHashMap<_, _> = shape.named_entries().collect();
    let target = |(name, _): (Box<str>, usize)| match nodes.get(&name) {
        Some(&node) => Target::Node(node),
        None => Target::New(0, Key::Str(name.into_string().into())),
    };
    changed.named_entries().map(target).collect()
}

/// The places that the paths name. The last key of a path may be new to its dictionary; all keys before it must exist.
///
/// # Errors
/// [`Misplaced`].
pub fn places(shape: &Shape, paths: &[KeyPath]) -> Result<Vec<Target>, Misplaced> {
    let target = |(index, path): (usize, &KeyPath)| match (shape.find(path), path.keys().split_last()) {
        (Ok(node), _) => Ok(Target::Node(node)),
        (Err(lost), Some((last, above)))
            if lost.steps == above.len() && shape.nodes[lost.node].kind == Kind::Dict =>
        {
            Ok(Target::New(lost.node, last.clone()))
        }
        (Err(lost), _) => Err(Misplaced::Lost(index, lost)),
    };
    let targets = paths.iter().enumerate().map(target).collect::<Result<Vec<_>, _>>()?;
    match meeting(shape, &targets) {
        Some((outer, inner)) => Err(Misplaced::Within(outer, inner)),
        None => Ok(targets),
    }
}

/// The first two targets that conflict: the second one equals the first one or is inside of what it replaces.
fn meeting(shape: &Shape, targets: &[Target]) -> Option<(usize, usize)> {
    let mut order: Vec<_> = (0..targets.len()).collect();
    order.sort_by_key(|&index| (targets[index].place(), index));
    let (mut replaced, mut seen) = (None, FxHashMap::default());
    for index in order {
        if let Some((outer, end)) = replaced
            && targets[index].place() < end
        {
            return Some((outer, index));
        }
        match &targets[index] {
            Target::Node(node) => replaced = Some((index, shape.nodes[*node].end as usize)),
            new => {
                if let Some(first) = seen.insert(new, index) {
                    return Some((first, index));
                }
            }
        }
    }
    None
}

/// Merges a snapshot, which must have been checked against its shape, with the entries of another root dictionary. `targets` has
/// a place for each entry. The entries' own keys are dropped.
pub fn merge<'a, B: AsRef<[u8]>>(
    (numbered, newest): (&'a Arc<NumberedShape>, &'a Snapshot),
    (changed, changes): (&'a Arc<NumberedShape>, &'a Encoder<B>),
    targets: &'a [Target],
) -> Encoder<&'a [u8]> {
    let (mut replaced, mut added) = (Vec::new(), Vec::new());
    let mut blobs = BlobCursor::default();
    for (target, node) in targets.iter().zip(changed.shape.top_level()) {
        let change = Change { node, blobs };
        pass(&mut blobs, &changed.shape, node, changes.values());
        match target {
            Target::Node(at) => replaced.push((*at, change)),
            Target::New(dict, key) => added.push((*dict, key, change)),
        }
    }
    replaced.sort_unstable_by_key(|(node, _)| *node);
    added.sort_by_key(|(dict, ..)| *dict); // a stable sort: entries that are added to one dictionary keep their order
    let mut encoder = Encoder::default();
    encoder.start(None);
    let kept = BlobCursor::default();
    let mut merge = Merge { numbered, newest, changed, changes, replaced, added, kept, encoder };
    merge.within(0);
    merge.encoder
}

/// An entry of the changes, and the place of its blobs.
#[derive(Clone, Copy)]
struct Change {
    node: usize,
    blobs: BlobCursor,
}

struct Merge<'a, B> {
    numbered: &'a Arc<NumberedShape>,
    newest: &'a Snapshot,
    changed: &'a Arc<NumberedShape>,
    changes: &'a Encoder<B>,
    /// Sorted by node.
    replaced: Vec<(usize, Change)>,
    /// Sorted by dictionary.
    added: Vec<(usize, &'a Key<'static>, Change)>,
    /// The place of the blobs of the newest snapshot's next node.
    kept: BlobCursor,
    encoder: Encoder<&'a [u8]>,
}

impl<'a, B: AsRef<[u8]>> Merge<'a, B> {
    /// Encodes a container of the newest snapshot in which something changes. Recurses as deep as the shape, whose depth is
    /// bounded.
    fn within(&mut self, at: usize) {
        let shape = &self.numbered.shape;
        let node = &shape.nodes[at];
        let added = part(&self.added, |(dict, ..)| *dict, at..at + 1);
        self.key(shape.key(node.key as usize));
        self.encoder.container(node.kind, node.aux as usize + added.len());
        for child in shape.children(at) {
            let inside = child..shape.nodes[child].end as usize;
            let replaced = part(&self.replaced, |(node, _)| *node, inside.clone());
            match self.replaced[replaced.clone()].first() {
                Some(&(node, change)) if node == child => {
                    self.key(shape.key(shape.nodes[child].key as usize));
                    pass(&mut self.kept, shape, child, &self.newest.values);
                    self.change(change);
                }
                None if part(&self.added, |(dict, ..)| *dict, inside).is_empty() => {
                    let (newest, kept) = (self.newest, &mut self.kept);
                    let blob = |range| &newest.blobs.bytes()[range];
                    self.encoder.splice(self.numbered, child, &newest.values, kept, blob);
                }
                _ => self.within(child),
            }
        }
        for index in added {
            let (_, key, change) = self.added[index];
            self.key(Some(key.clone()));
            self.change(change);
        }
    }

    fn key(&mut self, key: Option<Key<'_>>) {
        match key {
            Some(Key::Str(text)) => self.encoder.key_str(&text),
            Some(Key::Int(int)) => self.encoder.key_int(int),
            Some(Key::BigInt(bytes)) => self.encoder.key_bigint(&bytes),
            None => {}
        }
    }

    fn change(&mut self, Change { node, mut blobs }: Change) {
        let changes = self.changes;
        self.encoder.splice_value(self.changed, node, changes.values(), &mut blobs, |range| {
            let blobs = changes.blobs();
            let at = blobs.binary_search_by_key(&(range.start / 8), |blob| blob.offset);
            at.map_or(&[][..], |at| blobs[at].bytes.as_ref())
        });
    }
}

/// The indices of the items whose number is in a range; the items are sorted by that number.
fn part<T>(items: &[T], number: impl Fn(&T) -> usize, range: Range<usize>) -> Range<usize> {
    let start = items.partition_point(|item| number(item) < range.start);
    let end = start + items[start..].partition_point(|item| number(item) < range.end);
    start..end
}

/// Moves the cursor past the blobs of a subtree.
fn pass(cursor: &mut BlobCursor, shape: &Shape, node: usize, values: &[u64]) {
    for below in &shape.nodes[node..shape.nodes[node].end as usize] {
        cursor.advance(shape, below, values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{to_words, words_for};
    use crate::sync::AtomicU64;

    /// A dictionary of texts, which may be empty, each after a number.
    fn encode(entries: &[(&str, i64, &str)]) -> Encoder<Vec<u8>> {
        let mut encoder = Encoder::default();
        encoder.start(None);
        encoder.container(Kind::Dict, entries.len());
        for (key, number, text) in entries {
            encoder.key_str(key);
            encoder.container(Kind::Tuple, 2);
            encoder.int(*number);
            encoder.str(text.as_bytes().to_vec(), text.len());
        }
        encoder
    }

    fn numbered(encoder: &Encoder<impl AsRef<[u8]>>) -> Arc<NumberedShape> {
        let shape = Shape::parse(encoder.recorded().expect("it was recorded")).expect("it is well formed");
        Arc::new(NumberedShape::unnumbered(shape))
    }

    fn region(encoder: &Encoder<impl AsRef<[u8]>>) -> Vec<u64> {
        let mut words = vec![0; encoder.blob_words()];
        for blob in encoder.blobs() {
            let bytes = blob.bytes.as_ref();
            words[blob.offset..][..words_for(bytes.len())].copy_from_slice(&to_words(bytes));
        }
        words
    }

    #[test]
    fn a_merge_equals_an_encoding_of_the_whole() {
        let base =
            [("a", 1, "first"), ("b", 2, ""), ("c", 3, "a long text, of several words"), ("d", 4, "x")];
        let news = [
            ("d", 14, "longer than it was"),
            ("new", 15, "added"),
            ("b", 12, "no more empty"),
            ("c", 13, ""),
            ("last", 16, "too"),
        ];
        for take in 0..1 << news.len() {
            for len in [0, 1, base.len()] {
                let base = &base[..len];
                let chosen: Vec<_> = news
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| take & 1 << at != 0)
                    .map(|(_, new)| *new)
                    .collect();
                let mut whole: Vec<_> = base.to_vec();
                for new in &chosen {
                    match whole.iter_mut().find(|entry| entry.0 == new.0) {
                        Some(entry) => *entry = *new,
                        None => whole.push(*new),
                    }
                }
                let (old, changes, wanted) = (encode(base), encode(&chosen), encode(&whole));
                let mut newest = Snapshot::default();
                newest.values = old.values().to_vec();
                let words: Vec<_> = region(&old).into_iter().map(AtomicU64::new).collect();
                Arc::get_mut(&mut newest.blobs).expect("it is new").refill(&words);
                let (old, changed) = (numbered(&old), numbered(&changes));
                let targets = entries_of_root(&old.shape, &changed.shape);
                let merged = merge((&old, &newest), (&changed, &changes), &targets);
                assert_eq!(merged.recorded(), wanted.recorded());
                assert_eq!(merged.values(), wanted.values());
                assert_eq!(region(&merged), region(&wanted));
            }
        }
        assert_eq!(encode(&[]).recorded(), Some(EMPTY));
    }

    fn path(text: &str) -> KeyPath {
        KeyPath::dotted(text).expect("it is a path")
    }

    #[test]
    fn changes_go_where_their_paths_lead() {
        // Each entry is a tuple of a number and a text.
        let old = encode(&[("a", 1, "first"), ("b", 2, "second"), ("c", 3, "third")]);
        let changes = encode(&[("0", 7, "seven"), ("1", 8, ""), ("2", 9, "nine, and longer than before")]);
        let wanted = |encoder: &mut Encoder<Vec<u8>>| {
            let entry = |encoder: &mut Encoder<Vec<u8>>, number, text: &str| {
                encoder.container(Kind::Tuple, 2);
                encoder.int(number);
                encoder.str(text.as_bytes().to_vec(), text.len());
            };
            encoder.start(None);
            encoder.container(Kind::Dict, 4);
            encoder.key_str("a");
            encoder.container(Kind::Tuple, 2);
            encoder.int(1);
            entry(encoder, 9, "nine, and longer than before");
            encoder.key_str("b");
            entry(encoder, 8, "");
            encoder.key_str("c");
            entry(encoder, 3, "third");
            encoder.key_str("new");
            entry(encoder, 7, "seven");
        };
        let mut whole = Encoder::default();
        wanted(&mut whole);
        let mut newest = Snapshot::default();
        newest.values = old.values().to_vec();
        let words: Vec<_> = region(&old).into_iter().map(AtomicU64::new).collect();
        Arc::get_mut(&mut newest.blobs).expect("it is new").refill(&words);
        let (old, changed) = (numbered(&old), numbered(&changes));
        let targets = places(&old.shape, &["new", "b", "a.1"].map(path)).expect("they lead somewhere");
        let merged = merge((&old, &newest), (&changed, &changes), &targets);
        assert_eq!(merged.recorded(), whole.recorded());
        assert_eq!(merged.values(), whole.values());
        assert_eq!(region(&merged), region(&whole));
    }

    #[test]
    fn misplaced_changes_are_refused() {
        let shape = &numbered(&encode(&[("a", 1, "x"), ("b", 2, "y")])).shape;
        let refused = |paths: &[&str]| {
            places(shape, &paths.iter().map(|text| path(text)).collect::<Vec<_>>()).expect_err("refused")
        };
        assert_eq!(refused(&["a", "c.d"]), Misplaced::Lost(1, Lost { node: 0, steps: 0 }));
        assert_eq!(refused(&["a.2"]), Misplaced::Lost(0, Lost { node: 1, steps: 1 }));
        assert_eq!(refused(&["b", "a.0", "a"]), Misplaced::Within(2, 1));
        assert_eq!(refused(&["new", "a", "new"]), Misplaced::Within(0, 2));
        assert_eq!(refused(&["b", "b"]), Misplaced::Within(0, 1));
    }
}
