//! Creates Python objects from Rust values, and fills and copies containers.
//!
//! PyO3's own functions panic when memory runs out; these raise `MemoryError`.

use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple, PyType};

/// An exception in a box, so that a result is one or two words and is returned in registers.
pub struct Raised(Box<PyErr>);

/// The result of most functions that encode and decode.
pub type Made<T> = Result<T, Raised>;

impl From<PyErr> for Raised {
    #[cold]
    fn from(error: PyErr) -> Self {
        Self(Box::new(error))
    }
}

impl From<Raised> for PyErr {
    #[cold]
    fn from(raised: Raised) -> Self {
        *raised.0
    }
}

/// Fetches the exception that is set.
#[cold]
fn fetched(py: Python<'_>) -> Raised {
    PyErr::fetch(py).into()
}

/// Takes over a new reference to an object of a known type, or fetches the exception.
///
/// # Safety
/// `object` must be null with an exception set, or an owned reference to an object of type `T`.
pub(super) unsafe fn made<T>(py: Python<'_>, object: *mut ffi::PyObject) -> Made<Bound<'_, T>> {
    // SAFETY: as the caller guarantees.
    let object = unsafe { Bound::from_owned_ptr_or_opt(py, object) };
    // SAFETY: as the caller guarantees.
    object.map(|object| unsafe { object.cast_into_unchecked() }).ok_or_else(|| fetched(py))
}

/// The same, where the size of the result does not matter.
///
/// # Safety
/// As for [`made`].
unsafe fn owned<T>(py: Python<'_>, object: *mut ffi::PyObject) -> PyResult<Bound<'_, T>> {
    // SAFETY: as the caller guarantees.
    unsafe { Bound::from_owned_ptr_or_err(py, object).map(|object| object.cast_into_unchecked()) }
}

/// The result of a call that returns a status.
fn done(py: Python<'_>, status: std::ffi::c_int) -> Made<()> {
    if status == 0 { Ok(()) } else { Err(fetched(py)) }
}

pub fn text<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    let len = text.len() as ffi::Py_ssize_t;
    // SAFETY: `text` has `len` bytes; the call returns a new reference or null.
    unsafe { owned(py, ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), len)) }
}

/// An interned string.
pub fn interned<'py>(py: Python<'py>, string: &str) -> PyResult<Bound<'py, PyString>> {
    let mut object = text(py, string)?.into_ptr();
    // SAFETY: `object` is an owned reference, and the call replaces it with another owned one.
    unsafe {
        ffi::PyUnicode_InternInPlace(&raw mut object);
        owned(py, object)
    }
}

pub fn byte_string<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let len = bytes.len() as ffi::Py_ssize_t;
    // SAFETY: `bytes` has `len` bytes; the call returns a new reference or null.
    unsafe { owned(py, ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), len)) }
}

pub fn int(py: Python<'_>, value: i64) -> PyResult<Bound<'_, PyInt>> {
    // SAFETY: the call returns a new reference or null.
    unsafe { owned(py, ffi::PyLong_FromLongLong(value)) }
}

pub fn unsigned(py: Python<'_>, value: u64) -> PyResult<Bound<'_, PyInt>> {
    // SAFETY: the call returns a new reference or null.
    unsafe { owned(py, ffi::PyLong_FromUnsignedLongLong(value)) }
}

pub fn dict(py: Python<'_>) -> Made<Bound<'_, PyDict>> {
    // SAFETY: the call returns a new reference or null.
    unsafe { made(py, ffi::PyDict_New()) }
}

pub fn list<'py>(py: Python<'py>, items: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyList>> {
    // SAFETY: the new list has this length, and each place is filled once before Python code can see it.
    unsafe {
        let list = owned::<PyList>(py, ffi::PyList_New(items.len() as ffi::Py_ssize_t))?;
        for (index, item) in items.into_iter().enumerate() {
            done(py, ffi::PyList_SetItem(list.as_ptr(), index as ffi::Py_ssize_t, item.into_ptr()))?;
        }
        Ok(list)
    }
}

pub fn tuple<'py>(
    py: Python<'py>,
    items: impl IntoIterator<Item = Bound<'py, PyAny>, IntoIter: ExactSizeIterator>,
) -> PyResult<Bound<'py, PyTuple>> {
    let items = items.into_iter();
    // SAFETY: the new tuple has this length, and each place is filled once before Python code can see it.
    unsafe {
        let tuple = owned::<PyTuple>(py, ffi::PyTuple_New(items.len() as ffi::Py_ssize_t))?;
        for (index, item) in items.enumerate() {
            done(py, ffi::PyTuple_SetItem(tuple.as_ptr(), index as ffi::Py_ssize_t, item.into_ptr()))?;
        }
        Ok(tuple)
    }
}

/// `class[item]`, for annotations.
pub fn generic_alias<'py>(
    class: &Bound<'py, PyType>,
    item: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both objects are alive during the call, which returns a new reference or null.
    unsafe { owned(class.py(), ffi::Py_GenericAlias(class.as_ptr(), item.as_ptr())) }
}

/// Sets an entry.
pub fn set_entry(dict: &Bound<'_, PyDict>, key: &Py<PyAny>, value: &Bound<'_, PyAny>) -> Made<()> {
    // SAFETY: `dict` is a dict, and both objects are alive during the call.
    done(dict.py(), unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) })
}

/// A dictionary with these keys.
pub fn dict_of<'py, const N: usize>(
    py: Python<'py>,
    entries: [(&str, Bound<'py, PyAny>); N],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = dict(py)?;
    for (key, value) in entries {
        set_entry(&dict, text(py, key)?.as_any().as_unbound(), &value)?;
    }
    Ok(dict)
}

/// Replaces an item of a list.
pub fn set_item(list: &Bound<'_, PyList>, index: usize, value: Bound<'_, PyAny>) -> Made<()> {
    // SAFETY: `list` is a list; the call takes over an owned reference and checks the index.
    done(list.py(), unsafe { ffi::PyList_SetItem(list.as_ptr(), index as ffi::Py_ssize_t, value.into_ptr()) })
}

/// Hides a container from the garbage collector, and so from `gc.get_objects()` and `gc.get_referrers()`. `false` if Python code
/// has found it before.
///
/// This module must have created the container and passed it to nobody. Only then does a reference count of 1 mean that nobody
/// else has it: since CPython 3.14, the interpreter's stack borrows from variables without counting. Code that has found this
/// container got it from a list of the collector, and that list and any variable are counted.
pub fn hide(container: &Bound<'_, PyAny>) -> bool {
    // SAFETY: `container` is a complete dict or list. Untracked ones are freed like tracked ones.
    unsafe {
        ffi::PyObject_GC_UnTrack(container.as_ptr().cast());
        // Since 3.14 the upper half of this word holds flags. A set flag looks like another reference, which does no harm.
        ffi::Py_REFCNT(container.as_ptr()) == 1
    }
}

/// Whether the collector tracks dictionaries from the start, as since CPython 3.14. Earlier versions track one once it holds a
/// container.
static TRACKED: OnceLock<bool> = OnceLock::new();

/// Finds out when the collector starts to track dictionaries.
pub fn learn_tracking(py: Python<'_>) -> PyResult<()> {
    let dict = dict(py)?;
    // SAFETY: `dict` is an object.
    TRACKED.get_or_init(|| unsafe { ffi::PyObject_GC_IsTracked(dict.as_ptr()) != 0 });
    Ok(())
}

/// Copies a hidden dictionary. The copy is tracked.
pub fn copy_dict<'py>(hidden: &Bound<'py, PyDict>) -> Made<Bound<'py, PyDict>> {
    // SAFETY: the call returns a new, complete dict or null. It may be untracked, like the original.
    unsafe {
        let copy = made::<PyDict>(hidden.py(), ffi::PyDict_Copy(hidden.as_ptr()))?;
        if TRACKED.get() == Some(&true) && ffi::PyObject_GC_IsTracked(copy.as_ptr()) == 0 {
            ffi::PyObject_GC_Track(copy.as_ptr().cast());
        }
        Ok(copy)
    }
}

/// Copies a list. The collector tracks every new list.
pub fn copy_list<'py>(list: &Bound<'py, PyList>) -> Made<Bound<'py, PyList>> {
    // SAFETY: the call returns a new reference or null, and limits the bounds to the list's length.
    unsafe { made(list.py(), ffi::PyList_GetSlice(list.as_ptr(), 0, ffi::PY_SSIZE_T_MAX)) }
}
