//! The calls of CPython's C interface that PyO3 has no equally fast safe form of. Everything exported here is safe.
#![allow(unsafe_code, reason = "the one module of this crate that has unsafe code")]

mod bytes;
mod dicts;
mod entries;
mod keywords;
mod layouts;
mod numbers;

use std::cell::RefCell;
use std::ptr;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

pub use self::bytes::Bytes;
pub use self::dicts::exchange_dict;
pub use self::entries::{Place, follow_entries, follow_items, number_word, record_entries};
pub use self::keywords::{Changes, KeywordMethod, add_keyword_method};
pub use self::layouts::learn_layouts;
pub use self::numbers::{is_shared, number, set_number};

/// State of a Python object that is touched only while attached to the interpreter.
///
/// An abi3 module runs only where the interpreter has a global lock, so the token proves that no other thread is here.
/// The `RefCell` covers what the lock does not: Python code that runs in the middle of an access.
pub struct GilCell<T>(RefCell<T>);

// SAFETY: the ways in demand the token of an attached thread, or are the collector's; under the global lock there is one such
// thread at a time, so the value is never accessed concurrently. `T: Send` because the accessing thread changes.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    #[inline]
    pub fn get<'a>(&'a self, _py: Python<'a>) -> &'a RefCell<T> {
        &self.0
    }

    /// For `__traverse__`, which the interpreter calls attached but without a token.
    pub fn traverse<R: Default>(&self, visit: impl FnOnce(&T) -> R) -> R {
        // In use further up the stack: what it refers to is alive anyway.
        self.0.try_borrow().map_or_else(|_| R::default(), |value| visit(&value))
    }
}

/// A Python object by its exact type: the leaves by value.
pub enum Item<'py> {
    None,
    Bool(bool),
    Int(i64),
    /// An exact `int` beyond 64 bits.
    BigInt(Bound<'py, PyAny>),
    Float(f64),
    Str(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
    Dict(Bound<'py, PyDict>),
    List(Bound<'py, PyList>),
    Tuple(Bound<'py, PyTuple>),
    /// Any other type, subclasses of the above included.
    Other(Bound<'py, PyAny>),
}

/// Classifies a borrowed reference. None of the calls runs Python code.
///
/// # Safety
/// `object` must be a valid object, alive for the duration of the call.
#[inline]
unsafe fn classify<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Item<'py> {
    // SAFETY: the caller vouches for `object`; type objects are static; each unchecked cast follows the comparison of the
    // exact type that makes it true; `from_borrowed_ptr` takes a reference of its own.
    unsafe {
        let kind = ffi::Py_TYPE(object);
        if kind == &raw mut ffi::PyFloat_Type {
            return Item::Float(ffi::PyFloat_AsDouble(object));
        }
        if kind == &raw mut ffi::PyLong_Type {
            let mut overflow = 0;
            let value = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
            return if overflow == 0 {
                Item::Int(value)
            } else {
                Item::BigInt(Bound::from_borrowed_ptr(py, object))
            };
        }
        if object == ffi::Py_None() {
            return Item::None;
        }
        if object == ffi::Py_True() {
            return Item::Bool(true);
        }
        if object == ffi::Py_False() {
            return Item::Bool(false);
        }
        let any = Bound::from_borrowed_ptr(py, object);
        if kind == &raw mut ffi::PyDict_Type {
            Item::Dict(any.cast_into_unchecked())
        } else if kind == &raw mut ffi::PyUnicode_Type {
            Item::Str(any.cast_into_unchecked())
        } else if kind == &raw mut ffi::PyList_Type {
            Item::List(any.cast_into_unchecked())
        } else if kind == &raw mut ffi::PyTuple_Type {
            Item::Tuple(any.cast_into_unchecked())
        } else if kind == &raw mut ffi::PyBytes_Type {
            Item::Bytes(any.cast_into_unchecked())
        } else {
            Item::Other(any)
        }
    }
}

/// Classifies an object.
#[inline]
pub fn item<'py>(object: &Bound<'py, PyAny>) -> Item<'py> {
    // SAFETY: a `Bound` holds a reference.
    unsafe { classify(object.py(), object.as_ptr()) }
}

/// The list's item, `None` beyond its end.
#[inline]
pub fn list_item<'py>(list: &Bound<'py, PyList>, index: usize) -> Option<Item<'py>> {
    if index >= list.len() {
        return None;
    }
    // SAFETY: the index was just checked and no Python code ran since; the reference is borrowed from the list, which
    // stays unchanged until `classify` has returned.
    unsafe { Some(classify(list.py(), ffi::PyList_GetItem(list.as_ptr(), index as ffi::Py_ssize_t))) }
}

/// The tuple's item, `None` beyond its end.
#[inline]
pub fn tuple_item<'py>(tuple: &Bound<'py, PyTuple>, index: usize) -> Option<Item<'py>> {
    if index >= tuple.len() {
        return None;
    }
    // SAFETY: the index was just checked; a tuple keeps its items alive.
    unsafe { Some(classify(tuple.py(), ffi::PyTuple_GetItem(tuple.as_ptr(), index as ffi::Py_ssize_t))) }
}

/// Steps through a dictionary: the next key, `None` if it is the very object `expected`, and the value.
///
/// A dictionary that changes between two calls gives wrong entries, never invalid ones.
#[inline]
pub fn next_entry<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut isize,
    expected: Option<&Py<PyAny>>,
) -> Option<(Option<Bound<'py, PyAny>>, Item<'py>)> {
    let py = dict.py();
    let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: `dict` is a dict; PyDict_Next checks `position` against its present size. Both references are borrowed from
    // the dict, which cannot change before `classify` and `from_borrowed_ptr` took theirs: no Python code runs between.
    unsafe {
        if ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) == 0 {
            return None;
        }
        let same = expected.is_some_and(|expected| expected.as_ptr() == key);
        let key = if same { None } else { Some(Bound::from_borrowed_ptr(py, key)) };
        Some((key, classify(py, value)))
    }
}

/// Sets an entry: `PyDict_SetItem` without the conversions.
#[inline]
pub fn set_entry(dict: &Py<PyDict>, key: &Py<PyAny>, value: Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: a dict, and two objects that are held over the call.
    if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(value.py()))
    }
}

/// Fills the view that Python asked for with read-only memory of `owner`.
///
/// # Safety
/// `view` is the pointer that a `__getbuffer__` received; `bytes` lives as long as `owner`.
pub unsafe fn fill_read_only(
    view: *mut ffi::Py_buffer,
    owner: &Bound<'_, PyAny>,
    bytes: &[u8],
    flags: std::ffi::c_int,
) -> PyResult<()> {
    // SAFETY: as the caller vouches; PyBuffer_FillInfo takes a reference to `owner` and refuses a writable view.
    let status = unsafe {
        ffi::PyBuffer_FillInfo(
            view,
            owner.as_ptr(),
            bytes.as_ptr().cast_mut().cast(),
            bytes.len() as ffi::Py_ssize_t,
            1,
            flags,
        )
    };
    if status == 0 { Ok(()) } else { Err(PyErr::fetch(owner.py())) }
}

/// Refuses to be loaded by a sub-interpreter. Classes and exceptions are made once per process here: there they would be
/// another interpreter's, which `except` does not catch and which may have ended. CPython itself refuses only for
/// interpreters with a lock of their own.
pub fn check_main_interpreter() -> PyResult<()> {
    // SAFETY: called while attached to an interpreter, which is what is asked about.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match id {
        0 => Ok(()),
        _ => Err(PyImportError::new_err(
            "traincast cannot be loaded in a sub-interpreter: use it from the main interpreter, in any thread, or from \
             a process of its own",
        )),
    }
}
