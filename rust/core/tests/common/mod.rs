//! What the tests share: a directory of their own, snapshots whose every word follows from their version,
//! watchdogs.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::PathBuf;
use std::time::Duration;

use traincast_core::directory::{ChannelName, Directory};
use traincast_core::reader::{Reader, Refresh, SlotBuffer, SlotMeta};
use traincast_core::writer::{Blob, Leftover, Payload, Writer, WriterOptions};

/// A directory of channels that vanishes with the test.
pub struct Place {
    _root: tempfile::TempDir,
    pub directory: Directory,
}

impl Place {
    pub fn new() -> Self {
        let base =
            if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        let root = tempfile::Builder::new().prefix("traincast-test-").tempdir_in(base).unwrap();
        let directory = Directory::open(root.path().join("channels")).unwrap();
        Self { _root: root, directory }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn writer(&self) -> Writer {
        self.try_writer(Leftover::Continue).unwrap()
    }

    pub fn try_writer(&self, leftover: Leftover) -> traincast_core::error::Result<Writer> {
        Writer::open(&self.directory, channel(), WriterOptions { leftover, ..WriterOptions::default() })
    }

    pub fn reader(&self) -> Reader {
        Reader::attach(&self.directory, channel(), Duration::ZERO).unwrap()
    }

    pub fn reader_soon(&self) -> Reader {
        Reader::attach(&self.directory, channel(), Duration::from_secs(60)).unwrap()
    }
}

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
    /// `values` words (at least one) and `blob` bytes.
    pub fn new(seed: u64, shape_id: u64, values: usize, blob: usize) -> Self {
        let mut words: Vec<_> = (0..values).map(|i| mixed(seed, i)).collect();
        words[0] = seed;
        let shape = (0..3).map(|i| mixed(shape_id, i)).collect();
        let blob = (0..blob).map(|i| mixed(seed ^ 0xb10b, i / 8).to_le_bytes()[i % 8]).collect();
        Self { shape_id, shape, values: words, blob }
    }

    pub fn publish(&self, writer: &mut Writer) -> traincast_core::error::Result<u64> {
        let blob_words = self.blob.len().div_ceil(8);
        let blobs = [Blob { offset: 0, bytes: &self.blob }];
        writer.publish(&Payload {
            shape_id: self.shape_id,
            shape: &self.shape,
            shape_len: 24,
            values: &self.values,
            blobs: if blob_words > 0 { &blobs } else { &[] },
            blob_words,
        })
    }
}

/// Publishes a small snapshot whose seed is `seed`.
pub fn publish(writer: &mut Writer, seed: u64) -> u64 {
    Sample::new(seed, 1, 4, 0).publish(writer).unwrap()
}

/// Checks a copied snapshot word for word; its seed.
pub fn verify(meta: &SlotMeta, out: &SlotBuffer) -> u64 {
    assert_eq!(out.values.len(), meta.values_len);
    let seed = out.values[0];
    for (i, word) in out.values.iter().enumerate().skip(1) {
        assert_eq!(*word, mixed(seed, i), "torn: version {} word {i}", meta.version);
    }
    assert_eq!(out.blobs.words().len(), meta.blob_words);
    let (last, whole) =
        out.blobs.words().split_last().map_or((None, &[][..]), |(last, whole)| (Some(last), whole));
    for (i, word) in whole.iter().enumerate() {
        assert_eq!(*word, mixed(seed ^ 0xb10b, i), "torn: version {} blob word {i}", meta.version);
    }
    if let Some(last) = last {
        let want = mixed(seed ^ 0xb10b, whole.len());
        assert!(
            (0..8).any(|bytes| *last == want & (u64::MAX >> (8 * bytes))),
            "torn: version {} last blob word",
            meta.version
        );
    }
    let id = meta.shape_id & ((1 << 48) - 1);
    assert_eq!(meta.shape_len, 24);
    for (i, word) in out.shape.iter().enumerate() {
        assert_eq!(*word, mixed(id, i), "wrong shape: version {} word {i}", meta.version);
    }
    seed
}

/// Reads the next snapshot, which there must be; its meta and seed.
pub fn next(reader: &mut Reader, out: &mut SlotBuffer) -> (SlotMeta, u64) {
    match reader.refresh(0, out).unwrap() {
        Refresh::Snapshot => (out.meta, verify(&out.meta, out)),
        Refresh::Unchanged => panic!("nothing new"),
    }
}

/// Runs `body` in a forked child, which ends by `_exit` with its result or is killed.
pub fn fork(body: impl FnOnce() -> i32) -> Child {
    watchdog(); // its `Once` must not be in the middle of something when the child gets a copy
    // SAFETY: the child runs only `body` and `_exit`; the tests that use this have no other thread that
    // matters to it.
    match unsafe { libc::fork() } {
        -1 => panic!("fork failed"),
        0 => {
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: ends the child without running the test harness's own exit.
            unsafe { libc::_exit(status) }
        }
        pid => Child { pid, over: false },
    }
}

/// A forked child; killed if the test ends before it.
pub struct Child {
    pub pid: i32,
    over: bool,
}

impl Child {
    /// Kills it by SIGKILL and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // SAFETY: a child of ours that has not been waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.reap();
    }

    fn reap(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: a child of ours, a status that lives.
        while unsafe { libc::waitpid(self.pid, &raw mut status, 0) } == -1 {}
        self.over = true;
        status
    }

    /// Waits for its end; its exit status.
    pub fn join(mut self) -> i32 {
        let status = self.reap();
        assert!(libc::WIFEXITED(status), "the child was killed by signal {}", libc::WTERMSIG(status));
        libc::WEXITSTATUS(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.over {
            self.end();
        }
    }
}

/// Ends the test run if a test hangs; no limit on how fast it must be.
pub fn watchdog() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(600));
            eprintln!("watchdog: a test hangs");
            std::process::abort();
        });
    });
}

/// Waits until `condition` holds (the watchdog bounds it).
pub fn until(mut condition: impl FnMut() -> bool) {
    watchdog();
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
