//! What whoever reads a channel has in hand, and whether that is still the newest.

use pyo3::prelude::*;
use traincast_core::reader::{HeadRef, Settled};
use traincast_core::snapshot::{SegmentKey, SlotMeta};
use traincast_core::tick_ns;

use crate::channel::Channel;
use crate::decode::Found;

/// Where the snapshot in hand comes from.
pub struct Watch {
    head: HeadRef,
    /// While this holds, the one in hand is the newest.
    settled: Settled,
    /// When the name was last looked at; 0 if not for this snapshot.
    looked_ns: u64,
    /// After how many calls that find nothing new the clock says whether that is long ago, and what it said last.
    clock_in: u8,
    clock_ns: u64,
    /// Of that snapshot.
    pub segment: SegmentKey,
    pub meta: SlotMeta,
    /// How many looks have ended.
    looks: u64,
}

/// What the file says of the snapshot in hand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// It is the newest.
    Same,
    /// There is a newer one, or something else has happened to the file.
    News,
    /// It is time to look whether the channel still has this file.
    Unsure,
}

/// Which looks had ended when one began.
#[derive(Clone, Copy)]
pub struct Begun(u64);

/// Somebody may have removed or replaced the file without a mark in it. So the name is looked at once a second. The clock for
/// that, a coarse one, is looked at in each call, but where calls follow each other within its tick only every so many.
const CLOCK_EVERY: u8 = 32;
const LOOK_EVERY_NS: u64 = 1_000_000_000;

impl Watch {
    /// Over a channel from which nothing was read yet.
    pub fn new(py: Python<'_>, channel: &Channel) -> Self {
        let (segment, head) = channel.head(py);
        let (settled, meta) = (Settled::default(), SlotMeta::default());
        Self { head, settled, looked_ns: 0, clock_in: 1, clock_ns: 0, segment, meta, looks: 0 }
    }

    /// Whether nothing has changed: one load and one comparison.
    #[inline(always)]
    pub fn glance(&mut self) -> Glance {
        if !self.settled.holds(&self.head) {
            return Glance::News;
        }
        self.clock_in = self.clock_in.wrapping_sub(1);
        if self.clock_in != 0 || self.looked_lately() { Glance::Same } else { Glance::Unsure }
    }

    #[inline(never)]
    fn looked_lately(&mut self) -> bool {
        let now = tick_ns();
        self.clock_in = if now == self.clock_ns { CLOCK_EVERY } else { 1 };
        self.clock_ns = now;
        now.saturating_sub(self.looked_ns) < LOOK_EVERY_NS
    }

    /// Whether there is a newer snapshot in the file that the one in hand comes from. `false`: there may be one elsewhere.
    pub fn overtaken(&self) -> bool {
        let head = self.head.load();
        !head.ended() && head.position() > self.meta.position
    }

    /// Begins a look, in the middle of which Python code may run, and with it other looks.
    #[inline]
    pub fn begin(&self) -> Begun {
        Begun(self.looks)
    }

    /// Ends it with what it found, and whether that was `new` to the caller. `false` if another one has found a newer snapshot
    /// meanwhile: that one stays in hand.
    #[inline(always)] // readers and keys call it: as a call of its own it costs a changed read some percent
    pub fn end(
        &mut self,
        py: Python<'_>,
        begun: Begun,
        channel: &Channel,
        found: &Found<'_>,
        new: bool,
    ) -> bool {
        self.looks += 1;
        let elsewhere = self.segment != found.segment;
        let others = self.looks - begun.0 > 1;
        if others && (elsewhere || self.meta.position > found.meta.position) {
            return false;
        }
        (self.settled, self.meta) = (found.settled, *found.meta);
        self.looked_ns = if new { 0 } else { tick_ns() };
        if elsewhere {
            let (segment, head) = channel.head(py);
            (self.segment, self.head) = (found.segment, head);
            if segment != found.segment {
                self.settled = Settled::default(); // the channel has moved on meanwhile
            }
        }
        true
    }

    /// A newer snapshot of the same file, by a look that ran no Python code.
    #[inline]
    pub fn advance(&mut self, meta: SlotMeta, settled: Settled) {
        (self.settled, self.meta, self.looked_ns) = (settled, meta, 0);
        self.looks += 1;
    }

    /// After a look at nothing but numbers: whether what they say is news.
    pub fn looked(&mut self, news: bool) {
        self.looked_ns = tick_ns();
        if news {
            self.settled = Settled::default();
        }
    }
}
