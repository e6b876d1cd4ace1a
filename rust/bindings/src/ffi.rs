//! Calls of CPython's C API for which PyO3 has no equally good safe form. Everything exported here is safe.
#![allow(unsafe_code, reason = "the only module of this crate with unsafe code")]

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

/// State of a Python object, which is only accessed while attached to the interpreter.
///
/// The module requires an interpreter with a global lock, so the token proves that no other thread accesses the value. The lock
/// does not protect against Python code that runs in the middle of an access and accesses the value again. So none may run: while
/// the value is borrowed, no Python object is created (that may run the garbage collector) and none is dropped (that may run a
/// destructor). Errors are turned into exceptions afterwards. Values that are in use while Python code may run are [taken
/// out](Self::take_out) instead.
pub struct GilCell<T>(RefCell<T>);

// SAFETY: every access requires the token of an attached thread, or is made by the collector, which runs attached. The global
// lock allows one such thread at a time, so the value is never accessed concurrently. `T: Send` because the accessing thread
// changes.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Borrows the value for a function that neither creates nor drops Python objects, and so runs no Python code.
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
    /// Takes the value out while Python code may run. A nested or concurrent call finds none and gets a new one; the value of the
    /// call that ends last is kept.
    pub fn take_out<R, E>(&self, py: Python<'_>, work: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E> {
        let mut value = self.with(py, Option::take).unwrap_or_default();
        // Two branches, so that the usual result is not moved around together with the room for an exception.
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
        drop(self.with(py, |place| place.replace(value))); // no longer borrowed: dropping may run Python code
    }
}

/// Bytes with a single zero, at their end, as a C string.
pub const fn terminated(bytes: &'static [u8]) -> &'static CStr {
    match CStr::from_bytes_with_nul(bytes) {
        Ok(text) => text,
        Err(_) => panic!("the bytes need a single zero, at their end"),
    }
}

/// A Python object, classified by its exact type.
pub enum Item<'py> {
    None,
    /// A bool, a float, or an int of at most 64 bits, as a word.
    Number(Kind, u64),
    /// An exact `int` beyond 64 bits.
    BigInt(Bound<'py, PyAny>),
    Str(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
    Dict(Bound<'py, PyDict>),
    List(Bound<'py, PyList>),
    Tuple(Bound<'py, PyTuple>),
    /// Any other type, including subclasses of the above.
    Other(Bound<'py, PyAny>),
}

/// Classifies a borrowed reference. None of the calls runs Python code.
///
/// # Safety
/// `object` must be a valid object, alive for the duration of the call.
unsafe fn classify<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Item<'py> {
    // SAFETY: the caller guarantees that `object` is valid; type objects are static; each unchecked cast follows a comparison
    // with that exact type; `from_borrowed_ptr` takes a reference of its own.
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

/// Steps through a dictionary: the next key, or `None` if it is the object `expected` itself, and the value.
///
/// If the dictionary changes between two calls, the entries may be wrong, but never invalid.
#[inline(always)]
pub fn next_entry<'py>(
    dict: &Bound<'py, PyDict>,
    place: &mut Place,
    expected: Option<&Py<PyAny>>,
) -> Option<(Option<Bound<'py, PyAny>>, Item<'py>)> {
    let py = dict.py();
    // SAFETY: the entries are looked up again, and the position is checked against their present number. Both references are
    // borrowed from the dict, which cannot change before `classify` and `from_borrowed_ptr` have taken their own: no Python code
    // runs in between.
    unsafe {
        let (key, value) = dicts::Entries::of(dict).step(&mut place.position)?;
        place.left -= 1;
        let same = expected.is_some_and(|expected| expected.as_ptr() == key);
        let key = if same { None } else { Some(Bound::from_borrowed_ptr(py, key)) };
        Some((key, classify(py, value)))
    }
}

/// Refuses to be loaded by a sub-interpreter. Classes and exceptions are created once per process here. In a sub-interpreter they
/// would belong to another interpreter, so `except` would not catch them, and that interpreter may have ended. CPython itself
/// only refuses interpreters with a lock of their own.
pub fn check_main_interpreter() -> PyResult<()> {
    // SAFETY: the thread is attached to an interpreter, and the calls ask about that one.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match id {
        0 => Ok(()),
        _ => Err(PyImportError::new_err(
            "traincast cannot be loaded in a sub-interpreter: use it from the main interpreter, in any thread, or from \
             a process of its own",
        )),
    }
}
