//! The depth and the path of a walk through a tree of containers.

use super::MAX_DEPTH;

/// A container on the way of a walk, linked to those around it.
#[derive(Debug)]
pub struct Nesting<'a> {
    /// The container's address, which identifies it.
    address: usize,
    up: Option<&'a Nesting<'a>>,
    depth: usize,
}

/// Why a container cannot be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTree {
    /// It is itself one of the containers around it.
    #[error("it contains itself; a snapshot must be a tree")]
    Cycle,
    /// There are too many containers around it.
    #[error("it is nested deeper than {MAX_DEPTH} levels; flatten it")]
    TooDeep,
}

impl<'a> Nesting<'a> {
    /// A walk that starts inside of `depth` containers.
    pub fn at_depth(depth: usize) -> Self {
        Self { address: 0, up: None, depth }
    }

    /// Enters a container. A cycle is noticed only when the walk becomes too deep, so that shallow walks do not pay for the
    /// check.
    ///
    /// # Errors
    /// [`NoTree`] beyond [`MAX_DEPTH`].
    #[inline]
    pub fn enter(up: Option<&'a Nesting<'a>>, address: usize) -> Result<Self, NoTree> {
        let depth = up.map_or(1, |up| up.depth + 1);
        if depth <= MAX_DEPTH { Ok(Self { address, up, depth }) } else { Err(Self::too_deep(up, address)) }
    }

    #[cold]
    fn too_deep(up: Option<&Self>, address: usize) -> NoTree {
        let mut above = up;
        while let Some(around) = above {
            if around.address == address {
                return NoTree::Cycle;
            }
            above = around.up;
        }
        NoTree::TooDeep
    }
}

/// A long path keeps this many segments at its start.
const FIRST: usize = 6;
/// A long path keeps this many segments at its end.
const LAST: usize = 3;
/// A path with more segments than this is long.
const MOST: usize = 12;
/// Largest number of characters of a segment.
const LONG: usize = 60;

/// The place where a walk has failed, as a Python expression.
#[derive(Debug, Default)]
pub struct Path {
    /// Innermost first.
    segments: Vec<String>,
}

impl Path {
    /// Adds the key or index of the place so far in its container.
    pub fn within(&mut self, key: &str) {
        self.segments.push(match key.chars().count() <= LONG {
            true => format!("[{key}]"),
            false => format!("[{}…]", key.chars().take(LONG - 3).collect::<String>()),
        });
    }

    /// The expression. Empties the path.
    pub fn take(&mut self) -> String {
        let mut segments = std::mem::take(&mut self.segments);
        segments.push("info".into());
        segments.reverse();
        if segments.len() > MOST {
            segments.splice(FIRST..segments.len() - LAST, ["[…]".to_owned()]);
        }
        segments.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descend(up: Option<&Nesting<'_>>, left: usize, address: fn(usize) -> usize) -> Result<(), NoTree> {
        let here = Nesting::enter(up, address(left))?;
        if left == 1 { Ok(()) } else { descend(Some(&here), left - 1, address) }
    }

    #[test]
    fn a_cycle_is_told_from_depth() {
        assert_eq!(descend(None, MAX_DEPTH, |left| left), Ok(()));
        assert_eq!(descend(None, MAX_DEPTH + 1, |left| left), Err(NoTree::TooDeep));
        assert_eq!(descend(None, 1000, |left| left % 7), Err(NoTree::Cycle));
    }

    #[test]
    fn a_path_is_short_enough_to_be_read() {
        let path = |keys: &[&str]| {
            let mut path = Path::default();
            keys.iter().rev().for_each(|key| path.within(key));
            path.take()
        };
        assert_eq!(path(&[]), "info");
        assert_eq!(path(&["\"a\"", "0"]), "info[\"a\"][0]");
        assert_eq!(path(&["1"; 11]), format!("info{}", "[1]".repeat(11)));
        assert_eq!(path(&["1"; 40]), format!("info{}[…]{}", "[1]".repeat(5), "[1]".repeat(3)));
        assert_eq!(path(&["ä".repeat(60).as_str()]), format!("info[{}]", "ä".repeat(60)));
        assert_eq!(path(&["ä".repeat(61).as_str()]), format!("info[{}…]", "ä".repeat(57)));
    }
}
