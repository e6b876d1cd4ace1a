//! Looks through a shape: keys that occur twice, keys that are there.

use rustc_hash::FxHashSet;
use traincast_core::snapshot::shape::{Key, Kind, Shape};

/// The first key that occurs twice in a dictionary: the path to the dictionary, and the key.
pub fn repeated_key(shape: &Shape) -> Option<(String, String)> {
    let mut seen = FxHashSet::default();
    for (index, node) in shape.nodes.iter().enumerate().filter(|(_, node)| node.kind == Kind::Dict) {
        seen.clear();
        for child in children(shape, index) {
            let key = shape.key(shape.nodes[child].key as usize)?;
            let shown = shown(&key);
            if !seen.insert(key) {
                return Some((path(shape, index), shown));
            }
        }
        debug_assert_eq!(seen.len(), node.aux as usize);
    }
    None
}

/// Whether the root has a string key.
pub fn has_key(shape: &Shape, wanted: &str) -> bool {
    shape
        .top_level()
        .any(|node| matches!(shape.key(shape.nodes[node].key as usize), Some(Key::Str(key)) if key == wanted))
}

/// The direct children of a container.
fn children(shape: &Shape, container: usize) -> impl Iterator<Item = usize> + '_ {
    let (mut next, end) = (container + 1, shape.nodes[container].end as usize);
    std::iter::from_fn(move || {
        let child = (next < end).then_some(next)?;
        next = shape.nodes[child].end as usize;
        Some(child)
    })
}

/// How Python code would get to a node.
fn path(shape: &Shape, node: usize) -> String {
    let (mut path, mut here) = (String::from("info"), 0);
    while here != node {
        let below = |child: usize| child <= node && node < shape.nodes[child].end as usize;
        let Some((position, child)) = children(shape, here).enumerate().find(|(_, child)| below(*child))
        else {
            break;
        };
        let key = shape.key(shape.nodes[child].key as usize);
        path += &format!("[{}]", key.map_or_else(|| position.to_string(), |key| shown(&key)));
        here = child;
    }
    path
}

fn shown(key: &Key<'_>) -> String {
    match key {
        Key::Str(text) => format!("{text:?}"),
        Key::Int(int) => int.to_string(),
        Key::BigInt(_) => "<a large int>".into(),
    }
}
