//! The short ways through a dictionary or list: loops over what is expected, or over what is simple.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use traincast_core::snapshot::encode::{Encoder, Expected};
use traincast_core::snapshot::shape::{Kind, Node};

use super::dicts::Entries;
use super::numbers::float_word;
use super::{Bytes, Item, classify};

/// How far a walk through a dictionary has come.
pub struct Place {
    /// `PyDict_Next`'s.
    pub position: isize,
    /// Entries to come.
    pub left: usize,
    /// Entries that there were at the start.
    pub len: usize,
}

/// Goes on through a dictionary, and those in it, for as long as key objects, leaves and lengths are the expected ones: the
/// way that nearly every publish takes from end to end. Whether it came to the end of `dict`. If it stopped inside a
/// dictionary below, that one is the first in `inside`, before those that it lies in.
///
/// Not deeper than the expected shape, whose depth is limited.
pub fn follow_entries<'py>(
    dict: &Bound<'py, PyDict>,
    place: &mut Place,
    expected: &mut Expected<'_>,
    keys: &mut [Option<Py<PyAny>>],
    inside: &mut Vec<(Bound<'py, PyDict>, Place)>,
) -> bool {
    let (py, entries) = (dict.py(), Entries::of(dict));
    while place.left > 0 {
        let taken = run_of_entries(py, &entries, place, expected, keys);
        expected.pass(taken);
        place.left -= taken;
        if place.left == 0 {
            break;
        }
        let Some(node) = expected.next().filter(|node| node.kind == Kind::Dict) else { return false };
        let len = node.aux as usize;
        let Some(expected_key) = keys.get_mut(node.key as usize) else { return false };
        let mut next = place.position;
        // SAFETY: none of the calls runs Python code, so `dict` is as it was, and holds both until all is done.
        let below = unsafe {
            let Some((key, value)) = entries.step(&mut next) else { return false };
            if !is_expected_key(py, key, expected_key)
                || ffi::Py_TYPE(value) != &raw mut ffi::PyDict_Type
                || ffi::PyDict_Size(value) != len as ffi::Py_ssize_t
            {
                return false;
            }
            Borrowed::from_ptr(py, value).cast_unchecked::<PyDict>()
        };
        expected.pass(1);
        place.position = next;
        let mut start = Place { position: 0, left: len, len };
        if !follow_entries(&below, &mut start, expected, keys, inside) {
            inside.push((below.to_owned(), start));
            return false;
        }
        place.left -= 1;
    }
    true
}

/// Takes the leaves that come next, as far as they are the expected ones. How many.
fn run_of_entries(
    py: Python<'_>,
    entries: &Entries<'_>,
    place: &mut Place,
    expected: &mut Expected<'_>,
    keys: &mut [Option<Py<PyAny>>],
) -> usize {
    // Leaves have nothing below them, so the words and keys of those that follow each other do so too.
    let (nodes, words) = expected.run(place.left);
    let Some(first) = nodes.first() else { return 0 };
    let keys = keys.get_mut(first.key as usize..).unwrap_or_default();
    let most = nodes.len().min(words.len()).min(keys.len());
    let (nodes, words, keys) = (&nodes[..most], &mut words[..most], &mut keys[..most]);
    let mut taken = 0;
    while taken < most {
        let mut next = place.position;
        // SAFETY: none of the calls runs Python code, so the dict is as it was, and holds both.
        unsafe {
            let Some((key, value)) = entries.step(&mut next) else { break };
            if !is_expected_key(py, key, &mut keys[taken]) {
                break;
            }
            let Some(word) = expected_word(&nodes[taken], value) else { break };
            words[taken] = word;
        }
        place.position = next;
        taken += 1;
    }
    taken
}

/// Whether a key is the expected object, or a string equal to it: then it is the one to expect from now on.
///
/// # Safety
/// `key` must be a valid object, alive for the duration of the call.
#[inline]
unsafe fn is_expected_key(py: Python<'_>, key: *mut ffi::PyObject, expected: &mut Option<Py<PyAny>>) -> bool {
    // SAFETY: as the caller vouches.
    expected.as_ref().map_or(ptr::null_mut(), Py::as_ptr) == key || unsafe { replaces(py, key, expected) }
}

/// # Safety
/// As for [`is_expected_key`].
#[cold]
unsafe fn replaces(py: Python<'_>, key: *mut ffi::PyObject, expected: &mut Option<Py<PyAny>>) -> bool {
    let Some(old) = expected else { return false };
    // SAFETY: both are held; strings of the exact type compare without error, and without Python code.
    unsafe {
        let text = &raw mut ffi::PyUnicode_Type;
        let equal = ffi::Py_TYPE(key) == text
            && ffi::Py_TYPE(old.as_ptr()) == text
            && ffi::PyUnicode_Compare(key, old.as_ptr()) == 0;
        if equal {
            *expected = Some(Bound::from_borrowed_ptr(py, key).unbind());
        }
        equal
    }
}

/// Takes the list's items from `start` on, at most `left`, as far as they are the expected leaves. How many.
pub fn follow_items(
    list: &Bound<'_, PyList>,
    start: usize,
    left: usize,
    expected: &mut Expected<'_>,
) -> usize {
    let left = left.min(list.len().saturating_sub(start));
    let (nodes, words) = expected.run(left);
    let mut taken = 0;
    for (node, place) in nodes.iter().zip(words) {
        let index = (start + taken) as ffi::Py_ssize_t;
        // SAFETY: the index is below the length, which no Python code can change meanwhile.
        let word = unsafe { expected_word(node, ffi::PyList_GetItem(list.as_ptr(), index)) };
        let Some(word) = word else { break };
        *place = word;
        taken += 1;
    }
    expected.pass(taken);
    taken
}

/// Records the dictionary's next entries as long as keys are strings and values bools, ints or floats: the short way where
/// nothing is expected.
pub fn record_entries(dict: &Bound<'_, PyDict>, place: &mut Place, encoder: &mut Encoder<Bytes>) {
    let (entries, mut next) = (Entries::of(dict), place.position);
    while place.left > 0 {
        // SAFETY: none of the calls runs Python code, so the dict is as it was, and holds both; the UTF-8 form of a key is
        // cached in it.
        unsafe {
            let Some((key, value)) = entries.step(&mut next) else { return };
            if ffi::Py_TYPE(key) != &raw mut ffi::PyUnicode_Type {
                return;
            }
            let Some((kind, word)) = number_of(value) else { return };
            let mut len = 0;
            let start = ffi::PyUnicode_AsUTF8AndSize(key, &raw mut len);
            if start.is_null() {
                return ffi::PyErr_Clear(); // a lone surrogate: the long way says so
            }
            let text = std::slice::from_raw_parts(start.cast(), len as usize);
            encoder.key_str(std::str::from_utf8_unchecked(text));
            encoder.number(kind, word);
        }
        place.position = next;
        place.left -= 1;
    }
}

/// The word of a bool, an int or a float that is what its node expects: of that kind, exactly.
#[inline]
pub fn number_word(node: &Node, object: &Bound<'_, PyAny>) -> Option<u64> {
    // SAFETY: it is held.
    unsafe { expected_word(node, object.as_ptr()) }
}

/// The word of a leaf that is what its node expects: of that kind, exactly.
///
/// # Safety
/// `object` must be a valid object, alive for the duration of the call.
#[inline]
unsafe fn expected_word(node: &Node, object: *mut ffi::PyObject) -> Option<u64> {
    // SAFETY: as in `classify`.
    unsafe {
        let kind = ffi::Py_TYPE(object);
        match node.kind {
            Kind::Float if kind == &raw mut ffi::PyFloat_Type => Some(float_word(object)),
            Kind::Int if kind == &raw mut ffi::PyLong_Type => {
                let mut overflow = 0;
                let value = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
                (overflow == 0).then_some(value as u64)
            }
            Kind::Bool if kind == &raw mut ffi::PyBool_Type => Some(u64::from(object == ffi::Py_True())),
            _ => None,
        }
    }
}

/// The word of a leaf that is a bool, an int or a float, exactly, and which of them.
///
/// # Safety
/// As for [`expected_word`].
#[inline]
unsafe fn number_of(object: *mut ffi::PyObject) -> Option<(Kind, u64)> {
    // SAFETY: as the caller vouches.
    match unsafe { classify(Python::assume_attached(), object) } {
        Item::Float(value) => Some((Kind::Float, value.to_bits())),
        Item::Int(value) => Some((Kind::Int, value as u64)),
        Item::Bool(value) => Some((Kind::Bool, value.into())),
        _ => None,
    }
}
