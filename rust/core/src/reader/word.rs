//! Reading one number of the newest snapshot, without copying the rest.

use super::Reader;
use crate::numbering::ShapeKey;
use crate::snapshot::shape::Shape;
use crate::snapshot::{SegmentKey, SlotMeta, Snapshot};

/// Where a number is in all snapshots of one shape in one file.
#[derive(Clone, Copy, Debug)]
pub struct WordAt {
    /// The file.
    pub segment: SegmentKey,
    shape: ShapeKey,
    shape_len: usize,
    values_len: usize,
    at: usize,
}

impl WordAt {
    /// The word of a node of a snapshot that was checked against its shape. `None` if the node is no bool, int or float.
    pub fn of(snapshot: &Snapshot, shape: &Shape, node: usize) -> Option<Self> {
        let node = &shape.nodes[node];
        node.kind.is_number().then_some(Self {
            segment: snapshot.segment,
            shape: snapshot.meta.shape,
            shape_len: snapshot.meta.shape_len,
            values_len: snapshot.meta.values_len,
            at: node.value_at as usize,
        })
    }
}

impl Reader {
    /// The word in the newest snapshot, and what the slot says of that snapshot. `None` if a closer look is needed, because of
    /// another shape, another file or damage: [`Reader::read_into`] then says which.
    #[inline]
    pub fn read_word(&mut self, place: &WordAt) -> Option<(SlotMeta, u64)> {
        if self.segment_key() != place.segment || self.found.segment.head().ended() {
            return None;
        }
        let read = self.found.segment.read(|position, slot| {
            let meta = SlotMeta::load(slot, position)?;
            // The lengths too: with others, the word at this place would be a different one.
            let fits = (meta.shape, meta.shape_len, meta.values_len)
                == (place.shape, place.shape_len, place.values_len);
            fits.then(|| (meta, slot.get(meta.values_start() + place.at)))
        });
        let (_, (meta, word), laps) = read.ok()?;
        self.laps += u64::from(laps);
        self.note(&meta);
        Some((meta, word))
    }
}
