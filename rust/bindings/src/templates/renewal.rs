//! How templates take over a newer snapshot.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use traincast_core::BlobBuffer;
use traincast_core::snapshot::blobs::BlobCursor;
use traincast_core::snapshot::shape::Kind;

use super::{Container, Leaf, Number, Place, Template, Templates, put};
use crate::blob::Blob;
use crate::build::{Structure, beyond, text};
use crate::errors::corrupt;
use crate::ffi;

/// What refers to a number while only this module has it: its template, and the list of numbers.
const OWNERS: isize = 2;

impl Templates {
    /// Takes over a snapshot. After an error the templates are of no use.
    pub fn update(
        &mut self,
        py: Python<'_>,
        structure: &Structure,
        values: &[u64],
        blobs: &Arc<BlobBuffer>,
    ) -> PyResult<()> {
        let Structure { shape, keys, .. } = structure;
        if self.values.len() != values.len() {
            if values.len() != shape.value_words {
                return Err(corrupt(py, "the number of values does not fit the shape"));
            }
            self.values = values.iter().map(|word| !word).collect(); // all of them have changed
        }
        if shape.has_blobs {
            self.update_blobs(py, structure, values, blobs)?;
        }
        if !self.scalars.is_empty() {
            self.update_scalars(py, structure, values)?;
        }
        self.update_numbers(py, keys, values)?;
        if self.has_frozen {
            self.rebuild_frozen(py, keys)?;
        }
        Ok(())
    }

    /// The last one: it takes over the words, of other leaves too.
    #[inline]
    fn update_numbers(&mut self, py: Python<'_>, keys: &[Py<PyAny>], values: &[u64]) -> PyResult<()> {
        let Self { numbers, containers, values: old, .. } = self;
        let alone = numbers.len() == values.len();
        let mut next = 0;
        for (at, (old, &new)) in old.iter_mut().zip(values).enumerate() {
            if *old == new {
                continue;
            }
            *old = new;
            if alone {
                next = at;
            } else {
                next += numbers[next..].iter().take_while(|number| (number.at as usize) < at).count();
            }
            let Some(number) = numbers.get_mut(next).filter(|number| number.at as usize == at) else {
                continue;
            };
            let object = number.object.as_ref().map(|object| object.bind(py));
            if !object.is_some_and(|object| ffi::set_number(object, OWNERS, number.kind, new)) {
                number.replace(py, containers, keys, new)?;
            }
        }
        Ok(())
    }

    /// Whether somebody has numbers of these templates: as much as the first one says.
    #[inline]
    pub fn in_use(&self, py: Python<'_>) -> bool {
        let first = self.numbers.first().and_then(|number| number.object.as_ref());
        first.is_some_and(|object| ffi::is_shared(object.bind(py), OWNERS))
    }

    #[inline(never)]
    fn update_scalars(&mut self, py: Python<'_>, structure: &Structure, values: &[u64]) -> PyResult<()> {
        for Leaf { node, parent, slot } in &self.scalars {
            let range = structure.shape.value_range(*node as usize);
            // An empty text has no word that could differ from what there was before: nothing.
            if !range.is_empty() && values[range.clone()] == self.values[range.clone()] {
                continue;
            }
            let dtype = structure.shape.nodes[*node as usize].aux;
            let scalar = structure.scalar(py, dtype, &values[range])?;
            put(&mut self.containers[*parent as usize].template, &structure.keys, *slot, scalar)?;
        }
        Ok(())
    }

    /// Strings, bytes, big integers and arrays: each one's place follows from the lengths before it.
    #[inline(never)]
    fn update_blobs(
        &mut self,
        py: Python<'_>,
        structure: &Structure,
        values: &[u64],
        blobs: &Arc<BlobBuffer>,
    ) -> PyResult<()> {
        let shape = &structure.shape;
        let new = blobs.bytes();
        let old = self.blobs.take();
        let (mut here, mut there) = (BlobCursor::default(), BlobCursor::default());
        let (mut texts, mut fresh) = (0, 0);
        for (index, node) in shape.nodes.iter().enumerate() {
            if !node.kind.has_blob() {
                continue;
            }
            let range = here.advance(shape, node, values).ok_or_else(|| beyond(py))?;
            let bytes = new.get(range.clone()).ok_or_else(|| beyond(py))?;
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
            let Leaf { node: leaf, parent, slot } = self.texts[texts];
            debug_assert_eq!(leaf as usize, index);
            texts += 1;
            if before == Some(bytes) {
                continue;
            }
            self.put(&structure.keys, parent, slot, text(py, node.kind, bytes)?)?;
        }
        self.blobs = Some(Arc::clone(blobs));
        self.blob = if self.fresh.is_empty() { None } else { Some(Py::new(py, Blob(Arc::clone(blobs)))?) };
        Ok(())
    }

    /// Inner tuples first: an outer one holds them.
    #[inline(never)]
    fn rebuild_frozen(&mut self, py: Python<'_>, keys: &[Py<PyAny>]) -> PyResult<()> {
        for index in (0..self.containers.len()).rev() {
            let container = &mut self.containers[index];
            let (parent, slot) = (container.parent, container.slot);
            if let Template::Tuple { items, frozen: true, dirty } = &mut container.template
                && *dirty
            {
                let tuple = PyTuple::new(py, items.iter())?;
                *dirty = false;
                self.put(keys, parent, slot, tuple.into_any())?;
            }
        }
        Ok(())
    }
}

impl Number {
    /// Puts another object in its place.
    #[inline(never)]
    fn replace(
        &mut self,
        py: Python<'_>,
        containers: &mut [Container],
        keys: &[Py<PyAny>],
        word: u64,
    ) -> PyResult<()> {
        let object = ffi::number(py, self.kind, word)?;
        self.object = Some(object.clone().unbind());
        match &self.place {
            Place::Entry { dict, key } => ffi::set_entry(dict, key, object),
            Place::Item { parent, slot } => {
                put(&mut containers[*parent as usize].template, keys, *slot, object)
            }
        }
    }
}
