//! Values that are made at their first use and kept.
//!
//! PyO3's (`PyOnceLock`, `intern!`) are made inside of a lock, and in there the interpreter's is let go of and taken again.
//! A thread that forks in between leaves its child a lock that nobody will ever release: whoever needs the value there waits
//! for ever. So they are not used here, and those that PyO3 has for itself are made at import.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyType};

/// The value. It is made outside of the lock: if several threads do so, the first one's is kept. It is put there while
/// attached, and nothing of Python runs meanwhile: a thread that forks cannot come in between.
pub fn make_once<T>(place: &OnceLock<T>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
    match place.get() {
        Some(value) => Ok(value),
        None => make().map(|made| place.get_or_init(|| made)),
    }
}

/// Has PyO3 make what it would make at its first use, where this module comes to it: an abstract base class, and what it
/// needs to say which argument was wrong.
pub fn make_pyo3s(class: &Bound<'_, PyType>) {
    let none = class.py().None().into_bound(class.py());
    let _ = none.cast::<PyMapping>();
    let _ = none.cast::<pyo3::types::PySequence>();
    let _ = class.call1(("", none));
}
