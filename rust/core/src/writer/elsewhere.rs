//! Names the learner on another node to a writer that the relay's lock keeps out here.

use std::os::fd::OwnedFd;

use crate::directory::{ChannelName, Directory};
use crate::error::Error;
use crate::layout::{Link, header};
use crate::segment::Segment;

/// Describes the learner of a file that a relay writes: its process and machine. `None` for a file that the learner itself
/// writes.
pub(super) fn learner_of(segment: &Segment) -> Option<String> {
    (segment.link() != Link::Local)
        .then(|| format!("process {} on {}", segment.header(header::ORIGIN_PID), segment.origin_host()))
}

/// If an error names a relay as the holder of the lock, adds the learner on whose behalf it holds it.
#[cold]
pub(super) fn name_learner(
    error: Error,
    directory: &Directory,
    handle: &OwnedFd,
    name: &ChannelName,
) -> Error {
    let Error::ChannelBusy { name: of, policy_id, holder } = error else { return error };
    let segment = Segment::open(directory, handle, name, false).ok().flatten();
    // In any other state of the link, the holder of the lock is no relay that hears from a learner.
    let learner = segment.filter(|segment| segment.link() == Link::Live).and_then(|found| learner_of(&found));
    let holder = match learner {
        Some(learner) => format!("{learner}, for which the relay here ({holder}) has the lock"),
        None => holder,
    };
    Error::ChannelBusy { name: of, policy_id, holder }
}
