//! Builds dictionaries as copies, if few leaves of a snapshot are new.
//!
//! *Templates* are the dictionaries and lists of a snapshot, separated from each other: each holds its leaves, but none of the
//! other containers. They are never handed out, and the garbage collector does not track them, so no Python code finds them. For
//! a newer snapshot, the leaves that differ are replaced; then each container is copied, and the copies are put together.
//! Everything that copies share is immutable.

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
    /// The templates of a snapshot. `None` if Python code has found one of them while they were created (the collector may have
    /// run), because it could change that one.
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

    /// Updates the templates to a newer snapshot of numbers only. After an error they must not be used.
    pub fn exchange_numbers(&self, builder: &Builder<'_, '_>, diff: &mut Diff) -> Made<()> {
        diff.exchange(&builder.view, |leaf, word| {
            let template = self.0[leaf.parent as usize].bind(builder.py);
            put(builder.structure, template, leaf, &ffi::number(builder.py, leaf.kind, word)?)
        })
    }

    /// Replaces the leaves that have changed. After an error the templates must not be used.
    pub fn exchange(&self, builder: &mut Builder<'_, '_>, diff: &Diff) -> Made<()> {
        for leaf in diff.changed() {
            let object = builder.object(&mut (leaf.node as usize))?;
            let template = self.0[leaf.parent as usize].bind(builder.py);
            put(builder.structure, template, leaf, &object)?;
            if leaf.kind == Kind::Tuple {
                ffi::hide(template); // a dictionary that gets a tuple is tracked again
            }
        }
        Ok(())
    }

    /// A new dictionary of the snapshot.
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

/// The copy that contains a part.
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

/// Casts a container to its type, which is known.
fn exact<'a, 'py, T: PyTypeInfo>(container: &'a Bound<'py, PyAny>) -> Made<&'a Bound<'py, T>> {
    Ok(container.cast_exact::<T>().map_err(PyErr::from)?)
}

/// Puts an object in the place of a part.
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
