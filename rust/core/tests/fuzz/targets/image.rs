//! The content of a channel's files before it is written, and the edits of it.

use traincast_core::layout::{HEADER_BYTES, HEADER_WORDS, PAGE, SLOTS, WORD, header, slot};
use traincast_core::ring::seqlock::Head;
use traincast_core::snapshot::to_words;

use super::input::Input;

/// Words of a slot of the sound channel.
pub const STRIDE: usize = PAGE / WORD;
/// Number of snapshots that the sound channel has had; its slots hold the last four.
pub const VERSIONS: u64 = 7;

/// The files' content before it is written.
#[derive(Clone, Default)]
pub struct Image {
    pub segment: Vec<u8>,
    pub roster: Vec<u8>,
    /// Size of the file in bytes; beyond `segment` it has a hole.
    pub size: usize,
    pub roster_size: Option<usize>,
}

const fn slot_at(index: usize) -> usize {
    HEADER_WORDS + index * STRIDE
}

impl Image {
    /// Edits it as the input says.
    pub fn edit(&mut self, input: &mut Input<'_>) {
        for _ in 0..12 {
            if input.is_empty() {
                break;
            }
            let newest = Head::from_bits(self.get(header::HEAD)).position().get() as usize % SLOTS;
            match input.below(9) {
                0 => self.set(input.below(header::ORIGIN_HOST + 8), input),
                1 => self.set(slot_at(newest) + input.below(slot::PAYLOAD), input),
                2 => self.set(slot_at(input.below(SLOTS)) + input.below(slot::PAYLOAD), input),
                3 => {
                    let at = slot_at(newest) + slot::PAYLOAD + input.short() % (STRIDE - slot::PAYLOAD);
                    self.set(at, input);
                }
                4 => self.put_snapshot(newest, input),
                5 => self.move_head(input),
                6 => {
                    let at = input.short() % (self.roster.len() / WORD) * WORD;
                    let word = &mut self.roster[at..at + WORD];
                    let number = input.number(u64::from_le_bytes(word.try_into().unwrap()));
                    word.copy_from_slice(&number.to_le_bytes());
                }
                7 => self.resize(input),
                _ => self.put(header::HEAD, self.get(header::HEAD) ^ (1 + u64::from(input.byte()) % 3)),
            }
        }
    }

    fn get(&self, at: usize) -> u64 {
        Input(&self.segment[at * WORD..]).word()
    }

    fn put(&mut self, at: usize, value: u64) {
        self.segment[at * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
    }

    fn set(&mut self, at: usize, input: &mut Input<'_>) {
        self.put(at, input.number(self.get(at)));
    }

    /// Puts other content into a slot, with matching lengths.
    fn put_snapshot(&mut self, slot: usize, input: &mut Input<'_>) {
        let start = slot_at(slot);
        let len = input.below(96);
        let shape = to_words(input.take(len));
        let values: Vec<_> = (0..input.below(24)).map(|_| input.number(4)).collect();
        let len = input.below(64);
        let blobs = to_words(input.take(len));
        let content = [shape.as_slice(), values.as_slice(), blobs.as_slice()].concat();
        self.put(start + slot::SHAPE_LEN, (shape.len() * WORD - input.below(8).min(shape.len())) as u64);
        self.put(start + slot::VALUES_LEN, values.len() as u64);
        self.put(start + slot::BLOB_WORDS, blobs.len() as u64);
        self.put(start + slot::SHAPE_ID, 9);
        for (at, word) in content.into_iter().enumerate() {
            self.put(start + slot::PAYLOAD + at, word);
        }
    }

    /// Sets another newest position; in most cases its slot agrees.
    fn move_head(&mut self, input: &mut Input<'_>) {
        let position = input.number(VERSIONS) & u64::MAX >> 2;
        self.put(header::HEAD, (position << 2) | (u64::from(input.byte()) % 4));
        if input.below(4) > 0 {
            let from = slot_at(VERSIONS as usize % SLOTS);
            let to = slot_at(position as usize % SLOTS);
            self.segment.copy_within(from * WORD..(from + STRIDE) * WORD, to * WORD);
            self.put(to, position.wrapping_mul(2).wrapping_add(2));
            self.put(to + slot::POSITION, position);
        }
    }

    fn resize(&mut self, input: &mut Input<'_>) {
        let sizes =
            [0, 8, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + PAGE, 5 * PAGE - 8, 10 * PAGE, 1 << 21];
        match input.below(3) {
            0 => self.size = sizes[input.below(8)],
            1 => self.roster_size = Some(sizes[input.below(8)]).filter(|_| input.byte() > 99),
            _ => {
                let capacity = PAGE * input.below(5);
                self.size = HEADER_BYTES + SLOTS * capacity;
                self.put(header::CAPACITY, capacity as u64);
                self.put(header::TOTAL, self.size as u64);
            }
        }
    }
}
