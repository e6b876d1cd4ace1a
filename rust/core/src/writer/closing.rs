//! Closing a channel, and releasing it to another writer.

use std::os::fd::OwnedFd;

use super::{State, Writer};
use crate::directory::Role;
use crate::failpoints::failpoint;
use crate::layout::Link;
use crate::ring::seqlock::Head;
use crate::sys;

impl Writer {
    /// Closes the channel: readers keep their last snapshot and see that it is closed; the files are removed. Does nothing in a
    /// forked child, or if another writer has the channel.
    ///
    /// Files that cannot be removed (because no descriptor is free, for example) are left to the next writer or `traincast
    /// clean`.
    pub fn close(&mut self) {
        if self.check_open().is_err() {
            return;
        }
        let handle = self.directory.find().ok().flatten();
        // A removed directory is not put back for this: nobody else has the channel there.
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

    /// Releases the channel to another writer of the same process, and leaves all files as a death would: the successor takes
    /// them over, and the readers notice nothing. From now on this writer has lost its channel. Does nothing in a forked child.
    pub fn supersede(&mut self) {
        if self.check_open().is_err() {
            return;
        }
        let reason = "it was opened anew in this process, with supersede=True".to_owned();
        let handle = self.directory.find().ok().flatten();
        self.let_go(handle.as_ref(), State::Lost(reason));
    }

    /// For a relay: releases a channel whose learner, on another node, has closed it, is gone or can no longer be reached, and
    /// stores the reason in the file. A closed channel is closed here too. Any other is left as after a death: its readers keep
    /// the last snapshot and find no live writer. The next writer takes it over: a learner on this node, or the relay when it
    /// hears from a learner again. Does nothing in a forked child, or if another writer has the channel.
    pub fn leave(&mut self, link: Link) {
        if self.check_open().is_err() {
            return;
        }
        // This writer may also mark a file that it has found and not replaced yet: it has taken the channel there.
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
