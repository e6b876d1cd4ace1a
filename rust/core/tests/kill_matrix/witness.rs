//! A reader that lives on while writers are killed, and checks all that it sees.

use std::time::{Duration, Instant};

use traincast_core::error::Error;
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;

use crate::common::{Place, channel, verify};

#[derive(Default)]
pub struct Witness {
    pub reader: Option<Reader>,
    out: SlotBuffer,
    /// Seed and version that it saw last. Seeds only ever grow, whoever writes.
    pub seed: u64,
    pub version: u64,
    key: u64,
    /// The longest that one look took.
    pub slowest: Duration,
}

impl Witness {
    /// Attaches if there is something to attach to.
    pub fn attach(&mut self, place: &Place) {
        if self.reader.is_none() {
            match Reader::attach(&place.directory, channel(), Duration::ZERO) {
                Ok(reader) => self.reader = Some(reader),
                Err(Error::ChannelNotFound { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reads; whether there was news.
    pub fn look(&mut self) -> bool {
        let Some(reader) = &mut self.reader else {
            return false;
        };
        let start = Instant::now();
        let found = reader.read_into(&mut self.out).unwrap();
        self.slowest = self.slowest.max(start.elapsed());
        if found == Refresh::Unchanged {
            return false;
        }
        let meta = self.out.meta;
        let seed = verify(&meta, &self.out);
        if meta.generation_key == self.key {
            assert!(meta.version > self.version, "version {} after {}", meta.version, self.version);
            assert!(seed > self.seed, "seed {seed} after {}", self.seed);
        }
        assert!(seed >= self.seed, "seed {seed} after {}", self.seed);
        (self.seed, self.version, self.key) = (seed, meta.version, meta.generation_key);
        true
    }

    /// Sleeps for a moment, announced as a sleeper.
    pub fn doze(&self) {
        let slice = Duration::from_millis(1);
        match &self.reader {
            Some(reader) => {
                reader.waiter().wait(reader.head(), slice);
            }
            None => std::thread::sleep(slice / 10),
        }
    }
}
