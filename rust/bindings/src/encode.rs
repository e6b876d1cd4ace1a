//! Walks through a Python dictionary along the shape that it had last time, and drives the encoder.

use std::ptr;

use pyo3::exceptions::{PyException, PyMemoryError, PyRuntimeError, PyUnicodeEncodeError};
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyMapping, PyString, PyTuple};
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::lookup::KeyPath;
use traincast_core::snapshot::nesting::{Nesting, Path};
use traincast_core::snapshot::shape::Kind;

use crate::arrays::{self, Foreign};
use crate::convert::{Converted, Default, convert};
use crate::errors::exception;
use crate::ffi::{self, Bytes, Changes, Item, Keys, Made, Place};

/// Why a value cannot be published. The path to it is added while the walk returns.
enum Refused {
    /// The name of the exception's class, and what is wrong.
    Value(&'static str, String),
    /// An exception from Python code that was called for the value.
    Python(PyErr),
}

impl From<PyErr> for Box<Refused> {
    #[cold]
    fn from(error: PyErr) -> Self {
        Box::new(Refused::Python(error))
    }
}

/// Boxed, so that a result is one word.
type Walked = Result<(), Box<Refused>>;

/// The key of an entry, or `None` if it is the expected object or there is no key, and the value.
type Entry<'py> = (Option<Bound<'py, PyAny>>, Item<'py>);

/// Where the entries of a container come from.
enum Entries<'a, 'py> {
    Dict(&'a Bound<'py, PyDict>),
    List(&'a Bound<'py, PyList>),
    Tuple(&'a Bound<'py, PyTuple>),
    /// The items of a mapping.
    Pairs(&'a Bound<'py, PyList>),
    /// The changes of an `update`.
    Changes(&'a Changes<'py>),
}

impl<'py> Entries<'_, 'py> {
    #[inline(always)]
    fn size(&self) -> (Kind, usize) {
        match self {
            Self::Dict(dict) => (Kind::Dict, ffi::dict_len(dict)),
            Self::List(items) => (Kind::List, items.len()),
            Self::Tuple(items) => (Kind::Tuple, items.len()),
            Self::Pairs(items) => (Kind::Dict, items.len()),
            Self::Changes(changes) => (Kind::Dict, changes.len()),
        }
    }

    /// The next entry; `None` after the last one.
    #[inline(always)]
    fn next(&self, place: &mut Place, expected: Option<&Py<PyAny>>) -> PyResult<Option<Entry<'py>>> {
        let (key, value) = match self {
            Self::Dict(dict) => return Ok(ffi::next_entry(dict, place, expected)),
            Self::List(list) => {
                return Ok(list.get_item(place.step()).ok().map(|value| (None, ffi::item(&value))));
            }
            Self::Tuple(tuple) => return Ok(Some((None, ffi::item(&tuple.get_item(place.step())?)))),
            Self::Pairs(pairs) => pairs.get_item(place.step())?.extract::<(_, Bound<'_, _>)>()?,
            Self::Changes(changes) => {
                let (key, value) = &changes[place.step()];
                (key.as_any().clone(), value.clone())
            }
        };
        let known = expected.is_some_and(|expected| expected.is(&key));
        Ok(Some((if known { None } else { Some(key) }, ffi::item(&value))))
    }

    /// The key or index of an entry, as Python source code.
    #[cold]
    fn key(&self, index: usize) -> String {
        let key = match self {
            Self::Dict(dict) => dict.keys().get_item(index),
            Self::Pairs(pairs) => pairs.get_item(index).and_then(|pair| pair.get_item(0)),
            Self::Changes(changes) => Ok(changes[index].0.as_any().clone()),
            Self::List(_) | Self::Tuple(_) => return index.to_string(),
        };
        let shown = key.and_then(|key| match key.cast::<PyString>() {
            Ok(text) => Ok(format!("{:?}", text.to_string_lossy())),
            Err(_) => Ok(key.repr()?.to_string_lossy().into_owned()),
        });
        shown.unwrap_or_else(|_| "…".into())
    }
}

/// A value and its path.
pub type Placed<'py> = (KeyPath, Bound<'py, PyAny>);

/// One walk over one dictionary.
pub struct Walk<'w> {
    encoder: &'w mut Encoder<Bytes>,
    /// The key objects of the expected shape.
    keys: &'w mut Keys,
    /// Set when the walk meets an object whose type is not exactly a builtin. The object's code may have changed containers that
    /// were walked before, and keys may occur twice.
    foreign: &'w mut bool,
    default: &'w Default,
    path: Path,
}

impl<'w> Walk<'w> {
    pub fn new(
        encoder: &'w mut Encoder<Bytes>,
        keys: &'w mut Keys,
        foreign: &'w mut bool,
        default: &'w Default,
    ) -> Self {
        Self { encoder, keys, foreign, default, path: Path::default() }
    }

    /// The whole dictionary.
    pub fn root(&mut self, info: &Bound<'_, PyAny>) -> Made<()> {
        let walked = match info.cast_exact::<PyDict>() {
            Ok(dict) => self.dict(dict, None),
            Err(_) => self.other_root(info),
        };
        walked.map_err(|refused| self.exception(info.py(), *refused).into())
    }

    #[cold]
    fn other_root(&mut self, info: &Bound<'_, PyAny>) -> Walked {
        *self.foreign = true;
        match convert(info, self.default)? {
            Ok(Converted::Foreign(Foreign::Mapping(mapping))) => self.mapping(&mapping, info, None),
            Ok(Converted::Builtin(Item::Dict(dict))) => {
                self.container(Entries::Dict(&dict), info.as_ptr(), None)
            }
            _ => Err(unsupported(arrays::refuse_root(info)?)),
        }
    }

    /// The changes of an `update`, encoded as a dictionary.
    pub fn root_entries(&mut self, py: Python<'_>, changes: &Changes<'_>) -> Made<()> {
        let walked = self.container(Entries::Changes(changes), ptr::null_mut(), None);
        walked.map_err(|refused| self.exception(py, *refused).into())
    }

    /// The values of an `update_in`, encoded as a dictionary whose keys count from 0.
    pub fn root_values(&mut self, py: Python<'_>, values: &[Placed<'_>]) -> Made<()> {
        self.encoder.container(Kind::Dict, values.len());
        for (number, (path, value)) in values.iter().enumerate() {
            self.encoder.key_int(number as i64);
            let around = Nesting::at_depth(path.keys().len());
            if let Err(refused) = self.value(ffi::item(value), Some(&around)) {
                path.keys().iter().rev().for_each(|key| self.path.within(&key.shown()));
                return Err(self.exception(py, *refused).into());
            }
        }
        Ok(())
    }

    #[cold]
    fn exception(&mut self, py: Python<'_>, refused: Refused) -> PyErr {
        match refused {
            Refused::Value(class, what) => exception(py, class, &format!("{}: {what}", self.path.take())),
            Refused::Python(error) => noted(py, error, &self.path.take()),
        }
    }

    fn value(&mut self, item: Item<'_>, up: Option<&Nesting<'_>>) -> Walked {
        match item {
            Item::Number(kind, word) => self.encoder.number(kind, word),
            Item::None => self.encoder.none(),
            Item::Str(text) => {
                let utf8 = Bytes::of_str(&text).map_err(|error| surrogate(&text, error, "it"))?;
                let len = utf8.as_ref().len();
                self.encoder.str(utf8, len);
            }
            Item::Dict(dict) => self.dict(&dict, up)?,
            Item::List(list) => self.container(Entries::List(&list), list.as_ptr(), up)?,
            Item::Tuple(tuple) => self.container(Entries::Tuple(&tuple), tuple.as_ptr(), up)?,
            Item::Bytes(bytes) => {
                self.encoder.byte_string(Bytes::of_bytes(&bytes), bytes.as_bytes().len());
            }
            Item::BigInt(int) => {
                let bytes = arrays::int_bytes(&int)?;
                self.encoder.bigint(Bytes::of_bytes(&bytes), bytes.as_bytes().len());
            }
            Item::Other(object) => self.other(&object, up)?,
        }
        Ok(())
    }

    /// `object` is the object that the user gave.
    fn mapping(
        &mut self,
        mapping: &Bound<'_, PyMapping>,
        object: &Bound<'_, PyAny>,
        up: Option<&Nesting<'_>>,
    ) -> Walked {
        self.container(Entries::Pairs(&mapping.items()?), object.as_ptr(), up)
    }

    /// The walk through a dictionary, which is compiled separately: nearly every publish spends most of its time here.
    fn dict(&mut self, dict: &Bound<'_, PyDict>, up: Option<&Nesting<'_>>) -> Walked {
        self.entries(Entries::Dict(dict), dict.as_ptr(), up)
    }

    /// The same for any container. `object` is the object that the entries come from: a cycle would go through it.
    #[inline(never)]
    fn container(
        &mut self,
        from: Entries<'_, '_>,
        object: *mut PyObject,
        up: Option<&Nesting<'_>>,
    ) -> Walked {
        self.entries(from, object, up)
    }

    /// Takes runs of expected numbers by the fast path, and everything else entry by entry.
    #[inline(always)]
    fn entries(
        &mut self,
        entries: Entries<'_, '_>,
        object: *mut PyObject,
        up: Option<&Nesting<'_>>,
    ) -> Walked {
        let here = Nesting::enter(up, object as usize).map_err(invalid)?;
        let (kind, len) = entries.size();
        self.encoder.container(kind, len);
        let mut place = Place { position: 0, left: len };
        while place.left > 0 {
            match entries {
                Entries::Dict(dict) => {
                    ffi::take_numbers(dict, &mut place, self.encoder.expected(), self.keys)
                }
                Entries::List(list) => ffi::take_items(list, &mut place, self.encoder.expected()),
                _ => {}
            }
            if place.left == 0 {
                break;
            }
            let Some((key, item)) = entries.next(&mut place, self.expected_key())? else {
                return Err(changed_size());
            };
            let walked = match (&key, item) {
                (None, Item::Dict(dict)) => self.dict(&dict, Some(&here)), // the most frequent case, without a detour
                (None, item) => self.value(item, Some(&here)),
                (Some(key), item) => self.key(key).and_then(|()| self.value(item, Some(&here))),
            };
            if walked.is_err() {
                // The walk stopped at this entry, so it is the last one counted.
                self.path.within(&entries.key(len - place.left - 1));
                return walked;
            }
        }
        // Only code of a value (a Mapping, a tensor) can have run in between.
        if entries.size().1 == len { Ok(()) } else { Err(changed_size()) }
    }

    /// The object of the expected key, if it is known.
    fn expected_key(&self) -> Option<&Py<PyAny>> {
        self.keys.get(self.encoder.expected_key()?)?.as_ref()
    }

    /// A key that is not the expected object. If it is equal to that, it is the expected object from now on.
    #[inline(never)]
    fn key(&mut self, key: &Bound<'_, PyAny>) -> Walked {
        let index = self.encoder.expected_key();
        if !self.exact_key(key)? {
            *self.foreign = true;
            let plain = arrays::plain_key(key)?.map_err(unsupported)?;
            self.exact_key(&plain)?;
        } else if let Some(index) = index
            && self.encoder.expected_key() == Some(index)
        {
            if self.keys.len() <= index {
                self.keys.resize_with(index + 1, || None);
            }
            self.keys[index] = Some(key.clone().unbind());
        }
        Ok(())
    }

    /// Encodes a key, if its type is exactly `str` or `int`. Returns whether it is.
    #[inline(always)]
    fn exact_key(&mut self, key: &Bound<'_, PyAny>) -> Result<bool, Box<Refused>> {
        if let Ok(text) = key.cast_exact::<PyString>() {
            self.encoder.key_str(text.to_str().map_err(|error| surrogate(text, error, "a key"))?);
        } else if let Ok(int) = key.cast_exact::<PyInt>() {
            match int.extract() {
                Ok(int) => self.encoder.key_int(int),
                Err(_) => self.encoder.key_bigint(arrays::int_bytes(key)?.as_bytes()),
            }
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    #[cold]
    fn other(&mut self, object: &Bound<'_, PyAny>, up: Option<&Nesting<'_>>) -> Walked {
        *self.foreign = true;
        let item = match convert(object, self.default)?.map_err(unsupported)? {
            Converted::Foreign(Foreign::Array { kind, dtype, itemsize, dims, bytes }) => {
                let len = bytes.as_ref().len();
                self.encoder.array(kind, &dtype, itemsize, &dims, bytes, len);
                return Ok(());
            }
            Converted::Foreign(Foreign::Scalar { dtype, itemsize, words }) => {
                self.encoder.scalar(&dtype, itemsize, &words);
                return Ok(());
            }
            Converted::Foreign(Foreign::Mapping(mapping)) => return self.mapping(&mapping, object, up),
            Converted::Builtin(item) => item,
        };
        // A cycle goes through the object that the user gave: its replacement is new each time.
        match item {
            Item::Dict(dict) => self.container(Entries::Dict(&dict), object.as_ptr(), up),
            Item::List(list) => self.container(Entries::List(&list), object.as_ptr(), up),
            Item::Tuple(tuple) => self.container(Entries::Tuple(&tuple), object.as_ptr(), up),
            item => self.value(item, up),
        }
    }
}

/// Adds a note with the path to an exception of foreign code. Exceptions that end the program and memory errors are left alone.
#[cold]
fn noted(py: Python<'_>, error: PyErr, path: &str) -> PyErr {
    if error.is_instance_of::<PyException>(py) && !error.is_instance_of::<PyMemoryError>(py) {
        let note = || {
            let note = ffi::text(py, &format!("while publishing {path}"))?.into_any();
            error.value(py).getattr(ffi::text(py, "add_note")?)?.call1(ffi::tuple(py, [note])?)
        };
        let _ = note(); // the exception itself matters more than a failure to add the note
    }
    error
}

#[cold]
fn unsupported(what: String) -> Box<Refused> {
    Box::new(Refused::Value("UnsupportedTypeError", what))
}

#[cold]
fn invalid(what: impl ToString) -> Box<Refused> {
    Box::new(Refused::Value("InvalidSnapshotError", what.to_string()))
}

/// The error for a string without a UTF-8 form: it holds a lone surrogate, unless memory has run out.
#[cold]
fn surrogate(text: &Bound<'_, PyString>, error: PyErr, what: &str) -> Box<Refused> {
    if !error.is_instance_of::<PyUnicodeEncodeError>(text.py()) {
        return error.into();
    }
    invalid(format!(
        "{what} holds a lone surrogate, which is not valid Unicode; use bytes, or encode it with errors='replace'"
    ))
}

#[cold]
fn changed_size() -> Box<Refused> {
    PyRuntimeError::new_err("a container changed its size while it was published").into()
}
