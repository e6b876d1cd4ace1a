//! A class whose objects are called as fast as methods.
//!
//! PyO3's `__call__` takes a tuple of arguments, for which the interpreter and PyO3 take half as long again as for a method. An
//! object with a function of its own for calls (PEP 590) needs none. PyO3 makes no such classes, so this makes a subclass of
//! PyO3's, whose objects have that function's address behind everything else. PEP 590 is in all versions of CPython since 3.9, and
//! in the stable interface since 3.12; an interpreter without it would take the other way, by `tp_call`.

use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;

use pyo3::PyClass;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;

/// A class whose objects are called without arguments.
pub trait Callable: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    /// The full name of the class.
    const FULL_NAME: &'static CStr;
    /// Its docstring, which begins with its signature as the interpreter wants it.
    const TEXT: &'static CStr;
    /// The same for `__call__`.
    const CALL_TEXT: &'static CStr;
    /// What a call gives, in the usual cases: where that neither fails nor drops a `Py`, only a `Bound`. PyO3 is not told that
    /// this thread is attached, which would take as long as all the rest.
    fn quickly(&self, py: Python<'_>) -> Option<Py<PyAny>>;
    /// What a call gives.
    fn call(&self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

/// How PyO3 makes an object of its class, and where the function's address goes.
static MADE: OnceLock<(ffi::newfunc, usize)> = OnceLock::new();

/// `__vectorcalloffset__` is a number of that type, which cannot be set.
const SIZE: c_int = 19;
const READ_ONLY: c_int = 1;
/// `Py_TPFLAGS_HAVE_VECTORCALL`.
const HAS_CALL: c_ulong = 1 << 11;
/// The bit of a count of arguments that says something else (`PY_VECTORCALL_ARGUMENTS_OFFSET`).
const NO_COUNT: usize = 1 << (usize::BITS - 1);

/// What PEP 590 has an object called by.
type Vectorcall = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// The class. There is one, made at import.
pub fn callable_class<T: Callable>(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let base = py.get_type::<T>();
    let size: usize = base.getattr("__basicsize__")?.extract()?;
    let offset = size.next_multiple_of(align_of::<Vectorcall>());
    let member = ffi::PyMemberDef {
        name: c"__vectorcalloffset__".as_ptr(),
        type_code: SIZE,
        offset: offset as ffi::Py_ssize_t,
        flags: READ_ONLY,
        doc: ptr::null(),
    };
    // The interpreter keeps what it is given here, so none of it is ever freed.
    let members = Box::leak(Box::new([member, ffi::PyMemberDef::default()]));
    // Found as `__call__` in the place of what the interpreter would make for the slot, whose signature says nothing.
    let method = ffi::PyMethodDef {
        ml_name: c"__call__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: called_as_method::<T> },
        ml_flags: ffi::METH_NOARGS | ffi::METH_COEXIST,
        ml_doc: T::CALL_TEXT.as_ptr(),
    };
    let methods = Box::leak(Box::new([method, ffi::PyMethodDef::zeroed()]));
    let slot = |slot, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    // SAFETY: a class, which has such a slot.
    let new = unsafe { ffi::PyType_GetSlot(base.as_type_ptr(), ffi::Py_tp_new) };
    // SAFETY: that is what the slot holds.
    let new = unsafe { std::mem::transmute::<*mut c_void, Option<ffi::newfunc>>(new) };
    let new = new.ok_or_else(|| PyTypeError::new_err("the class cannot be made"))?;
    MADE.get_or_init(|| (new, offset));
    let slots = Box::leak(Box::new([
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(ffi::Py_tp_new, new_object::<T> as *mut c_void),
        slot(ffi::Py_tp_call, called_with_tuple::<T> as *mut c_void),
        slot(ffi::Py_tp_doc, T::TEXT.as_ptr().cast_mut().cast()),
        slot(0, ptr::null_mut()),
    ]));
    let mut spec = ffi::PyType_Spec {
        name: T::FULL_NAME.as_ptr(),
        basicsize: (offset + size_of::<Vectorcall>()) as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | HAS_CALL) as _,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: a complete description, the end of each list marked; gives a new reference.
    unsafe {
        let class = ffi::PyType_FromSpecWithBases(&raw mut spec, base.as_ptr());
        Bound::from_owned_ptr_or_err(py, class)
    }
}

unsafe extern "C" fn new_object<T: Callable>(
    class: *mut ffi::PyTypeObject,
    arguments: *mut ffi::PyObject,
    named: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let Some((new, offset)) = MADE.get() else { return ptr::null_mut() };
    // SAFETY: as the interpreter calls the slot of PyO3's class for a subclass. The object has room for the address at its end:
    // that is what its size is for.
    unsafe {
        let object = new(class, arguments, named);
        if !object.is_null() {
            object.byte_add(*offset).cast::<Vectorcall>().write(called::<T>);
        }
        object
    }
}

unsafe extern "C" fn called<T: Callable>(
    this: *mut ffi::PyObject,
    _arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as the interpreter calls it. `names` is null or a tuple.
    unsafe {
        let named = !names.is_null() && ffi::PyTuple_Size(names) != 0;
        call::<T>(this, count & !NO_COUNT == 0 && !named)
    }
}

unsafe extern "C" fn called_with_tuple<T: Callable>(
    this: *mut ffi::PyObject,
    arguments: *mut ffi::PyObject,
    named: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as the interpreter calls it. `arguments` is a tuple, `named` null or a dictionary.
    unsafe {
        let named = !named.is_null() && ffi::PyDict_Size(named) != 0;
        call::<T>(this, ffi::PyTuple_Size(arguments) == 0 && !named)
    }
}

unsafe extern "C" fn called_as_method<T: Callable>(
    this: *mut ffi::PyObject,
    _none: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as the interpreter calls it.
    unsafe { call::<T>(this, true) }
}

/// # Safety
/// To be called attached, on an object of the subclass, which is held over the call.
#[inline]
unsafe fn call<T: Callable>(this: *mut ffi::PyObject, without_arguments: bool) -> *mut ffi::PyObject {
    // SAFETY: as the caller vouches. An object of the subclass begins as one of PyO3's class.
    let this = unsafe { Borrowed::from_ptr(Python::assume_attached(), this).cast_unchecked::<T>() };
    let (py, this) = (this.py(), this.get());
    let called = || match without_arguments.then(|| this.quickly(py)).flatten() {
        Some(object) => Ok(object),
        None => slowly(this, without_arguments),
    };
    // A panic must not unwind into the interpreter.
    let result = catch_unwind(AssertUnwindSafe(called))
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("the call has panicked; please report it")));
    match result {
        Ok(object) => object.into_ptr(),
        Err(error) => {
            Python::attach(|py| error.restore(py));
            ptr::null_mut()
        }
    }
}

#[inline(never)]
fn slowly<T: Callable>(this: &T, without_arguments: bool) -> PyResult<Py<PyAny>> {
    Python::attach(|py| match without_arguments {
        true => this.call(py),
        false => {
            let name = T::FULL_NAME.to_string_lossy();
            Err(PyTypeError::new_err(format!("a {name} is called without arguments")))
        }
    })
}
