//! What a relay does on its node, beyond ordinary reading and writing.
//!
//! Each node has one relay of a channel, elected by a lock ([`RelayLock`]). On the learner's node it is a reader. On any other
//! node it is the channel's writer, and holds the writer's lock while it hears that the learner lives. It takes the lock as any
//! writer does ([`Writer::open`](crate::writer::Writer::open)) and releases it by
//! [`Writer::leave`](crate::writer::Writer::leave), which leaves files and successors in the same state as a death. So a relay
//! that comes and goes does to a channel what takeovers do; only [`displace`] is new.

use crate::directory::{ChannelName, Places};
use crate::error::Result;
use crate::layout::Link;
pub use crate::ownership::RelayLock;
use crate::ownership::relay_status;
use crate::segment::Segment;
use crate::snapshot::wire::Origin;
use crate::writer::WriterOptions;

/// Becomes the channel's relay on this node, in the directory where a writer would put the channel.
///
/// # Errors
/// [`crate::error::Error::ChannelBusy`] if there is one already; what is wrong with the directory.
pub fn serve(places: &Places, name: &ChannelName) -> Result<RelayLock> {
    let choice = places.for_writer(name, WriterOptions::default().first_files())?;
    RelayLock::acquire(choice.directory, name)
}

/// The status of the channel's relay on this node, even if there is no snapshot yet; `None` if there is no relay.
///
/// # Errors
/// What is wrong with the directory.
pub fn status(places: &Places, name: &ChannelName) -> Result<Option<String>> {
    for directory in places.present()? {
        let Some(handle) = directory.find()? else { continue };
        if let Some(status) = relay_status(directory, &handle, name)? {
            return Ok(Some(status));
        }
    }
    Ok(None)
}

/// Stops a learner on this node from publishing, because a learner on another node has won the channel. Returns whether there was
/// a file to take from it.
///
/// The learner has the lock and keeps it until its next publish, which fails. This function does what a newcomer does to a writer
/// that has lost its lock without noticing, N1 to N3 of [`crate::ring::handover`]: the learner stores at most one more snapshot.
/// Nothing is stored here; the relay takes the channel over once the lock is free. `winner` goes into the header first, so that
/// the learner's error can name it. The stores are relaxed: if the learner sees `taken` without the name, its error says less.
///
/// In the meantime the learner may replace this file by a larger one, which nobody has taken. So the caller has to call this
/// again until it has the lock.
///
/// # Errors
/// What is wrong with the directory or the file.
pub fn displace(places: &Places, name: &ChannelName, winner: &Origin) -> Result<bool> {
    for directory in places.present()? {
        let Some(handle) = directory.find()? else { continue };
        if let Some(segment) = Segment::open(directory, &handle, name, true)? {
            segment.set_origin(Link::Live, &winner.host, winner.pid);
            segment.take();
            return Ok(true);
        }
    }
    Ok(false)
}
