//! `TrainingInfoKey`: one leaf of the newest training information.

use std::ffi::CStr;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple, PyType};
use traincast_core::reader::WordAt;
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::lookup::KeyPath;
use traincast_core::snapshot::shape::Kind;

use crate::arguments::Argument;
use crate::build::Builder;
use crate::channel::{Channel, Line};
use crate::decode::Found;
use crate::errors::exception;
use crate::ffi::{self, Callable, GilCell};
use crate::paths::{as_object, key_path, shown, why_lost};
use crate::reader::TrainingInfoReader;
use crate::watch::{Glance, Watch};

/// Users see a subclass of this class: see [`Callable`].
#[pyclass(frozen, weakref, subclass, name = "_TrainingInfoKey", module = "traincast")]
pub struct TrainingInfoKey {
    path: KeyPath,
    /// Only for copying and pickling.
    reader: Py<TrainingInfoReader>,
    line: Py<Line>,
    held: GilCell<Held>,
}

struct Held {
    watch: Watch,
    /// `None` before the first call.
    value: Option<Py<PyAny>>,
    /// Where the number is in snapshots of the same shape.
    number: Option<(Kind, WordAt)>,
    default: Option<Py<PyAny>>,
}

/// The value at a path of a snapshot.
struct Leaf {
    value: Py<PyAny>,
    number: Option<(Kind, WordAt)>,
}

impl TrainingInfoKey {
    /// The newest number, if the shape is the same: only its word is read. Runs no Python code, except when the old value is
    /// dropped.
    #[inline]
    fn number(&self, py: Python<'_>, (kind, at): (Kind, WordAt)) -> Option<Py<PyAny>> {
        let read = |channel: &Channel| {
            channel.reader.with(py, |reader| {
                let (meta, word) = reader.read_word(&at)?;
                Some((meta, reader.settled(meta.position), word))
            })
        };
        let (meta, settled, word) = self.line.get().look(py, read)??;
        let value = ffi::number(py, kind, word).ok()?.unbind(); // memory has run out: the slow path raises the error
        let old = self.held.with(py, |held| {
            held.watch.advance(meta, settled);
            held.value.replace(value.clone_ref(py))
        });
        drop(old.map(|old| old.into_bound(py))); // while nothing is borrowed
        Some(value)
    }

    /// The newest value of any kind.
    #[inline(never)]
    fn newest(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let hold = self.line.get().hold(py)?;
        let channel = &hold.get().0;
        let (begun, in_hand, default) = self.held.with(py, |held| {
            let in_hand = held.value.as_ref().map(|_| held.watch.meta.stamp);
            (held.watch.begin(), in_hand, held.default.as_ref().map(|default| default.clone_ref(py)))
        });
        let mut missing = None;
        let make = |builder: &mut Builder<'_, '_>, snapshot: &Snapshot| {
            if in_hand == Some(snapshot.meta.stamp) {
                return Ok(None); // the same snapshot as before, so the value is the same
            }
            self.leaf(builder, snapshot, default).map(Some)
        };
        let mut old = None;
        let take = |leaf: Option<PyResult<Leaf>>, found: &Found<'_>| {
            let leaf = match leaf {
                Some(Err(error)) => {
                    missing = Some(error);
                    return;
                }
                leaf => leaf.and_then(Result::ok),
            };
            old = self.held.with(py, |held| {
                if !held.watch.end(py, begun, channel, found, leaf.is_some()) {
                    return leaf.map(|leaf| leaf.value);
                }
                let Some(Leaf { value, number }) = leaf else {
                    // The same snapshot, but maybe from another file.
                    held.number = held.number.filter(|(_, at)| at.segment == found.segment);
                    return None;
                };
                held.number = number;
                held.value.replace(value)
            });
        };
        channel.decoder.take_out(py, |decoder| decoder.part(py, &channel.reader, make, take))?;
        drop(old);
        if let Some(error) = missing {
            return Err(error);
        }
        let value = self.held.with(py, |held| held.value.as_ref().map(|value| value.clone_ref(py)));
        value.ok_or_else(|| self.line.get().closed_error(py)) // the garbage collector has cleared the key
    }

    /// The value at the path. The inner error means that there is none, which is no fault of the snapshot.
    fn leaf(
        &self,
        builder: &mut Builder<'_, '_>,
        snapshot: &Snapshot,
        default: Option<Py<PyAny>>,
    ) -> PyResult<PyResult<Leaf>> {
        let (py, shape) = (builder.py, &builder.structure.shape);
        let lost = match (shape.find(&self.path), default) {
            (Ok(node), _) => {
                let number = WordAt::of(snapshot, shape, node).map(|at| (shape.nodes[node].kind, at));
                return Ok(Ok(Leaf { value: builder.object(&mut { node })?.unbind(), number }));
            }
            (Err(_), Some(value)) => return Ok(Ok(Leaf { value, number: None })),
            (Err(lost), None) => lost,
        };
        let (path, channel) = (shown(self.path.keys()), self.line.get().channel_name());
        Ok(Err(match why_lost(py, shape, &self.path, lost) {
            Ok(why) => {
                let message = format!(
                    "the newest snapshot of {channel} has nothing under {path}: {why} For a value that may be missing, give \
                     the key a default="
                );
                exception(py, "MissingKeyError", &message)
            }
            Err(error) => error,
        }))
    }
}

impl Callable for TrainingInfoKey {
    const FULL_NAME: &'static CStr = c"traincast.TrainingInfoKey";
    const TEXT: &'static CStr = ffi::terminated(
        concat!("TrainingInfoKey(reader, path, default=...)\n--\n\n", doc!("TrainingInfoKey"), "\0")
            .as_bytes(),
    );

    const CALL_TEXT: &'static CStr = ffi::terminated(
        concat!("__call__($self, /)\n--\n\n", doc!("TrainingInfoKey.__call__"), "\0").as_bytes(),
    );

    #[inline]
    fn quickly(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        if !self.line.get().is_open(py) {
            return None;
        }
        let (same, number) = self.held.with(py, |held| match held.watch.glance() {
            Glance::Same => (held.value.as_ref().map(|value| value.clone_ref(py)), None),
            Glance::News => (None, held.number),
            Glance::Unsure => (None, None),
        });
        same.or_else(|| self.number(py, number?))
    }

    fn call(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.newest(py)
    }
}

#[pymethods]
impl TrainingInfoKey {
    #[new]
    #[pyo3(signature = (reader, path, default=Argument::Missing))]
    fn new(
        reader: &Bound<'_, TrainingInfoReader>,
        path: &Bound<'_, PyAny>,
        default: Argument,
    ) -> PyResult<Self> {
        let (py, path) = (reader.py(), key_path(path)?);
        let line = reader.get().line(py);
        let watch = line.get().look(py, |channel| Watch::new(py, channel));
        let Some(watch) = watch else { return Err(line.get().closed_error(py)) };
        let default = match default {
            Argument::Missing => None,
            Argument::Given(default) => Some(default),
        };
        let held = GilCell::new(Held { watch, value: None, number: None, default });
        Ok(Self { path, reader: reader.clone().unbind(), line, held })
    }

    #[doc = doc!("TrainingInfoKey.path")]
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        as_object(py, &self.path)
    }

    #[doc = doc!("TrainingInfoKey.version")]
    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(py, self.held.with(py, |held| held.watch.meta.stamp.version.get()))
    }

    #[classmethod]
    #[pyo3(signature = (item, /))]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        ffi::generic_alias(cls, item)
    }

    /// A copy has a reader of its own, in any process, like a copy of a reader.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        let (py, this) = (slf.py(), slf.get());
        let default = this.held.with(py, |held| held.default.as_ref().map(|default| default.clone_ref(py)));
        let mut arguments = vec![this.reader.bind(py).as_any().clone(), as_object(py, &this.path)?];
        arguments.extend(default.map(|default| default.into_bound(py)));
        Ok((slf.get_type(), ffi::tuple(py, arguments)?))
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let version = self.held.with(py, |held| held.watch.meta.stamp.version);
        let (path, name) = (shown(self.path.keys()), self.line.get().channel_name());
        let (name, policy_id) = (name.name(), name.policy_id());
        ffi::text(
            py,
            &format!("<TrainingInfoKey {path} of {name:?} policy_id={policy_id} version={version}>"),
        )
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.reader)?;
        let objects = |held: &Held| {
            visit.call(&held.value)?;
            visit.call(&held.default)
        };
        self.held.traverse(objects).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        let dropped = self.held.with(py, |held| (held.value.take(), held.default.take()));
        drop(dropped); // while nothing is borrowed
    }
}
