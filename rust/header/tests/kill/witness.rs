//! The witnesses: a C reader that checks everything that it reads, and a reader of the core that sleeps.

use std::time::Duration;

use traincast_core::error::Error;
use traincast_core::reader::Reader as CoreReader;
use traincast_header::{Key, Reader};

use crate::common::{Place, channel, until};
use crate::proven::mix;

pub struct Witness {
    pub reader: Reader,
    keys: [Key; 3],
    /// The last seed and numbers. Both only ever grow, whoever writes.
    pub seed: u64,
    stamp: [u64; 3],
    pub snapshots: u64,
}

impl Witness {
    pub fn new(place: &Place) -> Self {
        let (mut reader, code) = Reader::open_soon(Some(place.directory.path()), "run", 3);
        assert!(code == 0 || code == -libc::ENOENT, "{}", reader.error());
        let keys = [c"seed", c"real", c"words"].map(|path| reader.key(path).unwrap());
        let mut witness = Self { reader, keys, seed: 0, stamp: [0; 3], snapshots: 0 };
        witness.verify(code == 0);
        witness
    }

    pub fn look(&mut self) {
        match self.reader.poll() {
            Ok(new) => self.verify(new),
            Err(libc::ENOENT) => assert_eq!(self.seed, 0, "a reader keeps what it has read"),
            Err(error) => panic!("{error}: {}", self.reader.error()),
        }
    }

    pub fn look_until(&mut self, seed: u64) {
        until(|| {
            self.look();
            self.seed == seed
        });
    }

    fn verify(&mut self, new: bool) {
        if !new {
            return;
        }
        let stamp = self.reader.numbers().stamp;
        assert!(stamp > self.stamp, "{stamp:?} after {:?}", self.stamp);
        let [seed, real, words] = &mut self.keys;
        let found = self.reader.i64(seed).unwrap() as u64;
        assert!(found > self.seed, "seed {found} after {}", self.seed);
        assert_eq!(self.reader.f64(real), Ok((mix(found) >> 11) as f64), "torn");
        let array = self.reader.view(words).unwrap();
        for (index, word) in array.bytes.chunks(8).enumerate() {
            assert_eq!(word, mix(found).wrapping_add(index as u64).to_le_bytes(), "torn: word {index}");
        }
        (self.seed, self.stamp) = (found, stamp);
        self.snapshots += 1;
    }
}

/// A sleeper, for whom the writer rings the bell.
#[derive(Default)]
pub struct Sleeper(Option<CoreReader>);

impl Sleeper {
    /// Sleeps for a moment.
    pub fn doze(&mut self, place: &Place) {
        if self.0.is_none() {
            self.0 = match CoreReader::attach(&place.directory, channel(), Duration::ZERO) {
                Ok(reader) => Some(reader),
                Err(Error::ChannelNotFound { .. }) => None,
                Err(error) => panic!("{error}"),
            };
        }
        match &mut self.0 {
            Some(reader) => {
                let _ = reader.newest(); // follows the channel to other files
                reader.waiter().wait(Duration::from_millis(1));
            }
            None => std::thread::sleep(Duration::from_micros(100)),
        }
    }
}
