//! Snapshots that already have their numbers: from another node, or from a checkpoint.

use super::Writer;
use super::takeover::Predecessor;
use crate::error::{Error, Result};
use crate::layout::Link;
use crate::numbering::{Epoch, Stamp, Version};
use crate::snapshot::payload::OWN_SHAPE_IDS;
use crate::snapshot::wire::{self, Message, Origin};
use crate::snapshot::{Payload, Snapshot};
use crate::sys;

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// It is the newest snapshot now.
    Published(Version),
    /// It was the newest already.
    Known(Version),
}

impl Writer {
    /// The newest snapshot in wire form, which a checkpoint stores and a relay carries. `None` before the first.
    ///
    /// # Errors
    /// As [`Writer::latest`].
    pub fn wire(&self) -> Result<Option<Vec<u8>>> {
        let mut newest = Snapshot::default();
        Ok(self.latest(&mut newest)?.then(|| wire::encode(&newest, &self.origin.1)))
    }

    /// Publishes a snapshot that arrived as a message, under its own numbers. `published_ns`: its publish time on this node's
    /// clock, if the caller knows it; otherwise now.
    ///
    /// # Errors
    /// [`Error::Outdated`] if the channel has a newer one; those of [`Writer::publish`].
    pub fn publish_message(&mut self, message: &Message, published_ns: Option<u64>) -> Result<Delivery> {
        let now = sys::tick_ns();
        self.check_open()?;
        let version = message.stamp.version;
        // A snapshot that was left when the link was lost is stored again, in a file whose link is live. Its readers do not see
        // it as new.
        let heard = |left: &Predecessor| left.segment.link() == Link::Live;
        let says_so = self.segment.is_some() || self.predecessor.as_ref().is_some_and(heard);
        if message.stamp == self.newest && says_so {
            return Ok(Delivery::Known(version));
        }
        if message.stamp < self.newest {
            return Err(Error::Outdated {
                name: self.name.name().to_owned(),
                policy_id: self.name.policy_id(),
                message: message.stamp,
                newest: self.newest,
            });
        }
        let id = self.message_shapes.id_of(&message.shape.bytes);
        let id = id.map_err(|error| Error::InvalidArgument(error.to_string()))?;
        // The header names one origin for all snapshots in the file: snapshots of another origin go into another file.
        let before = self.set_origin(Link::Live, message.origin.clone());
        let payload = message.payload(id | OWN_SHAPE_IDS);
        let published_ns = published_ns.unwrap_or(now);
        match self.store(&payload, message.stamp, now, published_ns, message.published_unix_ns) {
            Ok(()) => {
                // What is published here later continues these numbers, as after a takeover.
                let Stamp { term, epoch, .. } = message.stamp;
                (self.next.term, self.next.epoch) = (term, epoch.next());
                Ok(Delivery::Published(version))
            }
            Err(error) => {
                (self.origin, self.renew) = before;
                Err(error)
            }
        }
    }

    /// Sets where the next snapshot comes from. Returns the old values, to be restored if the snapshot cannot be stored.
    pub(super) fn set_origin(&mut self, link: Link, origin: Origin) -> ((Link, Origin), bool) {
        let before = (self.origin.clone(), self.renew);
        let after = (link, origin);
        self.renew |= self.origin != after;
        self.origin = after;
        before
    }

    /// As [`Writer::publish`], after [`Writer::resume_at`]. If either fails, the numbering is unchanged.
    ///
    /// # Errors
    /// As both.
    #[cold]
    pub fn publish_resumed<B: AsRef<[u8]>>(
        &mut self,
        payload: &Payload<'_, B>,
        version: Version,
        epoch: Epoch,
    ) -> Result<Version> {
        let before = (self.next, self.version);
        let published = self.resume_at(version, epoch).and_then(|()| self.publish(payload));
        if published.is_err() {
            (self.next, self.version) = before;
        }
        published
    }

    /// Continues the numbering of a saved state: the next version is larger than `version`, the epoch larger than `epoch`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the numbers are out of range; [`Error::ChannelClosed`], [`Error::ChannelLost`],
    /// [`Error::ForkedWriter`].
    pub fn resume_at(&mut self, version: Version, epoch: Epoch) -> Result<()> {
        self.check_open()?;
        if version >= Version::MAX || epoch >= Epoch::MAX {
            return Err(Error::InvalidArgument(format!(
                "version {version} and epoch {epoch} cannot have been saved by traincast"
            )));
        }
        self.version = self.version.max(version);
        self.next.version = self.next.version.max(version.next());
        self.next.epoch = self.next.epoch.max(epoch.next());
        Ok(())
    }
}
