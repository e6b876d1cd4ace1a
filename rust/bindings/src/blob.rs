//! The memory of a snapshot's arrays, which all readers of a process share.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::ffi::Py_buffer;
use pyo3::prelude::*;
use traincast_core::BlobBuffer;

use crate::ffi;

/// Read-only memory of one snapshot; arrays are views on it.
#[pyclass(frozen, module = "traincast._core")]
pub struct Blob(pub Arc<BlobBuffer>);

#[pymethods]
impl Blob {
    /// # Safety
    /// Called by the interpreter alone, with the view to fill.
    #[expect(unsafe_code, reason = "the buffer protocol hands over a raw pointer; ffi.rs does the work")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: the pointer is the interpreter's; the Arc keeps the bytes, which nobody writes any more.
        unsafe { ffi::fill_read_only(view, slf.as_any(), slf.get().0.bytes(), flags) }
    }
}
