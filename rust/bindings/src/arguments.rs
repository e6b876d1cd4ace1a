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

/// A boolean, also one of numpy's, or a boolean array or tensor of one element: what a simulator on a GPU has.
pub fn truth(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let is_boolean =
        |dtype: Bound<'_, PyAny>| dtype.str().is_ok_and(|name| name.to_string().ends_with("bool"));
    match value.extract() {
        Err(_) if value.getattr("dtype").is_ok_and(is_boolean) => value.is_truthy(),
        found => found,
    }
}
