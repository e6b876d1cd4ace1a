//! The end of a channel, and of a writer that another one of its process takes the place of.

use std::os::fd::OwnedFd;

use super::{State, Writer};
use crate::directory::Role;
use crate::failpoints::failpoint;
use crate::layout::Link;
use crate::ring::seqlock::Head;
use crate::sys;

impl Writer {
    /// Ends the channel: readers keep their last snapshot and see that it is closed; the files go. In a
    /// forked child, and when another writer has the channel: nothing.
    ///
    /// What cannot be removed (no descriptor is free, say) stays for the next writer or `traincast clean`.
    pub fn close(&mut self) {
        if self.check_open().is_err() {
            return;
        }
        let handle = self.directory.find().ok().flatten();
        // A directory that was removed is not put back for this: nobody has the channel there.
        if (handle.is_some() || self.is_taken()) && self.verify(sys::tick_ns()).is_err() {
            return;
        }
        let left = self.predecessor.as_ref().map(|left| &left.segment);
        let last = self.segment.as_ref().or(left);
        if let Some(segment) = last {
            segment.ring_writer().mark(Head::CLOSED);
            failpoint!("close.marked");
            segment.wake_all();
            failpoint!("close.woken");
        }
        let mut removed = true;
        if let Some(handle) = &handle {
            if last.is_some_and(|segment| segment.has_name(handle, &self.name)) {
                removed = sys::unlink(handle, &self.name.file(Role::Segment), false).is_ok();
                failpoint!("close.segment-removed");
            }
            let _ = sys::unlink(handle, &self.name.file(Role::Roster), false);
            failpoint!("close.roster-removed");
        }
        if let State::Open(ownership) = std::mem::replace(&mut self.state, State::Closed) {
            ownership.release(handle.as_ref(), &self.name, removed);
        }
        (self.segment, self.predecessor, self.roster) = (None, None, None);
    }

    /// Lets go of the channel for a writer of the same process, and leaves everything as a death would: the successor takes over
    /// what is there, and the readers notice nothing. From now on this one has lost its channel. In a forked child: nothing.
    pub fn supersede(&mut self) {
        if self.check_open().is_err() {
            return;
        }
        let reason = "it was opened anew in this process, with supersede=True".to_owned();
        let handle = self.directory.find().ok().flatten();
        self.let_go(handle.as_ref(), State::Lost(reason));
    }

    /// Lets go of a channel whose learner, on another node, has closed it, is gone, or is not heard of any more, and says so in the
    /// file. A closed channel goes, as where its learner is. Any other stays as after a death: its readers keep the last snapshot
    /// and find no living writer; the next writer takes it over, be it a learner of this node or the relay that hears of one again.
    /// In a forked child, and when another writer has the channel: nothing.
    pub fn leave(&mut self, link: Link) {
        if self.check_open().is_err() {
            return;
        }
        // A file that was found and not taken over yet is this writer's to mark, too: it has counted itself there.
        let left = self.predecessor.as_ref().map(|left| &left.segment);
        if let Some(segment) = self.segment.as_ref().or(left) {
            segment.set_link(link);
            failpoint!("leave.marked");
            segment.wake_all();
        }
        if link == Link::LearnerClosed {
            return self.close();
        }
        let handle = self.directory.find().ok().flatten();
        self.let_go(handle.as_ref(), State::Closed);
    }

    fn let_go(&mut self, handle: Option<&OwnedFd>, state: State) {
        if let State::Open(ownership) = std::mem::replace(&mut self.state, state) {
            ownership.release(handle, &self.name, false);
        }
        (self.segment, self.predecessor, self.roster) = (None, None, None);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}
