//! Bytes that are read as instructions. Beyond the end everything is zero, so each string of bytes is valid.

/// The rest of an input.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub fn short(&mut self) -> usize {
        usize::from(self.byte()) | usize::from(self.byte()) << 8
    }

    /// Up to `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.take(8);
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }

    /// A number in place of `old`: near it, near a bound, or anything.
    pub fn number(&mut self, old: u64) -> u64 {
        match self.below(8) {
            0 => old ^ 1 << self.below(64),
            1 => self.byte().into(),
            2 => u64::MAX - u64::from(self.byte()),
            3 => self.word(),
            4 => 1 << self.below(64),
            5 => (1 << self.below(64)) - 1,
            6 => old.wrapping_add_signed(i64::from(self.byte() as i8)),
            _ => old << self.below(64),
        }
    }
}
