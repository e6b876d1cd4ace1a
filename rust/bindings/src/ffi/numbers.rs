//! Bools, ints and floats by their words: how they are made, and how those that nobody else has are given another value.
//!
//! A reader that keeps up lets go of the numbers of two snapshots ago. To give these new values costs a fraction of making
//! others and putting them in their place. It is what CPython itself does with a float that only the interpreter's stack
//! holds, and with the tuples that `zip` yields.
//!
//! Where it is not known how numbers lie in memory (see `layouts`), they are made anew.

use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyType};
use traincast_core::snapshot::shape::Kind;

/// Set once a float was found to be the object's header and its value.
static FLOATS: OnceLock<()> = OnceLock::new();
/// The word behind the object's header of a positive int with one digit, and with two; the digits follow it.
static INTS: OnceLock<[usize; 2]> = OnceLock::new();

/// Bits of an int's digit.
const DIGIT: u32 = 30;
/// From here on, an int is not one of those that the interpreter keeps a single object of.
const SHARED_BELOW: u64 = 1 << 11;

/// The number of a value word. `kind` is that of a bool, an int or a float.
#[inline]
pub fn number(py: Python<'_>, kind: Kind, word: u64) -> PyResult<Bound<'_, PyAny>> {
    match kind {
        Kind::Float => Ok(PyFloat::new(py, f64::from_bits(word)).into_any()),
        Kind::Int => Ok((word as i64).into_pyobject(py)?.into_any()),
        // SAFETY: gives a new reference.
        _ => unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBool_FromLong((word != 0).into())) },
    }
}

/// Gives a number that this module has made another value, unless there are more references to it than `owners`, or it has
/// no room for that value. Whether it did.
///
/// The owners must be objects that no Python code knows: a number that somebody sees never changes.
#[inline]
pub fn set_number(object: &Bound<'_, PyAny>, owners: isize, kind: Kind, word: u64) -> bool {
    let object = object.as_ptr();
    // SAFETY: the object is held. Under the global lock, references that are not counted belong to C code that runs, which
    // got them from an owner: there is none but ours. A float is written where a float has its value; an int has digits of
    // that number behind the word that was compared. Both were looked at before.
    unsafe {
        if ffi::Py_REFCNT(object) != owners {
            return false;
        }
        let header = object.add(1).cast::<usize>();
        match kind {
            Kind::Float if ffi::Py_TYPE(object) == &raw mut ffi::PyFloat_Type && FLOATS.get().is_some() => {
                header.cast::<u64>().write(word);
            }
            Kind::Int if ffi::Py_TYPE(object) == &raw mut ffi::PyLong_Type && word >= SHARED_BELOW => {
                let Some([one, two]) = INTS.get() else { return false };
                let digits = header.add(1).cast::<u32>();
                let (low, high) = (word as u32 & ((1 << DIGIT) - 1), word >> DIGIT);
                if high == 0 && header.read() == *one {
                    digits.write(low);
                } else if high != 0 && high >> DIGIT == 0 && header.read() == *two {
                    digits.write(low);
                    digits.add(1).write(high as u32);
                } else {
                    return false;
                }
            }
            _ => return false,
        }
        true
    }
}

/// The word of a float.
///
/// # Safety
/// `object` must be a valid object of exactly that type.
#[inline]
pub(super) unsafe fn float_word(object: *mut ffi::PyObject) -> u64 {
    // SAFETY: as the caller vouches, and `learn_floats` has seen.
    unsafe {
        if FLOATS.get().is_some() {
            object.add(1).cast::<u64>().read()
        } else {
            ffi::PyFloat_AsDouble(object).to_bits()
        }
    }
}

/// Whether more than so many owners have a reference to an object.
#[inline]
pub fn is_shared(object: &Bound<'_, PyAny>, owners: isize) -> bool {
    // SAFETY: the object is held.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) > owners }
}

/// What lies behind the header of a number: a float's value, or an int's sign and number of digits, and then these.
const SIZE: usize = size_of::<ffi::PyObject>() + size_of::<u64>();

/// Sizes of a type's objects, and of their items.
fn sizes(kind: &Bound<'_, PyType>) -> PyResult<(usize, usize)> {
    Ok((kind.getattr("__basicsize__")?.extract()?, kind.getattr("__itemsize__")?.extract()?))
}

/// Finds out whether the floats of this interpreter are as described here.
///
/// # Safety
/// It must be one of the versions that are known.
pub(super) unsafe fn learn_floats(py: Python<'_>) -> PyResult<bool> {
    let value = 1.0_f64 / 3.0;
    let float = PyFloat::new(py, value);
    // SAFETY: within the object, as its size says.
    let found = sizes(&float.get_type())? == (SIZE, 0)
        && unsafe { float.as_ptr().add(1).cast::<u64>().read() } == value.to_bits();
    if found {
        FLOATS.get_or_init(|| ());
    }
    Ok(found)
}

/// Finds out whether the ints of this interpreter are as described here.
///
/// # Safety
/// As for [`learn_floats`].
pub(super) unsafe fn learn_ints(py: Python<'_>) -> PyResult<bool> {
    let (one, two) = (0x1234_5678_u64, 0x0234_5678_9abc_def0_u64);
    let (first, second) = (one.into_pyobject(py)?, two.into_pyobject(py)?);
    let bits: u32 = py.import("sys")?.getattr("int_info")?.getattr("bits_per_digit")?.extract()?;
    if sizes(&first.get_type())? != (SIZE, size_of::<u32>()) || bits != DIGIT {
        return Ok(false);
    }
    // SAFETY: ints of these values have one digit and two, and their sizes were just found out; also below.
    let header = |int: &Bound<'_, PyInt>| unsafe { int.as_ptr().add(1).cast::<usize>() };
    // SAFETY: see above.
    let digit = |int, index| u64::from(unsafe { header(int).add(1).cast::<u32>().add(index).read() });
    let found = digit(&first, 0) == one && (digit(&second, 0) | digit(&second, 1) << DIGIT) == two;
    if found {
        // SAFETY: see above.
        INTS.get_or_init(|| unsafe { [header(&first).read(), header(&second).read()] });
    }
    Ok(found)
}
