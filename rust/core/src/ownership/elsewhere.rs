//! A writer of the same channel in another place.

use super::{Record, busy, is_served, process};
use crate::directory::{ChannelName, Directory, Places};
use crate::error::{Error, Result};

/// Refuses a channel that has a writer in another place. To be called with the channel's lock held in this place: of two writers
/// that start at the same moment in two places, the one that locks second sees the other's lock. Both may give up, but they never
/// both go on.
///
/// # Errors
/// [`Error::ChannelBusy`]; [`Error::System`] if a place cannot be looked at.
pub fn check_elsewhere(places: &Places, directory: &Directory, name: &ChannelName) -> Result<()> {
    for other in places.others(directory) {
        let handle = match other.find() {
            Ok(Some(handle)) => handle,
            Ok(None) | Err(Error::InsecureDirectory { .. }) => continue, // no process of this user can write there
            Err(error) => return Err(error),
        };
        if is_served(other, &handle, name)? {
            let holder = Record::read(&handle, name).map_or(0, |record| record.process.pid);
            return Err(busy(name, format!("{}, in {}", process(holder), other.path().display())));
        }
    }
    Ok(())
}
