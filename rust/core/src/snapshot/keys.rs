//! The keys of a shape: finding them, and checking that none occurs twice.

use std::collections::HashSet;

use super::shape::{Key, Kind, Shape};

/// Up to this many keys of a dictionary are compared with each other; more are looked up in a hash set.
const FEW: usize = 8;

impl Key<'_> {
    /// The canonical form, which is the same for all equal keys: an integer may be written with more bytes than necessary.
    pub fn canonical(&self) -> Key<'_> {
        match self {
            Self::Str(text) => Key::Str((&**text).into()),
            Self::Int(int) => Key::Int(*int),
            Self::BigInt(bytes) => {
                let mut bytes = &**bytes;
                while let [start @ .., sign, last] = bytes
                    && *last == if *sign < 0x80 { 0 } else { 0xff }
                {
                    bytes = &bytes[..start.len() + 1];
                }
                if bytes.len() > 8 {
                    return Key::BigInt(bytes.into());
                }
                let mut word = [if bytes.last().is_some_and(|last| *last >= 0x80) { 0xff } else { 0 }; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                Key::Int(i64::from_le_bytes(word))
            }
        }
    }

    /// As Python source code.
    pub fn shown(&self) -> String {
        match self {
            Self::Str(text) => format!("{text:?}"),
            Self::Int(int) => int.to_string(),
            Self::BigInt(_) => "<a large int>".into(),
        }
    }
}

impl Shape {
    /// The direct children of a container.
    pub(super) fn children(&self, container: usize) -> impl Iterator<Item = usize> + '_ {
        let (mut next, end) = (container + 1, self.nodes[container].end as usize);
        std::iter::from_fn(move || {
            let child = (next < end).then_some(next)?;
            next = self.nodes[child].end as usize;
            Some(child)
        })
    }

    /// The string keys of the root, and their nodes.
    pub fn named_entries(&self) -> impl Iterator<Item = (Box<str>, usize)> + '_ {
        self.top_level().filter_map(|node| match self.key(self.nodes[node].key as usize) {
            Some(Key::Str(key)) => Some((key.into(), node)),
            _ => None,
        })
    }

    /// Whether the root has a string key.
    pub fn has_key(&self, wanted: &str) -> bool {
        let key = |node: usize| self.key(self.nodes[node].key as usize);
        self.top_level().any(|node| matches!(key(node), Some(Key::Str(key)) if key == wanted))
    }

    /// An error message that names the first key that occurs twice in a dictionary, and the dictionary.
    pub(super) fn repeated_key(&self) -> Option<Box<str>> {
        let mut keys = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if node.kind != Kind::Dict || node.aux < 2 {
                continue;
            }
            keys.clear();
            keys.extend(self.children(index).filter_map(|child| self.key(self.nodes[child].key as usize)));
            if let Some(key) = repeated(&keys) {
                return Some(format!("{}: the key {} occurs twice", self.path(index), key.shown()).into());
            }
        }
        None
    }

    /// A Python expression for a node, which starts with `info`.
    pub fn path(&self, node: usize) -> String {
        let (mut path, mut here) = (String::from("info"), 0);
        while here != node {
            let below = |child: usize| child <= node && node < self.nodes[child].end as usize;
            let Some((position, child)) = self.children(here).enumerate().find(|(_, child)| below(*child))
            else {
                break;
            };
            let key = self.key(self.nodes[child].key as usize);
            path += &format!("[{}]", key.map_or_else(|| position.to_string(), |key| key.shown()));
            here = child;
        }
        path
    }
}

/// The first key that occurred before. The set's hashes are seeded, so nobody can choose keys that make it slow.
fn repeated<'k, 'a>(keys: &'k [Key<'a>]) -> Option<&'k Key<'a>> {
    let long = |key: &Key<'_>| matches!(key, Key::BigInt(_));
    if keys.len() <= FEW && !keys.iter().any(long) {
        let before = |(index, key): &(usize, &Key<'a>)| keys[..*index].contains(*key);
        return keys.iter().enumerate().find(before).map(|(_, key)| key);
    }
    let mut seen = HashSet::with_capacity(keys.len());
    keys.iter().find(|key| !seen.insert(key.canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::encode::Encoder;

    /// A dictionary with a list of two, of which the second is a dictionary with these keys.
    fn parse(keys: &[Key<'_>]) -> Result<Shape, String> {
        let mut encoder = Encoder::<Vec<u8>>::default();
        encoder.start(None);
        encoder.container(Kind::Dict, 2);
        encoder.key_str("first");
        encoder.none();
        encoder.key_str("a");
        encoder.container(Kind::List, 2);
        encoder.none();
        encoder.container(Kind::Dict, keys.len());
        for key in keys {
            match key {
                Key::Str(text) => encoder.key_str(text),
                Key::Int(int) => encoder.key_int(*int),
                Key::BigInt(bytes) => encoder.key_bigint(bytes),
            }
            encoder.none();
        }
        Shape::parse(encoder.recorded().expect("it was recorded")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_that_occurs_twice_is_named() {
        for others in [0, 5, 6, 7, 300] {
            let mut keys: Vec<_> = (0..others).map(|index| Key::Str(format!("{index}").into())).collect();
            let repeated = [Key::Str("x\"".into()), Key::Int(-3), Key::BigInt(vec![1; 9].into())];
            for (key, shown) in repeated.iter().zip([r#""x\"""#, "-3", "<a large int>"]) {
                keys.insert(others / 2, key.clone());
                assert!(parse(&keys).is_ok());
                keys.push(key.clone());
                let message = format!(r#"info["a"][1]: the key {shown} occurs twice"#);
                assert_eq!(parse(&keys).err(), Some(message));
                keys.pop();
            }
        }
    }

    #[test]
    fn an_integer_is_the_same_however_long_it_is_written() {
        let big = |bytes: &[u8]| Key::BigInt(bytes.to_vec().into());
        for (a, b, same) in [
            (big(&[2]), Key::Int(2), true),
            (big(&[0xff; 12]), Key::Int(-1), true),
            (big(&[]), Key::Int(0), true),
            (big(&[0x80, 0]), Key::Int(128), true),
            (big(&[0x80]), Key::Int(-128), true),
            (big(&[7; 9]), big(&[7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0]), true),
            (big(&[7; 9]), big(&[7; 10]), false),
            (Key::Int(1), Key::Str("1".into()), false),
        ] {
            assert_eq!(a.canonical() == b.canonical(), same, "{a:?} {b:?}");
            assert_eq!(parse(&[a, b]).is_err(), same);
        }
    }

    #[test]
    fn the_entries_of_the_root_have_names() {
        let shape = parse(&[]).expect("it is well formed");
        let named: Vec<_> = shape.named_entries().map(|(name, node)| (name.into_string(), node)).collect();
        assert_eq!(named, [("first".to_owned(), 1), ("a".to_owned(), 2)]);
        assert!(shape.has_key("a") && !shape.has_key("b"));
    }
}
