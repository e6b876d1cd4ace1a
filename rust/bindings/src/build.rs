//! A dictionary straight from the words: what a structure that is met once needs.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use traincast_core::BlobBuffer;
use traincast_core::snapshot::blobs::BlobCursor;
use traincast_core::snapshot::shape::{Key, Kind, Shape};
use traincast_core::snapshot::to_bytes;

use crate::arrays;
use crate::blob::Blob;
use crate::errors::{corrupt, unmade};
use crate::ffi;

/// Nodes: a dictionary of CPython's grows beyond five entries.
const SMALL: usize = 6;

/// A shape with the Python objects that all of its dictionaries share.
#[derive(Default)]
pub struct Structure {
    pub shape: Shape,
    /// By the index of the key in the shape.
    pub keys: Vec<Py<PyAny>>,
    /// What makes the arrays, tensors and numpy scalars, by the index of their dtype in the shape.
    pub makers: Vec<Py<PyAny>>,
    /// Whether building costs no more than copying and then exchanging what changed.
    pub small: bool,
}

impl Structure {
    /// Becomes that of a shape as it lies in a slot: `len` bytes in these words. After an error it is nobody's.
    pub fn renew(&mut self, py: Python<'_>, words: &[u64], len: usize) -> PyResult<()> {
        let malformed = |error: &dyn ToString| corrupt(py, &error.to_string());
        let Self { shape, keys, makers, small } = self;
        keys.clear();
        makers.clear();
        *shape = std::mem::take(shape).parse_again(words, len).map_err(|error| malformed(&error))?;
        keys.shrink_to(shape.key_count());
        keys.reserve_exact(shape.key_count());
        for key in shape.keys() {
            keys.push(match key {
                Key::Str(text) => PyString::new(py, &text).into_any().unbind(),
                Key::Int(int) => int.into_pyobject(py)?.into_any().unbind(),
                Key::BigInt(bytes) => arrays::int_from_bytes(py, &bytes)?.unbind(),
            });
        }
        if !shape.dtypes.is_empty() {
            for node in shape.nodes.iter().filter(|node| node.kind.has_dtype()) {
                let dtype = &shape.dtypes[node.aux as usize];
                let maker = arrays::array_maker(py, node.kind, &dtype.name, dtype.itemsize);
                makers.push(maker.map_err(|error| malformed(&error))?.unbind());
            }
        }
        *small = shape.nodes.len() <= SMALL && !shape.has_blobs;
        Ok(())
    }

    /// Interns the keys: a user who looks up a literal then has the same object. Not worth it for a structure that is met
    /// once; and not on 3.12, where what is interned is never freed: structures that keep changing would use up the memory.
    pub fn intern_keys(&mut self, py: Python<'_>) {
        let version = py.version_info();
        if (version.major, version.minor) == (3, 12) {
            return;
        }
        for (object, key) in self.keys.iter_mut().zip(self.shape.keys()) {
            if let Key::Str(text) = key {
                *object = PyString::intern(py, &text).into_any().unbind();
            }
        }
    }

    /// A numpy scalar from its words.
    pub fn scalar<'py>(&self, py: Python<'py>, dtype: u32, words: &[u64]) -> PyResult<Bound<'py, PyAny>> {
        let itemsize = self.shape.dtypes[dtype as usize].itemsize;
        let bytes = PyBytes::new(py, &to_bytes(words, itemsize));
        self.makers[dtype as usize].bind(py).call1((bytes,)).map_err(|error| unmade(py, error))
    }

    /// An array or tensor on a snapshot's memory.
    pub fn array<'py>(
        &self,
        dtype: u32,
        dims: &Bound<'py, PyTuple>,
        blob: &Option<Py<Blob>>,
        offset: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = dims.py();
        self.makers[dtype as usize].bind(py).call1((dims, blob, offset)).map_err(|error| unmade(py, error))
    }

    /// Whether there are arrays or tensors.
    pub fn has_arrays(&self) -> bool {
        let arrays = |kind| matches!(kind, Kind::Array | Kind::Tensor);
        !self.makers.is_empty() && self.shape.nodes.iter().any(|node| arrays(node.kind))
    }

    /// The dictionary of these values.
    #[inline(never)]
    pub fn build<'py>(
        &self,
        py: Python<'py>,
        values: &[u64],
        blobs: &Arc<BlobBuffer>,
    ) -> PyResult<Bound<'py, PyDict>> {
        if values.len() != self.shape.value_words {
            return Err(corrupt(py, "the number of values does not fit the shape"));
        }
        let blob = match self.has_arrays() {
            true => Some(Py::new(py, Blob(Arc::clone(blobs)))?),
            false => None,
        };
        let mut next = 0;
        let cursor = BlobCursor::default();
        Builder { py, structure: self, values, bytes: blobs.bytes(), blob, cursor }.dict(&mut next)
    }
}

/// A string, bytes or big integer from its bytes.
pub fn text<'py>(py: Python<'py>, kind: Kind, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match kind {
        Kind::Str => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(PyString::new(py, text).into_any()),
            Err(_) => Err(corrupt(py, "a string is not valid UTF-8")),
        },
        Kind::Bytes => Ok(PyBytes::new(py, bytes).into_any()),
        _ => arrays::int_from_bytes(py, bytes),
    }
}

/// The error for a blob that its snapshot does not hold.
pub fn beyond(py: Python<'_>) -> PyErr {
    corrupt(py, "a string or array is longer than the snapshot that holds it")
}

struct Builder<'a, 'py> {
    py: Python<'py>,
    structure: &'a Structure,
    values: &'a [u64],
    bytes: &'a [u8],
    blob: Option<Py<Blob>>,
    cursor: BlobCursor,
}

impl<'py> Builder<'_, 'py> {
    /// The dictionary at `next`, which then is the node after it.
    fn dict(&mut self, next: &mut usize) -> PyResult<Bound<'py, PyDict>> {
        let (py, Structure { shape, keys, .. }) = (self.py, self.structure);
        let nodes = &shape.nodes[..shape.nodes[*next].end as usize];
        let mut at = *next + 1;
        let dict = PyDict::new(py);
        while let Some(node) = nodes.get(at) {
            let object = if node.kind.is_number() {
                at += 1;
                ffi::number(py, node.kind, self.values[node.value_at as usize])?
            } else {
                self.object(&mut at)?
            };
            ffi::set_entry(dict.as_unbound(), &keys[node.key as usize], object)?;
        }
        *next = at;
        Ok(dict)
    }

    /// The object at `next`, which then is the node after it.
    fn object(&mut self, next: &mut usize) -> PyResult<Bound<'py, PyAny>> {
        let (py, structure) = (self.py, self.structure);
        let node = &structure.shape.nodes[*next];
        let at = node.value_at as usize;
        match node.kind {
            Kind::Dict => return self.dict(next).map(Bound::into_any),
            Kind::List => return Ok(PyList::new(py, self.items(next)?)?.into_any()),
            Kind::Tuple => return Ok(PyTuple::new(py, self.items(next)?)?.into_any()),
            _ => *next += 1,
        }
        match node.kind {
            Kind::None => Ok(py.None().into_bound(py)),
            Kind::Float | Kind::Int | Kind::Bool => ffi::number(py, node.kind, self.values[at]),
            Kind::Scalar => {
                structure.scalar(py, node.aux, &self.values[structure.shape.value_range(*next - 1)])
            }
            _ => {
                let range =
                    self.cursor.advance(&structure.shape, node, self.values).ok_or_else(|| beyond(py))?;
                let bytes = self.bytes.get(range.clone()).ok_or_else(|| beyond(py))?;
                if matches!(node.kind, Kind::Array | Kind::Tensor) {
                    let dims = PyTuple::new(py, &self.values[at..at + usize::from(node.ndim)])?;
                    structure.array(node.aux, &dims, &self.blob, range.start)
                } else {
                    text(py, node.kind, bytes)
                }
            }
        }
    }

    fn items(&mut self, next: &mut usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let end = self.structure.shape.nodes[*next].end as usize;
        let mut items = Vec::with_capacity(self.structure.shape.nodes[*next].aux as usize);
        *next += 1;
        while *next < end {
            items.push(self.object(next)?);
        }
        Ok(items)
    }
}
