//! The entries of a dictionary: read in place if the layout is known (see `layouts`), otherwise by `PyDict_Next`.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Set once dictionaries were found to have the layout that is described here.
static KNOWN: OnceLock<()> = OnceLock::new();

/// `PyDictObject`.
#[repr(C)]
struct Dict {
    base: ffi::PyObject,
    used: isize,
    /// A version up to 3.13, a watcher's tag from 3.14 on.
    version: u64,
    keys: *const Keys,
    /// Not null for the attributes of an object: such dictionaries share their keys.
    values: *const c_void,
}

/// `PyDictKeysObject`. The hash table follows it, and then the entries in their order.
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

/// `DICT_KEYS_UNICODE`: all keys are exact strings, and the entries have no hashes.
const STRINGS: u8 = 1;

/// `PyDictUnicodeEntry`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub key: *mut ffi::PyObject,
    pub value: *mut ffi::PyObject,
}

// The same numbers as in scripts/layouts.c, which compares them with the headers.
const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(Dict, used) == 16 && offset_of!(Dict, keys) == 32 && offset_of!(Dict, values) == 40);
    assert!(size_of::<Dict>() == 48);
    assert!(offset_of!(Keys, log2_size) == 8 && offset_of!(Keys, log2_index_bytes) == 9);
    assert!(offset_of!(Keys, kind) == 10 && offset_of!(Keys, entries) == 24 && size_of::<Keys>() == 32);
    assert!(STRINGS == 1 && offset_of!(Entry, value) == 8 && size_of::<Entry>() == 16);
};

/// Access to the entries of a dictionary.
pub(super) struct Entries<'a> {
    dict: &'a Bound<'a, PyDict>,
    /// Only if all keys are strings, and none was removed.
    known: Option<*const [Entry]>,
}

impl<'a> Entries<'a> {
    pub fn of(dict: &'a Bound<'_, PyDict>) -> Self {
        // SAFETY: `KNOWN` is set only once the layout was found to be as described here.
        Self { dict, known: KNOWN.get().and_then(|()| unsafe { entries(dict) }) }
    }

    /// The entries from a position on, if they can be read in place.
    ///
    /// # Safety
    /// The dictionary must not have changed since [`Entries::of`], and must not change while the slice is used.
    #[inline(always)]
    pub unsafe fn rest(&self, position: isize) -> Option<&[Entry]> {
        // SAFETY: the dictionary has not changed.
        self.known.map(|entries| unsafe { &*entries }.get(position as usize..).unwrap_or_default())
    }

    /// The next key and value, both borrowed, as from `PyDict_Next`. The positions mean the same.
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
        // SAFETY: `self.dict` is a dict, and the three pointers are valid.
        let found = unsafe { ffi::PyDict_Next(self.dict.as_ptr(), position, &raw mut key, &raw mut value) };
        (found != 0).then_some((key, value))
    }
}

/// How many entries a dictionary has.
pub fn dict_len(dict: &Bound<'_, PyDict>) -> usize {
    match KNOWN.get() {
        // SAFETY: `KNOWN` is set only once the layout was found to be as described here.
        Some(()) => unsafe { (*dict.as_ptr().cast::<Dict>()).used as usize },
        None => dict.len(),
    }
}

/// The entries in place. Valid as long as the dictionary does not change.
///
/// # Safety
/// Dictionaries must have the layout that is described here.
unsafe fn entries(dict: &Bound<'_, PyDict>) -> Option<*const [Entry]> {
    // SAFETY: as the caller guarantees.
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

/// Finds out whether this interpreter's dictionaries have the layout that is described here.
///
/// # Safety
/// The interpreter must be of one of the known versions.
pub(super) unsafe fn learn_layout(py: Python<'_>) -> PyResult<bool> {
    if py.get_type::<PyDict>().getattr("__basicsize__")?.extract::<usize>()? != size_of::<Dict>() {
        return Ok(false);
    }
    // SAFETY: the version is known, and the object size is right for it: what follows is an additional check.
    let entries = |dict: &Bound<'_, PyDict>| unsafe { entries(dict) };
    let is_same = |dict: &Bound<'_, PyDict>| {
        // SAFETY: nobody else has the dictionary, so it does not change.
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
