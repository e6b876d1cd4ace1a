//! A page that the processes of a round share: what each has done so far, and whether to stop.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap};

/// A number that one process counts up and others look at. It orders nothing.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Not one step, which it need not be: one process writes.
    pub fn increment(&self) {
        self.set(self.get() + 1);
    }
}

/// What one process has done. Aligned, so that no two write the same cache line.
#[derive(Default)]
#[repr(C, align(128))]
pub struct Line {
    /// Snapshots published by a writer.
    pub published: Count,
    /// Snapshots copied out of the channel with every word checked.
    pub verified: Count,
    /// Of those: the first time that this reader had that version.
    pub new: Count,
    /// Copies made again because the writer had come round.
    pub retries: Count,
    /// Snapshots with a word of another version, and reads that the core refused: there is no cause for either.
    pub torn: Count,
    /// Snapshots older than what the reader had seen before.
    pub back: Count,
    /// Moves to another file: a bigger one, or that of a new channel.
    pub moves: Count,
    /// Times that the kernel stopped the process for another one.
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
    /// Maps the page in a file, which is made if it is missing, for the rest of the process's life.
    pub fn map(path: &Path) -> &'static Self {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        file.set_len(size_of::<Self>() as u64).unwrap();
        // SAFETY: a new mapping of as many bytes as the file has.
        let start = unsafe {
            let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
            mmap(std::ptr::null_mut(), size_of::<Self>(), protection, flags, &file, 0).unwrap()
        };
        // SAFETY: never unmapped nor truncated, aligned to a page, and atomics for which any bits are valid.
        unsafe { &*start.cast() }
    }

    pub fn stop(&self) {
        self.stop.set(1);
    }

    pub fn stopped(&self) -> bool {
        self.stop.get() != 0
    }
}
