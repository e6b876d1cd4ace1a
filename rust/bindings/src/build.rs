//! Builds dictionaries from the words of a snapshot.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use traincast_core::snapshot::shape::{Key, Kind, Node, Shape};
use traincast_core::snapshot::view::View;
use traincast_core::snapshot::{Snapshot, to_bytes};

use crate::arrays;
use crate::errors::{corrupt, unmade};
use crate::ffi::{self, Blob, Made};

/// Largest number of nodes in a small structure.
const SMALL: usize = 6;

/// A shape, and the Python objects that all dictionaries of it share.
#[derive(Default)]
pub struct Structure {
    pub shape: Shape,
    /// By the index of the key in the shape.
    pub keys: Vec<Py<PyAny>>,
    /// The functions that build the arrays, tensors and numpy scalars, by the index of the dtype in the shape.
    makers: Vec<Py<PyAny>>,
}

impl Structure {
    /// Becomes the structure of a shape in a slot: `len` bytes in these words. After an error it must not be used.
    pub fn renew(&mut self, py: Python<'_>, words: &[u64], len: usize) -> PyResult<()> {
        let Self { shape, keys, makers } = self;
        keys.clear();
        makers.clear();
        *shape = std::mem::take(shape).parse_again(words, len).map_err(|error| corrupt(py, &error))?;
        keys.shrink_to(shape.key_count());
        keys.reserve_exact(shape.key_count());
        for key in shape.keys() {
            keys.push(match key {
                Key::Str(text) => ffi::text(py, &text)?.into_any().unbind(),
                Key::Int(int) => ffi::int(py, int)?.into_any().unbind(),
                Key::BigInt(bytes) => arrays::int_from_bytes(py, &bytes)?.unbind(),
            });
        }
        if !shape.dtypes.is_empty() {
            for node in shape.nodes.iter().filter(|node| node.kind.has_dtype()) {
                let dtype = &shape.dtypes[node.aux as usize];
                let maker = arrays::array_maker(py, node.kind, &dtype.name, dtype.itemsize);
                makers.push(maker.map_err(|error| unmade(py, error))?.unbind());
            }
        }
        Ok(())
    }

    /// Interns the keys, so that a user who looks up a literal uses the same object. Not worth it for a structure that is met
    /// once. Not done on 3.12, which never frees interned strings: structures that keep changing would use up the memory.
    pub fn intern_keys(&mut self, py: Python<'_>) -> PyResult<()> {
        let version = py.version_info();
        if (version.major, version.minor) == (3, 12) {
            return Ok(());
        }
        for (object, key) in self.keys.iter_mut().zip(self.shape.keys()) {
            if let Key::Str(text) = key {
                *object = ffi::interned(py, &text)?.into_any().unbind();
            }
        }
        Ok(())
    }

    /// Whether building its dictionaries takes no longer than copying them: CPython resizes a dictionary beyond five entries.
    pub fn is_small(&self) -> bool {
        self.shape.nodes.len() <= SMALL && !self.shape.has_blobs
    }
}

/// Builds any part of a snapshot from its values.
pub struct Builder<'a, 'py> {
    pub py: Python<'py>,
    pub structure: &'a Structure,
    pub view: View<'a>,
    /// The blobs as a Python object, once there is an array.
    memory: Option<Bound<'py, Blob>>,
}

impl<'a, 'py> Builder<'a, 'py> {
    pub fn new(py: Python<'py>, structure: &'a Structure, snapshot: &'a Snapshot) -> PyResult<Self> {
        let view = View::new(&structure.shape, &snapshot.values, &snapshot.blobs);
        let view = view.map_err(|error| corrupt(py, &error))?;
        Ok(Self { py, structure, view, memory: None })
    }

    /// The whole dictionary.
    pub fn root(&mut self) -> Made<Bound<'py, PyDict>> {
        self.dict(&mut 0)
    }

    /// The dictionary at node `next`. Moves `next` to the node after it.
    fn dict(&mut self, next: &mut usize) -> Made<Bound<'py, PyDict>> {
        let (Structure { shape, keys, .. }, values) = (self.structure, self.view.values);
        let nodes = &shape.nodes[..shape.nodes[*next].end as usize];
        let mut at = *next + 1;
        let dict = ffi::dict(self.py)?;
        while let Some(node) = nodes.get(at) {
            let object = match node.kind.is_number() {
                true => {
                    at += 1;
                    ffi::number(self.py, node.kind, values[node.value_at as usize])?
                }
                false => {
                    let mut next = at; // a copy, so that the loop's variable stays in a register
                    let object = self.other(node, &mut next)?;
                    at = next;
                    object
                }
            };
            ffi::set_entry(&dict, &keys[node.key as usize], &object)?;
        }
        *next = at;
        Ok(dict)
    }

    /// The object at node `next`. Moves `next` to the node after it.
    pub fn object(&mut self, next: &mut usize) -> Made<Bound<'py, PyAny>> {
        let node = &self.structure.shape.nodes[*next];
        if node.kind.is_number() {
            *next += 1;
            return ffi::number(self.py, node.kind, self.view.values[node.value_at as usize]);
        }
        self.other(node, next)
    }

    #[inline(never)]
    fn other(&mut self, node: &Node, next: &mut usize) -> Made<Bound<'py, PyAny>> {
        match node.kind {
            Kind::Dict => self.dict(next).map(Bound::into_any),
            _ => Ok(self.rare(node, next)?),
        }
    }

    #[inline(never)]
    fn rare(&mut self, node: &Node, next: &mut usize) -> PyResult<Bound<'py, PyAny>> {
        let (py, at) = (self.py, *next);
        match node.kind {
            Kind::List => return Ok(ffi::list(py, self.items(next)?)?.into_any()),
            Kind::Tuple => return Ok(ffi::tuple(py, self.items(next)?)?.into_any()),
            _ => *next += 1,
        }
        match node.kind {
            Kind::None => Ok(py.None().into_bound(py)),
            Kind::Scalar => {
                let words = &self.view.values[self.structure.shape.value_range(at)];
                let itemsize = self.structure.shape.dtypes[node.aux as usize].itemsize;
                self.make(node.aux, [ffi::byte_string(py, &to_bytes(words, itemsize))?.into_any()])
            }
            Kind::Str => match std::str::from_utf8(self.view.bytes(at)) {
                Ok(text) => Ok(ffi::text(py, text)?.into_any()),
                Err(_) => Err(corrupt(py, &"a string is not valid UTF-8")),
            },
            Kind::Bytes => Ok(ffi::byte_string(py, self.view.bytes(at))?.into_any()),
            Kind::Array | Kind::Tensor => {
                let words = &self.view.values[node.value_at as usize..][..usize::from(node.ndim)];
                let dims = words.iter().map(|&dim| ffi::unsigned(py, dim).map(Bound::into_any));
                let dims = ffi::tuple(py, dims.collect::<PyResult<Vec<_>>>()?)?.into_any();
                let memory = match &self.memory {
                    Some(memory) => memory.clone(),
                    None => self.memory.insert(Bound::new(py, Blob(Arc::clone(self.view.blobs)))?).clone(),
                };
                let offset = ffi::unsigned(py, self.view.place(at).start as u64)?.into_any();
                self.make(node.aux, [dims, memory.into_any(), offset])
            }
            _ => arrays::int_from_bytes(py, self.view.bytes(at)),
        }
    }

    fn make<const N: usize>(
        &self,
        dtype: u32,
        arguments: [Bound<'py, PyAny>; N],
    ) -> PyResult<Bound<'py, PyAny>> {
        let arguments = ffi::tuple(self.py, arguments)?;
        let maker = self.structure.makers[dtype as usize].bind(self.py);
        maker.call1(arguments).map_err(|error| unmade(self.py, error))
    }

    fn items(&mut self, next: &mut usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let node = &self.structure.shape.nodes[*next];
        let mut items = Vec::with_capacity(node.aux as usize);
        *next += 1;
        while *next < node.end as usize {
            items.push(self.object(next)?);
        }
        Ok(items)
    }
}
