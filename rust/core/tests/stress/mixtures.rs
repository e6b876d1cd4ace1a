//! Torn snapshots, made on purpose: the check must refuse each of them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use traincast_core::BlobBuffer;
use traincast_core::numbering::{Epoch, Position, ShapeKey, Stamp, Term, Version};
use traincast_core::snapshot::{self, SlotMeta};

use crate::classes::{CLASSES, Class};
use crate::content::{Part, Snapshot, Torn, check};

/// For the small classes: one word of another version at each place, every boundary between two versions, words that have moved,
/// lengths of another version. Returns how many were refused.
pub fn refused() -> u64 {
    let mut count = 0;
    for class in &CLASSES[..3] {
        for version in [1, 7, 1_000_003, 1 << 40] {
            let (meta, whole) = copied(class, version);
            assert_eq!(check(class, &copy(&meta, &whole)), Ok(()), "{}: a whole one", class.title);
            // The next version, the next one in the same slot, the next one that also has the same shape, and one far away.
            for later in [1, 4, 84, 1 << 20] {
                count += mixed(class, &meta, &whole, &copied(class, version + later).1);
            }
            let changes: [fn(&mut SlotMeta); 3] =
                [|meta| meta.values_len += 1, |meta| meta.blob_words ^= 1, |meta| meta.shape.id ^= 3];
            for change in changes {
                let mut changed = meta;
                change(&mut changed);
                assert_eq!(check(class, &copy(&changed, &whole)), Err(Torn::Lengths));
                count += 1;
            }
        }
    }
    count
}

struct Copied {
    shape: Vec<u64>,
    values: Vec<u64>,
    blob: Vec<u64>,
}

/// A version, as a reader copies it.
fn copied(class: &Class, version: u64) -> (SlotMeta, Copied) {
    let mut snapshot = Snapshot::default();
    snapshot.fill(class, version);
    snapshot.lend(|payload| {
        let bytes = payload.blobs.first().map_or(&[][..], |blob| blob.bytes);
        let blob = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        let meta = SlotMeta {
            position: Position(version),
            stamp: Stamp { term: Term(1), epoch: Epoch(1), version: Version(version) },
            shape: ShapeKey { takeover: 1, id: payload.shape_id },
            published_ns: 0,
            published_unix_ns: 0,
            shape_len: payload.shape_len,
            values_len: payload.values.len(),
            blob_words: payload.blob_words,
        };
        let (shape, values) = (payload.shape.to_vec(), payload.values.to_vec());
        (meta, Copied { shape, values, blob: blob.collect() })
    })
}

fn copy(meta: &SlotMeta, of: &Copied) -> snapshot::Snapshot {
    let mut out = snapshot::Snapshot::default();
    out.meta = *meta;
    out.shape.clone_from(&of.shape);
    out.values.clone_from(&of.values);
    let words: Vec<_> = of.blob.iter().copied().map(AtomicU64::new).collect();
    let mut blobs = BlobBuffer::default();
    blobs.refill(&words);
    out.blobs = Arc::new(blobs);
    out
}

/// Mixtures of a version and a later one, at each place of the values and the blob.
fn mixed(class: &Class, meta: &SlotMeta, whole: &Copied, later: &Copied) -> u64 {
    let mut count = 0;
    let mut refuse = |part, index, out: &snapshot::Snapshot| {
        match check(class, out) {
            Err(Torn::Word { part: at, index: first, .. }) => assert_eq!((at, first), (part, index)),
            other => panic!("{}: a mixture at {part:?} word {index}: {other:?}", class.title),
        }
        count += 1;
    };
    let mut out = copy(meta, whole);
    for index in 0..whole.values.len().min(later.values.len()) {
        out.values[index] = later.values[index];
        refuse(Part::Values, index, &out); // one word
        out.values[index..].rotate_left(1);
        refuse_moved(class, &out); // the following words have moved
        out.values.clone_from(&whole.values);
        let end = whole.values.len().min(later.values.len());
        out.values[index..end].copy_from_slice(&later.values[index..end]);
        refuse(Part::Values, index, &out); // all words from here on
        out.values.clone_from(&whole.values);
    }
    for index in 0..whole.blob.len().min(later.blob.len()) {
        let mut blob = whole.blob.clone();
        blob[index] = later.blob[index];
        let torn = Copied { shape: whole.shape.clone(), values: whole.values.clone(), blob };
        refuse(Part::Blob, index, &copy(meta, &torn));
    }
    count
}

fn refuse_moved(class: &Class, out: &snapshot::Snapshot) {
    assert!(check(class, out).is_err(), "{}: words that moved", class.title);
}
