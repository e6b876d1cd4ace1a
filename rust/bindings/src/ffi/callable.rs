//! A class whose objects can be called as fast as methods.
//!
//! PyO3's `__call__` takes a tuple of arguments, which makes a call half as long again as that of a method. An object with a
//! vectorcall function (PEP 590) needs no tuple. PyO3 cannot create such classes, so this module creates a subclass of PyO3's
//! class, whose objects have the function's address after everything else. All versions of CPython since 3.9 have PEP 590, and
//! the stable ABI has it since 3.12; an interpreter without it would use `tp_call`.

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
    /// Its docstring, which begins with the signature in the interpreter's format.
    const TEXT: &'static CStr;
    /// The same for `__call__`.
    const CALL_TEXT: &'static CStr;
    /// The result of a call in the usual cases. `None` in all others: this must not raise an exception or drop a `Py`, only a
    /// `Bound`, because PyO3 has not been told that this thread is attached. Telling it would take as long as all the rest.
    fn quickly(&self, py: Python<'_>) -> Option<Py<PyAny>>;
    /// The result of a call in all cases.
    fn call(&self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

/// PyO3's function that creates an object of its class, and the offset of the vectorcall function's address.
static MADE: OnceLock<(ffi::newfunc, usize)> = OnceLock::new();

/// `Py_T_PYSSIZET`: the type of the member `__vectorcalloffset__`, which is read-only.
const SIZE: c_int = 19;
const READ_ONLY: c_int = 1;
/// `Py_TPFLAGS_HAVE_VECTORCALL`.
const HAS_CALL: c_ulong = 1 << 11;
/// `PY_VECTORCALL_ARGUMENTS_OFFSET`: a flag in the argument count.
const NO_COUNT: usize = 1 << (usize::BITS - 1);

/// The function type of PEP 590.
type Vectorcall = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// Creates the class. Called once, at import.
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
    // The interpreter keeps pointers to all of this, so it is leaked.
    let members = Box::leak(Box::new([member, ffi::PyMemberDef::default()]));
    // Replaces the `__call__` that the interpreter would make for the slot, whose signature says nothing.
    let method = ffi::PyMethodDef {
        ml_name: c"__call__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: called_as_method::<T> },
        ml_flags: ffi::METH_NOARGS | ffi::METH_COEXIST,
        ml_doc: T::CALL_TEXT.as_ptr(),
    };
    let methods = Box::leak(Box::new([method, ffi::PyMethodDef::zeroed()]));
    let slot = |slot, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    // SAFETY: `base` is a heap type with this slot.
    let new = unsafe { ffi::PyType_GetSlot(base.as_type_ptr(), ffi::Py_tp_new) };
    // SAFETY: this slot holds a `newfunc` or null.
    let new = unsafe { std::mem::transmute::<*mut c_void, Option<ffi::newfunc>>(new) };
    let new = new.ok_or_else(|| PyTypeError::new_err("the class cannot be created"))?;
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
    // SAFETY: the spec is complete, and each list has its end marker; the call returns a new reference.
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
    // SAFETY: called as the interpreter calls the slot of PyO3's class for a subclass. The object has room for the address at
    // `offset`, because `basicsize` includes it.
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
    // SAFETY: the interpreter calls this attached; `names` is null or a tuple.
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
    // SAFETY: the interpreter calls this attached; `arguments` is a tuple, and `named` is null or a dictionary.
    unsafe {
        let named = !named.is_null() && ffi::PyDict_Size(named) != 0;
        call::<T>(this, ffi::PyTuple_Size(arguments) == 0 && !named)
    }
}

unsafe extern "C" fn called_as_method<T: Callable>(
    this: *mut ffi::PyObject,
    _none: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this attached, with an object of the class.
    unsafe { call::<T>(this, true) }
}

/// # Safety
/// The thread must be attached, and `this` must be an object of the subclass that stays alive during the call.
#[inline]
unsafe fn call<T: Callable>(this: *mut ffi::PyObject, without_arguments: bool) -> *mut ffi::PyObject {
    // SAFETY: as the caller guarantees. An object of the subclass begins like one of PyO3's class.
    let this = unsafe { Borrowed::from_ptr(Python::assume_attached(), this).cast_unchecked::<T>() };
    let (py, this) = (this.py(), this.get());
    let called = || match without_arguments.then(|| this.quickly(py)).flatten() {
        Some(object) => Ok(object),
        None => slowly(this, without_arguments),
    };
    // A panic must not unwind into the interpreter.
    let result = catch_unwind(AssertUnwindSafe(called))
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("the call panicked; please report it")));
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
