//! The mapping from the core's errors to the Python exceptions in `traincast.errors`.
//!
//! Making an exception runs Python code (an import, a constructor), so no shared state may be borrowed meanwhile.

use std::fmt::Display;

use pyo3::exceptions::{PyException, PyImportError, PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use traincast_core::error::Error;
use traincast_core::snapshot::shape::MalformedShape;

use crate::ffi;

/// An exception of `traincast.errors` with a message.
#[cold]
pub fn exception(py: Python<'_>, class: &str, message: &str) -> PyErr {
    let made = || {
        let class = py.import(ffi::text(py, "traincast.errors")?)?.getattr(ffi::text(py, class)?)?;
        class.call1(ffi::tuple(py, [ffi::text(py, message)?.into_any()])?)
    };
    made().map_or_else(|error| error, PyErr::from_value)
}

/// The exception for an error of the core.
#[cold]
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    let class = match &error {
        Error::ChannelNotFound { .. } => "ChannelNotFoundError",
        Error::ChannelBusy { .. } => "ChannelBusyError",
        Error::ChannelExists { .. } => "ChannelExistsError",
        Error::CorruptChannel { .. } => "CorruptChannelError",
        Error::IncompatibleChannel { .. } => "IncompatibleChannelError",
        Error::ChannelClosed { .. } => "ChannelClosedError",
        Error::ChannelLost { .. } => "ChannelLostError",
        Error::Outdated { .. } => "OutdatedSnapshotError",
        Error::MalformedMessage(_) => "InvalidSnapshotError",
        Error::PayloadTooLarge { .. } => "PayloadTooLargeError",
        Error::InvalidName(_) => "InvalidNameError",
        Error::StorageFull { .. } => "StorageFullError",
        Error::ForkedWriter { .. } => "ForkedWriterError",
        Error::InsecureDirectory { .. } => "InsecureDirectoryError",
        Error::InvalidArgument(message) => return PyValueError::new_err(message.clone()),
        Error::System { source, .. } | Error::NoPlace { source, .. } => {
            // With errno first, OSError picks its own subclass (PermissionError, FileNotFoundError, ...).
            return PyOSError::new_err((source.raw_os_error(), error.to_string()));
        }
    };
    exception(py, class, &error.to_string())
}

/// The exception for a snapshot that no writer of ours can have stored.
#[cold]
pub fn corrupt(py: Python<'_>, what: &dyn Display) -> PyErr {
    let message = format!(
        "a snapshot is damaged: {what}; something else writes to the channel's file. End its writer, then `traincast clean`"
    );
    exception(py, "CorruptChannelError", &message)
}

/// The exception when numpy or torch refuse a snapshot's bytes.
#[cold]
pub fn unmade(py: Python<'_>, error: PyErr) -> PyErr {
    if says_nothing(py, &error) { error } else { corrupt(py, &error) }
}

/// The exception for a message that no writer of ours can have sent.
#[cold]
pub fn no_snapshot(py: Python<'_>, error: PyErr) -> PyErr {
    if says_nothing(py, &error) {
        return error;
    }
    exception(py, "InvalidSnapshotError", &error.value(py).to_string())
}

/// Whether an error is not about the bytes: memory has run out, a package is missing, or a signal arrived.
fn says_nothing(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyMemoryError>(py)
        || error.is_instance_of::<PyImportError>(py)
        || !error.is_instance_of::<PyException>(py)
}

/// The exception for a recorded shape that is malformed.
#[cold]
pub fn malformed(py: Python<'_>, error: &MalformedShape) -> PyErr {
    match error {
        MalformedShape::RepeatedKey(message) => exception(py, "InvalidSnapshotError", message),
        // Only a container that changed its size during the walk gives such a shape.
        MalformedShape::At { .. } => PyRuntimeError::new_err(error.to_string()),
    }
}
