//! What is published in place of an object that is no builtin's exact type.

use pyo3::prelude::*;

use crate::arrays::{Foreign, Recognised, recognise};
use crate::ffi::{self, GilCell, Item};

/// The function that a writer asks about objects that nobody here knows, if its user gave one.
pub type Default = GilCell<Option<Py<PyAny>>>;

/// Objects that may be published in place of one another, in a row.
const MOST: usize = 64;

pub enum Converted<'py> {
    Foreign(Foreign<'py>),
    Builtin(Item<'py>),
}

/// Goes on until the object is one that a snapshot can hold; else says why it cannot. This runs Python code of others.
pub fn convert<'py>(
    object: &Bound<'py, PyAny>,
    default: &Default,
) -> PyResult<Result<Converted<'py>, String>> {
    let mut object = object.clone();
    for _ in 0..MOST {
        object = match ffi::item(&object) {
            Item::Other(object) => match recognise(&object)? {
                Recognised::Foreign(foreign) => return Ok(Ok(Converted::Foreign(foreign))),
                Recognised::Replaced(other) => other,
                Recognised::Refused(why) => match ask(default, &object)? {
                    Some(answer) if !answer.is(&object) => answer,
                    _ => return Ok(Err(why)),
                },
            },
            item => return Ok(Ok(Converted::Builtin(item))),
        }
    }
    Ok(Err(format!("another object stands in its place, and so on, more than {MOST} times")))
}

/// What the user's function says of an object; `None` without one.
fn ask<'py>(default: &Default, object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = object.py();
    let function = default.with(py, |default| default.as_ref().map(|function| function.clone_ref(py)));
    let answer = |function: Py<PyAny>| function.bind(py).call1(ffi::tuple(py, [object.clone()])?);
    function.map(answer).transpose()
}
