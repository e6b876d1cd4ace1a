//! Python objects made from Rust's, and containers filled and copied.
//!
//! PyO3's own ways panic where there is no memory; these raise `MemoryError`.

use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple, PyType};

/// An exception, boxed: a result with room for one is then a word or two, and is handed back in registers.
pub struct Raised(Box<PyErr>);

/// What most of decoding gives.
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

/// The exception that is set.
#[cold]
fn fetched(py: Python<'_>) -> Raised {
    PyErr::fetch(py).into()
}

/// A new reference to an object whose type is known, or the error that there is instead.
///
/// # Safety
/// `object` is null with an exception set, or an owned reference to an object of that type.
pub(super) unsafe fn made<T>(py: Python<'_>, object: *mut ffi::PyObject) -> Made<Bound<'_, T>> {
    // SAFETY: as the caller vouches.
    let object = unsafe { Bound::from_owned_ptr_or_opt(py, object) };
    // SAFETY: as the caller vouches.
    object.map(|object| unsafe { object.cast_into_unchecked() }).ok_or_else(|| fetched(py))
}

/// The same, where it does not matter how much is handed back.
///
/// # Safety
/// As for [`made`].
unsafe fn owned<T>(py: Python<'_>, object: *mut ffi::PyObject) -> PyResult<Bound<'_, T>> {
    // SAFETY: as the caller vouches.
    unsafe { Bound::from_owned_ptr_or_err(py, object).map(|object| object.cast_into_unchecked()) }
}

/// What a call that returns a status has done.
fn done(py: Python<'_>, status: std::ffi::c_int) -> Made<()> {
    if status == 0 { Ok(()) } else { Err(fetched(py)) }
}

pub fn text<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    let len = text.len() as ffi::Py_ssize_t;
    // SAFETY: so many bytes are there; gives a new reference.
    unsafe { owned(py, ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), len)) }
}

/// A string that the interpreter has only once.
pub fn interned<'py>(py: Python<'py>, string: &str) -> PyResult<Bound<'py, PyString>> {
    let mut object = text(py, string)?.into_ptr();
    // SAFETY: an owned reference, which is exchanged for another owned one.
    unsafe {
        ffi::PyUnicode_InternInPlace(&raw mut object);
        owned(py, object)
    }
}

pub fn byte_string<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let len = bytes.len() as ffi::Py_ssize_t;
    // SAFETY: so many bytes are there; gives a new reference.
    unsafe { owned(py, ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), len)) }
}

pub fn int(py: Python<'_>, value: i64) -> PyResult<Bound<'_, PyInt>> {
    // SAFETY: gives a new reference.
    unsafe { owned(py, ffi::PyLong_FromLongLong(value)) }
}

pub fn unsigned(py: Python<'_>, value: u64) -> PyResult<Bound<'_, PyInt>> {
    // SAFETY: gives a new reference.
    unsafe { owned(py, ffi::PyLong_FromUnsignedLongLong(value)) }
}

pub fn dict(py: Python<'_>) -> Made<Bound<'_, PyDict>> {
    // SAFETY: gives a new reference.
    unsafe { made(py, ffi::PyDict_New()) }
}

pub fn list<'py>(py: Python<'py>, items: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyList>> {
    // SAFETY: a new list of that length, whose places are filled once each before anybody sees it.
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
    // SAFETY: a new tuple of that length, whose places are filled once each before anybody sees it.
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
    // SAFETY: two objects that are held over the call; gives a new reference.
    unsafe { owned(class.py(), ffi::Py_GenericAlias(class.as_ptr(), item.as_ptr())) }
}

/// Sets an entry.
pub fn set_entry(dict: &Bound<'_, PyDict>, key: &Py<PyAny>, value: &Bound<'_, PyAny>) -> Made<()> {
    // SAFETY: a dict, and two objects that are held over the call.
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

/// Exchanges an item of a list.
pub fn set_item(list: &Bound<'_, PyList>, index: usize, value: Bound<'_, PyAny>) -> Made<()> {
    // SAFETY: a list, and an owned reference, which the call takes; it checks the index.
    done(list.py(), unsafe { ffi::PyList_SetItem(list.as_ptr(), index as ffi::Py_ssize_t, value.into_ptr()) })
}

/// Hides a container from the garbage collector, and so from `gc.get_objects()` and `gc.get_referrers()`. `false` if
/// somebody has found it before.
///
/// The container must have been made by this module, and handed to nobody. Only then does a count of 1 say that nobody else has it:
/// from CPython 3.14 on the interpreter's stack borrows from variables, without counting. Who has found this one has it in a
/// list of the collector's, or from there in a variable, and both count.
pub fn hide(container: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a dict or list, complete; it is freed as well as one that is tracked.
    unsafe {
        ffi::PyObject_GC_UnTrack(container.as_ptr().cast());
        // From 3.14 on the upper half of this word holds flags. One that is set makes it look found, which does no harm.
        ffi::Py_REFCNT(container.as_ptr()) == 1
    }
}

/// Whether dictionaries are tracked from the start: from CPython 3.14 on. Before, it is done when one gets a container.
static TRACKED: OnceLock<bool> = OnceLock::new();

/// Finds out when the collector gets to know dictionaries.
pub fn learn_tracking(py: Python<'_>) -> PyResult<()> {
    let dict = dict(py)?;
    // SAFETY: an object.
    TRACKED.get_or_init(|| unsafe { ffi::PyObject_GC_IsTracked(dict.as_ptr()) != 0 });
    Ok(())
}

/// A copy of a dictionary that was hidden; the copy is not.
pub fn copy_dict<'py>(hidden: &Bound<'py, PyDict>) -> Made<Bound<'py, PyDict>> {
    // SAFETY: gives a new dict, which is complete. It may be as little tracked as the original.
    unsafe {
        let copy = made::<PyDict>(hidden.py(), ffi::PyDict_Copy(hidden.as_ptr()))?;
        if TRACKED.get() == Some(&true) && ffi::PyObject_GC_IsTracked(copy.as_ptr()) == 0 {
            ffi::PyObject_GC_Track(copy.as_ptr().cast());
        }
        Ok(copy)
    }
}

/// A copy of a list. The collector knows each new list.
pub fn copy_list<'py>(list: &Bound<'py, PyList>) -> Made<Bound<'py, PyList>> {
    // SAFETY: gives a new reference; the bounds are cut to the list's.
    unsafe { made(list.py(), ffi::PyList_GetSlice(list.as_ptr(), 0, ffi::PY_SSIZE_T_MAX)) }
}
