//! Bools, ints and floats by their words: how they are made, and how those that nobody else has are given another value.
//!
//! A reader that keeps up lets go of the numbers of two snapshots ago. To give these new values costs a fraction of making
//! others and putting them in their place. It is what CPython itself does with a float that only the interpreter's stack
//! holds, and with the tuples that `zip` yields.
//!
//! An abi3 module knows nothing of how a number lies in memory. The versions of CPython listed here do not change that any
//! more, and `learn_layouts` looks before anything relies on it. Elsewhere numbers are made anew.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyType};
use traincast_core::snapshot::shape::Kind;

/// The minor versions of CPython 3 whose numbers are known.
const VERSIONS: std::ops::RangeInclusive<u8> = 11..=13;

/// Whether a float is the object's header and its value.
static FLOATS: AtomicBool = AtomicBool::new(false);
/// The word behind the object's header of a positive int with one digit, and with two; the digits follow it. 0: unknown.
static INTS: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

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
    // that number behind the word that was compared. `learn_layouts` has seen both.
    unsafe {
        if ffi::Py_REFCNT(object) != owners {
            return false;
        }
        let header = object.add(1).cast::<usize>();
        match kind {
            Kind::Float if ffi::Py_TYPE(object) == &raw mut ffi::PyFloat_Type && FLOATS.load(Relaxed) => {
                header.cast::<u64>().write(word);
            }
            Kind::Int if ffi::Py_TYPE(object) == &raw mut ffi::PyLong_Type && word >= SHARED_BELOW => {
                let digits = header.add(1).cast::<u32>();
                let (low, high) = (word as u32 & ((1 << DIGIT) - 1), word >> DIGIT);
                if high == 0 && header.read() == INTS[0].load(Relaxed) {
                    digits.write(low);
                } else if high != 0 && high >> DIGIT == 0 && header.read() == INTS[1].load(Relaxed) {
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
    // SAFETY: as the caller vouches, and `learn_layouts` has seen.
    unsafe {
        if FLOATS.load(Relaxed) {
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

/// Finds out whether the numbers of this interpreter lie in memory as [`set_number`] has it.
pub fn learn_layouts(py: Python<'_>) -> PyResult<()> {
    let version = py.version_info();
    if version.major != 3 || !VERSIONS.contains(&version.minor) {
        return Ok(());
    }
    super::dicts::learn_layout(py)?;
    // Behind the object's header: a float's value; an int's sign and number of digits, and then these.
    let size = size_of::<ffi::PyObject>() + size_of::<u64>();
    let sizes = |kind: Bound<'_, PyType>| -> PyResult<(usize, usize)> {
        Ok((kind.getattr("__basicsize__")?.extract()?, kind.getattr("__itemsize__")?.extract()?))
    };
    let value = 1.0_f64 / 3.0;
    if sizes(py.get_type::<PyFloat>())? == (size, 0) {
        let object = PyFloat::new(py, value);
        // SAFETY: within the object, as its size was just found to be.
        let bits = unsafe { object.as_ptr().add(1).cast::<u64>().read() };
        FLOATS.store(bits == value.to_bits(), Relaxed);
    }
    let digit: u32 = py.import("sys")?.getattr("int_info")?.getattr("bits_per_digit")?.extract()?;
    if sizes(py.get_type::<PyInt>())? == (size, size_of::<u32>()) && digit == DIGIT {
        for (index, value) in [0x1234_5678_u64, 0x0234_5678_9abc_def0].into_iter().enumerate() {
            let object = value.into_pyobject(py)?;
            // SAFETY: an int of that size has one digit, respectively two.
            let (header, digits) = unsafe {
                let header = object.as_ptr().add(1).cast::<usize>();
                let digits = header.add(1).cast::<u32>();
                let high = if index == 0 { 0 } else { digits.add(1).read() };
                (header.read(), u64::from(digits.read()) | u64::from(high) << DIGIT)
            };
            INTS[index].store(if digits == value { header } else { 0 }, Relaxed);
        }
    }
    Ok(())
}
