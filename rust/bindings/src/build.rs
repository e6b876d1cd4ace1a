//! Dictionaries from words.

use std::ops::Range;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use traincast_core::BlobBuffer;
use traincast_core::snapshot::blobs::BlobCursor;
use traincast_core::snapshot::shape::{Key, Kind, Shape};
use traincast_core::snapshot::to_bytes;

use crate::arrays;
use crate::blob::Blob;
use crate::errors::{corrupt, unmade};
use crate::ffi;

/// Nodes of a small structure.
const SMALL: usize = 6;

/// A shape with the Python objects that all of its dictionaries share.
#[derive(Default)]
pub struct Structure {
    pub shape: Shape,
    /// By the index of the key in the shape.
    pub keys: Vec<Py<PyAny>>,
    /// What makes the arrays, tensors and numpy scalars, by the index of their dtype in the shape.
    makers: Vec<Py<PyAny>>,
}

impl Structure {
    /// Becomes that of a shape as it lies in a slot: `len` bytes in these words. After an error it is nobody's.
    pub fn renew(&mut self, py: Python<'_>, words: &[u64], len: usize) -> PyResult<()> {
        let malformed = |error: &dyn ToString| corrupt(py, &error.to_string());
        let Self { shape, keys, makers } = self;
        keys.clear();
        makers.clear();
        *shape = std::mem::take(shape).parse_again(words, len).map_err(|error| malformed(&error))?;
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

    /// Interns the keys: a user who looks up a literal then has the same object. Not worth it for a structure that is met
    /// once; and not on 3.12, where what is interned is never freed: structures that keep changing would use up the memory.
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

    /// Whether building its dictionaries never takes longer than copying: CPython's grow beyond five entries.
    pub fn is_small(&self) -> bool {
        self.shape.nodes.len() <= SMALL && !self.shape.has_blobs
    }

    /// The dictionary of these values.
    pub fn build<'py>(
        &self,
        py: Python<'py>,
        values: &[u64],
        blobs: &Arc<BlobBuffer>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut builder = Builder::new(py, self, values, blobs);
        builder.check()?;
        builder.root()
    }
}

/// The values of a snapshot, from which any part of it can be built.
pub struct Builder<'a, 'py> {
    pub py: Python<'py>,
    pub structure: &'a Structure,
    pub values: &'a [u64],
    pub blobs: &'a Arc<BlobBuffer>,
    /// Where each node has its bytes. Empty if none has any.
    pub places: Vec<Range<usize>>,
    /// The same memory for Python, once there is an array.
    memory: Option<Bound<'py, Blob>>,
}

impl<'a, 'py> Builder<'a, 'py> {
    pub fn new(
        py: Python<'py>,
        structure: &'a Structure,
        values: &'a [u64],
        blobs: &'a Arc<BlobBuffer>,
    ) -> Self {
        Self { py, structure, values, blobs, places: Vec::new(), memory: None }
    }

    /// Checks that the values fit the structure: before all else.
    pub fn check(&mut self) -> PyResult<()> {
        let shape = &self.structure.shape;
        if self.values.len() != shape.value_words {
            return Err(corrupt(self.py, "the number of values does not fit the shape"));
        }
        if shape.has_blobs { self.place() } else { Ok(()) }
    }

    #[inline(never)]
    fn place(&mut self) -> PyResult<()> {
        let shape = &self.structure.shape;
        let (mut cursor, len) = (BlobCursor::default(), self.blobs.bytes().len());
        self.places.reserve_exact(shape.nodes.len());
        for node in &shape.nodes {
            let place = cursor.advance(shape, node, self.values);
            match place {
                Some(place) if place.end <= len => self.places.push(place),
                None if !node.kind.has_blob() => self.places.push(0..0),
                _ => {
                    let what = "a string or array is longer than the snapshot that holds it";
                    return Err(corrupt(self.py, what));
                }
            }
        }
        Ok(())
    }

    /// The bytes of a node.
    pub fn bytes(&self, node: usize) -> &'a [u8] {
        self.places.get(node).map_or(&[], |place| &self.blobs.bytes()[place.clone()])
    }

    /// The whole dictionary.
    pub fn root(&mut self) -> PyResult<Bound<'py, PyDict>> {
        self.dict(&mut 0)
    }

    /// The dictionary at `next`, which then is the node after it.
    fn dict(&mut self, next: &mut usize) -> PyResult<Bound<'py, PyDict>> {
        let (py, Structure { shape, keys, .. }) = (self.py, self.structure);
        let (nodes, len) = (&shape.nodes[..shape.nodes[*next].end as usize], shape.nodes[*next].aux as usize);
        let mut at = *next + 1;
        let dict = ffi::dict(py)?;
        while let Some(node) = nodes.get(at) {
            let object = self.object(&mut at)?;
            ffi::set_entry(&dict, &keys[node.key as usize], &object)?;
        }
        *next = at;
        if dict.len() == len { Ok(dict) } else { Err(corrupt(py, "a key occurs twice in its shape")) }
    }

    /// The object at `next`, which then is the node after it.
    pub fn object(&mut self, next: &mut usize) -> PyResult<Bound<'py, PyAny>> {
        let node = &self.structure.shape.nodes[*next];
        if node.kind.is_number() {
            *next += 1;
            return ffi::number(self.py, node.kind, self.values[node.value_at as usize]);
        }
        self.other(next)
    }

    fn other(&mut self, next: &mut usize) -> PyResult<Bound<'py, PyAny>> {
        let (py, at) = (self.py, *next);
        let node = &self.structure.shape.nodes[at];
        match node.kind {
            Kind::Dict => return self.dict(next).map(Bound::into_any),
            Kind::List => return Ok(ffi::list(py, self.items(next)?)?.into_any()),
            Kind::Tuple => return Ok(ffi::tuple(py, self.items(next)?)?.into_any()),
            _ => *next += 1,
        }
        match node.kind {
            Kind::None => Ok(py.None().into_bound(py)),
            Kind::Scalar => {
                let words = &self.values[self.structure.shape.value_range(at)];
                let itemsize = self.structure.shape.dtypes[node.aux as usize].itemsize;
                self.make(node.aux, [ffi::byte_string(py, &to_bytes(words, itemsize))?.into_any()])
            }
            Kind::Str => match std::str::from_utf8(self.bytes(at)) {
                Ok(text) => Ok(ffi::text(py, text)?.into_any()),
                Err(_) => Err(corrupt(py, "a string is not valid UTF-8")),
            },
            Kind::Bytes => Ok(ffi::byte_string(py, self.bytes(at))?.into_any()),
            Kind::Array | Kind::Tensor => {
                let words = &self.values[node.value_at as usize..][..usize::from(node.ndim)];
                let dims = words.iter().map(|&dim| ffi::unsigned(py, dim).map(Bound::into_any));
                let dims = ffi::tuple(py, dims.collect::<PyResult<Vec<_>>>()?)?.into_any();
                let memory = match &self.memory {
                    Some(memory) => memory.clone(),
                    None => self.memory.insert(Bound::new(py, Blob(Arc::clone(self.blobs)))?).clone(),
                };
                let offset = ffi::unsigned(py, self.places[at].start as u64)?.into_any();
                self.make(node.aux, [dims, memory.into_any(), offset])
            }
            _ => arrays::int_from_bytes(py, self.bytes(at)),
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
