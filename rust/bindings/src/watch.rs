//! Tracks the snapshot that a reader or a key holds, and whether it is still the newest.

use pyo3::prelude::*;
use traincast_core::reader::{HeadRef, Settled};
use traincast_core::snapshot::{SegmentKey, SlotMeta};
use traincast_core::tick_ns;

use crate::channel::Channel;
use crate::decode::Found;

/// Where the snapshot in hand comes from, and how to tell that it is still the newest.
pub struct Watch {
    head: HeadRef,
    /// While this holds, the snapshot in hand is the newest.
    settled: Settled,
    /// When the name was last looked up; 0 if not since this snapshot.
    looked_ns: u64,
    /// Number of calls without news until the next look at the clock, and the time at the last one.
    clock_in: u8,
    clock_ns: u64,
    /// Place and numbers of that snapshot.
    pub segment: SegmentKey,
    pub meta: SlotMeta,
    /// How many reads have ended.
    looks: u64,
}

/// What one look at the head says about the snapshot in hand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// It is the newest.
    Same,
    /// There is a newer one, or something else has happened to the file.
    News,
    /// It is time to look up whether this file still has the channel's name.
    Unsure,
}

/// How many reads had ended when a read began.
#[derive(Clone, Copy)]
pub struct Begun(u64);

/// Somebody may have removed or replaced the file without marking it, so the name is looked up once a second. For that, each call
/// looks at the coarse clock, or only each `CLOCK_EVERY`th call if calls are less than a tick apart.
const CLOCK_EVERY: u8 = 32;
const LOOK_EVERY_NS: u64 = 1_000_000_000;

impl Watch {
    /// For a channel from which nothing has been read yet.
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

    /// Begins a read, during which Python code may run and read too.
    #[inline]
    pub fn begin(&self) -> Begun {
        Begun(self.looks)
    }

    /// Ends a read with what it found; `new` says whether that was new to the caller. `false` if another read has found a newer
    /// snapshot in the meantime: that one stays in hand.
    #[inline(always)] // called by readers and keys: a separate call would slow down a changed read by some percent
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
                self.settled = Settled::default(); // the channel has moved to another file in the meantime
            }
        }
        true
    }

    /// Takes a newer snapshot of the same file, from a read that ran no Python code.
    #[inline]
    pub fn advance(&mut self, meta: SlotMeta, settled: Settled) {
        (self.settled, self.meta, self.looked_ns) = (settled, meta, 0);
        self.looks += 1;
    }

    /// Notes that the newest snapshot's numbers were looked at, and whether they are news.
    pub fn looked(&mut self, news: bool) {
        self.looked_ns = tick_ns();
        if news {
            self.settled = Settled::default();
        }
    }
}
