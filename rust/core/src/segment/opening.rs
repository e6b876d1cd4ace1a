//! Opening a segment: nothing in it is used before it is checked.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::{KEYS, Segment, packed_name};
use crate::directory::{ChannelName, Directory, Role, foreign};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::layout::{
    HEADER_BYTES, LARGEST_CAPACITY, LAYOUT_VERSION, PAGE, SEGMENT_MAGIC, SLOTS, header, identity,
    segment_bytes,
};
use crate::numbering::Position;
use crate::sync::relaxed;
use crate::sys::{self, FileId, Mapping};

/// How often the name is looked up again after the file behind it was replaced between being opened and being examined.
const LOOK_UPS: u32 = 1000;

/// A segment file that may be ours, not yet mapped.
pub(super) struct Opened {
    file: OwnedFd,
    pub id: FileId,
    size: usize,
    path: PathBuf,
}

impl Opened {
    pub fn new(
        directory: &Directory,
        handle: &OwnedFd,
        name: &ChannelName,
        writable: bool,
    ) -> Result<Option<Self>> {
        let file_name = name.file(Role::Segment);
        let path = directory.join(&file_name);
        for _ in 0..LOOK_UPS {
            let file = match sys::open_at(handle, &file_name, writable) {
                Ok(Some(file)) => file,
                Ok(None) => return Ok(None),
                Err(error) => {
                    let facts = sys::facts_at(handle, &file_name).ok().flatten();
                    return Err(match facts.and_then(|facts| foreign(&facts)) {
                        Some(reason) => Error::corrupt(path, reason),
                        None => Error::system("open", &path)(error),
                    });
                }
            };
            failpoint!("segment.opened");
            let facts = sys::facts(&file).map_err(Error::system("examine", &path))?;
            if facts.links == 0 {
                continue; // replaced or removed just now
            }
            if let Some(reason) = foreign(&facts) {
                return Err(Error::corrupt(path, reason));
            }
            let size = usize::try_from(facts.size).unwrap_or(usize::MAX);
            if size < HEADER_BYTES || !size.is_multiple_of(PAGE) {
                return Err(Error::corrupt(path, format!("it has {size} bytes, which no channel has")));
            }
            return Ok(Some(Self { file, id: facts.id, size, path }));
        }
        Ok(None)
    }

    /// Maps the file, and checks that its header agrees with itself, with the file's size and with the channel's name.
    pub fn map(self, name: &ChannelName, writable: bool) -> Result<Segment> {
        let Self { file, id, size, path } = self;
        let mapping = Mapping::new(&file, size, writable).map_err(Error::system("map", &path))?;
        failpoint!("segment.mapped");
        let word = |index: usize| relaxed(&mapping.words()[index]);
        match word(header::MAGIC) {
            SEGMENT_MAGIC => {}
            0 => return Err(Error::corrupt(path, "it begins with zeros")),
            _ => return Err(Error::incompatible(path, "it was not written by traincast")),
        }
        let layout = word(header::LAYOUT);
        if layout != LAYOUT_VERSION {
            let by = if layout == 1 { ", which traincast 0.1 wrote" } else { "" };
            let reason = format!("it has layout version {layout}{by}, and this is version {LAYOUT_VERSION}");
            return Err(Error::incompatible(path, reason));
        }
        let capacity = usize::try_from(word(header::CAPACITY)).unwrap_or(usize::MAX);
        let sound = word(header::SLOTS) == SLOTS as u64
            && capacity.is_multiple_of(PAGE)
            && (PAGE..=LARGEST_CAPACITY).contains(&capacity)
            && segment_bytes(capacity) == Some(size)
            && word(header::TOTAL) == size as u64;
        if !sound {
            let said = word(header::TOTAL);
            let reason =
                format!("its header speaks of {said} bytes in slots of {capacity}, and it has {size} bytes");
            return Err(Error::corrupt(path, reason));
        }
        let same_name =
            packed_name(name).into_iter().enumerate().all(|(i, packed)| word(header::NAME + i) == packed);
        if !same_name || word(header::IDENTITY) != identity(name.name().len(), name.policy_id()) {
            return Err(Error::corrupt(path, "it is the file of another channel"));
        }
        let segment = Segment { mapping, id, capacity, key: KEYS.next(), path: path.into() };
        let newest = segment.head().position();
        if !(Position(1)..=Position::MAX).contains(&newest) {
            let reason = format!("its newest position is {newest}");
            return Err(Error::corrupt(&*segment.path, reason));
        }
        Ok(segment)
    }
}
