//! Which file has the channel's name.

use std::sync::Arc;

use crate::directory::{ChannelName, Directory};
use crate::error::Result;
use crate::segment::Segment;
use crate::snapshot::SlotMeta;

/// The file that has taken the place of another one, if its newest snapshot is whole.
pub fn successor(directory: &Directory, name: &ChannelName, of: &Segment) -> Option<Arc<Segment>> {
    let found = find(directory, name).ok()??;
    let is_whole = || found.read(|position, slot| SlotMeta::load(slot, position)).is_ok();
    (found.id != of.id && is_whole()).then_some(found)
}

/// The channel's file, unless it is about to vanish.
pub fn find(directory: &Directory, name: &ChannelName) -> Result<Option<Arc<Segment>>> {
    let Some(handle) = directory.find()? else {
        return Ok(None);
    };
    let found = Segment::open_shared(directory, &handle, name)?;
    Ok(found.filter(|segment| !segment.head().closed()))
}
