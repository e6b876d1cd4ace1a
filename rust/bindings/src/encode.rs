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
enum Refused {
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
    fn exception(self, py: Python<'_>, path: &str) -> PyErr {
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
    fn enter<'a>(
        up: Option<&'a Parent<'a>>,
        object: *mut pyo3::ffi::PyObject,
    ) -> Result<Parent<'a>, Box<Refused>> {
        let here = Parent { object, up, depth: up.map_or(1, |up| up.depth + 1) };
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

/// The key of an entry, unless it is the expected object or there is none, and the value.
type Entry<'py> = (Option<Bound<'py, PyAny>>, Item<'py>);

/// What a container's entries come from.
enum Entries<'a, 'py> {
    Dict(&'a Bound<'py, PyDict>),
    List(&'a Bound<'py, PyList>),
    Tuple(&'a Bound<'py, PyTuple>),
    /// The items of a mapping.
    Pairs(&'a Bound<'py, PyList>),
    /// Those of an update.
    Changes(&'a Changes<'py>),
}

impl<'py> Entries<'_, 'py> {
    fn kind(&self) -> Kind {
        match self {
            Self::List(_) => Kind::List,
            Self::Tuple(_) => Kind::Tuple,
            _ => Kind::Dict,
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Dict(dict) => ffi::dict_len(dict),
            Self::List(items) | Self::Pairs(items) => items.len(),
            Self::Tuple(items) => items.len(),
            Self::Changes(changes) => changes.len(),
        }
    }

    /// The next entry, `None` beyond the end.
    fn next(&self, place: &mut Place, expected: Option<&Py<PyAny>>) -> PyResult<Option<Entry<'py>>> {
        let (key, value) = match self {
            Self::Dict(dict) => return Ok(ffi::next_entry(dict, place, expected)),
            Self::List(list) => return Ok(ffi::list_item(list, place.step()).map(|item| (None, item))),
            Self::Tuple(tuple) => return Ok(ffi::tuple_item(tuple, place.step()).map(|item| (None, item))),
            Self::Pairs(pairs) => pairs.get_item(place.step())?.extract::<(_, Bound<'_, _>)>()?,
            Self::Changes(changes) => {
                let (key, value) = &changes[place.step()];
                (key.as_any().clone(), value.clone())
            }
        };
        let known = expected.is_some_and(|expected| expected.is(&key));
        Ok(Some((if known { None } else { Some(key) }, ffi::item(&value))))
    }

    /// How Python code would index an entry.
    #[cold]
    fn segment(&self, index: usize) -> String {
        let key = match self {
            Self::Dict(dict) => dict.keys().get_item(index),
            Self::Pairs(pairs) => pairs.get_item(index).and_then(|pair| pair.get_item(0)),
            Self::Changes(changes) => Ok(changes[index].0.as_any().clone()),
            Self::List(_) | Self::Tuple(_) => return format!("[{index}]"),
        };
        key.map_or_else(|_| "[…]".into(), |key| segment(&key))
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
            Ok(dict) => self.container(Entries::Dict(dict), dict.as_ptr(), None),
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
    pub fn root_entries(&mut self, py: Python<'_>, changes: &Changes<'_>) -> PyResult<()> {
        let walked = self.container(Entries::Changes(changes), std::ptr::null_mut(), None);
        walked.map_err(|refused| self.exception(py, *refused))
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
            Item::Dict(dict) => self.container(Entries::Dict(&dict), dict.as_ptr(), up)?,
            Item::List(list) => self.container(Entries::List(&list), list.as_ptr(), up)?,
            Item::Tuple(tuple) => self.container(Entries::Tuple(&tuple), tuple.as_ptr(), up)?,
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

    fn mapping(&mut self, mapping: &Bound<'_, PyMapping>, up: Option<&Parent<'_>>) -> Walked {
        *self.foreign = true;
        self.container(Entries::Pairs(&mapping.items()?), mapping.as_ptr(), up)
    }

    /// A container: runs of expected numbers the short way, and everything between them entry by entry. `object` is what the
    /// entries come from: a cycle goes through that one.
    fn container(
        &mut self,
        entries: Entries<'_, '_>,
        object: *mut pyo3::ffi::PyObject,
        up: Option<&Parent<'_>>,
    ) -> Walked {
        let here = Parent::enter(up, object)?;
        let len = entries.count();
        self.encoder.container(entries.kind(), len);
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
            let walked = match &key {
                None => self.value(item, Some(&here)),
                Some(key) => self.key(key).and_then(|()| self.value(item, Some(&here))),
            };
            if walked.is_err() {
                // The walk has not moved on, so this entry is the last of so many.
                self.path.push(entries.segment(len - place.left - 1));
                return walked;
            }
        }
        // Only code of a value's own (a Mapping, a tensor) can have got in between.
        if entries.count() == len { Ok(()) } else { Err(changed_size()) }
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
                Item::List(list) => self.container(Entries::List(&list), object.as_ptr(), up),
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
