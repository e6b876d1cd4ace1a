//! A method with named arguments whose usual calls bypass PyO3's argument parsing.
//!
//! PyO3 compares the text of each name, which takes longer than some methods. This module remembers the last call site by its
//! tuple of names, which is a constant of the caller's code: while the tuple is the same, the place of each argument is known.
//! All unusual calls are left to PyO3's own method of that name.

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

/// Number of arguments of such a method.
const MOST: usize = 5;

/// The arguments of a call, `None` where one is not given.
pub type Given<'a, 'py> = [Option<Borrowed<'a, 'py, PyAny>>; MOST];

/// A method of a class that PyO3 has created, with one positional argument before the named ones.
pub trait QuickMethod: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    /// The method's name.
    const METHOD: &'static CStr;
    /// Its docstring, which begins with the signature in the interpreter's format.
    const TEXT: &'static CStr;
    /// The names of its arguments, the positional one first.
    const NAMES: [&'static str; MOST];
    /// What is remembered for it.
    fn place() -> &'static Place;
    /// The result of a call in the usual cases. `None` in all others: this must not raise an exception or drop a `Py`, only a
    /// `Bound`, because PyO3 has not been told that this thread is attached. Telling it would take as long as all the rest.
    fn quickly(&self, py: Python<'_>, given: &Given<'_, '_>) -> Option<Py<PyAny>>;
}

/// What is remembered for a method.
pub struct Place {
    /// PyO3's method.
    method: OnceLock<Py<PyAny>>,
    /// The names of the last call.
    called: GilCell<Option<Called>>,
}

struct Called {
    /// Kept alive, so that no other tuple gets its address.
    names: Py<PyTuple>,
    count: usize,
    /// The index of the argument that each name means.
    order: [u8; MOST],
}

impl Place {
    pub const fn new() -> Self {
        Self { method: OnceLock::new(), called: GilCell::new(None) }
    }

    /// The number of named arguments and their indices, if the names are those of the last call.
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
                _ => return Ok(()), // the positional argument is given by name
            }
        }
        let called = Called { names: names.clone().unbind(), count: names.len(), order };
        drop(self.called.with(names.py(), |place| place.replace(called))); // no longer borrowed: dropping may run Python code
        Ok(())
    }
}

/// Replaces the method that PyO3 has created.
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
        // SAFETY: the interpreter calls this attached, and the token does not outlive the call.
        let py = unsafe { Python::assume_attached() };
        let (count, order) = T::place().order(py, names).filter(|_| positional == 1)?;
        // SAFETY: the descriptor has checked the type of `this`. The vectorcall protocol passes the positional argument and then
        // one for each name. The caller keeps them all alive during the call.
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
    // SAFETY: with the arguments of the interpreter's call.
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
        // SAFETY: the vectorcall protocol passes `positional` arguments and then one for each of `names`, which is a tuple of str
        // or null.
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
        let method = T::place()
            .method
            .get()
            .ok_or_else(|| PyRuntimeError::new_err("traincast is not fully initialized"))?;
        let result = method.bind(py).call(PyTuple::new(py, unnamed)?, Some(&keywords))?;
        if let Some(names) = names {
            T::place().remember::<T>(&names)?;
        }
        Ok(result.unbind())
    };
    let result = catch_unwind(AssertUnwindSafe(|| Python::attach(called)))
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("traincast panicked; please report it")));
    match result {
        Ok(object) => object.into_ptr(),
        Err(error) => {
            Python::attach(|py: Python<'_>| error.restore(py));
            ptr::null_mut()
        }
    }
}
