//! The calls of CPython's C interface that PyO3 has no equally good safe form of. Everything exported here is safe.
#![allow(unsafe_code, reason = "the one module of this crate that has unsafe code")]

mod bytes;
mod callable;
mod dicts;
mod entries;
mod keywords;
mod layouts;
mod make;
mod numbers;
mod quick;

use std::cell::RefCell;
use std::ffi::CStr;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use traincast_core::snapshot::shape::Kind;

pub use self::bytes::{Blob, Bytes};
pub use self::callable::{Callable, callable_class};
pub use self::dicts::dict_len;
pub use self::entries::{Keys, Place, expected_word, take_items, take_numbers};
pub use self::keywords::{Changes, KeywordMethod, add_keyword_method};
pub use self::layouts::learn_layouts;
pub use self::make::{
    Made, byte_string, copy_dict, copy_list, dict, dict_of, generic_alias, hide, int, interned,
    learn_tracking, list, set_entry, set_item, text, tuple, unsigned,
};
pub use self::numbers::{number, word};
pub use self::quick::{Given, Place as QuickPlace, QuickMethod, add_quick_method};

/// State of a Python object that is touched only while attached to the interpreter.
///
/// The module runs only where the interpreter has a global lock, so the token proves that no other thread is here. What
/// the lock does not cover is Python code that runs in the middle of an access and comes back. So there must be none: while
/// the value is lent, no Python object is made (that may run the collector) and none is dropped (that may run a destructor).
/// Errors are turned into exceptions afterwards. Values that Python code may see in the middle are [taken out](Self::take_out) instead.
pub struct GilCell<T>(RefCell<T>);

// SAFETY: the ways in demand the token of an attached thread, or are the collector's; under the global lock there is one such
// thread at a time, so the value is never accessed concurrently. `T: Send` because the accessing thread changes.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Lends the value to a function that neither makes nor drops Python objects, and so runs no Python code.
    #[inline(always)]
    pub fn with<R>(&self, _py: Python<'_>, function: impl FnOnce(&mut T) -> R) -> R {
        function(&mut self.0.borrow_mut())
    }

    /// For `__traverse__`, which the interpreter calls attached but without a token.
    pub fn traverse<R>(&self, visit: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.try_borrow().ok().map(|value| visit(&value))
    }
}

impl<T: Default> GilCell<Option<Box<T>>> {
    /// Takes a value out for as long as Python code may run. Whoever comes in meanwhile, on this thread or another, finds none
    /// and gets a new one; the last one to end is kept.
    pub fn take_out<R, E>(&self, py: Python<'_>, work: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E> {
        let mut value = self.with(py, Option::take).unwrap_or_default();
        // Apart, so that what is there in nearly all cases is not carried about with the room for an exception.
        match work(&mut value) {
            Ok(result) => {
                self.put_back(py, value);
                Ok(result)
            }
            Err(error) => {
                self.put_back(py, value);
                Err(error)
            }
        }
    }

    fn put_back(&self, py: Python<'_>, value: Box<T>) {
        drop(self.with(py, |place| place.replace(value))); // no more lent: this may run Python code
    }
}

/// A text that ends with the one zero that there is in it.
pub const fn terminated(bytes: &'static [u8]) -> &'static CStr {
    match CStr::from_bytes_with_nul(bytes) {
        Ok(text) => text,
        Err(_) => panic!("no zero at the end, or one before"),
    }
}

/// A Python object by its exact type.
pub enum Item<'py> {
    None,
    /// A bool, a float, or an int of at most 64 bits, as its word.
    Number(Kind, u64),
    /// An exact `int` beyond 64 bits.
    BigInt(Bound<'py, PyAny>),
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
unsafe fn classify<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Item<'py> {
    // SAFETY: the caller vouches for `object`; type objects are static; each unchecked cast follows the comparison of the
    // exact type that makes it true; `from_borrowed_ptr` takes a reference of its own.
    unsafe {
        if let Some((kind, word)) = numbers::number_of(object) {
            return Item::Number(kind, word);
        }
        if object == ffi::Py_None() {
            return Item::None;
        }
        let kind = ffi::Py_TYPE(object);
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
        } else if kind == &raw mut ffi::PyLong_Type {
            Item::BigInt(any)
        } else {
            Item::Other(any)
        }
    }
}

/// Classifies an object.
pub fn item<'py>(object: &Bound<'py, PyAny>) -> Item<'py> {
    // SAFETY: a `Bound` holds a reference.
    unsafe { classify(object.py(), object.as_ptr()) }
}

/// Steps through a dictionary: the next key, `None` if it is the very object `expected`, and the value.
///
/// A dictionary that changes between two calls gives wrong entries, never invalid ones.
#[inline(always)]
pub fn next_entry<'py>(
    dict: &Bound<'py, PyDict>,
    place: &mut Place,
    expected: Option<&Py<PyAny>>,
) -> Option<(Option<Bound<'py, PyAny>>, Item<'py>)> {
    let py = dict.py();
    // SAFETY: the entries are looked up anew, and the position is checked against their present number. Both references are
    // borrowed from the dict, which cannot change before `classify` and `from_borrowed_ptr` took theirs: no Python code runs
    // between.
    unsafe {
        let (key, value) = dicts::Entries::of(dict).step(&mut place.position)?;
        place.left -= 1;
        let same = expected.is_some_and(|expected| expected.as_ptr() == key);
        let key = if same { None } else { Some(Bound::from_borrowed_ptr(py, key)) };
        Some((key, classify(py, value)))
    }
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
