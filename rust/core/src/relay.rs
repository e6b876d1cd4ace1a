//! What a relay does on its node, beside reading and writing as everybody does.
//!
//! Each node has one relay of a channel, elected by a lock ([`RelayLock`]). Where the learner lives it is a reader; elsewhere it is
//! the channel's writer, and holds the writer's lock while it hears that the learner lives. It takes the lock as any
//! writer does ([`Writer::open`](crate::writer::Writer::open)), and lets go of it by [`Writer::leave`](crate::writer::Writer::leave),
//! which is a death as far as files and successors are concerned. So all that a relay's comings and goings may do to a channel
//! is what takeovers do, and the one thing that is new is [`displace`].

use crate::directory::{ChannelName, Places};
use crate::error::Result;
use crate::layout::Link;
pub use crate::ownership::RelayLock;
use crate::ownership::relay_status;
use crate::segment::Segment;
use crate::snapshot::wire::Origin;
use crate::writer::WriterOptions;

/// Becomes the channel's relay on this node: in the directory where a writer would put the channel.
///
/// # Errors
/// [`crate::error::Error::ChannelBusy`] if there is one already; what is wrong with the directory.
pub fn serve(places: &Places, name: &ChannelName) -> Result<RelayLock> {
    let choice = places.for_writer(name, WriterOptions::default().first_files())?;
    RelayLock::acquire(choice.directory, name)
}

/// What the channel's relay on this node says of itself, also while there is no snapshot yet; `None` if there is no relay.
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

/// Ends the publishing of a learner on this node that is not the channel's any more: another one, on another node, won. Whether
/// there is a file to take from it.
///
/// The learner has the lock, and keeps it until its next publish, which fails: this does what a newcomer does to a writer that has
/// lost its lock unnoticed, N1 to N3 of [`crate::ring::handover`]. At most one more snapshot of it comes. Nothing is stored here;
/// the relay takes the channel over once the lock is free. `winner` goes into the header first, so that the learner can say who
/// has won. It goes there relaxed: should the learner see the mark without the name, it says less.
///
/// The learner may put a bigger file in the place of this one meanwhile, which nobody has taken. So whoever calls this goes on
/// calling until it has the lock.
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
