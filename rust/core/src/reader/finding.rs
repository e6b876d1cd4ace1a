//! Finding the file that has the channel's name.

use std::sync::Arc;

use crate::directory::{ChannelName, Directory, Places};
use crate::error::{Error, Result};
use crate::segment::Segment;
use crate::snapshot::SlotMeta;

/// A channel's file, and the directory that it is in.
#[derive(Clone, Debug)]
pub struct Found {
    pub segment: Arc<Segment>,
    pub directory: Directory,
}

impl Found {
    /// The file that has replaced this one, if its newest snapshot is whole. The other places are searched only if this directory
    /// has no file of the channel.
    pub fn successor(&self, places: &Places, name: &ChannelName) -> Option<Self> {
        let present = find_in(&self.directory, name).ok()?;
        let found = match present {
            Some(segment) => Self { segment, directory: self.directory.clone() },
            None => places.others(&self.directory).find_map(|other| {
                let segment = find_in(other, name).ok()??;
                Some(Self { segment, directory: other.clone() })
            })?,
        };
        let is_whole = || found.segment.read(|position, slot| SlotMeta::load(slot, position)).is_ok();
        (found.segment.id != self.segment.id && is_whole()).then_some(found)
    }
}

/// The channel, in the first place that has it. An error of a place is returned only if no place has the channel; a fallback that
/// belongs to somebody else counts as empty.
pub fn find(places: &Places, name: &ChannelName) -> Result<Option<Found>> {
    let mut fault = None;
    for (i, directory) in places.iter().enumerate() {
        match find_in(directory, name) {
            Ok(Some(segment)) => return Ok(Some(Found { segment, directory: directory.clone() })),
            Ok(None) => {}
            Err(Error::InsecureDirectory { .. }) if i > 0 => {}
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    fault.map_or(Ok(None), Err)
}

/// The channel's file, unless it is closed and about to be removed.
fn find_in(directory: &Directory, name: &ChannelName) -> Result<Option<Arc<Segment>>> {
    let Some(handle) = directory.find()? else {
        return Ok(None);
    };
    let found = Segment::open_shared(directory, &handle, name)?;
    Ok(found.filter(|segment| !segment.head().closed()))
}
