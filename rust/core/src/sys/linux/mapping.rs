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
/// Its content is only accessed as atomics: another process may change it at any time. Access to a truncated file raises SIGBUS;
/// no program of this project truncates a file, and other users cannot open the files.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only accessed as atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` bytes of a file, a multiple of [`WORD`]; `writable` needs a writable descriptor.
    pub fn new(file: &OwnedFd, bytes: usize, writable: bool) -> io::Result<Self> {
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let start =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::Other)?;
        Ok(Self { start, words: bytes / WORD })
    }

    /// All of its words. A store through a read-only mapping kills the process (SIGSEGV): only mappings made with `writable` are
    /// stored to.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: page-aligned, and mapped for as long as self lives. Any bit pattern is an AtomicU64, and relaxed and Acquire
        // loads of one are allowed in read-only memory.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    /// The lower half of a word, as a futex call needs it. That word is never accessed through `words`.
    #[inline]
    pub fn half_word(&self, index: usize) -> &AtomicU32 {
        let word = &raw const self.words()[index];
        // SAFETY: in bounds, and aligned to 8; the reference borrows self.
        unsafe { &*word.cast() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; references into it borrow self.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.words * WORD) };
    }
}

/// A reference to one word of a mapping, which keeps the mapping alive.
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

// SAFETY: like an Arc<T> and a shared reference to an atomic in a mapping that the T owns.
unsafe impl<T: Send + Sync> Send for WordRef<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for WordRef<T> {}

impl<T: AsRef<Mapping>> WordRef<T> {
    /// The word at `index` of the mapping that `owner` owns. `T::as_ref` must return the same mapping for as long as the `T`
    /// lives, as a plain field does.
    pub fn new(owner: &Arc<T>, index: usize) -> Self {
        let word = NonNull::from(&(**owner).as_ref().words()[index]);
        Self { word, _keeps: Arc::clone(owner) }
    }
}

impl<T> WordRef<T> {
    /// The word.
    #[inline]
    pub fn get(&self) -> &AtomicU64 {
        // SAFETY: in bounds, see `new`; the mapping lives as long as `_keeps`.
        unsafe { self.word.as_ref() }
    }
}
