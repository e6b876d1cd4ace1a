//! Walks a Python dictionary beside the shape that it had last time, and feeds the encoder.

use pyo3::exceptions::{PyRuntimeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyMapping, PyString, PyTuple};
use traincast_core::snapshot::MAX_DEPTH;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Kind;

use crate::arrays::{self, Foreign};
use crate::errors::exception;
use crate::ffi::{self, Bytes, Changes, Item, Keys, Place};

/// Why a value cannot be published; the path to it is added on the way out.
pub enum Refused {
    /// `{type} is not supported; {remedy}`.
    Unsupported(String),
    /// A cycle, a depth, a surrogate, a key that occurs twice.
    Invalid(String),
    /// Raised by Python code that was asked for the value.
    Python(PyErr),
}

impl From<PyErr> for Box<Refused> {
    #[cold]
    fn from(error: PyErr) -> Self {
        Box::new(Refused::Python(error))
    }
}

impl Refused {
    #[cold]
    pub fn exception(self, py: Python<'_>, path: &str) -> PyErr {
        match self {
            Self::Unsupported(what) => exception(py, "UnsupportedTypeError", &format!("{path}: {what}")),
            Self::Invalid(what) => exception(py, "InvalidSnapshotError", &format!("{path}: {what}")),
            Self::Python(error) => error,
        }
    }
}

/// Boxed, so that a result is one word.
type Walked = Result<(), Box<Refused>>;

/// The containers that the walk is inside of, innermost first.
struct Parent<'a> {
    object: *mut pyo3::ffi::PyObject,
    up: Option<&'a Parent<'a>>,
    depth: usize,
}

impl Parent<'_> {
    fn enter<'a>(up: Option<&'a Parent<'a>>, object: &Bound<'_, PyAny>) -> Result<Parent<'a>, Box<Refused>> {
        let here = Parent { object: object.as_ptr(), up, depth: up.map_or(1, |up| up.depth + 1) };
        if here.depth <= MAX_DEPTH { Ok(here) } else { Err(here.too_deep()) }
    }

    #[cold]
    fn too_deep(&self) -> Box<Refused> {
        let mut above = self.up;
        while let Some(parent) = above {
            if parent.object == self.object {
                return Box::new(Refused::Invalid("it contains itself; a snapshot must be a tree".into()));
            }
            above = parent.up;
        }
        Box::new(Refused::Invalid(format!("it is nested deeper than {MAX_DEPTH} levels; flatten it")))
    }
}

/// One walk over one dictionary.
pub struct Walk<'w> {
    encoder: &'w mut Encoder<Bytes>,
    /// The key objects of the expected shape.
    keys: &'w mut Keys,
    /// Whether anything was met beside exact builtins. Their code may have changed what was walked already, and their keys
    /// may occur twice.
    foreign: &'w mut bool,
    /// Where the walk failed, innermost first.
    path: Vec<String>,
}

impl<'w> Walk<'w> {
    pub fn new(encoder: &'w mut Encoder<Bytes>, keys: &'w mut Keys, foreign: &'w mut bool) -> Self {
        Self { encoder, keys, foreign, path: Vec::new() }
    }

    /// The whole dictionary.
    pub fn root(&mut self, info: &Bound<'_, PyAny>) -> PyResult<()> {
        let walked = match info.cast_exact::<PyDict>() {
            Ok(dict) => self.dict(dict, None),
            Err(_) => self.other_root(info),
        };
        walked.map_err(|refused| self.exception(info.py(), *refused))
    }

    #[cold]
    fn other_root(&mut self, info: &Bound<'_, PyAny>) -> Walked {
        match info.cast::<PyMapping>() {
            Ok(mapping) => self.mapping(mapping, None),
            Err(_) => {
                let name = arrays::type_name(info)?;
                Err(unsupported(format!("a snapshot is a dictionary, not {name}")))
            }
        }
    }

    /// The changes of an `update`, as a whole dictionary.
    pub fn root_entries(&mut self, changes: &Changes<'_>) -> PyResult<()> {
        let root = Parent { object: std::ptr::null_mut(), up: None, depth: 1 };
        self.encoder.container(Kind::Dict, changes.len());
        for (name, value) in changes {
            let walked = self.entry(name, ffi::item(value), &root);
            walked.map_err(|refused| self.exception(value.py(), *refused))?;
        }
        Ok(())
    }

    #[cold]
    fn exception(&mut self, py: Python<'_>, refused: Refused) -> PyErr {
        self.path.push("info".into());
        self.path.reverse();
        if self.path.len() > 12 {
            self.path.splice(6..self.path.len() - 3, ["[…]".to_owned()]);
        }
        refused.exception(py, &self.path.concat())
    }

    fn value(&mut self, item: Item<'_>, up: Option<&Parent<'_>>) -> Walked {
        match item {
            Item::Number(kind, word) => self.encoder.number(kind, word),
            Item::None => self.encoder.none(),
            Item::Str(text) => {
                let utf8 = Bytes::of_str(&text).map_err(|error| surrogate(&text, error, "it"))?;
                let len = utf8.len();
                self.encoder.str(utf8, len);
            }
            Item::Dict(dict) => self.dict(&dict, up)?,
            Item::List(list) => self.list(&list, list.as_any(), up)?,
            Item::Tuple(tuple) => self.tuple(&tuple, up)?,
            Item::Bytes(bytes) => {
                let bytes = Bytes::of_bytes(&bytes);
                let len = bytes.len();
                self.encoder.byte_string(bytes, len);
            }
            Item::BigInt(int) => {
                let bytes = Bytes::of_bytes(&arrays::int_bytes(&int)?);
                let len = bytes.len();
                self.encoder.bigint(bytes, len);
            }
            Item::Other(object) => self.other(&object, up)?,
        }
        Ok(())
    }

    /// Runs of expected numbers the short way, and everything between them entry by entry.
    fn dict(&mut self, dict: &Bound<'_, PyDict>, up: Option<&Parent<'_>>) -> Walked {
        let here = Parent::enter(up, dict.as_any())?;
        let len = ffi::dict_len(dict);
        self.encoder.container(Kind::Dict, len);
        let mut place = Place { position: 0, left: len };
        while place.left > 0 {
            ffi::take_numbers(dict, &mut place, self.encoder.expected(), self.keys);
            if place.left == 0 {
                break;
            }
            let expected = self.expected_key();
            let Some((key, item)) = ffi::next_entry(dict, &mut place, expected) else {
                return Err(changed_size());
            };
            let walked = match &key {
                None => self.value(item, Some(&here)),
                Some(key) => self.key(key).and_then(|()| self.value(item, Some(&here))),
            };
            if walked.is_err() {
                // The walk has not moved on, so this key is the last of so many.
                let key = dict.keys().get_item(len - place.left - 1);
                self.path.push(key.map_or_else(|_| "[…]".into(), |key| segment(&key)));
                return walked;
            }
        }
        // Only code of a value's own (a Mapping, a tensor) can have got in between.
        if ffi::dict_len(dict) == len { Ok(()) } else { Err(changed_size()) }
    }

    fn mapping(&mut self, mapping: &Bound<'_, PyMapping>, up: Option<&Parent<'_>>) -> Walked {
        *self.foreign = true;
        let here = Parent::enter(up, mapping.as_any())?;
        let items = mapping.items()?;
        let len = items.len();
        self.encoder.container(Kind::Dict, len);
        for index in 0..len {
            let (key, value) = items.get_item(index)?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            self.entry(&key, ffi::item(&value), &here)?;
        }
        Ok(())
    }

    fn entry(&mut self, key: &Bound<'_, PyAny>, item: Item<'_>, here: &Parent<'_>) -> Walked {
        let known = self.expected_key().is_some_and(|known| known.is(key));
        let walked = if known { Ok(()) } else { self.key(key) };
        let walked = walked.and_then(|()| self.value(item, Some(here)));
        walked.inspect_err(|_| self.path.push(segment(key)))
    }

    /// The object of the expected key, if it is known.
    fn expected_key(&self) -> Option<&Py<PyAny>> {
        self.keys.get(self.encoder.expected_key()?)?.as_ref()
    }

    /// A key that is not the expected object. If it is equal, it is the one to expect from now on.
    #[inline(never)]
    fn key(&mut self, key: &Bound<'_, PyAny>) -> Walked {
        let index = self.encoder.expected_key();
        let plain = key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyInt>();
        *self.foreign |= !plain;
        if let Ok(text) = key.cast::<PyString>() {
            self.encoder.key_str(text.to_str().map_err(|error| surrogate(text, error, "a key"))?);
        } else if let Ok(int) = key.cast::<PyInt>()
            && !key.is_instance_of::<PyBool>()
        {
            match ffi::integer(int) {
                Some(int) => self.encoder.key_int(int),
                None => self.encoder.key_bigint(arrays::int_bytes(key)?.as_bytes()),
            }
        } else {
            let name = arrays::type_name(key)?;
            return Err(unsupported(format!("a key of type {name} is not supported; use str or int keys")));
        }
        if let Some(index) = index
            && plain
            && self.encoder.expected_key() == Some(index)
        {
            if self.keys.len() <= index {
                self.keys.resize_with(index + 1, || None);
            }
            self.keys[index] = Some(key.clone().unbind());
        }
        Ok(())
    }

    /// `object` is the list itself, or what it was made from: a cycle goes through that one.
    fn list(
        &mut self,
        list: &Bound<'_, PyList>,
        object: &Bound<'_, PyAny>,
        up: Option<&Parent<'_>>,
    ) -> Walked {
        let here = Parent::enter(up, object)?;
        let len = list.len();
        self.encoder.container(Kind::List, len);
        let mut index = 0;
        while index < len {
            index += ffi::take_items(list, index, len - index, self.encoder.expected());
            if index < len {
                let item = ffi::list_item(list, index).ok_or_else(changed_size)?;
                self.indexed(item, index, &here)?;
                index += 1;
            }
        }
        if list.len() == len { Ok(()) } else { Err(changed_size()) }
    }

    fn tuple(&mut self, tuple: &Bound<'_, PyTuple>, up: Option<&Parent<'_>>) -> Walked {
        let here = Parent::enter(up, tuple.as_any())?;
        self.encoder.container(Kind::Tuple, tuple.len());
        for index in 0..tuple.len() {
            let item = ffi::tuple_item(tuple, index).ok_or_else(changed_size)?;
            self.indexed(item, index, &here)?;
        }
        Ok(())
    }

    fn indexed(&mut self, item: Item<'_>, index: usize, here: &Parent<'_>) -> Walked {
        self.value(item, Some(here)).inspect_err(|_| self.path.push(format!("[{index}]")))
    }

    #[cold]
    fn other(&mut self, object: &Bound<'_, PyAny>, up: Option<&Parent<'_>>) -> Walked {
        *self.foreign = true;
        match arrays::recognise(object)? {
            Foreign::Array(array) => {
                let len = array.bytes.len();
                self.encoder.array(array.kind, &array.dtype, array.itemsize, &array.dims, array.bytes, len);
                Ok(())
            }
            Foreign::Scalar { dtype, itemsize, words } => {
                self.encoder.scalar(&dtype, itemsize, &words);
                Ok(())
            }
            Foreign::Plain(plain) => match ffi::item(&plain) {
                Item::List(list) => self.list(&list, object, up),
                item => self.value(item, up),
            },
            Foreign::Mapping(mapping) => self.mapping(&mapping, up),
            Foreign::Refused(why) => Err(unsupported(why)),
        }
    }
}

#[cold]
fn unsupported(what: String) -> Box<Refused> {
    Box::new(Refused::Unsupported(what))
}

/// Why a string has no UTF-8 form: a lone surrogate, unless there was no memory for it.
#[cold]
fn surrogate(text: &Bound<'_, PyString>, error: PyErr, what: &str) -> Box<Refused> {
    if !error.is_instance_of::<PyUnicodeEncodeError>(text.py()) {
        return error.into();
    }
    Box::new(Refused::Invalid(format!(
        "{what} holds a lone surrogate, which is not valid Unicode; use bytes, or encode it with errors='replace'"
    )))
}

#[cold]
fn changed_size() -> Box<Refused> {
    PyRuntimeError::new_err("a container changed its size while it was published").into()
}

/// How Python code would index with a key.
#[cold]
fn segment(key: &Bound<'_, PyAny>) -> String {
    let text = match key.cast::<PyString>() {
        Ok(text) => format!("{:?}", text.to_string_lossy()),
        Err(_) => key.repr().map_or_else(|_| "…".into(), |text| text.to_string_lossy().into_owned()),
    };
    match text.chars().count() <= 60 {
        true => format!("[{text}]"),
        false => format!("[{}…]", text.chars().take(57).collect::<String>()),
    }
}
