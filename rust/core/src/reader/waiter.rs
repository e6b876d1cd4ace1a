//! Sleeping until there is news.

use std::sync::Arc;
use std::time::Duration;

use super::finding::successor;
use crate::directory::{ChannelName, Directory};
use crate::failpoints::failpoint;
use crate::ring::seqlock::Head;
use crate::roster::Seat;
use crate::segment::Segment;
use crate::snapshot::SegmentKey;
use crate::sys;

/// Waits for a change of a channel.
#[derive(Clone, Debug)]
pub struct Waiter {
    directory: Directory,
    name: ChannelName,
    segment: Arc<Segment>,
    seat: Option<Arc<Seat>>,
    seen: Head,
}

impl Waiter {
    pub(super) fn new(
        directory: &Directory,
        name: &ChannelName,
        segment: &Arc<Segment>,
        seat: Option<Arc<Seat>>,
    ) -> Self {
        let (directory, name, seen) = (directory.clone(), name.clone(), segment.head());
        Self { directory, name, segment: Arc::clone(segment), seat, seen }
    }

    /// Longest time that one call sleeps: what a lost wake-up may cost.
    pub const MAX_SLICE: Duration = Duration::from_millis(500);

    /// Which file it waits at. A reader that has moved on needs another waiter.
    pub fn segment_key(&self) -> SegmentKey {
        SegmentKey(self.segment.key)
    }

    /// Sleeps until something was published or another file has the channel's name, or until `slice` is over.
    /// `true`: something has changed; a [`follow`](super::Reader::follow) finds another file. `false`: nothing yet, or a signal arrived.
    pub fn wait(&self, slice: Duration) -> bool {
        let bell = self.segment.bell(self.seat.as_ref().map(|seat| seat.waiters()));
        if let Some(value) = bell.prepare(self.seen) {
            failpoint!("wait.announced");
            sys::futex_wait(bell.futex, value, slice.min(Self::MAX_SLICE));
            failpoint!("wait.woken");
        }
        self.segment.head() != self.seen || self.has_successor()
    }

    /// Nobody rings for a file that was replaced without a mark.
    fn has_successor(&self) -> bool {
        successor(&self.directory, &self.name, &self.segment).is_some()
    }
}
