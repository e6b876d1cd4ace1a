//! The bytes of the newest slot: the snapshot, zeros between its parts, and nothing of an older one.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;
#[path = "fuzz/targets/input.rs"]
#[allow(dead_code, reason = "the fuzzers make their values from bytes")]
mod input;
mod node;
#[path = "fuzz/targets/value.rs"]
#[allow(dead_code, reason = "as above")]
mod value;

use common::{Place, Sample, publish};
use node::{Node, Publisher, info, seed_of};
use traincast_core::layout::{DEFAULT_CAPACITY, HEADER_BYTES, SLOTS, WORD, slot};
use traincast_core::numbering::{Epoch, Version};
use traincast_core::snapshot::shape::{Dtype, Key, Kind};
use traincast_core::snapshot::{Payload, PlacedBlob};
use traincast_core::writer::Writer;
use value::Value;

/// A slot of a channel of the default capacity.
fn slot_bytes(place: &Place, position: u64) -> Vec<u8> {
    let file = std::fs::read(place.path("run@3")).unwrap();
    file[HEADER_BYTES + position as usize % SLOTS * DEFAULT_CAPACITY..][..DEFAULT_CAPACITY].to_vec()
}

/// Fills each slot's first `words` words of payload with this byte, as a snapshot of another structure.
fn fill(writer: &mut Writer, byte: u8, words: usize) {
    let shape = [u64::from_ne_bytes([byte; 8]); 4];
    let values = vec![u64::from_ne_bytes([byte; 8]); words / 2];
    let bytes = vec![byte; (words - words / 2 - 4) * WORD];
    for _ in 0..SLOTS {
        let payload = Payload {
            shape_id: 1 << 40,
            shape: &shape,
            shape_len: 32,
            values: &values,
            blobs: &[PlacedBlob { offset: 0, bytes: &bytes[..] }],
            blob_words: bytes.len() / WORD,
        };
        writer.publish(&payload).unwrap();
    }
}

/// A byte that no other snapshot here has.
const MARK: u8 = 0xc7;

#[test]
fn gaps_between_blobs_are_zero_and_no_byte_of_an_older_snapshot_is_left() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut publisher = Publisher::default();
    let bytes = |len: usize| Value::Bytes(vec![0x11; len]);
    let array = |len: u64| {
        Value::Array(
            Kind::Array,
            Dtype { name: "|u1".into(), itemsize: 1 },
            vec![len],
            vec![0x22; len as usize],
        )
    };
    let dict = |values: Vec<Value>| {
        let key = |index: usize| Key::Str(format!("k{index}").into());
        Value::Dict(values.into_iter().enumerate().map(|(index, value)| (key(index), value)).collect())
    };
    let infos = [
        dict(vec![Value::Int(1), bytes(3), array(5), bytes(9), array(64), bytes(1), array(0), array(1)]),
        dict(vec![bytes(0), array(100), bytes(100), bytes(0), array(0)]),
        dict(vec![array(1), array(1), array(1)]),
        dict(vec![Value::Int(7)]),
        dict(vec![bytes(2000), array(2000), bytes(1)]),
        info(7),
    ];
    for info in infos.iter().chain(&infos) {
        fill(&mut writer, MARK, 1000);
        publisher.publish(&mut writer, info).unwrap();
        let mut node = Node::attach(&place);
        assert_eq!(node.read().unwrap().1, *info);
        let meta = node.out.meta;
        let slot = slot_bytes(&place, meta.position.get());
        let start = slot::PAYLOAD * WORD;
        let end = start + (meta.shape_len.div_ceil(WORD) + meta.values_len + meta.blob_words) * WORD;
        assert!(!slot[start..end].contains(&MARK), "bytes of an older snapshot");
        // The parts, as a reader copies them, and zeros elsewhere.
        let blobs: &[u64] = if meta.blob_words > 0 { node.out.blobs.words() } else { &[] };
        let wanted = [&node.out.shape[..], &node.out.values[..], blobs].concat();
        let wanted: Vec<u8> = wanted.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(slot[start..end], wanted[..]);
        // The spare words of the slot's header are zero.
        assert!(slot[(slot::BLOB_WORDS + 1) * WORD..start].iter().all(|byte| *byte == 0));
        // Nor is any old byte in a message.
        assert!(!node.message()[24 * WORD..].contains(&MARK));
    }
}

#[test]
fn padding_after_the_last_blob_is_zero() {
    let place = Place::new();
    let mut writer = place.writer();
    fill(&mut writer, MARK, 1000);
    let payload = Payload {
        shape_id: 5,
        shape: &[1],
        shape_len: 1,
        values: &[2],
        blobs: &[
            PlacedBlob { offset: 3, bytes: &[9_u8; 5][..] },
            PlacedBlob { offset: 8, bytes: &[8_u8; 16][..] },
        ],
        blob_words: 40,
    };
    writer.publish(&payload).unwrap();
    let slot = slot_bytes(&place, SLOTS as u64 + 1);
    let blobs = &slot[(slot::PAYLOAD + 2) * WORD..][..40 * WORD];
    let mut wanted = [0; 40 * WORD];
    wanted[3 * WORD..][..5].fill(9);
    wanted[8 * WORD..][..16].fill(8);
    assert_eq!(blobs, wanted);
}

/// The position chooses the slot: a version that jumps by the length of the ring is written beside the newest snapshot, not over
/// it.
#[test]
fn a_version_that_jumps_round_the_ring_leaves_the_newest_snapshot_alone() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let mut node = place.reader();
    for jump in [4, 4, 8, 12, 1 << 30] {
        let before = node.newest().unwrap();
        let slot = slot_bytes(&place, before.position.get());
        let next = before.stamp.version.get() + jump;
        writer.resume_at(Version(next - 1), Epoch(0)).unwrap();
        assert_eq!(Sample::new(2, 1, 4, 0).publish(&mut writer).unwrap(), next);
        let after = node.newest().unwrap();
        assert_eq!((after.position, after.stamp.version), (before.position.next(), Version(next)));
        assert_eq!(
            slot_bytes(&place, before.position.get()),
            slot,
            "it was still the newest while this one was stored"
        );
    }
}

#[test]
fn a_new_file_holds_its_first_snapshot_and_zeros() {
    let place = Place::new();
    let mut writer = place.writer();
    fill(&mut writer, MARK, 1000);
    Sample::new(3, 1, 4, 100_000).publish(&mut writer).unwrap();
    let file = std::fs::read(place.path("run@3")).unwrap();
    let stride = (file.len() - HEADER_BYTES) / SLOTS;
    for index in [0, 2, 3] {
        assert!(
            file[HEADER_BYTES + index * stride..][..stride].iter().all(|byte| *byte == 0),
            "slot {index}"
        );
    }
    let mut publisher = Publisher::default();
    publisher.publish(&mut writer, &info(4)).unwrap();
    assert_eq!(seed_of(&Node::attach(&place).read().unwrap().1), 4);
}
