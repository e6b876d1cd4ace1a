//! The fast paths through a dictionary or list: loops over expected bools, ints and floats.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use traincast_core::snapshot::encode::Expected;
use traincast_core::snapshot::shape::Node;

use super::dicts::Entries;
use super::numbers::word_of;

/// The key objects of the last snapshot, by the index of the key in the shape: the same object need not be compared. Only exact
/// strings and ints: dropping one runs no code, and none is part of a cycle.
pub type Keys = Vec<Option<Py<PyAny>>>;

/// How far a walk through a container has got.
pub struct Place {
    /// An index, or the position of `PyDict_Next`.
    pub position: isize,
    /// Number of entries that are left.
    pub left: usize,
}

impl Place {
    /// Moves to the next index and returns this one.
    pub fn step(&mut self) -> usize {
        self.position += 1;
        self.left -= 1;
        self.position as usize - 1
    }
}

/// Takes the next entries, as long as their keys and kinds of numbers are the expected ones. Nearly every publish spends most of
/// its time here. Inlined into the walk: as a separate call it would cost a tenth of a publish.
#[inline(always)]
pub fn take_numbers(
    dict: &Bound<'_, PyDict>,
    place: &mut Place,
    mut expected: Expected<'_>,
    keys: &mut [Option<Py<PyAny>>],
) {
    // Numbers have no children, so the words and keys of consecutive numbers are consecutive too.
    let (nodes, words) = expected.run(place.left);
    let Some(first) = nodes.first() else { return };
    let keys = keys.get_mut(first.key as usize..).unwrap_or_default();
    let expected_ones = nodes.iter().zip(words).zip(keys);
    // SAFETY: see the block below, the only caller: `key` and `value` are alive.
    let take = |node: &Node, word: &mut u64, expected: &mut _, (key, value)| unsafe {
        is_expected_key(key, expected) && word_of(node.kind, value).map(|found| *word = found).is_some()
    };
    let mut taken = 0;
    let entries = Entries::of(dict);
    // SAFETY: none of the calls runs Python code, so the dict does not change, and it keeps all keys and values alive.
    unsafe {
        if let Some(entries) = entries.rest(place.position) {
            for (((node, word), expected_key), entry) in expected_ones.zip(entries) {
                if !take(node, word, expected_key, (entry.key, entry.value)) {
                    break;
                }
                taken += 1;
            }
            place.position += taken as isize;
        } else {
            for ((node, word), expected_key) in expected_ones {
                let mut next = place.position;
                if !entries.step(&mut next).is_some_and(|entry| take(node, word, expected_key, entry)) {
                    break;
                }
                place.position = next;
                taken += 1;
            }
        }
    }
    place.left -= taken;
    expected.pass(taken);
}

/// Whether a key is the expected object or a string equal to it, which then becomes the expected object.
///
/// # Safety
/// `key` must be a valid object, alive for the duration of the call.
unsafe fn is_expected_key(key: *mut ffi::PyObject, expected: &mut Option<Py<PyAny>>) -> bool {
    // SAFETY: as the caller guarantees.
    expected.as_ref().map_or(ptr::null_mut(), Py::as_ptr) == key || unsafe { replaces(key, expected) }
}

/// # Safety
/// As for [`is_expected_key`].
#[cold]
unsafe fn replaces(key: *mut ffi::PyObject, expected: &mut Option<Py<PyAny>>) -> bool {
    let Some(old) = expected else { return false };
    // SAFETY: both are alive; exact strings compare without errors and without Python code. Every caller is attached.
    unsafe {
        let text = &raw mut ffi::PyUnicode_Type;
        let equal = ffi::Py_TYPE(key) == text
            && ffi::Py_TYPE(old.as_ptr()) == text
            && ffi::PyUnicode_Compare(key, old.as_ptr()) == 0;
        if equal {
            *expected = Some(Bound::from_borrowed_ptr(Python::assume_attached(), key).unbind());
        }
        equal
    }
}

/// Takes the next items of a list, as long as their kinds are the expected ones.
pub fn take_items(list: &Bound<'_, PyList>, place: &mut Place, mut expected: Expected<'_>) {
    let (nodes, words) = expected.run(place.left.min(list.len().saturating_sub(place.position as usize)));
    let mut taken = 0;
    for (node, word) in nodes.iter().zip(words) {
        // SAFETY: the index is below the length, and no Python code runs that could change the list.
        let found = unsafe { word_of(node.kind, ffi::PyList_GetItem(list.as_ptr(), place.position)) };
        let Some(found) = found else { break };
        *word = found;
        place.step();
        taken += 1;
    }
    expected.pass(taken);
}

/// The word of an object, if it is a number of the kind that the node expects.
pub fn expected_word(node: &Node, object: &Bound<'_, PyAny>) -> Option<u64> {
    // SAFETY: a `Bound` holds a reference.
    unsafe { word_of(node.kind, object.as_ptr()) }
}
