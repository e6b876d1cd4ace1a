//! Replacing the file by a new one: for the first snapshot, for one that needs more room, for one of another origin, and when the
//! name was lost.

use std::io;
use std::os::fd::OwnedFd;

use super::{Writer, store_into};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::layout::{SLOTS, header};
use crate::numbering::Position;
use crate::roster::Roster;
use crate::segment::NewSegment;
use crate::snapshot::Payload;
use crate::snapshot::payload::Publication;
use crate::sys;

/// How often a new file is begun again after somebody else removed it before it was finished.
const ATTEMPTS: u32 = 10;

impl Writer {
    /// Publishes into a new segment, which replaces the present one, if any.
    pub(super) fn store_anew<B: AsRef<[u8]>>(
        &mut self,
        payload: &Payload<'_, B>,
        publication: Publication,
        words: usize,
    ) -> Result<()> {
        let mut attempts = 1;
        loop {
            let Err(error) = self.try_store_anew(payload, publication, words) else { return Ok(()) };
            self.verify(sys::tick_ns())?;
            // A newcomer removes drafts, and may have lost the channel again since; others remove directories.
            let removed =
                matches!(&error, Error::System { source, .. } if source.kind() == io::ErrorKind::NotFound);
            if !removed || attempts == ATTEMPTS {
                return Err(error);
            }
            attempts += 1;
        }
    }

    fn try_store_anew<B: AsRef<[u8]>>(
        &mut self,
        payload: &Payload<'_, B>,
        publication: Publication,
        words: usize,
    ) -> Result<()> {
        let handle = self.directory.handle()?;
        let present = self.segment.as_ref().map(|segment| segment.capacity);
        let [comfortable, exact] = self.options.capacities(words, present)?;
        let new = match self.new_segment(&handle, comfortable) {
            Err(Error::StorageFull { .. }) if exact < comfortable => self.new_segment(&handle, exact),
            made => made,
        };
        let new = match new {
            Ok(new) => new,
            Err(error) => return self.store_in_place(payload, publication, words, error),
        };
        let publication = Publication { position: Position(1), takeover: 1, ..publication };
        new.segment.sign(&self.process, self.nonce());
        let (link, origin) = &self.origin;
        new.segment.set_origin(*link, &origin.host, origin.pid);
        let mut shapes = [0; SLOTS];
        store_into(&new.segment, &mut shapes, payload, &publication);
        failpoint!("create.first-stored");
        if self.roster.is_none() {
            self.roster = Roster::open_or_create(&handle, &self.name);
        }
        // A writer that came while storage was allocated has taken the channel, and must not lose the name to this file.
        if self.is_taken() {
            return self.verify(sys::tick_ns());
        }
        let new = new.commit()?;
        self.shapes = shapes;
        self.takeover = 1;
        self.renew = false;
        // Marked only now, so that a reader that sees the mark also finds the new file.
        let old = self.segment.replace(new);
        for old in old.into_iter().chain(self.predecessor.take().map(|left| left.segment)) {
            old.end();
        }
        self.note(&publication);
        failpoint!("create.done");
        Ok(())
    }

    fn new_segment<'a>(&self, handle: &'a OwnedFd, capacity: usize) -> Result<NewSegment<'a>> {
        let before = self.segment.as_ref().or(self.predecessor.as_ref().map(|left| &left.segment));
        let generation = before.map_or(0, |before| before.header(header::GENERATION));
        NewSegment::create(&self.directory, handle, &self.name, capacity, generation.saturating_add(1))
    }
}
