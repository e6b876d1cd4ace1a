//! Taking over a channel that another writer left.

use std::os::fd::OwnedFd;

use super::{Leftover, Writer, store_into};
use crate::directory::Role;
use crate::drafts::remove_drafts;
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::layout::{SLOTS, header};
use crate::numbering::{Epoch, Stamp, Term, Version};
use crate::ring::handover::settle;
use crate::ring::seqlock::Head;
use crate::roster::Roster;
use crate::segment::Segment;
use crate::snapshot::payload::Publication;
use crate::snapshot::{Payload, SlotMeta};
use crate::sys;

/// The previous writer's file. It keeps the channel's name until the first snapshot replaces it, except after
/// [`Leftover::Replace`].
#[derive(Debug)]
pub(super) struct Predecessor {
    pub segment: Segment,
    /// Whether its snapshot is the channel's newest: not after [`Leftover::Replace`].
    pub continued: bool,
    /// Whether the file still has the channel's name.
    pub has_name: bool,
    /// Whether its writer is provably dead.
    gone: bool,
    /// The number of this writer among those that have taken it.
    pub own: u64,
}

impl Writer {
    /// Deals with what an earlier writer left.
    pub(super) fn take_over(&mut self, handle: &OwnedFd) -> Result<()> {
        remove_drafts(handle, &self.name);
        failpoint!("takeover.drafts-removed");
        let Some(left) = Segment::open(&self.directory, handle, &self.name, true)? else {
            return Ok(());
        };
        failpoint!("takeover.mapped");
        if left.head().closed() {
            // Its writer died after marking the file as closed and before removing it: that term has ended.
            self.start_new_term(&left);
            return self.remove(handle);
        }
        if self.options.leftover == Leftover::Refuse {
            let version = newest(&left).map_or(0, |newest| newest.stamp.version.get()); // 0: damaged
            let (name, policy_id) = (self.name.name().to_owned(), self.name.policy_id());
            return Err(Error::ChannelExists { name, policy_id, version });
        }
        // Its writer may live and have lost its lock. From here on it stores at most one more snapshot.
        let own = left.take();
        let gone = left.writer_is_gone();
        failpoint!("takeover.taken");
        if self.options.leftover == Leftover::Replace {
            self.start_new_term(&left);
            // If this writer dies before its first snapshot, its successor will not find the file.
            left.ring_writer().mark(Head::SUPERSEDED);
            failpoint!("replace.marked");
            self.remove(handle)?;
            failpoint!("replace.removed");
            self.predecessor =
                Some(Predecessor { segment: left, continued: false, has_name: false, gone, own });
            return Ok(());
        }
        let found = newest(&left)?;
        self.newest = found.stamp;
        let Stamp { term, epoch, version } = self.newest;
        // One more for each writer that has taken the file since that snapshot: no two get the same epoch.
        let newcomers = own.wrapping_add(1).saturating_sub(found.shape.takeover);
        let next_epoch = Epoch(epoch.get().saturating_add(newcomers.max(1)));
        if next_epoch > Epoch::MAX || version >= Version::MAX {
            let path = self.directory.join(&self.name.file(Role::Segment));
            let reason =
                format!("it has used up its numbers: {}; start anew with leftover=\"replace\"", self.newest);
            return Err(Error::corrupt(path, reason));
        }
        self.version = version;
        let spare = if gone { version } else { version.next() };
        self.next = Stamp { term, epoch: next_epoch, version: spare.next() };
        failpoint!("takeover.examined");
        self.roster = Roster::open_or_create(handle, &self.name);
        failpoint!("takeover.roster-opened");
        self.predecessor = Some(Predecessor { segment: left, continued: true, has_name: true, gone, own });
        Ok(())
    }

    /// Begins a new term, later than that of the file even if the clock was set back.
    fn start_new_term(&mut self, left: &Segment) {
        if let Ok(before) = newest(left) {
            self.next.term = self.next.term.max(Term(before.stamp.term.get().saturating_add(1)));
        }
    }

    /// Removes the segment that has the channel's name.
    fn remove(&self, handle: &OwnedFd) -> Result<()> {
        let file = self.name.file(Role::Segment);
        let removed = sys::unlink(handle, &file, false);
        removed.map(drop).map_err(Error::system("remove", &self.directory.join(&file)))
    }

    /// Without room for a second file: stores into the one that was left. `error` says that there is no room. It is returned
    /// unless the writer of that file is provably dead: two writers must never store into one file.
    #[cold]
    pub(super) fn store_in_place<B: AsRef<[u8]>>(
        &mut self,
        payload: &Payload<'_, B>,
        publication: Publication,
        words: usize,
        error: Error,
    ) -> Result<()> {
        let usable = |left: &Predecessor| left.gone && left.has_name && words <= left.segment.slot_words();
        if !matches!(error, Error::StorageFull { .. }) || !self.predecessor.as_ref().is_some_and(usable) {
            return Err(error);
        }
        let Some(Predecessor { segment, own, .. }) = self.predecessor.take() else { return Err(error) };
        // A shape is identified by this number and the writer's id for it: no other writer of this file has had the number.
        self.takeover = own.wrapping_add(1);
        segment.set_header(header::TAKEOVERS, self.takeover);
        segment.sign(&self.process, self.nonce());
        segment.set_origin(self.origin.0, &self.origin.1.host, self.origin.1.pid);
        settle(); // T2 of `ring::handover`: signed before `taken` is loaded again
        failpoint!("takeover.signed");
        let segment = self.segment.insert(segment);
        if segment.is_taken(own) {
            return self.verify(sys::tick_ns());
        }
        self.shapes = [0; SLOTS];
        let position = segment.head().position().next();
        let publication = Publication { position, takeover: self.takeover, ..publication };
        store_into(segment, &mut self.shapes, payload, &publication);
        self.note(&publication);
        self.ring();
        Ok(())
    }
}

fn newest(segment: &Segment) -> Result<SlotMeta> {
    segment.read(|position, slot| SlotMeta::load(slot, position)).map(|(_, meta, _)| meta)
}
