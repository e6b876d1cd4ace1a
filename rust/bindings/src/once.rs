//! Values that are created at their first use and kept.
//!
//! PyO3 creates such values (`PyOnceLock`, `intern!`) while it holds a lock, and meanwhile it may release the interpreter's lock.
//! If another thread forks at that moment, the child inherits a lock that nobody will ever release, and waits for ever when it
//! needs the value. So they are not used here, and PyO3's own ones are created at import.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyType};

/// Returns the value, and creates it if necessary. It is created without holding the lock: if several threads do so, the first
/// one's value is kept. It is stored while attached, and no Python code runs then, so no other thread can fork in between.
pub fn make_once<T>(place: &OnceLock<T>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
    match place.get() {
        Some(value) => Ok(value),
        None => make().map(|made| place.get_or_init(|| made)),
    }
}

/// Makes PyO3 create the values that this module would make it create later: abstract base classes, and what it needs for error
/// messages about arguments.
pub fn make_pyo3s(class: &Bound<'_, PyType>) {
    let none = class.py().None().into_bound(class.py());
    let _ = none.cast::<PyMapping>();
    let _ = none.cast::<pyo3::types::PySequence>();
    let _ = class.call1(("", none));
}
