//! Dictionaries as copies, for a snapshot of which few leaves are new.
//!
//! *Templates* are the dictionaries and lists of a snapshot taken apart: each holds its leaves and nothing of the others.
//! They are never handed out, and the garbage collector does not know them, so no Python code finds them. A newer snapshot
//! exchanges the leaves that differ; then each container is copied, and the copies are put together. What is shared
//! between the copies is immutable.

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use smallvec::SmallVec;
use traincast_core::snapshot::diff::{Diff, Part};
use traincast_core::snapshot::shape::Kind;

use crate::build::{Builder, Structure};
use crate::ffi::{self, Made};

/// The containers of a snapshot, by their index in the diff.
pub struct Templates(Vec<Py<PyAny>>);

impl Templates {
    /// Those of a snapshot. `None` if Python code has found one of them while they were made (the collector may have run): it
    /// could change it.
    #[cold]
    pub fn of(builder: &mut Builder<'_, '_>, diff: &Diff) -> PyResult<Option<Self>> {
        let none = builder.py.None().into_bound(builder.py);
        let mut objects = vec![builder.root()?.into_any()];
        for part in &diff.containers[1..] {
            let parent = &objects[part.parent as usize];
            let object = match parent.cast_exact::<PyDict>() {
                Ok(dict) => dict.as_any().get_item(&builder.structure.keys[part.slot as usize])?,
                Err(_) => parent.cast::<PyList>()?.get_item(part.slot as usize)?,
            };
            put(builder.structure, parent, part, &none)?;
            objects.push(object);
        }
        for part in &diff.fresh {
            put(builder.structure, &objects[part.parent as usize], part, &none)?;
        }
        let hidden = objects.iter().filter(|object| ffi::hide(object)).count() == objects.len();
        Ok(hidden.then(|| Self(objects.into_iter().map(Bound::unbind).collect())))
    }

    /// Goes on to a newer snapshot of numbers alone. After an error the templates are of no use.
    pub fn exchange_numbers(&self, builder: &Builder<'_, '_>, diff: &mut Diff) -> Made<()> {
        diff.exchange(&builder.view, |leaf, word| {
            let template = self.0[leaf.parent as usize].bind(builder.py);
            put(builder.structure, template, leaf, &ffi::number(builder.py, leaf.kind, word)?)
        })
    }

    /// Exchanges the leaves that have changed. After an error the templates are of no use.
    pub fn exchange(&self, builder: &mut Builder<'_, '_>, diff: &Diff) -> Made<()> {
        for leaf in diff.changed() {
            let object = builder.object(&mut (leaf.node as usize))?;
            let template = self.0[leaf.parent as usize].bind(builder.py);
            put(builder.structure, template, leaf, &object)?;
            if leaf.kind == Kind::Tuple {
                ffi::hide(template); // a dictionary is tracked again when it gets one
            }
        }
        Ok(())
    }

    /// A dictionary of the snapshot, which is the caller's alone.
    pub fn copy<'py>(&self, builder: &mut Builder<'_, 'py>, diff: &Diff) -> Made<Bound<'py, PyDict>> {
        let root = ffi::copy_dict(exact(self.0[0].bind(builder.py))?)?;
        let mut below = SmallVec::<[Bound<'py, PyAny>; 8]>::new();
        for (part, template) in diff.containers[1..].iter().zip(&self.0[1..]) {
            let template = template.bind(builder.py);
            let copy = match part.kind {
                Kind::Dict => ffi::copy_dict(exact(template)?)?.into_any(),
                _ => ffi::copy_list(exact(template)?)?.into_any(),
            };
            put(builder.structure, parent(&root, &below, part), part, &copy)?;
            below.push(copy);
        }
        for part in &diff.fresh {
            let object = builder.object(&mut (part.node as usize))?;
            put(builder.structure, parent(&root, &below, part), part, &object)?;
        }
        Ok(root)
    }
}

/// The copy in which a part has its place.
fn parent<'a, 'py>(
    root: &'a Bound<'py, PyDict>,
    below: &'a [Bound<'py, PyAny>],
    part: &Part,
) -> &'a Bound<'py, PyAny> {
    match part.parent as usize {
        0 => root.as_any(),
        index => &below[index - 1],
    }
}

/// A container by its type, which is known.
fn exact<'a, 'py, T: PyTypeInfo>(container: &'a Bound<'py, PyAny>) -> Made<&'a Bound<'py, T>> {
    Ok(container.cast_exact::<T>().map_err(PyErr::from)?)
}

/// Puts an object into the place of a part.
#[inline(always)]
fn put(
    structure: &Structure,
    container: &Bound<'_, PyAny>,
    part: &Part,
    object: &Bound<'_, PyAny>,
) -> Made<()> {
    match container.cast_exact::<PyDict>() {
        Ok(dict) => ffi::set_entry(dict, &structure.keys[part.slot as usize], object),
        Err(_) => put_item(container, part, object),
    }
}

#[inline(never)]
fn put_item(list: &Bound<'_, PyAny>, part: &Part, object: &Bound<'_, PyAny>) -> Made<()> {
    ffi::set_item(exact(list)?, part.slot as usize, object.clone())
}
