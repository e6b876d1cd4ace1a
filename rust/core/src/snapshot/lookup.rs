//! Finding the node at a path.

use super::shape::{Key, Kind, Shape};

/// A path into a snapshot: keys of dictionaries, and indices of lists and tuples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPath(Vec<Key<'static>>);

/// Why something is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPath {
    /// It has no key.
    #[error("a path needs at least one key")]
    Empty,
    /// A dotted path has two dots in a row, or one at its start or end.
    #[error(
        "a dotted path has a name on both sides of each dot; give a tuple for keys that are empty or hold a dot"
    )]
    EmptyName,
}

/// Where a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The last node that it reaches.
    pub node: usize,
    /// How many keys lead to that node.
    pub steps: usize,
}

impl KeyPath {
    /// A path of these keys.
    ///
    /// # Errors
    /// [`NoPath::Empty`].
    pub fn new(keys: Vec<Key<'static>>) -> Result<Self, NoPath> {
        match keys.is_empty() {
            true => Err(NoPath::Empty),
            // The canonical form, because an integer may be written with more bytes than necessary.
            false => Ok(Self(keys.into_iter().map(|key| key.canonical().into_owned()).collect())),
        }
    }

    /// A dotted path.
    ///
    /// # Errors
    /// [`NoPath`].
    pub fn dotted(text: &str) -> Result<Self, NoPath> {
        if text.is_empty() {
            return Err(NoPath::Empty);
        }
        let names = text.split('.').map(|name| match name {
            "" => Err(NoPath::EmptyName),
            name => Ok(Key::Str(name.to_owned().into())),
        });
        Self::new(names.collect::<Result<_, _>>()?)
    }

    /// Its keys, of which there is at least one.
    pub fn keys(&self) -> &[Key<'static>] {
        &self.0
    }
}

impl Shape {
    /// The node that a path leads to.
    ///
    /// # Errors
    /// [`Lost`] if there is no such node.
    pub fn find(&self, path: &KeyPath) -> Result<usize, Lost> {
        let mut node = 0;
        for (steps, key) in path.keys().iter().enumerate() {
            node = self.child(node, key).ok_or(Lost { node, steps })?;
        }
        Ok(node)
    }

    /// The child of a container with this key or at this index, which counts from the end if it is negative.
    fn child(&self, container: usize, key: &Key<'_>) -> Option<usize> {
        let node = &self.nodes[container];
        match node.kind {
            Kind::Dict => self.children(container).find(|&child| {
                let found = self.key(self.nodes[child].key as usize);
                found.is_some_and(|found| found == *key || found.canonical() == *key)
            }),
            Kind::List | Kind::Tuple => {
                let index = index(key)?;
                let index = if index < 0 { index.checked_add(i64::from(node.aux))? } else { index };
                self.children(container).nth(usize::try_from(index).ok()?)
            }
            _ => None,
        }
    }

    /// The keys of a dictionary.
    pub fn keys_of(&self, dict: usize) -> impl Iterator<Item = Key<'_>> {
        self.children(dict).filter_map(|child| self.key(self.nodes[child].key as usize))
    }
}

/// The index that a key means. A name may be an index too, because a dotted path only has names.
fn index(key: &Key<'_>) -> Option<i64> {
    match key {
        Key::Int(index) => Some(*index),
        Key::Str(text) => text.parse().ok().filter(|index: &i64| index.to_string() == **text),
        Key::BigInt(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::encode::Encoder;

    /// `{"a": {"b": 1, 7: 2, "": 3}, "l": [None, (4, 5)], "a.b": 6, 2**64: 7}`
    fn shape() -> Shape {
        let mut encoder = Encoder::<Vec<u8>>::default();
        encoder.start(None);
        encoder.container(Kind::Dict, 4);
        encoder.key_str("a");
        encoder.container(Kind::Dict, 3);
        encoder.key_str("b");
        encoder.int(1);
        encoder.key_int(7);
        encoder.int(2);
        encoder.key_str("");
        encoder.int(3);
        encoder.key_str("l");
        encoder.container(Kind::List, 2);
        encoder.none();
        encoder.container(Kind::Tuple, 2);
        encoder.int(4);
        encoder.int(5);
        encoder.key_str("a.b");
        encoder.int(6);
        encoder.key_bigint(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
        encoder.int(7);
        Shape::parse(encoder.recorded().expect("it was recorded")).expect("it is well formed")
    }

    fn name(text: &str) -> Key<'static> {
        Key::Str(text.to_owned().into())
    }

    fn keys<const N: usize>(keys: [Key<'static>; N]) -> KeyPath {
        KeyPath::new(keys.into()).expect("it has keys")
    }

    #[test]
    fn paths_lead_to_their_nodes() {
        let (shape, dotted) = (shape(), |text| KeyPath::dotted(text).expect("it is one"));
        for (path, node) in [
            (dotted("a"), 1),
            (dotted("a.b"), 2),
            (keys([name("a"), Key::Int(7)]), 3),
            (keys([name("a"), name("")]), 4),
            (dotted("l"), 5),
            (dotted("l.0"), 6),
            (dotted("l.1"), 7),
            (dotted("l.1.0"), 8),
            (dotted("l.-1.-1"), 9),
            (keys([name("l"), Key::Int(1), Key::Int(-2)]), 8),
            (keys([name("a.b")]), 10),
            (keys([Key::BigInt(vec![0, 0, 0, 0, 0, 0, 0, 0, 1].into())]), 11),
        ] {
            assert_eq!(shape.find(&path), Ok(node), "{path:?}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_says_where_it_ends() {
        let (shape, dotted) = (shape(), |text| KeyPath::dotted(text).expect("it is one"));
        for (path, node, steps) in [
            (dotted("b"), 0, 0),
            (dotted("a.c.d"), 1, 1),
            (dotted("a.7"), 1, 1), // the key of a dictionary is never read as an index
            (dotted("a.b.c"), 2, 2),
            (dotted("l.2"), 5, 1),
            (dotted("l.-3"), 5, 1),
            (dotted("l.01"), 5, 1),
            (dotted("l.x"), 5, 1),
            (keys([name("l"), Key::Int(i64::MIN)]), 5, 1),
            (keys([Key::Int(1)]), 0, 0),
        ] {
            assert_eq!(shape.find(&path), Err(Lost { node, steps }), "{path:?}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        assert_eq!(KeyPath::new(vec![]), Err(NoPath::Empty));
        assert_eq!(KeyPath::dotted(""), Err(NoPath::Empty));
        for text in [".", "a.", ".a", "a..b"] {
            assert_eq!(KeyPath::dotted(text), Err(NoPath::EmptyName), "{text}");
        }
    }
}
