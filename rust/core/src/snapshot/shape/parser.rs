//! Parses and checks the byte form: it may come from a file that another program wrote.

use super::{Dtype, KeyAt, Kind, MalformedShape, NO_KEY, Node, Shape, unzigzag};
use crate::snapshot::{MAX_DEPTH, words_for};

/// Number of elements for which a reused vector keeps its memory.
const SPARE: usize = 1024;

/// Empties a vector, and frees most of its memory if that is large.
pub fn reuse<T>(items: &mut Vec<T>) {
    items.clear();
    items.shrink_to(SPARE);
}

/// Parses a byte form, and reuses the memory of an old shape.
pub fn parse(bytes: Vec<u8>, old: Shape) -> Result<Shape, MalformedShape> {
    let mut shape = Parser::new(&bytes, old).root()?;
    shape.bytes = bytes;
    match shape.repeated_key() {
        None => Ok(shape),
        Some(message) => Err(MalformedShape::RepeatedKey(message)),
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    shape: Shape,
    /// What becomes [`Shape::texts`].
    texts: Vec<u8>,
}

impl<'a> Parser<'a> {
    fn new(bytes: &'a [u8], old: Shape) -> Self {
        let Shape { mut nodes, mut keys, texts, mut dtypes, .. } = old;
        let mut texts = texts.into_bytes();
        reuse(&mut nodes);
        reuse(&mut keys);
        reuse(&mut texts);
        reuse(&mut dtypes);
        texts.reserve(bytes.len());
        Self { bytes, at: 0, shape: Shape { nodes, keys, dtypes, ..Shape::default() }, texts }
    }

    fn root(mut self) -> Result<Shape, MalformedShape> {
        if u32::try_from(self.bytes.len()).is_err() {
            return Err(self.error("longer than 4 GiB"));
        }
        if self.bytes.first() != Some(&(Kind::Dict as u8)) {
            return Err(self.error("the root is not a dictionary"));
        }
        self.shape.nodes.reserve(1 + usize::from(self.bytes.get(1).copied().unwrap_or(0))); // most shapes are flat
        self.node(NO_KEY, 0, 1)?;
        if self.at != self.bytes.len() {
            return Err(self.error("bytes after the root"));
        }
        let mut run = 0;
        for node in self.shape.nodes.iter_mut().rev() {
            run = if node.kind.is_number() { run + 1 } else { 0 };
            node.run = run;
        }
        // Validates all keys at once: one by one, keys as short as these would take several times as long.
        let malformed = MalformedShape::At { at: self.at, what: "a key is not UTF-8" };
        let mut shape = self.shape;
        let Ok(texts) = String::from_utf8(self.texts) else { return Err(malformed) };
        shape.texts = texts;
        for key in &shape.keys {
            if matches!(key, KeyAt::Str(start, _) if !shape.texts.is_char_boundary(*start as usize)) {
                return Err(malformed);
            }
        }
        Ok(shape)
    }

    fn error(&self, what: &'static str) -> MalformedShape {
        MalformedShape::At { at: self.at, what }
    }

    fn byte(&mut self) -> Result<u8, MalformedShape> {
        let byte = *self.bytes.get(self.at).ok_or(self.error("it ends too early"))?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn number(&mut self) -> Result<u64, MalformedShape> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(byte.into())
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, MalformedShape> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error("a number over 64 bits"))
    }

    /// A count of things that take at least a byte each, so it cannot exceed the bytes that are left.
    fn count(&mut self) -> Result<usize, MalformedShape> {
        let count = self.number()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.bytes.len() - self.at => Ok(count),
            _ => Err(self.error("a length beyond the end")),
        }
    }

    fn take(&mut self) -> Result<&'a [u8], MalformedShape> {
        let len = self.count()?;
        self.at += len;
        Ok(&self.bytes[self.at - len..self.at])
    }

    fn text(&mut self) -> Result<Box<str>, MalformedShape> {
        let at = self.at;
        match std::str::from_utf8(self.take()?) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(MalformedShape::At { at, what: "not UTF-8" }),
        }
    }

    fn key(&mut self) -> Result<u32, MalformedShape> {
        let key = match self.byte()? {
            0 => {
                let start = self.texts.len() as u32;
                let text = self.take()?;
                self.texts.extend_from_slice(text);
                KeyAt::Str(start, self.texts.len() as u32)
            }
            1 => KeyAt::Int(unzigzag(self.number()?)),
            2 => {
                let len = self.take()?.len();
                KeyAt::BigInt((self.at - len) as u32, self.at as u32)
            }
            _ => return Err(self.error("an unknown kind of key")),
        };
        self.shape.keys.push(key);
        Ok(self.shape.keys.len() as u32 - 1)
    }

    fn dtype(&mut self) -> Result<u32, MalformedShape> {
        let itemsize = self.number()?;
        // The largest item of any array is a numpy string of 2 GiB.
        let itemsize = usize::try_from(itemsize)
            .ok()
            .filter(|&n| n < 1 << 31)
            .ok_or(self.error("an absurd item size"))?;
        let name = self.text()?;
        self.shape.dtypes.push(Dtype { name, itemsize });
        Ok(self.shape.dtypes.len() as u32 - 1)
    }

    fn node(&mut self, key: u32, key_at: usize, depth: usize) -> Result<(), MalformedShape> {
        let tag_at = self.at;
        let tag = self.byte()?;
        let kind = Kind::from_tag(tag).ok_or(self.error("an unknown tag"))?;
        let index = self.shape.nodes.len();
        let value_at = self.shape.value_words;
        let key_at = if key == NO_KEY { tag_at } else { key_at };
        self.shape.nodes.push(Node {
            kind,
            ndim: 0,
            aux: 0,
            key,
            value_at: u32::try_from(value_at).map_err(|_| self.error("too many values"))?,
            end: 0,
            key_at: key_at as u32,
            tag_at: tag_at as u32,
            run: 0,
        });
        self.shape.has_blobs |= kind.has_blob();
        let (mut ndim, mut aux, mut words) = (0, 0, 0);
        match kind {
            Kind::None => {}
            Kind::Bool | Kind::Int | Kind::Float | Kind::BigInt | Kind::Str | Kind::Bytes => words = 1,
            Kind::Scalar => {
                aux = self.dtype()?;
                words = words_for(self.shape.dtypes[aux as usize].itemsize);
            }
            Kind::Array | Kind::Tensor => {
                ndim = self.byte()?;
                aux = self.dtype()?;
                words = usize::from(ndim);
            }
            Kind::List | Kind::Tuple | Kind::Dict => {
                let len = self.count()?;
                aux = len as u32;
                if depth > MAX_DEPTH {
                    return Err(self.error("nested too deeply"));
                }
                // At most one node and one key for each byte that is left.
                self.shape.nodes.reserve(len);
                if kind == Kind::Dict {
                    self.shape.keys.reserve(len);
                }
                for _ in 0..len {
                    let key_at = self.at;
                    let key = if kind == Kind::Dict { self.key()? } else { NO_KEY };
                    self.node(key, key_at, depth + 1)?;
                }
            }
        }
        self.shape.value_words += words;
        let end = self.shape.nodes.len() as u32;
        let node = &mut self.shape.nodes[index];
        (node.ndim, node.aux, node.end) = (ndim, aux, end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_bytes_are_refused() {
        for (bytes, what) in [
            (&[][..], "root"),
            (&[2], "root"),
            (&[9], "ends too early"),
            (&[9, 1], "beyond the end"),
            (&[9, 1, 7, 0], "unknown kind of key"),
            (&[9, 1, 0, 1, 0xff, 2], "not UTF-8"),
            (&[9, 2, 0, 1, 0xc3, 2, 0, 1, 0xa9, 2], "not UTF-8"), // one character, split between two keys
            (&[9, 1, 0, 0, 99], "unknown tag"),
            (&[9, 0, 0], "bytes after the root"),
            (&[9, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], "over 64 bits"),
        ] {
            let error = Shape::parse(bytes).expect_err("it is malformed");
            assert!(error.to_string().contains(what), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn a_large_shape_does_not_leave_its_memory_to_a_small_one() {
        let count = 100_000;
        let mut large = vec![9, 0xa0, 0x8d, 0x06];
        for index in 0..count {
            large.extend([0, 5]);
            large.extend(format!("{index:05x}").as_bytes());
            large.push(0);
        }
        let shape = Shape::parse(large).expect("it is well-formed");
        assert_eq!(shape.key_count(), count);
        let small = [9, 1, 0, 1, b'a', 0];
        let shape = shape.parse_again(&crate::snapshot::to_words(&small), small.len()).expect("so is this");
        assert_eq!(shape.bytes, small);
        let room =
            [shape.nodes.capacity(), shape.keys.capacity(), shape.texts.capacity(), shape.bytes.capacity()];
        assert!(room.iter().all(|&room| room <= SPARE), "{room:?}");
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| {
            let mut bytes = vec![9, 1, 0, 0];
            bytes.extend([7, 1].repeat(depth - 1));
            bytes.push(0);
            Shape::parse(bytes)
        };
        assert!(nested(MAX_DEPTH).is_ok());
        assert!(nested(MAX_DEPTH + 1).is_err());
    }
}
