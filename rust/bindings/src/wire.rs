//! Snapshots in wire form, without a channel.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use traincast_core::numbering::Stamp;
use traincast_core::snapshot::wire::Message;

use crate::build::{Builder, Structure};
use crate::errors::{no_snapshot, raise};
use crate::ffi;

/// Parses and checks a message. Its dtypes must be known too, because readers rely on what they find in a channel.
pub fn parse_wire<'py>(py: Python<'py>, message: &Bound<'py, PyBytes>) -> PyResult<(Message, Structure)> {
    let message = Message::parse(message.as_bytes()).map_err(|error| raise(py, error.into()))?;
    let mut structure = Structure::default();
    let known = structure.renew(py, message.shape_words(), message.shape.bytes.len());
    known.map_err(|error| no_snapshot(py, error))?;
    Ok((message, structure))
}

#[doc = doc!("decode_wire")]
#[pyfunction]
#[pyo3(signature = (message, /))]
pub fn decode_wire<'py>(py: Python<'py>, message: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyDict>> {
    let (message, structure) = parse_wire(py, message)?;
    let Stamp { version, epoch, .. } = message.stamp;
    let snapshot = message.into_snapshot();
    let built = Builder::new(py, &structure, &snapshot).and_then(|mut builder| Ok(builder.root()?));
    ffi::dict_of(
        py,
        [
            ("version", ffi::unsigned(py, version.get())?.into_any()),
            ("epoch", ffi::unsigned(py, epoch.get())?.into_any()),
            ("training_info", built.map_err(|error| no_snapshot(py, error))?.into_any()),
        ],
    )
}
