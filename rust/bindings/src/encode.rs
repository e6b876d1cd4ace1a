//! Walks a Python dictionary beside the shape that it had last time, and feeds the encoder.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping, PyString, PyTuple};
use rustc_hash::FxHashMap;
use traincast_core::snapshot::MAX_DEPTH;
use traincast_core::snapshot::cache::ShapeCache;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::shape::Kind;

use crate::arrays::{self, Foreign};
use crate::errors::exception;
use crate::ffi::{self, Bytes, Item, Place};

/// What is kept beside a cached shape.
#[derive(Default)]
pub struct ShapeExtra {
    /// The key objects met last, by the index of the key in the shape: the same object again needs no comparison.
    pub keys: Vec<Option<Py<PyAny>>>,
    /// Whether the shape is known to have all required keys.
    pub complete: bool,
    /// The node of each key of the root; filled by the first `update`.
    pub top: FxHashMap<Box<str>, usize>,
}

/// The shapes of a writer.
pub type Shapes = ShapeCache<ShapeExtra>;

/// Why a value cannot be published; the path to it is added on the way out.
pub enum Refused {
    /// `{type} is not supported; {remedy}`.
    Unsupported(String),
    /// A cycle, a depth, a surrogate.
    Invalid(String),
    /// Raised by Python code that was asked for the value.
    Python(PyErr),
}

impl From<PyErr> for Refused {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

type Walked = Result<(), Refused>;

/// The containers that the walk is inside of, innermost first.
struct Parent<'a> {
    object: *mut pyo3::ffi::PyObject,
    up: Option<&'a Parent<'a>>,
    depth: usize,
}

impl Parent<'_> {
    fn enter<'a>(up: Option<&'a Parent<'a>>, object: &Bound<'_, PyAny>) -> Result<Parent<'a>, Refused> {
        let here = Parent { object: object.as_ptr(), up, depth: up.map_or(1, |up| up.depth + 1) };
        if here.depth <= MAX_DEPTH {
            return Ok(here);
        }
        let mut above = here.up;
        while let Some(parent) = above {
            if parent.object == here.object {
                return Err(Refused::Invalid("it contains itself; a snapshot must be a tree".into()));
            }
            above = parent.up;
        }
        Err(Refused::Invalid(format!("it is nested deeper than {MAX_DEPTH} levels; flatten it")))
    }
}

/// One walk over one dictionary.
pub struct Walk<'w, 'py> {
    pub encoder: &'w mut Encoder<Bytes>,
    /// The key objects of the expected shape.
    pub keys: &'w mut Vec<Option<Py<PyAny>>>,
    /// The dictionaries inside of which the short way has stopped, innermost first.
    inside: Vec<(Bound<'py, PyDict>, Place)>,
    /// Where the walk failed, innermost first.
    path: Vec<String>,
}

impl<'w, 'py> Walk<'w, 'py> {
    pub fn new(encoder: &'w mut Encoder<Bytes>, keys: &'w mut Vec<Option<Py<PyAny>>>) -> Self {
        Self { encoder, keys, inside: Vec::new(), path: Vec::new() }
    }

    /// The whole dictionary.
    #[inline(always)]
    pub fn root(&mut self, info: &Bound<'py, PyAny>) -> PyResult<()> {
        let walked = match info.cast_exact::<PyDict>() {
            Ok(dict) => self.dict(dict, None),
            Err(_) => self.other_root(info),
        };
        walked.map_err(|refused| self.exception(info.py(), refused))
    }

    #[cold]
    fn other_root(&mut self, info: &Bound<'py, PyAny>) -> Walked {
        match info.cast::<PyMapping>() {
            Ok(mapping) => self.mapping(mapping, None),
            Err(_) => {
                Err(Refused::Unsupported(format!("a snapshot is a dictionary, not {}", type_name(info))))
            }
        }
    }

    /// One entry of the root, for `update`.
    pub fn entry(&mut self, name: &Bound<'py, PyString>, value: &Bound<'py, PyAny>) -> PyResult<()> {
        let root = Parent { object: std::ptr::null_mut(), up: None, depth: 1 };
        let index = self.encoder.expected_key();
        let known = index.and_then(|index| self.keys.get(index)?.as_ref()).is_some_and(|key| key.is(name));
        let key = if known { Ok(()) } else { self.keyed(name, index) };
        key.and_then(|()| self.value(ffi::item(value), Some(&root))).map_err(|refused| {
            self.path.push(format!("[{}]", short_repr(name)));
            self.exception(value.py(), refused)
        })
    }

    #[cold]
    fn exception(&mut self, py: Python<'_>, refused: Refused) -> PyErr {
        self.path.push("info".into());
        self.path.reverse();
        if self.path.len() > 12 {
            self.path.splice(6..self.path.len() - 3, ["[…]".to_owned()]);
        }
        let path: String = self.path.drain(..).collect();
        match refused {
            Refused::Unsupported(what) => exception(py, "UnsupportedTypeError", &format!("{path}: {what}")),
            Refused::Invalid(what) => exception(py, "InvalidSnapshotError", &format!("{path}: {what}")),
            Refused::Python(error) => error,
        }
    }

    #[inline]
    fn value(&mut self, item: Item<'py>, up: Option<&Parent<'_>>) -> Walked {
        match item {
            Item::Float(value) => self.encoder.float(value),
            Item::Int(value) => self.encoder.int(value),
            Item::None => self.encoder.none(),
            Item::Bool(value) => self.encoder.bool(value),
            Item::Str(text) => self.str(&text)?,
            Item::Dict(dict) => self.dict(&dict, up)?,
            Item::List(list) => self.list(&list, up)?,
            Item::Tuple(tuple) => self.tuple(&tuple, up)?,
            Item::Bytes(bytes) => {
                let bytes = Bytes::of_bytes(&bytes);
                let len = bytes.len();
                self.encoder.byte_string(bytes, len);
            }
            Item::BigInt(int) => self.bigint(&int)?,
            Item::Other(object) => self.other(&object, up)?,
        }
        Ok(())
    }

    #[inline(always)]
    fn dict(&mut self, dict: &Bound<'py, PyDict>, up: Option<&Parent<'_>>) -> Walked {
        let len = dict.len();
        self.encoder.container(Kind::Dict, len);
        let mut place = Place { position: 0, left: len, len };
        // What has entries and follows an expected shape is not too deep, and no cycle.
        if len > 0 && self.follow(dict, &mut place) { Ok(()) } else { self.rest_of_dict(dict, place, up) }
    }

    #[inline]
    fn follow(&mut self, dict: &Bound<'py, PyDict>, place: &mut Place) -> bool {
        self.encoder.expected_kind().is_some_and(|kind| kind.is_number() || kind == Kind::Dict)
            && ffi::follow_entries(dict, place, &mut self.encoder.expected(), self.keys, &mut self.inside)
    }

    /// The long way, from where the short one has stopped; after each entry that is tried again.
    fn rest_of_dict(
        &mut self,
        dict: &Bound<'py, PyDict>,
        mut place: Place,
        up: Option<&Parent<'_>>,
    ) -> Walked {
        let here = Parent::enter(up, dict.as_any())?;
        loop {
            if self.encoder.is_recording() {
                ffi::record_entries(dict, &mut place, self.encoder);
            }
            if place.left == 0 {
                break;
            }
            let entry = if let Some((below, there)) = self.inside.pop() {
                self.rest_of_dict(&below, there, Some(&here))
            } else {
                let index = self.encoder.expected_key();
                let expected = index.and_then(|index| self.keys.get(index)).and_then(Option::as_ref);
                let Some((key, item)) = ffi::next_entry(dict, &mut place.position, expected) else {
                    break;
                };
                let key = key.map_or(Ok(()), |key| self.keyed(&key, index));
                key.and_then(|()| self.value(item, Some(&here)))
            };
            if let Err(refused) = entry {
                self.path.push(self.segment(dict, place.len - place.left));
                return Err(refused);
            }
            place.left -= 1;
            self.follow(dict, &mut place);
        }
        // Only code of a value's own (a Mapping, a tensor) can have got in between.
        if place.left == 0 && dict.len() == place.len { Ok(()) } else { Err(changed_size()) }
    }

    /// Only called once something was refused: the walk has not moved on.
    fn segment(&self, dict: &Bound<'_, PyDict>, index: usize) -> String {
        dict.keys().get_item(index).map_or_else(|_| "[…]".into(), |key| format!("[{}]", short_repr(&key)))
    }

    fn mapping(&mut self, mapping: &Bound<'py, PyMapping>, up: Option<&Parent<'_>>) -> Walked {
        let here = Parent::enter(up, mapping.as_any())?;
        let items = mapping.items()?;
        self.encoder.container(Kind::Dict, items.len());
        for entry in items.iter() {
            let (key, value) = entry.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            let index = self.encoder.expected_key();
            let walked = self.keyed(&key, index).and_then(|()| self.value(ffi::item(&value), Some(&here)));
            if let Err(refused) = walked {
                self.path.push(format!("[{}]", short_repr(&key)));
                return Err(refused);
            }
        }
        Ok(())
    }

    /// A key that is not the expected object; if it is equal, it is the one to expect from now on.
    fn keyed(&mut self, key: &Bound<'_, PyAny>, index: Option<usize>) -> Walked {
        self.key(key)?;
        if let Some(index) = index
            && self.encoder.expected_key() == Some(index)
        {
            if self.keys.len() <= index {
                self.keys.resize_with(index + 1, || None);
            }
            self.keys[index] = Some(key.clone().unbind());
        }
        Ok(())
    }

    fn key(&mut self, key: &Bound<'_, PyAny>) -> Walked {
        if let Ok(text) = key.cast::<PyString>() {
            self.encoder.key_str(text.to_str().map_err(|_| surrogate("a key"))?);
            return Ok(());
        }
        if key.is_instance_of::<pyo3::types::PyInt>() && !key.is_instance_of::<pyo3::types::PyBool>() {
            match key.extract::<i64>() {
                Ok(int) => self.encoder.key_int(int),
                Err(_) => self.encoder.key_bigint(&arrays::int_bytes(key)?),
            }
            return Ok(());
        }
        let text = format!("a key of type {} is not supported; use str or int keys", type_name(key));
        Err(Refused::Unsupported(text))
    }

    fn list(&mut self, list: &Bound<'py, PyList>, up: Option<&Parent<'_>>) -> Walked {
        let here = Parent::enter(up, list.as_any())?;
        let len = list.len();
        self.encoder.container(Kind::List, len);
        let mut index = 0;
        while index < len {
            index += ffi::follow_items(list, index, len - index, &mut self.encoder.expected());
            if index < len {
                let item = ffi::list_item(list, index).ok_or_else(changed_size)?;
                self.indexed(item, index, &here)?;
                index += 1;
            }
        }
        if list.len() == len { Ok(()) } else { Err(changed_size()) }
    }

    fn tuple(&mut self, tuple: &Bound<'py, PyTuple>, up: Option<&Parent<'_>>) -> Walked {
        let here = Parent::enter(up, tuple.as_any())?;
        self.encoder.container(Kind::Tuple, tuple.len());
        for index in 0..tuple.len() {
            let item = ffi::tuple_item(tuple, index).ok_or_else(changed_size)?;
            self.indexed(item, index, &here)?;
        }
        Ok(())
    }

    #[inline]
    fn indexed(&mut self, item: Item<'py>, index: usize, here: &Parent<'_>) -> Walked {
        self.value(item, Some(here)).inspect_err(|_| self.path.push(format!("[{index}]")))
    }

    fn str(&mut self, text: &Bound<'_, PyString>) -> Walked {
        let utf8 = Bytes::of_str(text).ok_or_else(|| surrogate("it"))?;
        let len = utf8.len();
        self.encoder.str(utf8, len);
        Ok(())
    }

    fn bigint(&mut self, int: &Bound<'_, PyAny>) -> Walked {
        let bytes = arrays::int_bytes(int)?;
        let len = bytes.len();
        self.encoder.bigint(Bytes::of_vec(bytes), len);
        Ok(())
    }

    #[cold]
    fn other(&mut self, object: &Bound<'py, PyAny>, up: Option<&Parent<'_>>) -> Walked {
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
                // A container keeps its own place in the chain of parents, so that a cycle through it is found.
                Item::List(list) => {
                    let here = Parent::enter(up, object)?;
                    self.encoder.container(Kind::List, list.len());
                    for (index, item) in list.iter().enumerate() {
                        self.indexed(ffi::item(&item), index, &here)?;
                    }
                    Ok(())
                }
                Item::Other(_) => Err(Refused::Unsupported(unsupported(object))),
                item => self.value(item, up),
            },
            Foreign::Mapping(mapping) => self.mapping(&mapping, up),
            Foreign::Refused(why) => Err(Refused::Unsupported(why)),
            Foreign::Unknown => Err(Refused::Unsupported(unsupported(object))),
        }
    }
}

fn surrogate(what: &str) -> Refused {
    Refused::Invalid(format!(
        "{what} holds a lone surrogate, which is not valid Unicode; use bytes, or encode it with errors='replace'"
    ))
}

fn changed_size() -> Refused {
    Refused::Python(PyRuntimeError::new_err("a container changed its size while it was published"))
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    let class = object.get_type();
    let name = class.qualname().map_or_else(|_| "?".into(), |name| name.to_string());
    match class.getattr("__module__").and_then(|module| module.extract::<String>()) {
        Ok(module) if module != "builtins" => format!("{module}.{name}"),
        _ => name,
    }
}

fn unsupported(object: &Bound<'_, PyAny>) -> String {
    let name = type_name(object);
    let remedy = match name.as_str() {
        "set" | "frozenset" | "dict_keys" | "dict_values" | "range" | "generator" | "array.array" => {
            "use a list"
        }
        "bytearray" | "memoryview" => "use bytes",
        "complex" => "use a tuple of two floats, or numpy.complex128",
        "function" | "builtin_function_or_method" | "type" | "method" => "publish its name",
        "decimal.Decimal" | "fractions.Fraction" => "use a float or a str",
        "datetime.datetime" | "datetime.timedelta" | "datetime.date" => {
            "use numpy.datetime64, or seconds as a float"
        }
        _ => "use numbers, str, bytes, list, tuple, dict, numpy arrays or torch tensors",
    };
    format!("{name} is not supported; {remedy}")
}

fn short_repr(key: &Bound<'_, PyAny>) -> String {
    let text = match key.cast::<PyString>() {
        // As Python code that would index with it, in double quotes.
        Ok(text) => format!("{:?}", text.to_string_lossy()),
        Err(_) => key.repr().map_or_else(|_| "…".into(), |text| text.to_string_lossy().into_owned()),
    };
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("…".chars()).collect() }
}
