//! Verifying that this writer still owns the channel, and giving it up if not.

use super::elsewhere::learner_of;
use super::{State, Warning, Writer};
use crate::directory::{Directory, Unfit};
use crate::error::{Error, Result};
use crate::failpoints::failpoint;
use crate::layout::Link;
use crate::ownership::Standing;
use crate::roster::Roster;
use crate::sys;

/// When to verify again after somebody else was at work on the files.
const SOON_NS: u64 = 5_000_000;

impl Warning {
    /// The warning that the channel is not where the user expects it.
    #[cold]
    pub(super) fn moved(to: &Directory, full: &Unfit) -> Self {
        Self::Due(format!(
            "{full}: the channel is in {} instead, where readers look too. Make room (docker: --shm-size), or set \
             TRAINCAST_DIR for the learner and the envs",
            to.path().display()
        ))
    }
}

impl Writer {
    /// Sets the time of the next verification.
    pub(super) fn schedule(&mut self, now: u64) {
        let every = u64::try_from(self.options.verify_every.as_nanos()).unwrap_or(u64::MAX);
        self.verify_at_ns = now.saturating_add(every);
        self.unix_offset_ns = sys::unix_ns().wrapping_sub(sys::now_ns());
    }

    /// Whether another writer has taken the channel since, in this writer's file or the one that was left. No system call.
    pub(super) fn is_taken(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.is_taken(self.own()))
            || self.predecessor.as_ref().is_some_and(|left| left.segment.is_taken(left.own))
    }

    /// Asks the kernel whether this writer still owns the channel, and puts back files that were removed.
    pub(super) fn verify(&mut self, now: u64) -> Result<()> {
        self.schedule(now);
        let taken = self.is_taken();
        let State::Open(ownership) = &mut self.state else { return Err(self.not_open()) };
        if taken {
            // Nothing is put back, even if the other writer may be gone again.
            let reason = ownership.successor(&self.directory, &self.name);
            let displaced =
                self.segment.as_ref().filter(|_| self.origin.0 == Link::Local).and_then(learner_of);
            return Err(self.lose(displaced.map_or(reason, |learner| format!("{learner} has it"))));
        }
        let standing = ownership.verify(&self.directory, &self.name);
        failpoint!("verify.done");
        match standing {
            Err(Error::ChannelLost { reason, .. }) => return Err(self.lose(reason)),
            Ok(Standing::Unclear) => {
                self.verify_at_ns = self.verify_at_ns.min(now.saturating_add(SOON_NS));
                return Ok(());
            }
            Err(error) | Ok(Standing::Adrift(error)) => {
                self.warn(&error);
                return Ok(());
            }
            Ok(Standing::Kept | Standing::Restored) => {}
        }
        let Ok(handle) = self.directory.handle() else { return Ok(()) };
        if let Some(segment) = &self.segment {
            self.renew |= !segment.has_name(&handle, &self.name);
            if !self.renew && matches!(self.warning, Warning::Given) {
                self.warning = Warning::None; // the problem is solved, and the next one is worth a warning
            }
            if self.roster.as_ref().is_none_or(|roster| !roster.has_name(&handle, &self.name)) {
                self.roster = Roster::open_or_create(&handle, &self.name).or_else(|| self.roster.take());
                segment.wake_all(); // so that sleepers announce themselves in the new roster
            }
        }
        Ok(())
    }

    /// The warning about a problem despite which the channel goes on. Returned once.
    #[inline]
    pub fn take_warning(&mut self) -> Option<String> {
        if !matches!(self.warning, Warning::Due(_)) {
            return None;
        }
        match std::mem::replace(&mut self.warning, Warning::Given) {
            Warning::Due(warning) => Some(warning),
            Warning::None | Warning::Given => None,
        }
    }

    pub(super) fn warn(&mut self, error: &Error) {
        if matches!(self.warning, Warning::None) {
            self.warning = Warning::Due(format!(
                "the files of channel {:?} (policy {}) cannot be used, or were removed and cannot be put back: {error}. Attached \
                 envs go on; envs that start now may not find the channel. Publishing tries again about once a second",
                self.name.name(),
                self.name.policy_id()
            ));
        }
    }

    #[cold]
    fn lose(&mut self, reason: String) -> Error {
        if let State::Open(ownership) = std::mem::replace(&mut self.state, State::Lost(reason)) {
            ownership.release(None, &self.name, false);
        }
        // Its readers should look for the new owner's file.
        if let Some(segment) = self.segment.take() {
            segment.end();
        }
        (self.predecessor, self.roster) = (None, None);
        self.not_open()
    }
}
