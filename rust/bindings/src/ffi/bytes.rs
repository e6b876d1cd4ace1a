//! Memory of Python objects, to copy from, and memory that Python objects can view.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use traincast_core::BlobBuffer;

/// Bytes of a Python object, and what keeps them alive until a publish has copied them.
pub struct Bytes {
    start: *const u8,
    len: usize,
    #[expect(dead_code, reason = "keeps alive the memory that `start` points to")]
    keep: (Option<Py<PyAny>>, Option<View>),
}

// SAFETY: the bytes are only read, and `Py` and `View` may be dropped on any thread.
unsafe impl Send for Bytes {}

impl Bytes {
    /// The UTF-8 form of a string. `UnicodeEncodeError` if it holds a lone surrogate.
    pub fn of_str(text: &Bound<'_, PyString>) -> PyResult<Self> {
        let mut len = 0;
        // SAFETY: the UTF-8 form is cached in the string object, which `keep` holds.
        unsafe {
            let start = ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut len);
            if start.is_null() {
                return Err(PyErr::fetch(text.py()));
            }
            let keep = (Some(text.clone().into_any().unbind()), None);
            Ok(Self { start: start.cast(), len: len as usize, keep })
        }
    }

    pub fn of_bytes(bytes: &Bound<'_, PyBytes>) -> Self {
        let slice = bytes.as_bytes();
        let keep = (Some(bytes.clone().into_any().unbind()), None);
        Self { start: slice.as_ptr(), len: slice.len(), keep }
    }

    /// The memory and the shape of an object with a C-contiguous buffer.
    pub fn of_buffer(object: &Bound<'_, PyAny>) -> PyResult<(Self, Vec<u64>)> {
        let mut view = Box::<ffi::Py_buffer>::new_uninit();
        // SAFETY: a successful PyObject_GetBuffer initializes the view, and the exporter keeps the memory in place until the view
        // is released, which `View::drop` does. PyBUF_ND requests `shape` with `ndim` entries and, because it does not request
        // strides, C order.
        unsafe {
            if ffi::PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), ffi::PyBUF_ND) != 0 {
                return Err(PyErr::fetch(object.py()));
            }
            let view = View(view.assume_init());
            let dims = match NonNull::new(view.0.shape) {
                Some(shape) => std::slice::from_raw_parts(shape.as_ptr(), view.0.ndim as usize),
                None => &[],
            };
            let dims = dims.iter().map(|&dim| dim as u64).collect();
            let start = NonNull::new(view.0.buf.cast::<u8>()).unwrap_or(NonNull::dangling());
            Ok((Self { start: start.as_ptr(), len: view.0.len as usize, keep: (None, Some(view)) }, dims))
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` bytes while `keep` lives. The user must not let another thread write to an exported
        // buffer without the interpreter's lock (as numpy does) in the meantime; the documentation of `publish` says so.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

struct View(Box<ffi::Py_buffer>);

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the view was filled by PyObject_GetBuffer and is released once, while attached.
        Python::attach(|_| unsafe { ffi::PyBuffer_Release(&raw mut *self.0) });
    }
}

/// Read-only memory of one snapshot, which all readers of a process share; arrays are views into it.
#[pyclass(frozen, module = "traincast._core")]
pub struct Blob(pub Arc<BlobBuffer>);

#[pymethods]
impl Blob {
    /// # Safety
    /// Only the interpreter may call this, with the view to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let bytes = slf.get().0.bytes();
        let (start, len) = (bytes.as_ptr().cast_mut().cast(), bytes.len() as ffi::Py_ssize_t);
        // SAFETY: the view is the interpreter's. It gets a reference to `slf`, whose Arc keeps the bytes alive. Nobody writes to
        // them any more: a request for a writable view fails.
        let status = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, len, 1, flags) };
        if status == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
