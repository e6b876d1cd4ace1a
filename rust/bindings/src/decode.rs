//! From words to dictionaries.
//!
//! For each shape there are *templates*: a container object for each container of the snapshot, with the newest leaves
//! in it, that is never handed out. A new snapshot replaces only the leaves whose words differ; a reader gets copies of
//! the templates. So the cost follows what changed, and a dictionary that a user edits is that user's alone.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyList, PyString, PyTuple};
use traincast_core::BlobBuffer;
use traincast_core::reader::{SlotBuffer, SlotMeta};
use traincast_core::snapshot::encode::BlobCursor;
use traincast_core::snapshot::shape::{Key, Kind, NO_KEY, Node, Shape};
use traincast_core::snapshot::to_bytes;

use crate::arrays;
use crate::blob::Blob;
use crate::errors::{corrupt, unmade};
use crate::ffi;

/// Where an object stands in its container: an index into the shape's keys, or a position.
type Slot = u32;

struct Leaf {
    kind: Kind,
    /// Index of the first value word.
    at: u32,
    node: u32,
    parent: u32,
    slot: Slot,
    /// Index into `Templates::makers` of a numpy scalar.
    maker: u32,
}

/// An array or tensor: made anew for each dictionary, from memory that is shared.
struct Fresh {
    node: u32,
    maker: u32,
    dims: Py<PyTuple>,
    offset: usize,
}

#[derive(Clone, Copy)]
enum Child {
    Container(u32),
    Fresh(u32),
}

enum Template {
    Dict(Py<PyDict>),
    List(Py<PyList>),
    /// A tuple's items; a frozen one, which holds nothing that could be edited, is built once and shared.
    Tuple {
        items: Vec<Py<PyAny>>,
        built: Option<Py<PyTuple>>,
        frozen: bool,
        dirty: bool,
    },
}

struct Container {
    template: Template,
    parent: u32,
    slot: Slot,
    /// What must be put into each copy.
    children: Vec<(Slot, Child)>,
}

/// The templates of one shape.
pub struct Templates {
    pub shape: Arc<Shape>,
    keys: Vec<Py<PyAny>>,
    makers: Vec<Py<PyAny>>,
    containers: Vec<Container>,
    /// Leaves whose value is in their words.
    words: Vec<Leaf>,
    /// Strings, bytes and big integers.
    texts: Vec<Leaf>,
    fresh: Vec<Fresh>,
    has_frozen: bool,
    values: Vec<u64>,
    blobs: Option<Arc<BlobBuffer>>,
    blob: Option<Py<Blob>>,
}

impl Templates {
    /// Templates with no values yet.
    pub fn new(py: Python<'_>, shape: Arc<Shape>) -> PyResult<Self> {
        let mut keys = Vec::with_capacity(shape.keys.len());
        for key in &shape.keys {
            keys.push(match key {
                Key::Str(text) => key_object(py, text).into_any().unbind(),
                Key::Int(int) => int.into_pyobject(py)?.into_any().unbind(),
                Key::BigInt(bytes) => arrays::int_from_bytes(py, bytes)?.unbind(),
            });
        }
        let mut made = Self {
            shape: Arc::clone(&shape),
            keys,
            makers: Vec::new(),
            containers: Vec::new(),
            words: Vec::new(),
            texts: Vec::new(),
            fresh: Vec::new(),
            has_frozen: false,
            values: Vec::new(),
            blobs: None,
            blob: None,
        };
        made.build(py, &shape, 0, u32::MAX, 0)?;
        Ok(made)
    }

    /// One dictionary, once.
    pub fn decode<'py>(py: Python<'py>, slot: &SlotBuffer, meta: &SlotMeta) -> PyResult<Bound<'py, PyDict>> {
        let shape = Shape::parse(&to_bytes(&slot.shape, meta.shape_len))
            .map_err(|error| corrupt(py, &error.to_string()))?;
        let mut templates = Self::new(py, Arc::new(shape))?;
        templates.update(py, &slot.values, &slot.blobs)?;
        templates.hand_out(py)
    }

    /// The node's template and those below it. Returns the node after it.
    fn build(
        &mut self,
        py: Python<'_>,
        shape: &Shape,
        at: usize,
        parent: u32,
        slot: Slot,
    ) -> PyResult<usize> {
        let node = &shape.nodes[at];
        let none = || py.None();
        match node.kind {
            Kind::List | Kind::Tuple | Kind::Dict => {
                let index = self.containers.len() as u32;
                let len = node.aux as usize;
                let template = match node.kind {
                    Kind::Dict => Template::Dict(PyDict::new(py).unbind()),
                    Kind::List => {
                        Template::List(PyList::new(py, std::iter::repeat_with(none).take(len))?.unbind())
                    }
                    _ => Template::Tuple {
                        items: std::iter::repeat_with(none).take(len).collect(),
                        built: None,
                        frozen: false,
                        dirty: true,
                    },
                };
                self.containers.push(Container { template, parent, slot, children: Vec::new() });
                let mut next = at + 1;
                for position in 0..len {
                    let key = shape.nodes[next].key;
                    let slot = if key == NO_KEY { position as u32 } else { key };
                    // The entry exists from the start, so that the order is the shape's.
                    self.put(py, index, slot, py.None())?;
                    next = self.build(py, shape, next, index, slot)?;
                }
                let container = &mut self.containers[index as usize];
                let open = !container.children.is_empty();
                if let Template::Tuple { frozen, .. } = &mut container.template {
                    *frozen = !open;
                    self.has_frozen |= !open;
                }
                let shared = matches!(container.template, Template::Tuple { frozen: true, .. });
                if parent != u32::MAX && !shared {
                    self.containers[parent as usize].children.push((slot, Child::Container(index)));
                }
                return Ok(next);
            }
            Kind::Array | Kind::Tensor => {
                let maker = self.maker(py, shape, node)?;
                let child = Child::Fresh(self.fresh.len() as u32);
                self.containers[parent as usize].children.push((slot, child));
                self.fresh.push(Fresh {
                    node: at as u32,
                    maker,
                    dims: PyTuple::empty(py).unbind(),
                    offset: 0,
                });
            }
            // None is there already.
            Kind::None => {}
            // Of no bytes, hence of no words that could change: it is what it is.
            Kind::Scalar if shape.dtypes[node.aux as usize].itemsize == 0 => {
                let maker = self.maker(py, shape, node)? as usize;
                let scalar = self.makers[maker].call1(py, (PyBytes::new(py, b""),))?;
                self.put(py, parent, slot, scalar)?;
            }
            _ => {
                let maker = if node.kind == Kind::Scalar { self.maker(py, shape, node)? } else { 0 };
                let leaf = Leaf { kind: node.kind, at: node.value_at, node: at as u32, parent, slot, maker };
                let leaves = if node.kind.has_blob() { &mut self.texts } else { &mut self.words };
                leaves.push(leaf);
            }
        }
        Ok(at + 1)
    }

    fn maker(&mut self, py: Python<'_>, shape: &Shape, node: &Node) -> PyResult<u32> {
        let dtype = &shape.dtypes[node.aux as usize];
        let maker = arrays::array_maker(py, node.kind, &dtype.name, dtype.itemsize)
            .map_err(|error| corrupt(py, &error.to_string()))?;
        self.makers.push(maker.unbind());
        Ok(self.makers.len() as u32 - 1)
    }

    fn put(&mut self, py: Python<'_>, container: u32, slot: Slot, object: Py<PyAny>) -> PyResult<()> {
        put(&mut self.containers[container as usize].template, &self.keys, slot, object.into_bound(py))
    }

    /// Takes over a snapshot of this shape. After an error the templates are of no use.
    pub fn update(&mut self, py: Python<'_>, values: &[u64], blobs: &Arc<BlobBuffer>) -> PyResult<()> {
        if values.len() != self.shape.value_words {
            return Err(corrupt(py, "the number of values does not fit the shape"));
        }
        if self.values.len() != values.len() {
            self.values = values.iter().map(|word| !word).collect(); // all of them have changed
        }
        if self.shape.has_blobs {
            let shape = Arc::clone(&self.shape);
            self.update_blobs(py, &shape, values, blobs)?;
        }
        let Self { words, containers, keys, makers, values: old, shape, .. } = &mut *self;
        for leaf in words.iter() {
            let at = leaf.at as usize;
            let object = if leaf.kind == Kind::Scalar {
                let range = shape.value_range(leaf.node as usize);
                // An empty text has no word that could differ from what there was before: nothing.
                if !range.is_empty() && values[range.clone()] == old[range.clone()] {
                    continue;
                }
                let itemsize = shape.dtypes[shape.nodes[leaf.node as usize].aux as usize].itemsize;
                let bytes = PyBytes::new(py, &to_bytes(&values[range], itemsize));
                makers[leaf.maker as usize].bind(py).call1((bytes,)).map_err(|error| unmade(py, error))?
            } else {
                let word = values[at];
                if word == old[at] {
                    continue;
                }
                match leaf.kind {
                    Kind::Float => PyFloat::new(py, f64::from_bits(word)).into_any(),
                    Kind::Int => (word as i64).into_pyobject(py)?.into_any(),
                    _ => PyBool::new(py, word != 0).to_owned().into_any(),
                }
            };
            put(&mut containers[leaf.parent as usize].template, keys, leaf.slot, object)?;
        }
        if self.has_frozen {
            self.rebuild_frozen(py)?;
        }
        self.values.copy_from_slice(values);
        Ok(())
    }

    /// Strings, bytes, big integers and arrays: each one's place follows from the lengths before it.
    fn update_blobs(
        &mut self,
        py: Python<'_>,
        shape: &Shape,
        values: &[u64],
        blobs: &Arc<BlobBuffer>,
    ) -> PyResult<()> {
        let beyond = || corrupt(py, "a string or array is longer than the snapshot that holds it");
        let new = blobs.bytes();
        let old = self.blobs.take();
        let (mut here, mut there) = (BlobCursor::default(), BlobCursor::default());
        let (mut text, mut fresh) = (0, 0);
        for (index, node) in shape.nodes.iter().enumerate() {
            if !node.kind.has_blob() {
                continue;
            }
            let range = here.advance(shape, node, values).ok_or_else(beyond)?;
            let bytes = new.get(range.clone()).ok_or_else(beyond)?;
            let before = old.as_ref().and_then(|old| {
                there.advance(shape, node, &self.values).and_then(|range| old.bytes().get(range))
            });
            if matches!(node.kind, Kind::Array | Kind::Tensor) {
                let at = node.value_at as usize;
                let dims = at..at + usize::from(node.ndim);
                let slot = &mut self.fresh[fresh];
                debug_assert_eq!(slot.node as usize, index);
                slot.offset = range.start;
                if old.is_none() || values[dims.clone()] != self.values[dims.clone()] {
                    slot.dims = PyTuple::new(py, &values[dims])?.unbind();
                }
                fresh += 1;
                continue;
            }
            let (parent, slot) = (self.texts[text].parent, self.texts[text].slot);
            debug_assert_eq!(self.texts[text].node as usize, index);
            text += 1;
            if before == Some(bytes) {
                continue;
            }
            let object = match node.kind {
                Kind::Str => match std::str::from_utf8(bytes) {
                    Ok(text) => PyString::new(py, text).into_any().unbind(),
                    Err(_) => return Err(corrupt(py, "a string is not valid UTF-8")),
                },
                Kind::Bytes => PyBytes::new(py, bytes).into_any().unbind(),
                _ => arrays::int_from_bytes(py, bytes)?.unbind(),
            };
            self.put(py, parent, slot, object)?;
        }
        self.blobs = Some(Arc::clone(blobs));
        self.blob = if self.fresh.is_empty() { None } else { Some(Py::new(py, Blob(Arc::clone(blobs)))?) };
        Ok(())
    }

    /// Inner tuples first: an outer one holds them.
    fn rebuild_frozen(&mut self, py: Python<'_>) -> PyResult<()> {
        for index in (0..self.containers.len()).rev() {
            let container = &mut self.containers[index];
            let (parent, slot) = (container.parent, container.slot);
            if let Template::Tuple { items, built, frozen: true, dirty } = &mut container.template
                && *dirty
            {
                let tuple = PyTuple::new(py, items.iter())?.unbind();
                *built = Some(tuple.clone_ref(py));
                *dirty = false;
                self.put(py, parent, slot, tuple.into_any())?;
            }
        }
        Ok(())
    }

    /// A dictionary of the newest snapshot that nobody else has.
    pub fn hand_out<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        match &self.containers[0].template {
            Template::Dict(template) => self.copy_dict(py, &self.containers[0], template),
            _ => Err(corrupt(py, "the root is not a dictionary")),
        }
    }

    fn copy_dict<'py>(
        &self,
        py: Python<'py>,
        from: &Container,
        template: &Py<PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let copy = template.bind(py).copy()?;
        for &(slot, child) in &from.children {
            ffi::set_entry(copy.as_unbound(), &self.keys[slot as usize], self.child(py, child)?)?;
        }
        Ok(copy)
    }

    fn child<'py>(&self, py: Python<'py>, child: Child) -> PyResult<Bound<'py, PyAny>> {
        let container = match child {
            Child::Container(index) => &self.containers[index as usize],
            Child::Fresh(index) => {
                let fresh = &self.fresh[index as usize];
                let maker = self.makers[fresh.maker as usize].bind(py);
                return maker
                    .call1((&fresh.dims, &self.blob, fresh.offset))
                    .map_err(|error| unmade(py, error));
            }
        };
        match &container.template {
            Template::Dict(template) => Ok(self.copy_dict(py, container, template)?.into_any()),
            Template::List(template) => {
                let template = template.bind(py);
                let copy = template.get_slice(0, template.len());
                for &(slot, child) in &container.children {
                    copy.set_item(slot as usize, self.child(py, child)?)?;
                }
                Ok(copy.into_any())
            }
            Template::Tuple { items, .. } => {
                let mut items: Vec<_> = items.iter().map(|item| item.bind(py).clone()).collect();
                for &(slot, child) in &container.children {
                    items[slot as usize] = self.child(py, child)?;
                }
                Ok(PyTuple::new(py, items)?.into_any())
            }
        }
    }
}

/// Puts an object into a template.
#[inline(always)]
fn put(template: &mut Template, keys: &[Py<PyAny>], slot: Slot, object: Bound<'_, PyAny>) -> PyResult<()> {
    match template {
        Template::Dict(dict) => ffi::set_entry(dict, &keys[slot as usize], object),
        Template::List(list) => list.bind(object.py()).set_item(slot as usize, object),
        Template::Tuple { items, dirty, .. } => {
            items[slot as usize] = object.unbind();
            *dirty = true;
            Ok(())
        }
    }
}

/// Interned: a user who looks up a literal then has the same object. Not on 3.12, where what is interned is never freed:
/// structures that keep changing would use up the memory.
fn key_object<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyString> {
    let version = py.version_info();
    if (version.major, version.minor) == (3, 12) {
        PyString::new(py, text)
    } else {
        PyString::intern(py, text)
    }
}
