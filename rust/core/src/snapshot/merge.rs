//! An update: a snapshot with some entries of its root changed or added, which were encoded by themselves.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Snapshot;
use super::blobs::BlobCursor;
use super::cache::NumberedShape;
use super::encode::Encoder;
use super::shape::{Key, Kind, Shape};

/// The byte form of a dictionary of nothing: what the first update changes.
pub const EMPTY: &[u8] = &[Kind::Dict as u8, 0];

/// The entries of a snapshot in their order, with the changed ones in their place and the new ones last. Only string keys
/// are changed. The snapshot was found to fit its shape.
pub fn merge<'a, B: AsRef<[u8]>>(
    (numbered, newest): (&Arc<NumberedShape>, &'a Snapshot),
    (changed, changes): (&Arc<NumberedShape>, &'a Encoder<B>),
) -> Encoder<&'a [u8]> {
    let mut entries = FxHashMap::default();
    let mut cursor = BlobCursor::default();
    for (name, node) in changed.shape.named_entries() {
        entries.insert(name, (node, cursor));
        pass(&mut cursor, &changed.shape, node, changes.values());
    }
    let shape = &numbered.shape;
    let known = |node: usize| match shape.key(shape.nodes[node].key as usize) {
        Some(Key::Str(key)) => entries.remove(&*key),
        _ => None,
    };
    let replaced: Vec<_> = shape.top_level().map(known).collect();
    let mut encoder = Encoder::default();
    encoder.start(None);
    encoder.container(Kind::Dict, replaced.len() + entries.len());
    let splice = |encoder: &mut Encoder<&'a [u8]>, (node, mut cursor): (usize, BlobCursor)| {
        encoder.splice(changed, node, changes.values(), &mut cursor, |range| {
            let blobs = changes.blobs();
            let at = blobs.binary_search_by_key(&(range.start / 8), |blob| blob.offset);
            at.map_or(&[][..], |at| blobs[at].bytes.as_ref())
        });
    };
    let mut kept = BlobCursor::default();
    for (node, replaced) in shape.top_level().zip(replaced) {
        match replaced {
            None => encoder
                .splice(numbered, node, &newest.values, &mut kept, |range| &newest.blobs.bytes()[range]),
            Some(change) => {
                pass(&mut kept, shape, node, &newest.values);
                splice(&mut encoder, change);
            }
        }
    }
    let mut added: Vec<_> = entries.into_values().collect();
    added.sort_unstable_by_key(|(node, _)| *node);
    added.into_iter().for_each(|entry| splice(&mut encoder, entry));
    encoder
}

/// Passes the blobs of a subtree.
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
                let merged = merge((&numbered(&old), &newest), (&numbered(&changes), &changes));
                assert_eq!(merged.recorded(), wanted.recorded());
                assert_eq!(merged.values(), wanted.values());
                assert_eq!(region(&merged), region(&wanted));
            }
        }
        assert_eq!(encode(&[]).recorded(), Some(EMPTY));
    }
}
