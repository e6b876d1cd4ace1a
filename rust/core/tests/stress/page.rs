//! A page that the processes of a round share: their counters, and the flag to stop.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap};

/// A counter that one process increments and others read. It orders no other memory.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Not atomic as a whole, which is not necessary: only one process writes.
    pub fn increment(&self) {
        self.set(self.get() + 1);
    }
}

/// The counters of one process. Aligned, so that no two processes write to the same cache line.
#[derive(Default)]
#[repr(C, align(128))]
pub struct Line {
    /// Snapshots published by a writer.
    pub published: Count,
    /// Snapshots copied out of the channel with every word checked.
    pub verified: Count,
    /// Those of them with a version that was new to this reader.
    pub new: Count,
    /// Copies that were repeated because the writer had lapped them.
    pub retries: Count,
    /// Snapshots with a word of another version, and reads that the core refused: neither may happen.
    pub torn: Count,
    /// Snapshots older than what the reader had seen before.
    pub back: Count,
    /// Moves to another file: a larger one, or that of a new channel.
    pub moves: Count,
    /// Preemptions of the process.
    pub preempted: Count,
}

/// Lines of a page: a writer and its readers.
pub const LINES: usize = 4;

#[repr(C)]
pub struct Page {
    pub lines: [Line; LINES],
    stop: Count,
}

impl Page {
    /// Maps the page in a file, which is created if it is missing, for the rest of the process's life.
    pub fn map(path: &Path) -> &'static Self {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        file.set_len(size_of::<Self>() as u64).unwrap();
        // SAFETY: a new mapping, no longer than the file.
        let start = unsafe {
            let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
            mmap(std::ptr::null_mut(), size_of::<Self>(), protection, flags, &file, 0).unwrap()
        };
        // SAFETY: never unmapped or truncated, page-aligned, and made of atomics, for which all bits are valid.
        unsafe { &*start.cast() }
    }

    pub fn stop(&self) {
        self.stop.set(1);
    }

    pub fn stopped(&self) -> bool {
        self.stop.get() != 0
    }
}
