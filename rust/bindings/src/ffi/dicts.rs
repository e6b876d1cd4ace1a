//! The entries of a dictionary where they lie, if that is known (see `layouts`); else as `PyDict_Next` finds them.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Set once dictionaries were found to be as described here.
static KNOWN: OnceLock<()> = OnceLock::new();

/// `PyDictObject`.
#[repr(C)]
struct Dict {
    base: ffi::PyObject,
    used: isize,
    /// A version up to 3.13, a watcher's tag from 3.14 on.
    version: u64,
    keys: *const Keys,
    /// Not null for the attributes of an object, which share their keys with others.
    values: *const c_void,
}

/// `PyDictKeysObject`, behind which the hash table lies, and then the entries in their order.
#[repr(C)]
struct Keys {
    references: isize,
    log2_size: u8,
    log2_index_bytes: u8,
    kind: u8,
    version: u32,
    usable: isize,
    entries: isize,
}

/// `DICT_KEYS_UNICODE`: all keys are exact strings, and entries are without hashes.
const STRINGS: u8 = 1;

/// `PyDictUnicodeEntry`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub key: *mut ffi::PyObject,
    pub value: *mut ffi::PyObject,
}

// The same numbers as in scripts/layouts.c, which holds them against the headers.
const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(Dict, used) == 16 && offset_of!(Dict, keys) == 32 && offset_of!(Dict, values) == 40);
    assert!(size_of::<Dict>() == 48);
    assert!(offset_of!(Keys, log2_size) == 8 && offset_of!(Keys, log2_index_bytes) == 9);
    assert!(offset_of!(Keys, kind) == 10 && offset_of!(Keys, entries) == 24 && size_of::<Keys>() == 32);
    assert!(STRINGS == 1 && offset_of!(Entry, value) == 8 && size_of::<Entry>() == 16);
};

/// The way through a dictionary.
pub(super) struct Entries<'a> {
    dict: &'a Bound<'a, PyDict>,
    /// Only if all keys are strings, and none was removed.
    known: Option<*const [Entry]>,
}

impl<'a> Entries<'a> {
    pub fn of(dict: &'a Bound<'_, PyDict>) -> Self {
        // SAFETY: that they lie in memory as it is described here has been found out.
        Self { dict, known: KNOWN.get().and_then(|()| unsafe { entries(dict) }) }
    }

    /// The entries from a position on, if it is known where they lie.
    ///
    /// # Safety
    /// The dictionary must not have changed since [`Entries::of`], nor change while they are looked at.
    #[inline(always)]
    pub unsafe fn rest(&self, position: isize) -> Option<&[Entry]> {
        // SAFETY: the dictionary has not changed.
        self.known.map(|entries| unsafe { &*entries }.get(position as usize..).unwrap_or_default())
    }

    /// The next key and value, both borrowed, as `PyDict_Next` does it; the position is the same.
    ///
    /// # Safety
    /// The dictionary must not have changed since [`Entries::of`].
    #[inline(always)]
    pub unsafe fn step(&self, position: &mut isize) -> Option<(*mut ffi::PyObject, *mut ffi::PyObject)> {
        if let Some(entries) = self.known {
            // SAFETY: the dictionary has not changed.
            let Entry { key, value } = *unsafe { &*entries }.get(*position as usize)?;
            *position += 1;
            return Some((key, value));
        }
        let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: a dict.
        let found = unsafe { ffi::PyDict_Next(self.dict.as_ptr(), position, &raw mut key, &raw mut value) };
        (found != 0).then_some((key, value))
    }
}

/// How many entries a dictionary has.
pub fn dict_len(dict: &Bound<'_, PyDict>) -> usize {
    match KNOWN.get() {
        // SAFETY: that dictionaries lie in memory as it is described here has been found out.
        Some(()) => unsafe { (*dict.as_ptr().cast::<Dict>()).used as usize },
        None => dict.len(),
    }
}

/// The entries where they lie, as long as the dictionary does not change.
///
/// # Safety
/// Dictionaries must lie in memory as it is described here.
unsafe fn entries(dict: &Bound<'_, PyDict>) -> Option<*const [Entry]> {
    // SAFETY: as the caller vouches.
    unsafe {
        let dict = &*dict.as_ptr().cast::<Dict>();
        let keys = &*dict.keys;
        if !dict.values.is_null() || keys.kind != STRINGS || keys.entries != dict.used {
            return None;
        }
        let start = dict.keys.add(1).cast::<u8>().add(1 << keys.log2_index_bytes);
        Some(ptr::slice_from_raw_parts(start.cast(), keys.entries as usize))
    }
}

/// Finds out whether the dictionaries of this interpreter are as described here.
///
/// # Safety
/// It must be one of the versions that are known.
pub(super) unsafe fn learn_layout(py: Python<'_>) -> PyResult<bool> {
    if py.get_type::<PyDict>().getattr("__basicsize__")?.extract::<usize>()? != size_of::<Dict>() {
        return Ok(false);
    }
    // SAFETY: of a known version, and of the size that it has there: what follows is a second look.
    let entries = |dict: &Bound<'_, PyDict>| unsafe { entries(dict) };
    let is_same = |dict: &Bound<'_, PyDict>| {
        // SAFETY: nobody else has the dictionary.
        let Some(entries) = entries(dict).map(|entries| unsafe { &*entries }) else { return false };
        let pairs = dict.iter().map(|(key, value)| (key.as_ptr(), value.as_ptr()));
        entries.len() == dict.len() && pairs.eq(entries.iter().map(|entry| (entry.key, entry.value)))
    };
    let (dict, mut same) = (PyDict::new(py), true);
    for index in 0..300 {
        dict.set_item(PyString::new(py, &format!("key {index}")), index)?;
        // Before and after the hash table grows, up to indices of two bytes.
        if [0, 1, 4, 5, 10, 42, 170, 299].contains(&index) {
            same &= is_same(&dict) && is_same(&dict.copy()?);
        }
    }
    let with_hole = dict.copy()?;
    with_hole.del_item("key 7")?;
    dict.set_item(7, "under a key that is not a string")?;
    let found = same && entries(&with_hole).is_none() && entries(&dict).is_none();
    if found {
        KNOWN.get_or_init(|| ());
    }
    Ok(found)
}
