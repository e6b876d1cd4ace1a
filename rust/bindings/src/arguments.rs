//! Arguments that callers may leave out.

use std::convert::Infallible;

use pyo3::prelude::*;
use pyo3::types::PyEllipsis;

/// An argument whose default is `...`. No snapshot can hold that, so any other object can be passed, including `None`.
pub enum Argument {
    Missing,
    Given(Py<PyAny>),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Argument {
    type Error = Infallible;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(match object.is_exact_instance_of::<PyEllipsis>() {
            true => Self::Missing,
            false => Self::Given(object.to_owned().unbind()),
        })
    }
}
