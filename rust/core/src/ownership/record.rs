//! The owner record: a file of its own that says which process has a channel's lock.
//!
//! The kernel says *that* a lock is held, but not always by whom, and it never tells the holder about its own lock. The record is
//! written with the lock held and read without it: before the lock file is opened, because opening and closing that in the
//! holder's process would drop the lock.

use std::io;
use std::os::fd::OwnedFd;

use crate::directory::{ChannelName, Role, foreign};
use crate::drafts::Draft;
use crate::failpoints::failpoint;
use crate::layout::{LAYOUT_VERSION, OWNER_MAGIC, WORD, owner};
use crate::sys::{self, Identity};

/// Who has a channel's lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// The process. The time namespace is not recorded.
    pub process: Identity,
    /// Tells apart the ownerships of that process, including those of another copy of this library in it.
    pub nonce: u64,
}

impl Record {
    /// A record of this process.
    pub fn new(nonce: u64) -> Self {
        Self { process: sys::identity(), nonce }
    }

    /// The channel's record; `None` if there is none or it is damaged.
    pub fn read(handle: &OwnedFd, name: &ChannelName) -> Option<Self> {
        let file = sys::open_at(handle, &name.file(Role::Owner), false).ok()??;
        sys::facts(&file).ok().filter(|facts| foreign(facts).is_none())?;
        let mut bytes = [0; owner::WORDS * WORD];
        // The checksum of a record that is being written is wrong: the next call reads it whole.
        (sys::read_start(&file, &mut bytes).ok()? == bytes.len()).then_some(())?;
        Self::from_words(words(&bytes))
    }

    /// Replaces the channel's record. An existing file is overwritten, which needs no room: a channel can be taken over on a full
    /// file system.
    pub fn write(&self, handle: &OwnedFd, name: &ChannelName) -> io::Result<()> {
        let file_name = name.file(Role::Owner);
        let bytes = self.bytes();
        let present = sys::open_at(handle, &file_name, true).ok().flatten();
        let usable = |file: &OwnedFd| {
            sys::facts(file).is_ok_and(|facts| foreign(&facts).is_none() && facts.size >= bytes.len() as u64)
        };
        if let Some(file) = present.filter(usable) {
            return sys::write_start(&file, &bytes);
        }
        let draft = Draft::create(handle, name, bytes.len())?;
        sys::write_start(&draft.file, &bytes)?;
        failpoint!("owner.made");
        draft.commit(&file_name)
    }

    /// Whether it is the record of `process`, by any copy of the library in it. A forked child is another process, even with the
    /// pid of a dead sibling: it started at another time.
    pub fn is_of(&self, process: &Identity) -> bool {
        (self.process.pid, self.process.pid_namespace, self.process.image, self.process.started)
            == (process.pid, process.pid_namespace, process.image, process.started)
    }

    /// Whether its process is known to live; `false` for a process of another pid namespace, where this cannot be known.
    pub fn process_lives(&self) -> bool {
        let Identity { pid, started, pid_namespace, .. } = self.process;
        pid_namespace == sys::identity().pid_namespace
            && started != 0
            && sys::start_time(pid) == Some(started)
    }

    fn from_words(words: [u64; owner::WORDS]) -> Option<Self> {
        let sound = words[owner::MAGIC] == OWNER_MAGIC
            && words[owner::LAYOUT] == LAYOUT_VERSION
            && words[owner::CHECK] == check(&words);
        let process = Identity {
            pid: u32::try_from(words[owner::PID]).ok()?,
            started: words[owner::STARTED],
            pid_namespace: words[owner::PID_NAMESPACE],
            time_namespace: 0,
            image: words[owner::IMAGE],
        };
        sound.then_some(Self { process, nonce: words[owner::NONCE] })
    }

    fn bytes(&self) -> [u8; owner::WORDS * WORD] {
        let mut words = [0; owner::WORDS];
        words[owner::MAGIC] = OWNER_MAGIC;
        words[owner::LAYOUT] = LAYOUT_VERSION;
        words[owner::PID] = self.process.pid.into();
        words[owner::STARTED] = self.process.started;
        words[owner::PID_NAMESPACE] = self.process.pid_namespace;
        words[owner::IMAGE] = self.process.image;
        words[owner::NONCE] = self.nonce;
        words[owner::CHECK] = check(&words);
        let mut bytes = [0; owner::WORDS * WORD];
        for (bytes, word) in bytes.chunks_exact_mut(WORD).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

fn check(words: &[u64; owner::WORDS]) -> u64 {
    words[..owner::CHECK].iter().fold(0, |sum, word| sum ^ word)
}

fn words(bytes: &[u8; owner::WORDS * WORD]) -> [u64; owner::WORDS] {
    let (words, _) = bytes.as_chunks::<WORD>();
    std::array::from_fn(|i| u64::from_le_bytes(words[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_flipped_bit_is_noticed() {
        let record = Record::new(7);
        let bytes = record.bytes();
        let read = Record::from_words(words(&bytes)).expect("it is whole");
        assert!(read.nonce == 7 && read.is_of(&sys::identity()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::from_words(words(&damaged)), None, "bit {bit}");
        }
    }
}
