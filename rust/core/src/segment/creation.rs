//! Creating a segment.

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use super::{KEYS, Segment, packed_name};
use crate::directory::{ChannelName, Directory, Role};
use crate::drafts::Draft;
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::layout::{LAYOUT_VERSION, SEGMENT_MAGIC, SLOTS, header, identity, segment_bytes};
use crate::sys::{self, Mapping};

/// A segment that has no name yet. [`NewSegment::commit`] gives it the channel's name; otherwise it is removed on drop.
pub struct NewSegment<'a> {
    /// The segment, empty at first.
    pub segment: Segment,
    draft: Draft<'a>,
    name: OsString,
}

impl<'a> NewSegment<'a> {
    /// Creates an empty segment and allocates all of its storage.
    ///
    /// # Errors
    /// [`Error::StorageFull`]; [`Error::System`].
    pub fn create(
        directory: &Directory,
        handle: &'a OwnedFd,
        name: &ChannelName,
        capacity: usize,
        generation: u64,
    ) -> Result<Self> {
        let file_name = name.file(Role::Segment);
        let path = directory.join(&file_name);
        let size = segment_bytes(capacity).unwrap_or(usize::MAX);
        let draft = Draft::create(handle, name, size).map_err(Error::storage(&path, size))?;
        let mapping = Mapping::new(&draft.file, size, true).map_err(Error::system("map", &path))?;
        let id = sys::facts(&draft.file).map_err(Error::system("examine", &path))?.id;
        let segment = Segment { mapping, id, capacity, key: KEYS.next(), path: path.into() };
        let words = [
            (header::MAGIC, SEGMENT_MAGIC),
            (header::LAYOUT, LAYOUT_VERSION),
            (header::TOTAL, size as u64),
            (header::CAPACITY, capacity as u64),
            (header::SLOTS, SLOTS as u64),
            (header::GENERATION, generation),
            (header::CREATED, sys::unix_ns()),
            (header::IDENTITY, identity(name.name().len(), name.policy_id())),
            (header::TAKEOVERS, 1),
        ];
        for (index, value) in words {
            segment.set_header(index, value);
        }
        failpoint!("create.header-half-done");
        for (i, word) in packed_name(name).into_iter().enumerate() {
            segment.set_header(header::NAME + i, word);
        }
        Ok(Self { segment, draft, name: file_name })
    }

    /// Gives it the channel's name and replaces the file that has it. Only for the channel's owner.
    ///
    /// # Errors
    /// [`Error::System`]: then the name still belongs to the old file.
    pub fn commit(self) -> Result<Segment> {
        let Self { segment, draft, name } = self;
        draft.commit(&name).map_err(Error::system("create", &segment.path))?;
        failpoint!("create.renamed");
        Ok(segment)
    }
}
