//! Finds what is published for an object whose type is not exactly a builtin.

use pyo3::prelude::*;

use crate::arrays::{Foreign, Recognised, recognise};
use crate::ffi::{self, GilCell, Item};

/// The function `default=` that the user gave for objects of unsupported types, if any.
pub type Default = GilCell<Option<Py<PyAny>>>;

/// Limit on the number of successive replacements of an object.
const MOST: usize = 64;

pub enum Converted<'py> {
    Foreign(Foreign<'py>),
    Builtin(Item<'py>),
}

/// Replaces the object until it is one that a snapshot can hold, or says why it cannot be published. Runs foreign Python code.
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

/// What the user's function returns for an object; `None` if there is no function.
fn ask<'py>(default: &Default, object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = object.py();
    let function = default.with(py, |default| default.as_ref().map(|function| function.clone_ref(py)));
    let answer = |function: Py<PyAny>| function.bind(py).call1(ffi::tuple(py, [object.clone()])?);
    function.map(answer).transpose()
}
