//! Sleeping until there is news.

use std::sync::Arc;
use std::time::Duration;

use super::finding::Found;
use crate::directory::{ChannelName, Places};
use crate::failpoints::failpoint;
use crate::ring::seqlock::Head;
use crate::roster::Seat;
use crate::snapshot::SegmentKey;
use crate::sys;

/// Waits for a change of a channel.
#[derive(Clone, Debug)]
pub struct Waiter {
    places: Places,
    name: ChannelName,
    found: Found,
    seat: Option<Arc<Seat>>,
    seen: Head,
}

impl Waiter {
    pub(super) fn new(places: &Places, name: &ChannelName, found: &Found, seat: Option<Arc<Seat>>) -> Self {
        let (places, name, seen) = (places.clone(), name.clone(), found.segment.head());
        Self { places, name, found: found.clone(), seat, seen }
    }

    /// Longest time that one call sleeps: an upper limit of what a lost wake-up costs.
    pub const MAX_SLICE: Duration = Duration::from_millis(500);

    /// The mapping that it waits on. A reader that has moved to another file needs another waiter.
    pub fn segment_key(&self) -> SegmentKey {
        SegmentKey(self.found.segment.key)
    }

    /// Sleeps until something is published, another file has the channel's name, or `slice` has passed. `true`: something has
    /// changed; [`follow`](super::Reader::follow) moves to another file. `false`: nothing has changed, or a signal arrived.
    pub fn wait(&self, slice: Duration) -> bool {
        let bell = self.found.segment.bell(self.seat.as_ref().map(|seat| seat.waiters()));
        if let Some(value) = bell.prepare(self.seen) {
            failpoint!("wait.announced");
            sys::futex_wait(bell.futex, value, slice.min(Self::MAX_SLICE));
            failpoint!("wait.woken");
        }
        self.found.segment.head() != self.seen || self.has_successor()
    }

    /// Whether another file has the channel's name: nobody rings the bell of a file that was replaced without a mark.
    fn has_successor(&self) -> bool {
        self.found.successor(&self.places, &self.name).is_some()
    }
}
