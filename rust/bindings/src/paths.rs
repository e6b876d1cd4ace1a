//! Paths into training information, and error messages for paths that lead nowhere.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString, PyTuple};
use traincast_core::snapshot::lookup::{KeyPath, Lost};
use traincast_core::snapshot::shape::{Key, Kind, Shape};

use crate::arrays;
use crate::ffi;

/// The path that a caller gives: a dotted string or a tuple of keys.
pub fn key_path(given: &Bound<'_, PyAny>) -> PyResult<KeyPath> {
    let path = if let Ok(text) = given.cast::<PyString>() {
        KeyPath::dotted(text.to_str()?)
    } else if let Ok(keys) = given.cast::<PyTuple>() {
        KeyPath::new(keys.iter().map(|key| path_key(&key)).collect::<PyResult<_>>()?)
    } else {
        let (kind, shown) = (arrays::type_name(given)?, given.repr()?);
        let remedy = match given.is_instance_of::<PyInt>() {
            true => format!("use ({shown},)"),
            false => "use tuple(...)".into(),
        };
        let message =
            format!("a path is a dotted string or a tuple of str and int keys, not {kind}; {remedy}");
        return Err(PyTypeError::new_err(message));
    };
    match path {
        Ok(path) => Ok(path),
        Err(error) => Err(PyValueError::new_err(format!("{} is no path: {error}", given.repr()?))),
    }
}

fn path_key(key: &Bound<'_, PyAny>) -> PyResult<Key<'static>> {
    if let Ok(text) = key.cast::<PyString>() {
        return Ok(Key::Str(text.to_str()?.to_owned().into()));
    }
    // Everything that Python accepts as an int, including numpy's integers, but not a bool.
    let is_int = !key.is_instance_of::<PyBool>() && key.hasattr(ffi::text(key.py(), "__index__")?)?;
    if !is_int {
        let kind = arrays::type_name(key)?;
        let message = format!("the keys of a path are str or int, not {kind}");
        return Err(PyTypeError::new_err(message));
    }
    let int = key.call_method0(ffi::text(key.py(), "__index__")?)?;
    match int.extract() {
        Ok(int) => Ok(Key::Int(int)),
        Err(_) => Ok(Key::BigInt(arrays::int_bytes(&int)?.as_bytes().to_vec().into())),
    }
}

/// A path as a Python object that [`key_path`] accepts.
pub fn as_object<'py>(py: Python<'py>, path: &KeyPath) -> PyResult<Bound<'py, PyAny>> {
    if let Some(names) = dotted(path.keys()) {
        return Ok(ffi::text(py, &names)?.into_any());
    }
    let key = |key: &Key<'_>| match key {
        Key::Str(text) => Ok(ffi::text(py, text)?.into_any()),
        Key::Int(int) => Ok(ffi::int(py, *int)?.into_any()),
        Key::BigInt(bytes) => arrays::int_from_bytes(py, bytes),
    };
    Ok(ffi::tuple(py, path.keys().iter().map(key).collect::<PyResult<Vec<_>>>()?)?.into_any())
}

/// The dotted string for a path, if there is one.
fn dotted(keys: &[Key<'_>]) -> Option<String> {
    let name = |key: &Key<'_>| match key {
        Key::Str(text) if !text.is_empty() && !text.contains('.') => Some(text.to_string()),
        _ => None,
    };
    Some(keys.iter().map(name).collect::<Option<Vec<_>>>()?.join("."))
}

/// A path as Python source code.
pub fn shown(keys: &[Key<'_>]) -> String {
    match dotted(keys) {
        Some(names) => format!("{names:?}"),
        None => {
            let keys: Vec<_> = keys.iter().map(Key::shown).collect();
            format!("({}{})", keys.join(", "), if keys.len() == 1 { "," } else { "" })
        }
    }
}

/// Largest number of keys that are listed if none is similar.
const LISTED: usize = 8;

/// Why a path leads nowhere, and a similar path that exists: one or two complete sentences.
#[cold]
pub fn why_lost(py: Python<'_>, shape: &Shape, path: &KeyPath, lost: Lost) -> PyResult<String> {
    let (place, keys) = (shape.path(lost.node), path.keys());
    let node = &shape.nodes[lost.node];
    let Some(key) = keys.get(lost.steps) else { return Ok(place) };
    Ok(match node.kind {
        Kind::Dict => {
            let there: Vec<_> = shape.keys_of(lost.node).map(Key::into_owned).collect();
            let near = match dotted_key(&there, &keys[lost.steps..]) {
                Some(key) => Some(shown(&[&keys[..lost.steps], &[key]].concat())),
                None => near(py, key, &there)?
                    .map(|key| shown(&[&keys[..lost.steps], &[key], &keys[lost.steps + 1..]].concat())),
            };
            let hint = match near {
                Some(near) => format!("did you mean {near}?"),
                None if there.is_empty() => "it is empty.".into(),
                None => {
                    let listed: Vec<_> = there.iter().take(LISTED).map(Key::shown).collect();
                    let more = if there.len() > LISTED {
                        format!(", … {} in all", there.len())
                    } else {
                        String::new()
                    };
                    format!("it has {}{more}.", listed.join(", "))
                }
            };
            format!("{place} has no key {}; {hint}", key.shown())
        }
        Kind::List | Kind::Tuple => {
            let kind = if node.kind == Kind::List { "list" } else { "tuple" };
            format!("{place} is a {kind} of {}, which has no index {}.", node.aux, key.shown())
        }
        Kind::Array | Kind::Tensor => format!("{place} is an array: take the whole of it, and index that."),
        _ => format!("{place} is no dictionary, so there is nothing below it."),
    })
}

/// An existing key that contains dots, which the dotted path split into several keys.
fn dotted_key(there: &[Key<'static>], keys: &[Key<'_>]) -> Option<Key<'static>> {
    let name = |key| match key {
        Key::Str(name) => Some(name),
        _ => None,
    };
    let names = keys.iter().cloned().map(name).collect::<Option<Vec<_>>>()?;
    let key = Key::Str(names.join(".").into());
    there.iter().find(|there| **there == key).cloned()
}

/// The existing key that is most similar to a missing one: a similar name, or a name where a number was given, or the other way
/// round.
fn near(py: Python<'_>, key: &Key<'_>, there: &[Key<'static>]) -> PyResult<Option<Key<'static>>> {
    let text = |key: &Key<'_>| match key {
        Key::Str(text) => text.to_string(),
        key => key.shown(),
    };
    let names: Vec<_> = there.iter().map(text).collect();
    let closest = py.import(ffi::text(py, "difflib")?)?.getattr(ffi::text(py, "get_close_matches")?)?;
    let closest: Vec<String> = closest.call1((text(key), &names, 1))?.extract()?;
    let position = closest.first().and_then(|close| names.iter().position(|name| name == close));
    Ok(position.map(|index| there[index].clone()))
}
