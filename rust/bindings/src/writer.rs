//! `TrainingInfoWriter`.

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyMapping, PyString};
use traincast_core::directory::ChannelName;
use traincast_core::layout::Link;
use traincast_core::numbering::{Epoch, Version};
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::lookup::KeyPath;
use traincast_core::writer::{Leftover, WriterOptions};

use crate::arguments::Argument;
use crate::build::{Builder, Structure};
use crate::channel::{channel_name, duration, places_of, policy_id};
use crate::convert::Default;
use crate::encode::{Placed, Walk};
use crate::encoding::{Encoding, Numbers};
use crate::errors::raise;
use crate::ffi::{self, Changes, GilCell, KeywordMethod, Made};
use crate::paths::key_path;
use crate::store::{NotStored, Store};
use crate::wire::parse_wire;
use crate::writers;

// Only the user's function can be part of a reference cycle: the other objects that a writer keeps are exact strings and ints.
#[doc = doc!("TrainingInfoWriter")]
#[pyclass(frozen, weakref, module = "traincast")]
pub struct TrainingInfoWriter {
    channel_name: ChannelName,
    #[doc = doc!("TrainingInfoWriter.name")]
    #[pyo3(get)]
    name: Py<PyString>,
    #[doc = doc!("TrainingInfoWriter.policy_id")]
    #[pyo3(get)]
    policy_id: u16,
    required: Vec<String>,
    default: Default,
    store: Arc<GilCell<Store>>,
    /// Taken out by a publish while it runs: nested and concurrent ones use encodings of their own.
    encoding: Place,
    /// The same for the changes of an update.
    changes: Place,
}

impl TrainingInfoWriter {
    /// Checks that this writer may publish, and creates the Python object of the next version: once a snapshot is stored, nothing
    /// should fail any more.
    fn begin<'py>(&self, py: Python<'py>) -> Made<(Version, Bound<'py, PyInt>)> {
        let next =
            self.store.with(py, |store| store.writer.check_open().map(|()| store.writer.next_version()));
        let next = next.map_err(|error| raise(py, error))?;
        Ok((next, ffi::int(py, next.get() as i64)?)) // at most 60 bits, and CPython creates an int faster from an i64
    }

    /// Stores a snapshot and returns its version; `None` if `publish` had nothing to store.
    fn store<'py>(
        &self,
        py: Python<'py>,
        (next, version): (Version, Bound<'py, PyInt>),
        publish: impl FnOnce(&mut Store) -> Result<bool, NotStored>,
    ) -> Made<Option<Bound<'py, PyInt>>> {
        let (stored, actual, warning) = self.store.with(py, |store| {
            let stored = publish(store);
            (stored, store.writer.version(), store.writer.take_warning())
        });
        match stored {
            Ok(true) if actual == next && warning.is_none() => Ok(Some(version)),
            Ok(stored) => Ok(told(py, stored.then_some(actual), warning)?),
            Err(error) => Err(error.exception(py, &self.channel_name).into()),
        }
    }

    /// Publishes a whole dictionary. Its numbers are above `resume` (version and epoch), if given.
    fn publish_whole<'py>(
        &self,
        py: Python<'py>,
        info: &Bound<'py, PyAny>,
        resume: Option<(u64, u64)>,
    ) -> Made<Option<Bound<'py, PyInt>>> {
        let begun = self.begin(py)?;
        lend(py, &self.encoding, |encoding| {
            encoding.encode(&self.default, |walk| walk.root(info))?;
            if let Some(key) = encoding.lacks(&self.required, info)? {
                return Err(NotStored::Lacks(key).exception(py, &self.channel_name).into());
            }
            let Encoding { encoder, expected, .. } = encoding;
            self.store(py, begun, |store| store.publish(encoder, expected, resume).map(|()| true))
        })
    }
}

/// The slow path of `store`: creating the version's object has run code that published, or there is a warning for the user.
#[cold]
fn told<'py>(
    py: Python<'py>,
    version: Option<Version>,
    warning: Option<String>,
) -> PyResult<Option<Bound<'py, PyInt>>> {
    if let Some(warning) = warning {
        let category = py.import("traincast.errors")?.getattr("TraincastWarning")?;
        PyErr::warn(py, &category, &CString::new(warning)?, 1)?;
    }
    version.map(|version| ffi::unsigned(py, version.get())).transpose()
}

/// The arguments of `update_in`: a path and a value, or a dictionary of paths and values.
fn placed_values<'py>(path: &Bound<'py, PyAny>, value: Argument) -> PyResult<Vec<Placed<'py>>> {
    match (path.cast::<PyMapping>(), value) {
        (Err(_), Argument::Given(value)) => Ok(vec![(key_path(path)?, value.into_bound(path.py()))]),
        (Ok(values), Argument::Missing) => {
            let placed = |pair: Bound<'py, PyAny>| {
                let (path, value): (Bound<'py, PyAny>, _) = pair.extract()?;
                Ok((key_path(&path)?, value))
            };
            values.items()?.iter().map(placed).collect()
        }
        (Ok(_), Argument::Given(_)) => Err(PyTypeError::new_err(
            "update_in takes a path and a value, or a dictionary of paths; to put a value under a path, give the path first",
        )),
        (Err(_), Argument::Missing) => Err(PyTypeError::new_err(
            "update_in needs a value for the path, or a dictionary of paths with their values",
        )),
    }
}

type Place = GilCell<Option<Box<Encoding>>>;

/// Calls `work` with an encoding, which afterwards keeps no objects alive.
fn lend<R>(py: Python<'_>, place: &Place, work: impl FnOnce(&mut Encoding) -> Made<R>) -> Made<R> {
    place.take_out(py, |encoding| {
        let result = work(encoding);
        encoding.encoder.release();
        result
    })
}

impl TrainingInfoWriter {
    /// Publishes the last snapshot with some changes: only `numbers` if they are all that changes, otherwise what `walk` encodes.
    fn publish_changes<'py>(
        &self,
        py: Python<'py>,
        numbers: impl FnOnce(&mut Encoding) -> Option<Numbers>,
        walk: impl FnOnce(&mut Walk<'_>) -> Made<()>,
        paths: Option<&[KeyPath]>,
    ) -> Made<Option<Bound<'py, PyInt>>> {
        let begun = self.begin(py)?;
        lend(py, &self.encoding, |encoding| {
            self.store.with(py, |store| store.history.expect_last(&mut encoding.expected));
            if let Some(numbers) = numbers(encoding)
                && let Some(version) =
                    self.store(py, begun, |store| store.publish_numbers(encoding, &numbers))?
            {
                return Ok(Some(version));
            }
            lend(py, &self.changes, |changed| {
                changed.encode_changes(py, &self.default, walk)?;
                let begun = self.begin(py)?;
                let publish = |store: &mut Store| {
                    store.publish_update(encoding, changed, paths, &self.required).map(|()| true)
                };
                self.store(py, begun, publish)
            })
        })
    }
}

impl KeywordMethod for TrainingInfoWriter {
    const METHOD: &'static CStr = c"update";
    const TEXT: &'static CStr = ffi::terminated(
        concat!("update($self, /, **changes)\n--\n\n", doc!("TrainingInfoWriter.update"), "\0").as_bytes(),
    );

    fn call(&self, py: Python<'_>, changes: &Changes<'_>) -> PyResult<Py<PyAny>> {
        let numbers = |encoding: &mut Encoding| encoding.numbers_of(changes);
        let version = self.publish_changes(py, numbers, |walk| walk.root_entries(py, changes), None)?;
        Ok(version.into_pyobject(py)?.into_any().unbind())
    }
}

#[pymethods]
impl TrainingInfoWriter {
    #[new]
    #[pyo3(
        signature = (
            name, policy_id=0, *, capacity=65536, max_capacity=64 << 20, required=None, leftover="continue",
            verify_every=1.0, default=None, supersede=false, directory=None
        ),
        // A list, because `inspect` drops the comma of a tuple with one item.
        text_signature = "(name, policy_id=0, *, capacity=65536, max_capacity=67108864, \
            required=['approx_total_training_steps'], leftover='continue', verify_every=1.0, \
            default=None, supersede=False, directory=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "Python's are named")]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        #[pyo3(from_py_with = policy_id)] policy_id: i128,
        capacity: usize,
        max_capacity: usize,
        required: Option<Vec<Bound<'_, PyString>>>,
        leftover: &str,
        verify_every: f64,
        default: Option<Bound<'_, PyAny>>,
        supersede: bool,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        let channel_name = channel_name(py, name, policy_id)?;
        let Some(leftover) = Leftover::from_word(leftover) else {
            let message =
                format!("leftover={leftover:?} is unknown; use \"continue\", \"replace\" or \"refuse\"");
            return Err(PyValueError::new_err(message));
        };
        let required = match required {
            Some(keys) => keys.iter().map(|key| Ok(key.to_str()?.into())).collect::<PyResult<_>>()?,
            None => vec!["approx_total_training_steps".into()],
        };
        if let Some(other) = default.as_ref().filter(|default| !default.is_callable()) {
            let name = other.get_type().name()?;
            return Err(PyTypeError::new_err(format!("default must be a function or None, not {name}")));
        }
        let verify_every = duration("verify_every", verify_every)?.unwrap_or(Duration::MAX);
        let options = WriterOptions { capacity, max_capacity, leftover, verify_every };
        let places = places_of(py, directory)?;
        let writer = writers::open(py, &places, &channel_name, options, supersede)?;
        let store = writers::register(py, writer)?;
        let (name, policy_id) = (ffi::text(py, channel_name.name())?.unbind(), channel_name.policy_id());
        let default = GilCell::new(default.map(Bound::unbind));
        let (encoding, changes) = (GilCell::new(None), GilCell::new(None));
        Ok(Self { channel_name, name, policy_id, required, default, store, encoding, changes })
    }

    #[doc = doc!("TrainingInfoWriter.publish")]
    fn publish<'py>(&self, py: Python<'py>, info: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyInt>>> {
        Ok(self.publish_whole(py, info, None)?)
    }

    #[doc = doc!("TrainingInfoWriter.update_in")]
    #[pyo3(signature = (path, value=Argument::Missing), text_signature = "($self, path, value=...)")]
    fn update_in<'py>(
        &self,
        py: Python<'py>,
        path: &Bound<'py, PyAny>,
        value: Argument,
    ) -> PyResult<Option<Bound<'py, PyInt>>> {
        let values = placed_values(path, value)?;
        let paths: Vec<_> = values.iter().map(|(path, _)| path.clone()).collect();
        let numbers = |encoding: &mut Encoding| encoding.numbers_at(&values);
        Ok(self.publish_changes(py, numbers, |walk| walk.root_values(py, &values), Some(&paths))?)
    }

    #[doc = doc!("TrainingInfoWriter.state_dict")]
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let mut slot = Snapshot::default();
        let (latest, version, epoch) = self.store.with(py, |store| {
            let writer = &store.writer;
            (writer.latest(&mut slot), writer.version().get(), writer.epoch().get())
        });
        let info = match latest.map_err(|error| raise(py, error))? {
            true => {
                let mut structure = Structure::default();
                structure.renew(py, &slot.shape, slot.meta.shape_len)?;
                Builder::new(py, &structure, &slot)?.root()?.into_any()
            }
            false => py.None().into_bound(py),
        };
        ffi::dict_of(
            py,
            [
                ("name", self.name.bind(py).as_any().clone()),
                ("policy_id", ffi::int(py, self.policy_id.into())?.into_any()),
                ("version", ffi::unsigned(py, version)?.into_any()),
                ("epoch", ffi::unsigned(py, epoch)?.into_any()),
                ("training_info", info),
            ],
        )
    }

    #[doc = doc!("TrainingInfoWriter.load_state_dict")]
    fn load_state_dict(&self, py: Python<'_>, state: &Bound<'_, PyMapping>) -> PyResult<()> {
        let get = |key| state.as_any().get_item(ffi::text(py, key)?);
        let (version, epoch): (u64, u64) = (get("version")?.extract()?, get("epoch")?.extract()?);
        let info = get("training_info")?;
        if info.is_none() {
            let resumed = self.store.with(py, |store| store.writer.resume_at(Version(version), Epoch(epoch)));
            return resumed.map_err(|error| raise(py, error));
        }
        self.publish_whole(py, &info, Some((version, epoch)))?;
        Ok(())
    }

    #[doc = doc!("TrainingInfoWriter.publish_wire")]
    #[pyo3(signature = (message, /, *, published_ns=None))]
    fn publish_wire<'py>(
        &self,
        py: Python<'py>,
        message: &Bound<'py, PyBytes>,
        published_ns: Option<u64>,
    ) -> PyResult<Option<Bound<'py, PyInt>>> {
        let (message, _) = parse_wire(py, message)?;
        let begun = self.begin(py)?;
        Ok(self.store(py, begun, |store| store.publish_message(&message, published_ns, &self.required))?)
    }

    #[doc = doc!("TrainingInfoWriter.read_wire")]
    fn read_wire<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let wire = self.store.with(py, |store| store.writer.wire()).map_err(|error| raise(py, error))?;
        wire.map(|wire| ffi::byte_string(py, &wire)).transpose()
    }

    #[doc = doc!("TrainingInfoWriter.close")]
    fn close(&self, py: Python<'_>) {
        self.store.with(py, |store| store.writer.close());
    }

    #[doc = doc!("TrainingInfoWriter.leave")]
    #[pyo3(signature = (link, /))]
    fn leave(&self, py: Python<'_>, link: &str) -> PyResult<()> {
        let Some(link) = Link::from_relay_word(link) else {
            let message = format!(
                "{link:?} is no reason to leave a channel; use \"learner closed\", \"learner lost\" or \"link lost\""
            );
            return Err(PyValueError::new_err(message));
        };
        self.store.with(py, |store| store.writer.leave(link));
        Ok(())
    }

    #[doc = doc!("TrainingInfoWriter.version")]
    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(py, self.store.with(py, |store| store.writer.version().get()))
    }

    #[doc = doc!("TrainingInfoWriter.epoch")]
    #[getter]
    fn epoch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(py, self.store.with(py, |store| store.writer.epoch().get()))
    }

    #[doc = doc!("TrainingInfoWriter.directory")]
    #[getter]
    fn directory(&self, py: Python<'_>) -> PathBuf {
        self.store.with(py, |store| store.writer.directory().path().to_owned())
    }

    #[doc = doc!("TrainingInfoWriter.closed")]
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.store.with(py, |store| store.writer.is_closed())
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (_exc_type, _exc, _tb, /))]
    fn __exit__(&self, py: Python<'_>, _exc_type: Py<PyAny>, _exc: Py<PyAny>, _tb: Py<PyAny>) {
        self.close(py);
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(format!(
            "the TrainingInfoWriter of {} cannot be pickled: one process publishes; give others the channel's name, or a \
             TrainingInfoReader",
            self.channel_name
        )))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.default.traverse(|default| visit.call(default)).unwrap_or(Ok(())) // borrowed: then the function is alive
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.default.with(py, Option::take));
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let state = self.store.with(py, |Store { writer, .. }| {
            let closed = if writer.is_closed() { " closed" } else { "" };
            format!("version={}, epoch={}{closed}", writer.version(), writer.epoch())
        });
        let (name, policy_id) = (self.channel_name.name(), self.policy_id);
        ffi::text(py, &format!("<TrainingInfoWriter {name:?} policy_id={policy_id} {state}>"))
    }
}
