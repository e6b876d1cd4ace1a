//! The short ways through a dictionary or list: loops over the bools, ints and floats that are expected.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use traincast_core::snapshot::encode::Expected;
use traincast_core::snapshot::shape::Node;

use super::dicts::Entries;
use super::numbers::word_of;

/// The key objects met last, by the index of the key in the shape: the same object again needs no comparison. Only exact
/// strings and ints, whose end runs no code, and which no cycle goes through.
pub type Keys = Vec<Option<Py<PyAny>>>;

/// How far a walk through a container has come.
pub struct Place {
    /// An index, or `PyDict_Next`'s.
    pub position: isize,
    /// Entries to come.
    pub left: usize,
}

impl Place {
    /// Goes on to the next index. Returns this one.
    pub fn step(&mut self) -> usize {
        self.position += 1;
        self.left -= 1;
        self.position as usize - 1
    }
}

/// Takes the entries that come next, as far as their keys and numbers are the expected ones: most of what nearly every
/// publish does. Compiled into that walk: as a call of its own it costs a tenth of a publish.
#[inline(always)]
pub fn take_numbers(
    dict: &Bound<'_, PyDict>,
    place: &mut Place,
    mut expected: Expected<'_>,
    keys: &mut [Option<Py<PyAny>>],
) {
    // Numbers have nothing below them, so the words and keys of those that follow each other do so too.
    let (nodes, words) = expected.run(place.left);
    let Some(first) = nodes.first() else { return };
    let keys = keys.get_mut(first.key as usize..).unwrap_or_default();
    let expected_ones = nodes.iter().zip(words).zip(keys);
    // SAFETY: as below.
    let take = |node: &Node, word: &mut u64, expected: &mut _, (key, value)| unsafe {
        is_expected_key(key, expected) && word_of(node.kind, value).map(|found| *word = found).is_some()
    };
    let mut taken = 0;
    let entries = Entries::of(dict);
    // SAFETY: none of the calls runs Python code, so the dict is as it was, and holds all keys and values.
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

/// Whether a key is the expected object, or a string equal to it: then it is the one to expect from now on.
///
/// # Safety
/// `key` must be a valid object, alive for the duration of the call.
unsafe fn is_expected_key(key: *mut ffi::PyObject, expected: &mut Option<Py<PyAny>>) -> bool {
    // SAFETY: as the caller vouches.
    expected.as_ref().map_or(ptr::null_mut(), Py::as_ptr) == key || unsafe { replaces(key, expected) }
}

/// # Safety
/// As for [`is_expected_key`].
#[cold]
unsafe fn replaces(key: *mut ffi::PyObject, expected: &mut Option<Py<PyAny>>) -> bool {
    let Some(old) = expected else { return false };
    // SAFETY: both are held; strings of the exact type compare without error, and without Python code.
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

/// Takes the list's items that come next, as far as they are the expected numbers.
pub fn take_items(list: &Bound<'_, PyList>, place: &mut Place, mut expected: Expected<'_>) {
    let (nodes, words) = expected.run(place.left.min(list.len().saturating_sub(place.position as usize)));
    let mut taken = 0;
    for (node, word) in nodes.iter().zip(words) {
        // SAFETY: the index is below the length, which no Python code can change meanwhile.
        let found = unsafe { word_of(node.kind, ffi::PyList_GetItem(list.as_ptr(), place.position)) };
        let Some(found) = found else { break };
        *word = found;
        place.step();
        taken += 1;
    }
    expected.pass(taken);
}

/// The word of an object that is a number of the kind that its node expects.
pub fn expected_word(node: &Node, object: &Bound<'_, PyAny>) -> Option<u64> {
    // SAFETY: it is held.
    unsafe { word_of(node.kind, object.as_ptr()) }
}
