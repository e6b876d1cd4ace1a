//! Shared by the tests: a directory of their own, snapshots whose every word follows from a seed, watchdogs.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod machine;
mod process;
pub mod scores;

use std::path::PathBuf;
use std::time::Duration;

use traincast_core::directory::{ChannelName, Directory};
use traincast_core::error::{Error, Result};
use traincast_core::numbering::Stamp;
use traincast_core::reader::{Reader, Waiter};
use traincast_core::snapshot::{Payload, PlacedBlob, SlotMeta, Snapshot};
use traincast_core::writer::{Leftover, Writer, WriterOptions};

pub use process::*;

/// A directory of channels that is removed with the test.
pub struct Place {
    root: tempfile::TempDir,
    pub directory: Directory,
}

impl Place {
    pub fn new() -> Self {
        let base =
            if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        let root = tempfile::Builder::new().prefix("traincast-test-").tempdir_in(base).unwrap();
        let directory = Directory::at(root.path().join("channels")).unwrap();
        directory.make().unwrap();
        Self { root, directory }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// A path beside the directory, which stays if the directory is removed.
    pub fn beside(&self, file: &str) -> PathBuf {
        self.root.path().join(file)
    }

    /// Tells other processes that something has happened.
    pub fn raise(&self, flag: &str) {
        std::fs::write(self.beside(flag), "").unwrap();
    }

    /// Waits until another process has raised the flag.
    pub fn wait_for(&self, flag: &str) {
        until(|| self.beside(flag).exists());
    }

    /// The names in the directory; none if there is no directory.
    pub fn files(&self) -> Vec<String> {
        let entries = match std::fs::read_dir(self.directory.path()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            entries => entries.unwrap(),
        };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn writer(&self) -> Writer {
        self.try_writer(Leftover::Continue).unwrap()
    }

    pub fn try_writer(&self, leftover: Leftover) -> Result<Writer> {
        self.writer_with(WriterOptions { leftover, ..WriterOptions::default() })
    }

    pub fn writer_with(&self, options: WriterOptions) -> Result<Writer> {
        Writer::open(&self.directory, channel(), options)
    }

    /// A writer that verifies its ownership at this interval.
    pub fn writer_verifying(&self, verify_every: Duration) -> Writer {
        self.writer_with(WriterOptions { verify_every, ..WriterOptions::default() }).unwrap()
    }

    pub fn reader(&self) -> Reader {
        Reader::attach(&self.directory, channel(), Duration::ZERO).unwrap()
    }

    pub fn reader_soon(&self) -> Reader {
        Reader::attach(&self.directory, channel(), Duration::from_secs(60)).unwrap()
    }

    /// Another process publishes once and ends without closing the channel.
    pub fn leave_behind(&self) {
        let dead = fork(|| {
            let mut writer = self.writer();
            publish(&mut writer, 1);
            std::mem::forget(writer);
            0
        });
        assert_eq!(dead.join(), 0);
    }

    /// Whether another process finds the channel busy. If not, it takes the channel and ends.
    pub fn is_busy_for_another(&self) -> bool {
        let other = fork(|| match self.try_writer(Leftover::Continue) {
            Ok(writer) => {
                std::mem::forget(writer);
                0
            }
            Err(Error::ChannelBusy { .. }) => 1,
            Err(error) => panic!("{error}"),
        });
        match other.join() {
            0 => false,
            1 => true,
            status => panic!("the other process ended with {status}"),
        }
    }
}

/// The files of a channel that is published and served.
pub const FILES: [&str; 4] = ["run@3", "run@3.lock", "run@3.owner", "run@3.roster"];

/// The channel of the tests: `run@3`.
pub fn channel() -> ChannelName {
    ChannelName::new("run", 3).unwrap()
}

fn mixed(seed: u64, index: usize) -> u64 {
    let mut x = seed.wrapping_add(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    x.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ x >> 32
}

/// A snapshot whose every word follows from `seed`, which is its first value.
pub struct Sample {
    pub shape_id: u64,
    pub shape: Vec<u64>,
    pub values: Vec<u64>,
    pub blob: Vec<u8>,
}

impl Sample {
    /// A sample of `values` words (at least one) and `blob` bytes.
    pub fn new(seed: u64, shape_id: u64, values: usize, blob: usize) -> Self {
        let mut words: Vec<_> = (0..values).map(|i| mixed(seed, i)).collect();
        words[0] = seed;
        let shape = (0..3).map(|i| mixed(shape_id, i)).collect();
        let blob = (0..blob).map(|i| mixed(seed ^ 0xb10b, i / 8).to_le_bytes()[i % 8]).collect();
        Self { shape_id, shape, values: words, blob }
    }

    /// Calls `publish` with it as a payload.
    pub fn lend<T>(&self, publish: impl FnOnce(&Payload<'_>) -> T) -> T {
        let blobs = [PlacedBlob { offset: 0, bytes: &self.blob[..] }];
        publish(&Payload {
            shape_id: self.shape_id,
            shape: &self.shape,
            shape_len: 24,
            values: &self.values,
            blobs: if self.blob.is_empty() { &[] } else { &blobs },
            blob_words: self.blob.len().div_ceil(8),
        })
    }

    /// Publishes it and returns its version.
    pub fn publish(&self, writer: &mut Writer) -> Result<u64> {
        self.lend(|payload| writer.publish(payload)).map(|version| version.get())
    }
}

/// Publishes a small snapshot whose seed is `seed`.
pub fn publish(writer: &mut Writer, seed: u64) -> u64 {
    Sample::new(seed, 1, 4, 0).publish(writer).unwrap()
}

/// A snapshot that was read: its numbers, and the seed from which all of its words follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    pub meta: SlotMeta,
    pub seed: u64,
}

impl Found {
    pub fn stamp(&self) -> Stamp {
        self.meta.stamp
    }

    pub fn version(&self) -> u64 {
        self.meta.stamp.version.get()
    }

    pub fn epoch(&self) -> u64 {
        self.meta.stamp.epoch.get()
    }

    pub fn position(&self) -> u64 {
        self.meta.position.get()
    }
}

/// Checks a copied snapshot word for word.
pub fn verify(out: &Snapshot) -> Found {
    let meta = out.meta;
    assert!(out.is_filled());
    assert_eq!(out.values.len(), meta.values_len);
    let (seed, version) = (out.values[0], meta.stamp.version);
    for (i, word) in out.values.iter().enumerate().skip(1) {
        assert_eq!(*word, mixed(seed, i), "torn: version {version} word {i}");
    }
    let words: &[u64] = if meta.blob_words > 0 { out.blobs.words() } else { &[] };
    assert_eq!(words.len(), meta.blob_words);
    let (last, whole) = words.split_last().map_or((None, &[][..]), |(last, whole)| (Some(last), whole));
    for (i, word) in whole.iter().enumerate() {
        assert_eq!(*word, mixed(seed ^ 0xb10b, i), "torn: version {version} blob word {i}");
    }
    if let Some(last) = last {
        let want = mixed(seed ^ 0xb10b, whole.len());
        let padded = (0..8).any(|bytes| *last == want & (u64::MAX >> (8 * bytes)));
        assert!(padded, "torn: version {version} last blob word");
    }
    assert_eq!((meta.shape_len, out.shape.len()), (24, 3));
    for (i, word) in out.shape.iter().enumerate() {
        assert_eq!(*word, mixed(meta.shape.id, i), "wrong shape: version {version} word {i}");
    }
    Found { meta, seed }
}

/// Reads the next snapshot, which must exist.
pub fn next(reader: &mut Reader, out: &mut Snapshot) -> Found {
    assert!(reader.read_into(out).unwrap(), "nothing new");
    verify(out)
}

/// Reads until there is something new. For files that have ended, whose successor is looked for every 10 ms.
pub fn next_polled(reader: &mut Reader, out: &mut Snapshot) -> Found {
    until(|| reader.read_into(out).unwrap());
    verify(out)
}

/// Waits for a snapshot, however long it takes.
pub fn next_soon(reader: &mut Reader, out: &mut Snapshot) -> Found {
    watchdog();
    loop {
        let waiter = reader.waiter();
        if reader.read_into(out).unwrap() {
            return verify(out);
        }
        while !waiter.wait(Waiter::MAX_SLICE) {}
    }
}
