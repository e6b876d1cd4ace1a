//! A method that takes arbitrary keyword arguments, without a dictionary for them.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::PyClass;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use smallvec::SmallVec;

/// Keyword arguments.
pub type Changes<'py> = [(Bound<'py, PyString>, Bound<'py, PyAny>)];

/// A method that takes arbitrary keyword arguments and nothing else. For such a method, PyO3 gets one dictionary and makes
/// another from it; this one takes the arguments from the caller's stack.
pub trait KeywordMethod: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    /// The method's name.
    const METHOD: &'static CStr;
    /// Its docstring, which begins with the signature in the interpreter's format.
    const TEXT: &'static CStr;
    /// The method.
    fn call(&self, py: Python<'_>, changes: &Changes<'_>) -> PyResult<Py<PyAny>>;
}

/// Adds the method to the class.
pub fn add_keyword_method<T: KeywordMethod>(class: &Bound<'_, PyType>) -> PyResult<()> {
    // SAFETY: the descriptor checks that `self` is of that type.
    unsafe { add_method(class, T::METHOD, T::TEXT, keyword_method::<T>) }
}

/// Adds a function to a class as a method, and replaces one of that name.
///
/// # Safety
/// `function` must be sound as a method of that class.
pub(super) unsafe fn add_method(
    class: &Bound<'_, PyType>,
    name: &'static CStr,
    text: &'static CStr,
    function: ffi::PyCFunctionFastWithKeywords,
) -> PyResult<()> {
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: text.as_ptr(),
    }));
    // SAFETY: `class` is a type, and the definition is never freed.
    let method = unsafe {
        let method = ffi::PyDescr_NewMethod(class.as_ptr().cast(), definition);
        Bound::from_owned_ptr_or_err(class.py(), method)?
    };
    class.setattr(method.getattr("__name__")?.cast::<PyString>()?, method)
}

unsafe extern "C" fn keyword_method<T: KeywordMethod>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let called = || {
        Python::attach(|py| {
            // SAFETY: the descriptor has checked the type of `this`. The vectorcall protocol passes `positional` arguments and
            // then one for each of `names`, which is a tuple of str or null. The caller keeps them all alive during the call.
            let (this, changes) = unsafe {
                let this = Borrowed::from_ptr(py, this).cast_unchecked::<T>();
                if positional != 0 {
                    return Err(PyTypeError::new_err("update() takes keyword arguments only"));
                }
                let count = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
                let change = |index| {
                    let name = Bound::from_borrowed_ptr(py, ffi::PyTuple_GetItem(names, index));
                    let value = Bound::from_borrowed_ptr(py, *arguments.offset(index));
                    (name.cast_into_unchecked::<PyString>(), value)
                };
                (this, (0..count).map(change).collect::<SmallVec<[_; 4]>>())
            };
            this.get().call(py, &changes)
        })
    };
    // A panic must not unwind into the interpreter.
    let result = catch_unwind(AssertUnwindSafe(called))
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("update() panicked; please report it")));
    match result {
        Ok(object) => object.into_ptr(),
        Err(error) => {
            Python::attach(|py| error.restore(py));
            ptr::null_mut()
        }
    }
}
