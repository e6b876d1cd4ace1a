//! A method with named arguments whose usual calls do without PyO3's reading of them.
//!
//! PyO3 compares the text of each name, which takes longer than some methods. Here the place that called last is remembered by its
//! tuple of names, a constant of the caller's code: while that is the same, each argument's place is known. Whatever is
//! unusual is left to PyO3's own method of that name.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;

use pyo3::PyClass;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use super::GilCell;
use super::keywords::add_method;

/// The most arguments that such a method has.
const MOST: usize = 5;

/// What a call gives for each argument.
pub type Given<'a, 'py> = [Option<Borrowed<'a, 'py, PyAny>>; MOST];

/// A method of a class that PyO3 has made, with one positional argument before the named ones.
pub trait QuickMethod: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    /// The method's name.
    const METHOD: &'static CStr;
    /// Its docstring, which begins with its signature as the interpreter wants it.
    const TEXT: &'static CStr;
    /// What its arguments are called, the positional one first.
    const NAMES: [&'static str; MOST];
    /// What is remembered of it.
    fn place() -> &'static Place;
    /// What a call gives, in the usual cases: where that neither fails nor drops a `Py`, only a `Bound`. PyO3 is not told that
    /// this thread is attached, which would take as long as all the rest.
    fn quickly(&self, py: Python<'_>, given: &Given<'_, '_>) -> Option<Py<PyAny>>;
}

/// What is remembered of a method.
pub struct Place {
    /// PyO3's method.
    method: OnceLock<Py<PyAny>>,
    /// The names that the last call gave.
    called: GilCell<Option<Called>>,
}

struct Called {
    /// Kept, so that no other tuple has its address.
    names: Py<PyTuple>,
    count: usize,
    /// Which argument each name is.
    order: [u8; MOST],
}

impl Place {
    pub const fn new() -> Self {
        Self { method: OnceLock::new(), called: GilCell::new(None) }
    }

    /// Which arguments these names are, if they are those of the last call.
    #[inline(always)]
    fn order(&self, py: Python<'_>, names: *mut ffi::PyObject) -> Option<(usize, [u8; MOST])> {
        if names.is_null() {
            return Some((0, [0; MOST]));
        }
        self.called.with(py, |called| match called {
            Some(called) if called.names.as_ptr() == names => Some((called.count, called.order)),
            _ => None,
        })
    }

    /// Remembers the names of a call that succeeded.
    fn remember<T: QuickMethod>(&self, names: &Bound<'_, PyTuple>) -> PyResult<()> {
        let mut order = [0; MOST];
        for (place, name) in order.iter_mut().zip(names) {
            let name = name.cast::<PyString>()?.to_str()?;
            match T::NAMES.iter().position(|known| *known == name) {
                Some(index @ 1..) => *place = index as u8,
                _ => return Ok(()), // the positional argument by its name
            }
        }
        let called = Called { names: names.clone().unbind(), count: names.len(), order };
        drop(self.called.with(names.py(), |place| place.replace(called))); // no more lent
        Ok(())
    }
}

/// Puts the method before the one that PyO3 has made.
pub fn add_quick_method<T: QuickMethod>(class: &Bound<'_, PyType>) -> PyResult<()> {
    let theirs = class.getattr(PyString::from_bytes(class.py(), T::METHOD.to_bytes())?)?.unbind();
    T::place().method.get_or_init(|| theirs);
    // SAFETY: the descriptor checks that `self` is of that type.
    unsafe { add_method(class, T::METHOD, T::TEXT, quick_method::<T>) }
}

unsafe extern "C" fn quick_method<T: QuickMethod>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let quickly = || {
        // SAFETY: the interpreter calls this attached, and nothing in here outlives the call.
        let py = unsafe { Python::assume_attached() };
        let (count, order) = T::place().order(py, names).filter(|_| positional == 1)?;
        // SAFETY: the descriptor has checked the type of `this`; the vectorcall protocol gives the positional argument and then
        // one for each name; the caller holds them all over the call.
        let (this, given) = unsafe {
            let argument = |index: usize| Some(Borrowed::from_ptr(py, *arguments.add(index)));
            let mut given: Given<'_, '_> = [argument(0), None, None, None, None];
            for (index, place) in order[..count].iter().enumerate() {
                given[usize::from(*place)] = argument(1 + index);
            }
            (Borrowed::from_ptr(py, this).cast_unchecked::<T>(), given)
        };
        this.get().quickly(py, &given)
    };
    // A panic must not unwind into the interpreter.
    if let Ok(Some(result)) = catch_unwind(AssertUnwindSafe(quickly)) {
        return result.into_ptr();
    }
    // SAFETY: as the interpreter has called this.
    unsafe { slowly::<T>(this, arguments, positional, names) }
}

/// Calls PyO3's method.
#[cold]
unsafe fn slowly<T: QuickMethod>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let called = |py: Python<'_>| {
        // SAFETY: as the vectorcall protocol has it: `positional` arguments and then one for each of `names`, a tuple of str or
        // null.
        let (all, names) = unsafe {
            let names = Bound::from_borrowed_ptr_or_opt(py, names)
                .map(|names| names.cast_into_unchecked::<PyTuple>());
            let count = positional as usize + names.as_ref().map_or(0, |names| names.len());
            let argument = |index| Bound::from_borrowed_ptr(py, *arguments.add(index));
            (
                std::iter::once(Bound::from_borrowed_ptr(py, this))
                    .chain((0..count).map(argument))
                    .collect::<Vec<_>>(),
                names,
            )
        };
        let (unnamed, named) = all.split_at(1 + positional as usize);
        let keywords = PyDict::new(py);
        for (name, value) in names.iter().flatten().zip(named) {
            keywords.set_item(name, value)?;
        }
        let method =
            T::place().method.get().ok_or_else(|| PyRuntimeError::new_err("traincast is not whole"))?;
        let result = method.bind(py).call(PyTuple::new(py, unnamed)?, Some(&keywords))?;
        if let Some(names) = names {
            T::place().remember::<T>(&names)?;
        }
        Ok(result.unbind())
    };
    let result = catch_unwind(AssertUnwindSafe(|| Python::attach(called)))
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("traincast has panicked; please report it")));
    match result {
        Ok(object) => object.into_ptr(),
        Err(error) => {
            Python::attach(|py: Python<'_>| error.restore(py));
            ptr::null_mut()
        }
    }
}
