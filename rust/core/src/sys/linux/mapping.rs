//! Files as memory.
#![allow(unsafe_code, reason = "mapping a file, and references into what is mapped")]

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::mm::{MapFlags, ProtFlags};

use crate::layout::WORD;
use crate::sync::{AtomicU32, AtomicU64};

/// A shared mapping of a whole file.
///
/// It is only ever seen as atomics: another process may change it at any time. Truncating a mapped file turns
/// accesses into SIGBUS; no program of this project truncates, and others cannot open the files.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only seen as atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `bytes` bytes of a file, a multiple of a word; `writable` needs a descriptor that is.
    pub fn new(file: &OwnedFd, bytes: usize, writable: bool) -> io::Result<Self> {
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let start =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::Other)?;
        Ok(Self { start, words: bytes / WORD })
    }

    /// All of its words. Stores through a read-only mapping end the process: only the ring's writer and the
    /// roster store.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: page-aligned, mapped for as long as self lives; any bit pattern is an AtomicU64, and loads
        // of one are allowed in read-only memory.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    /// The lower half of a word, as what futex calls take. That word is never touched through `words`.
    #[inline]
    pub fn half_word(&self, index: usize) -> &AtomicU32 {
        let word = &raw const self.words()[index];
        // SAFETY: in bounds, aligned to 8; lives as long as self.
        unsafe { &*word.cast() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; references into it borrow self.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.words * WORD) };
    }
}

/// One word of whatever keeps a mapping alive, without the way there.
#[derive(Debug)]
pub struct WordRef<T> {
    word: NonNull<AtomicU64>,
    _keeps: Arc<T>,
}

impl<T> Clone for WordRef<T> {
    fn clone(&self) -> Self {
        Self { word: self.word, _keeps: Arc::clone(&self._keeps) }
    }
}

// SAFETY: it is an Arc<T> and a shared reference to an atomic inside of that T.
unsafe impl<T: Send + Sync> Send for WordRef<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for WordRef<T> {}

impl<T: AsRef<Mapping>> WordRef<T> {
    /// The word at `index` of the mapping. `T` must give the same mapping each time, as a plain field does.
    pub fn new(owner: &Arc<T>, index: usize) -> Self {
        let word = NonNull::from(&(**owner).as_ref().words()[index]);
        Self { word, _keeps: Arc::clone(owner) }
    }
}

impl<T> WordRef<T> {
    /// The word.
    #[inline]
    pub fn get(&self) -> &AtomicU64 {
        // SAFETY: in bounds when it was made; the mapping lives as long as `_keeps`.
        unsafe { self.word.as_ref() }
    }
}
