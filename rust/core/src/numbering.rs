//! The numbers of the protocol: each has a type of its own, so that the compiler keeps them apart.
//!
//! | number | counts | known to |
//! |---|---|---|
//! | [`Position`] | the snapshots stored in one file | that file alone |
//! | [`Version`] | the snapshots of a channel, as its publisher numbers them | all nodes |
//! | [`Epoch`] | the writers of a channel, one after the other | all nodes |
//! | [`Term`] | the lives of a channel: a clean close ends one | all nodes |

use std::fmt;

macro_rules! number {
    ($(#[$text:meta])* $name:ident) => {
        $(#[$text])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// As a plain number.
            #[inline]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number after it.
            #[inline]
            pub const fn next(self) -> Self {
                Self(self.0.wrapping_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Counts the snapshots stored in this file: 1 for the first. Decides the slot and its sequence word.
    Position
);
number!(
    /// The publisher's number of a snapshot: 1 for a channel's first one, strictly growing. Gaps are allowed: a relay
    /// skips, a resumed training jumps.
    Version
);
number!(
    /// 1 for a channel's first writer, one more for each writer that takes it over.
    Epoch
);
number!(
    /// Which life of the channel: epoch and version begin at 1 again after a clean close. The Unix time, in ns, at which
    /// that life began, or one more than the term before it, whichever is larger.
    Term
);

impl Position {
    /// Largest position: `2p+2` and `p << 2` must fit into a word. At 10⁹ snapshots per second, positions last for 36 years.
    pub const MAX: Self = Self((1 << 60) - 1);
}

impl Epoch {
    /// Exclusive upper limit of the epochs in a message or a file. It leaves room to go on counting.
    pub const MAX: Self = Self(1 << 60);
}

impl Term {
    /// Exclusive upper limit of the terms in a message: Unix time in ns reaches it in the year 2262.
    pub const MAX: Self = Self(1 << 63);
}

impl Version {
    /// Exclusive upper limit of the versions in a saved state or a message. It leaves room to go on counting.
    pub const MAX: Self = Self((1 << 60) - 1);
}

/// When a snapshot was published, in the order that all nodes agree on: of two snapshots of a channel the one with the
/// larger stamp is newer, and equal stamps mean the same snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Stamp {
    /// The life of the channel.
    pub term: Term,
    /// The writer within that life.
    pub epoch: Epoch,
    /// The snapshot.
    pub version: Version,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "term {}, epoch {}, version {}", self.term, self.epoch, self.version)
    }
}

/// Identifies a shape among all that one file holds. All bits are compared: the key is not squeezed into one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct ShapeKey {
    /// Which of this file's writers stored it. Counted per file, because a relay stores under the epoch of the origin.
    pub takeover: u64,
    /// That writer's number for the shape, never 0.
    pub id: u64,
}
