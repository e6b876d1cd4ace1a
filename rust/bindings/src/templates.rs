//! Dictionaries as copies of what was there before: what a structure that stays needs.
//!
//! For a structure there are *templates*: a container object for each container of the snapshot, with the newest leaves
//! in it, that is never handed out. A new snapshot replaces only the leaves whose words differ; a reader gets copies of
//! the templates. So the cost follows what changed, and a dictionary that a user edits is that user's alone. A number that
//! no copy holds any more is not replaced, but given its new value.

mod renewal;

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use traincast_core::BlobBuffer;
use traincast_core::snapshot::shape::{Kind, NO_KEY};

use crate::blob::Blob;
use crate::build::Structure;
use crate::errors::corrupt;
use crate::ffi;

/// Where an object stands in its container: an index into the shape's keys, or a position.
type Slot = u32;

/// A leaf whose value is in a word, with the entry that it sets at hand: this is what a changed read spends its time on.
struct Number {
    kind: Kind,
    /// Index of the value word. They are in this order.
    at: u32,
    place: Place,
    /// The object that is there.
    object: Option<Py<PyAny>>,
}

enum Place {
    Entry { dict: Py<PyDict>, key: Py<PyAny> },
    Item { parent: u32, slot: Slot },
}

/// Any other leaf.
#[derive(Clone, Copy)]
struct Leaf {
    node: u32,
    parent: u32,
    slot: Slot,
}

/// An array or tensor: made anew for each dictionary, from memory that is shared.
struct Fresh {
    node: u32,
    dtype: u32,
    dims: Py<PyTuple>,
    offset: usize,
}

#[derive(Clone, Copy)]
enum Child {
    Container(u32),
    Fresh(u32),
}

/// A dictionary in a dictionary, with all that a copy needs at hand.
struct Nested {
    container: u32,
    /// The how manieth entry of the outer one it is.
    entry: u32,
    key: Py<PyAny>,
}

enum Template {
    Dict(Py<PyDict>),
    List(Py<PyList>),
    /// A tuple's items; a frozen one, which holds nothing that could be edited, stands built in its parent, and is shared.
    Tuple {
        items: Vec<Py<PyAny>>,
        frozen: bool,
        dirty: bool,
    },
}

struct Container {
    template: Template,
    parent: u32,
    slot: Slot,
    /// What must be put into each copy.
    nested: Vec<Nested>,
    children: Vec<(Slot, Child)>,
}

/// The templates of one structure.
#[derive(Default)]
pub struct Templates {
    containers: Vec<Container>,
    numbers: Vec<Number>,
    /// numpy scalars.
    scalars: Vec<Leaf>,
    /// Strings, bytes and big integers.
    texts: Vec<Leaf>,
    fresh: Vec<Fresh>,
    has_frozen: bool,
    values: Vec<u64>,
    blobs: Option<Arc<BlobBuffer>>,
    blob: Option<Py<Blob>>,
}

impl Templates {
    /// Templates with no values yet. Each of the other methods wants the same structure.
    #[cold]
    pub fn new(py: Python<'_>, structure: &mut Structure) -> PyResult<Self> {
        structure.intern_keys(py);
        let mut made = Self::default();
        made.add(py, structure, 0, u32::MAX, 0)?;
        Ok(made)
    }

    /// The node's template and those below it. Returns the node after it.
    fn add(
        &mut self,
        py: Python<'_>,
        structure: &Structure,
        at: usize,
        parent: u32,
        slot: Slot,
    ) -> PyResult<usize> {
        let shape = &structure.shape;
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
                        frozen: false,
                        dirty: true,
                    },
                };
                self.containers.push(Container {
                    template,
                    parent,
                    slot,
                    nested: Vec::new(),
                    children: Vec::new(),
                });
                let mut next = at + 1;
                for position in 0..len {
                    let key = shape.nodes[next].key;
                    let slot = if key == NO_KEY { position as u32 } else { key };
                    // The entry exists from the start, so that the order is the shape's.
                    self.put(&structure.keys, index, slot, py.None().into_bound(py))?;
                    next = self.add(py, structure, next, index, slot)?;
                }
                let container = &mut self.containers[index as usize];
                let open = !container.children.is_empty();
                if let Template::Tuple { frozen, .. } = &mut container.template {
                    *frozen = !open;
                    self.has_frozen |= !open;
                }
                let shared = matches!(container.template, Template::Tuple { frozen: true, .. });
                if parent != u32::MAX && !shared {
                    self.put_container(py, structure, parent, slot, index)?;
                }
                return Ok(next);
            }
            Kind::Array | Kind::Tensor => {
                let child = Child::Fresh(self.fresh.len() as u32);
                self.containers[parent as usize].children.push((slot, child));
                self.fresh.push(Fresh {
                    node: at as u32,
                    dtype: node.aux,
                    dims: PyTuple::empty(py).unbind(),
                    offset: 0,
                });
            }
            // None is there already.
            Kind::None => {}
            // Of no bytes, hence of no words that could change: it is what it is.
            Kind::Scalar if shape.dtypes[node.aux as usize].itemsize == 0 => {
                let scalar = structure.scalar(py, node.aux, &[])?;
                self.put(&structure.keys, parent, slot, scalar)?;
            }
            Kind::Scalar => self.scalars.push(Leaf { node: at as u32, parent, slot }),
            Kind::BigInt | Kind::Str | Kind::Bytes => {
                self.texts.push(Leaf { node: at as u32, parent, slot });
            }
            Kind::Bool | Kind::Int | Kind::Float => {
                let place = match &self.containers[parent as usize].template {
                    Template::Dict(dict) => {
                        let key = structure.keys[slot as usize].clone_ref(py);
                        Place::Entry { dict: dict.clone_ref(py), key }
                    }
                    _ => Place::Item { parent, slot },
                };
                self.numbers.push(Number { kind: node.kind, at: node.value_at, place, object: None });
            }
        }
        Ok(at + 1)
    }

    fn put(
        &mut self,
        keys: &[Py<PyAny>],
        container: u32,
        slot: Slot,
        object: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        put(&mut self.containers[container as usize].template, keys, slot, object)
    }

    /// A container that was made stands in another, as the last so far.
    fn put_container(
        &mut self,
        py: Python<'_>,
        structure: &Structure,
        parent: u32,
        slot: Slot,
        index: u32,
    ) -> PyResult<()> {
        let containers = &mut self.containers;
        if let (Template::Dict(outer), Template::Dict(inner)) =
            (&containers[parent as usize].template, &containers[index as usize].template)
        {
            let key = structure.keys[slot as usize].clone_ref(py);
            // Of the type that the copies have there: see `ffi::exchange_dict`.
            ffi::set_entry(outer, &key, inner.bind(py).clone().into_any())?;
            let entry = outer.bind(py).len() as u32 - 1;
            containers[parent as usize].nested.push(Nested { container: index, entry, key });
        } else {
            containers[parent as usize].children.push((slot, Child::Container(index)));
        }
        Ok(())
    }

    /// A dictionary of the newest snapshot that nobody else has.
    pub fn hand_out<'py>(&self, py: Python<'py>, structure: &Structure) -> PyResult<Bound<'py, PyDict>> {
        match &self.containers[0].template {
            Template::Dict(template) => self.copy_dict(py, structure, &self.containers[0], template),
            _ => Err(corrupt(py, "the root is not a dictionary")),
        }
    }

    fn copy_dict<'py>(
        &self,
        py: Python<'py>,
        structure: &Structure,
        from: &Container,
        template: &Py<PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let copy = template.bind(py).copy()?;
        for Nested { container, entry, key } in &from.nested {
            let inner = &self.containers[*container as usize];
            if let Template::Dict(template) = &inner.template {
                let child = self.copy_dict(py, structure, inner, template)?;
                ffi::exchange_dict(&copy, *entry as usize, key, child)?;
            }
        }
        for &(slot, child) in &from.children {
            let child = self.child(py, structure, child)?;
            ffi::set_entry(copy.as_unbound(), &structure.keys[slot as usize], child)?;
        }
        Ok(copy)
    }

    fn child<'py>(
        &self,
        py: Python<'py>,
        structure: &Structure,
        child: Child,
    ) -> PyResult<Bound<'py, PyAny>> {
        let container = match child {
            Child::Container(index) => &self.containers[index as usize],
            Child::Fresh(index) => {
                let fresh = &self.fresh[index as usize];
                return structure.array(fresh.dtype, fresh.dims.bind(py), &self.blob, fresh.offset);
            }
        };
        match &container.template {
            Template::Dict(template) => Ok(self.copy_dict(py, structure, container, template)?.into_any()),
            Template::List(template) => {
                let template = template.bind(py);
                let copy = template.get_slice(0, template.len());
                for &(slot, child) in &container.children {
                    copy.set_item(slot as usize, self.child(py, structure, child)?)?;
                }
                Ok(copy.into_any())
            }
            Template::Tuple { items, .. } => {
                let mut items: Vec<_> = items.iter().map(|item| item.bind(py).clone()).collect();
                for &(slot, child) in &container.children {
                    items[slot as usize] = self.child(py, structure, child)?;
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
