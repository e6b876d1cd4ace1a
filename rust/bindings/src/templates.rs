//! Dictionaries as copies, for a snapshot of which few leaves are new.
//!
//! *Templates* are the dictionaries and lists of a snapshot taken apart: each holds its leaves and nothing of the others.
//! They are never handed out, and the garbage collector does not know them, so no Python code finds them. A newer snapshot
//! exchanges the leaves that differ; then each container is copied, and the copies are put together. What is shared
//! between the copies is immutable.

use std::ops::Range;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use smallvec::SmallVec;
use traincast_core::BlobBuffer;
use traincast_core::snapshot::shape::{Kind, NO_KEY, Shape};

use crate::build::{Builder, Structure};
use crate::ffi;

/// A node, and where it stands in its container.
struct Part {
    node: u32,
    /// The index of the container among those of the plan.
    parent: u32,
    /// An index into the shape's keys, or a position in a list.
    slot: u32,
    /// Its value words.
    start: u32,
    end: u32,
    /// Whether it has bytes besides.
    blobs: bool,
    tuple: bool,
}

/// How the dictionaries of a structure are taken apart.
#[derive(Default)]
pub struct Plan {
    /// The root, then the dictionaries and lists below dictionaries and lists, outer ones first.
    containers: Vec<Part>,
    /// What may be shared: numbers, strings, tuples of such.
    leaves: Vec<Part>,
    /// What is made anew for each dictionary: arrays, tuples that hold something that can be changed.
    fresh: Vec<Part>,
    /// Whether leaves have bytes.
    texts: bool,
    /// Whether each leaf is one word, and there are no other words.
    plain: bool,
}

impl Plan {
    pub fn of(shape: &Shape) -> Self {
        let mut plan = Self::default();
        plan.add(shape, 0, 0, 0);
        plan.texts = plan.leaves.iter().any(|leaf| leaf.blobs);
        let numbers = plan.leaves.iter().all(|leaf| shape.nodes[leaf.node as usize].kind.is_number());
        plan.plain = numbers && plan.leaves.len() == shape.value_words;
        plan
    }

    /// Adds a node and those below it. Returns the node after it.
    fn add(&mut self, shape: &Shape, at: usize, parent: u32, slot: u32) -> usize {
        let node = &shape.nodes[at];
        let words = shape.value_range(at);
        let below = &shape.nodes[at..node.end as usize];
        let part = Part {
            node: at as u32,
            parent,
            slot,
            start: words.start as u32,
            end: words.end as u32,
            blobs: below.iter().any(|node| node.kind.has_blob()),
            tuple: node.kind == Kind::Tuple,
        };
        match node.kind {
            Kind::Dict | Kind::List => {
                let index = self.containers.len() as u32;
                self.containers.push(part);
                let mut next = at + 1;
                for position in 0..node.aux {
                    let key = shape.nodes[next].key;
                    next = self.add(shape, next, index, if key == NO_KEY { position } else { key });
                }
            }
            Kind::None => {}
            _ => {
                let own = |kind| matches!(kind, Kind::Dict | Kind::List | Kind::Array | Kind::Tensor);
                let parts =
                    if below.iter().any(|node| own(node.kind)) { &mut self.fresh } else { &mut self.leaves };
                parts.push(part);
            }
        }
        node.end as usize
    }
}

/// The words and bytes of a snapshot, to compare the next one with.
#[derive(Default)]
pub struct Seen {
    values: Vec<u64>,
    /// The bytes, and where each node has its own, if leaves have any.
    bytes: Option<(Arc<BlobBuffer>, Vec<Range<usize>>)>,
}

/// The indices of leaves in the plan.
pub type Changed = SmallVec<[u32; 16]>;

/// Out of so many leaves ..
const OF: usize = 8;
/// .. so many may be new for a copy; with more, the dictionary is built anew. Measured on CPython 3.11, copied against built: with
/// 11 leaves of which 7 are new 552 and 607 ns, all 629 and 612; with 41 of which 30 are new 1.35 and 1.65 µs, all 1.64 and 1.63;
/// with 201 of which 150 are new 5.4 and 7.5 µs, all 7.3 and 7.6.
const COPIED: usize = 7;

impl Seen {
    pub fn of(builder: &Builder<'_, '_>, plan: &Plan) -> Self {
        let mut seen = Self::default();
        seen.renew(builder, plan);
        seen
    }

    pub fn renew(&mut self, builder: &Builder<'_, '_>, plan: &Plan) {
        self.values.clear();
        self.values.extend_from_slice(builder.values);
        if plan.texts {
            self.bytes = Some((Arc::clone(builder.blobs), builder.places.clone()));
        }
    }

    /// Finds the leaves that differ in a newer snapshot: whether these are few.
    pub fn compare(&self, builder: &Builder<'_, '_>, plan: &Plan, changed: &mut Changed) -> bool {
        let most = plan.leaves.len() * COPIED / OF;
        if plan.plain {
            let words = self.values.iter().zip(builder.values).enumerate();
            let differing = words.filter(|(_, (old, new))| old != new).map(|(index, _)| index as u32);
            changed.extend(differing.take(most + 1));
            return changed.len() <= most;
        }
        for (index, leaf) in plan.leaves.iter().enumerate() {
            let (start, end) = (leaf.start as usize, leaf.end as usize);
            let differs = match end - start {
                1 => self.values[start] != builder.values[start],
                _ => self.values[start..end] != builder.values[start..end],
            };
            if differs || leaf.blobs && self.bytes_differ(builder, leaf) {
                if changed.len() >= most {
                    return false;
                }
                changed.push(index as u32);
            }
        }
        true
    }

    #[inline(never)]
    fn bytes_differ(&self, builder: &Builder<'_, '_>, leaf: &Part) -> bool {
        let Some((blobs, places)) = &self.bytes else { return true };
        let node = leaf.node as usize;
        (node..builder.structure.shape.nodes[node].end as usize)
            .any(|node| blobs.bytes().get(places[node].clone()) != Some(builder.bytes(node)))
    }
}

/// The containers of a snapshot, by their index in the plan.
pub struct Templates(Vec<Py<PyAny>>);

impl Templates {
    /// Those of a snapshot. `None` if Python code has found one of them while they were made (the collector may have run): it
    /// could change it.
    #[cold]
    pub fn of(builder: &mut Builder<'_, '_>, plan: &Plan) -> PyResult<Option<Self>> {
        let none = builder.py.None().into_bound(builder.py);
        let mut objects = vec![builder.root()?.into_any()];
        for part in &plan.containers[1..] {
            let parent = &objects[part.parent as usize];
            let object = match parent.cast_exact::<PyDict>() {
                Ok(dict) => dict.as_any().get_item(&builder.structure.keys[part.slot as usize])?,
                Err(_) => parent.cast::<PyList>()?.get_item(part.slot as usize)?,
            };
            put(builder.structure, parent, part, none.clone())?;
            objects.push(object);
        }
        for part in &plan.fresh {
            put(builder.structure, &objects[part.parent as usize], part, none.clone())?;
        }
        let hidden = objects.iter().filter(|object| ffi::hide(object)).count() == objects.len();
        Ok(hidden.then(|| Self(objects.into_iter().map(Bound::unbind).collect())))
    }

    /// Exchanges leaves. After an error the templates are of no use.
    pub fn exchange(&self, builder: &mut Builder<'_, '_>, plan: &Plan, changed: &Changed) -> PyResult<()> {
        for &leaf in changed {
            let leaf = &plan.leaves[leaf as usize];
            let object = builder.object(&mut (leaf.node as usize))?;
            let template = self.0[leaf.parent as usize].bind(builder.py);
            put(builder.structure, template, leaf, object)?;
            if leaf.tuple {
                ffi::hide(template); // a dictionary is tracked again when it gets one
            }
        }
        Ok(())
    }

    /// A dictionary of the snapshot, which is the caller's alone.
    pub fn copy<'py>(&self, builder: &mut Builder<'_, 'py>, plan: &Plan) -> PyResult<Bound<'py, PyDict>> {
        let mut copies = SmallVec::<[Bound<'py, PyAny>; 8]>::new();
        for (part, template) in plan.containers.iter().zip(&self.0) {
            let template = template.bind(builder.py);
            let copy = match template.cast_exact::<PyDict>() {
                Ok(dict) => ffi::copy_dict(dict)?.into_any(),
                Err(_) => ffi::copy_list(template.cast::<PyList>()?)?.into_any(),
            };
            if let Some(parent) = copies.get(part.parent as usize) {
                put(builder.structure, parent, part, copy.clone())?;
            }
            copies.push(copy);
        }
        for part in &plan.fresh {
            let object = builder.object(&mut (part.node as usize))?;
            put(builder.structure, &copies[part.parent as usize], part, object)?;
        }
        Ok(copies.swap_remove(0).cast_into::<PyDict>()?)
    }
}

/// Puts an object into the place of a part.
fn put(
    structure: &Structure,
    container: &Bound<'_, PyAny>,
    part: &Part,
    object: Bound<'_, PyAny>,
) -> PyResult<()> {
    match container.cast_exact::<PyDict>() {
        Ok(dict) => ffi::set_entry(dict, &structure.keys[part.slot as usize], &object),
        Err(_) => ffi::set_item(container.cast::<PyList>()?, part.slot as usize, object),
    }
}
