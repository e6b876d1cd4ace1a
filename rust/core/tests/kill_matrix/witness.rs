//! A reader that lives on while writers are killed, and checks everything that it reads.

use std::time::{Duration, Instant};

use traincast_core::error::Error;
use traincast_core::numbering::Stamp;
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;

use crate::common::{Place, channel, until, verify};

#[derive(Default)]
pub struct Witness {
    pub reader: Option<Reader>,
    out: Snapshot,
    /// The last seed and numbers. Both only ever grow, whoever writes.
    pub seed: u64,
    pub stamp: Stamp,
    /// The longest time that one read took.
    pub slowest: Duration,
}

impl Witness {
    /// Attaches, if there is a channel.
    pub fn attach(&mut self, place: &Place) {
        if self.reader.is_none() {
            match Reader::attach(&place.directory, channel(), Duration::ZERO) {
                Ok(reader) => self.reader = Some(reader),
                Err(Error::ChannelNotFound { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reads, and returns whether there was news.
    pub fn look(&mut self) -> bool {
        let Some(reader) = &mut self.reader else {
            return false;
        };
        let start = Instant::now();
        let found = reader.read_into(&mut self.out).unwrap();
        self.slowest = self.slowest.max(start.elapsed());
        if !found {
            return false;
        }
        let found = verify(&self.out);
        assert!(found.stamp() > self.stamp, "{} after {}", found.stamp(), self.stamp);
        assert!(found.seed > self.seed, "seed {} after {}", found.seed, self.seed);
        (self.seed, self.stamp) = (found.seed, found.stamp());
        true
    }

    /// Reads until there is news.
    pub fn look_until_news(&mut self) {
        until(|| self.look());
    }

    /// Sleeps for a moment, announced as a sleeper.
    pub fn doze(&mut self) {
        let slice = Duration::from_millis(1);
        match &mut self.reader {
            Some(reader) => {
                reader.waiter().wait(slice);
            }
            None => std::thread::sleep(slice / 10),
        }
    }
}
