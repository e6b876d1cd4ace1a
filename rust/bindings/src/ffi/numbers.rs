//! Bools, ints and floats as words, in both directions.

use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyFloat;
use traincast_core::snapshot::shape::Kind;

use super::make::{Made, made};

/// Set once floats were found to consist of the object header and the value.
static KNOWN: OnceLock<()> = OnceLock::new();

/// The number for a value word. `kind` must be bool, int or float.
#[inline(always)]
pub fn number(py: Python<'_>, kind: Kind, word: u64) -> Made<Bound<'_, PyAny>> {
    // SAFETY: each call returns a new reference or null.
    unsafe {
        let object = match kind {
            Kind::Float => ffi::PyFloat_FromDouble(f64::from_bits(word)),
            Kind::Int => ffi::PyLong_FromLongLong(word as i64),
            _ => ffi::PyBool_FromLong((word != 0).into()),
        };
        made(py, object)
    }
}

/// The kind and the word of a bool, a float, or an int of at most 64 bits, by exact type.
///
/// # Safety
/// `object` must be a valid object, alive for the duration of the call.
#[inline(always)]
pub(super) unsafe fn number_of(object: *mut ffi::PyObject) -> Option<(Kind, u64)> {
    // SAFETY: as the caller guarantees; type objects are static.
    unsafe {
        let of = ffi::Py_TYPE(object);
        let kind = if of == &raw mut ffi::PyFloat_Type {
            Kind::Float
        } else if of == &raw mut ffi::PyLong_Type {
            Kind::Int
        } else if of == &raw mut ffi::PyBool_Type {
            Kind::Bool
        } else {
            return None;
        };
        word_of(kind, object).map(|word| (kind, word))
    }
}

/// The word of a number of that kind.
///
/// # Safety
/// As for [`number_of`].
#[inline(always)]
pub(super) unsafe fn word_of(kind: Kind, object: *mut ffi::PyObject) -> Option<u64> {
    // SAFETY: as the caller guarantees; type objects are static.
    unsafe {
        let of = ffi::Py_TYPE(object);
        match kind {
            Kind::Float if of == &raw mut ffi::PyFloat_Type => Some(match KNOWN.get() {
                Some(()) => object.add(1).cast::<u64>().read(), // as `learn_layout` has found
                None => ffi::PyFloat_AsDouble(object).to_bits(),
            }),
            Kind::Int if of == &raw mut ffi::PyLong_Type => {
                let mut overflow = 0;
                let value = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
                (overflow == 0).then_some(value as u64)
            }
            Kind::Bool if of == &raw mut ffi::PyBool_Type => Some(u64::from(object == ffi::Py_True())),
            _ => None,
        }
    }
}

/// The word of an object, if it is exactly a number of this kind.
#[inline(always)]
pub fn word(kind: Kind, object: Borrowed<'_, '_, PyAny>) -> Option<u64> {
    // SAFETY: a `Borrowed` is a valid reference.
    unsafe { word_of(kind, object.as_ptr()) }
}

/// Finds out whether this interpreter's floats consist of the object header and then the value.
///
/// # Safety
/// The interpreter must be of one of the known versions.
pub(super) unsafe fn learn_layout(py: Python<'_>) -> PyResult<bool> {
    let value = 1.0_f64 / 3.0;
    let float = PyFloat::new(py, value);
    let size: usize = float.get_type().getattr("__basicsize__")?.extract()?;
    // SAFETY: within the object, as its size says.
    let found = size == size_of::<ffi::PyObject>() + size_of::<f64>()
        && unsafe { float.as_ptr().add(1).cast::<u64>().read() } == value.to_bits();
    if found {
        KNOWN.get_or_init(|| ());
    }
    Ok(found)
}
