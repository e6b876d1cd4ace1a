//! `TrainingInfoWriter`.

use std::ffi::{CStr, CString};
use std::sync::{Arc, Weak};
use std::time::Duration;

use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyMapping, PyString};
use traincast_core::directory::{ChannelName, Directory};
use traincast_core::numbering::{Epoch, Version};
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::wire::Message;
use traincast_core::writer::{Delivery, Leftover, Writer, WriterOptions};

use crate::build::Structure;
use crate::channel::{PolicyId, channel_name};
use crate::errors::{exception, raise};
use crate::ffi::{self, Changes, GilCell, KeywordMethod};
use crate::store::{Encoding, NotStored, Required, Store};

/// Publishes training information to any number of readers.
///
/// It takes no part in garbage collection, for no cycle goes through it: it keeps no objects but exact strings and ints.
#[pyclass(frozen, weakref, module = "traincast")]
pub struct TrainingInfoWriter {
    name: ChannelName,
    required: Vec<Required>,
    store: Arc<GilCell<Store>>,
    /// Taken out by the publish under way, if there is one: others use encodings of their own.
    encoding: GilCell<Option<Box<Encoding>>>,
    /// The same for the changes of an update.
    changes: GilCell<Option<Box<Encoding>>>,
}

/// The writers of this process, for the end of the interpreter.
static WRITERS: GilCell<Vec<Weak<GilCell<Store>>>> = GilCell::new(Vec::new());

/// Closes what is open. In a forked child that does nothing: a writer is its maker's.
#[pyfunction]
pub fn close_writers(py: Python<'_>) {
    for store in WRITERS.with(py, std::mem::take).iter().filter_map(Weak::upgrade) {
        store.with(py, |store| store.writer.close());
    }
}

impl TrainingInfoWriter {
    /// Lends `work` an encoding, with which it encodes and stores. What fails changes nothing.
    fn publish_with<'py>(
        &self,
        py: Python<'py>,
        place: &GilCell<Option<Box<Encoding>>>,
        work: impl FnOnce(&mut Encoding) -> PyResult<Bound<'py, PyInt>>,
    ) -> PyResult<Bound<'py, PyInt>> {
        let mut encoding = place.take(py).unwrap_or_default();
        match work(&mut encoding) {
            Ok(version) => {
                put_back(py, place, encoding);
                Ok(version)
            }
            Err(error) => {
                put_back(py, place, encoding);
                Err(error)
            }
        }
    }

    /// Stores, and gives the version. Its object is made beforehand: once the snapshot is stored, nothing should fail any more.
    fn store<'py>(
        &self,
        py: Python<'py>,
        publish: impl FnOnce(&mut Store) -> Result<bool, NotStored>,
    ) -> PyResult<(Bound<'py, PyInt>, bool)> {
        let next = self.store.with(py, |store| store.writer.next_version());
        let version = ffi::int(py, next.get() as i64)?; // it has 60 bits, and an int is made faster of an i64
        let (stored, actual, warning) = self.store.with(py, |store| {
            let stored = publish(store);
            (stored, store.writer.version(), store.writer.take_warning())
        });
        match stored {
            Ok(stored) if (!stored || actual == next) && warning.is_none() => Ok((version, stored)),
            Ok(stored) => told(py, actual, warning).map(|version| (version, stored)),
            Err(error) => Err(error.exception(py, |key| self.missing(py, key))),
        }
    }

    fn check_open(&self, py: Python<'_>) -> PyResult<()> {
        self.store.with(py, |store| store.writer.check_open()).map_err(|error| raise(py, error))
    }

    /// Publishes a whole dictionary, numbered above `resume` (version and epoch) if given.
    fn publish_whole<'py>(
        &self,
        py: Python<'py>,
        info: &Bound<'py, PyAny>,
        resume: Option<(u64, u64)>,
    ) -> PyResult<Bound<'py, PyInt>> {
        self.check_open(py)?;
        self.publish_with(py, &self.encoding, |encoding| {
            encoding.encode(|walk| walk.root(info))?;
            if let Some(key) = encoding.lacks(&self.required, info)? {
                return Err(self.missing(py, key));
            }
            let Encoding { encoder, expected, .. } = encoding;
            let publish = |store: &mut Store| store.publish(encoder, expected, resume).map(|()| true);
            self.store(py, publish).map(|(version, _)| version)
        })
    }

    #[cold]
    fn missing(&self, py: Python<'_>, key: usize) -> PyErr {
        let message = format!(
            "info lacks the key {:?}, which {} guarantees to its readers; add it, or open the writer with \
             required=() to guarantee nothing",
            self.required[key].text, self.name
        );
        exception(py, "MissingKeyError", &message)
    }
}

/// The version, where making its object has run code that published, or where the user must be told something.
#[cold]
fn told<'py>(py: Python<'py>, version: Version, warning: Option<String>) -> PyResult<Bound<'py, PyInt>> {
    if let Some(warning) = warning {
        let category = py.import("traincast.errors")?.getattr("TraincastWarning")?;
        PyErr::warn(py, &category, &CString::new(warning)?, 1)?;
    }
    ffi::unsigned(py, version.get())
}

/// If there is another encoding by now, the last one to end is kept. Letting go of objects may run Python code.
fn put_back(py: Python<'_>, place: &GilCell<Option<Box<Encoding>>>, mut encoding: Box<Encoding>) {
    encoding.encoder.release();
    drop(place.replace(py, encoding));
}

impl KeywordMethod for TrainingInfoWriter {
    const METHOD: &'static CStr = c"update";
    const TEXT: &'static CStr = c"update($self, /, **changes)\n--\n\n\
        Publishes the last dictionary with these entries changed or added.";

    fn call(&self, py: Python<'_>, changes: &Changes<'_>) -> PyResult<Py<PyAny>> {
        self.check_open(py)?;
        let version = self.publish_with(py, &self.encoding, |encoding| {
            self.store.with(py, |store| store.expect_last(&mut encoding.expected));
            if let Some(numbers) = encoding.numbers_of(changes)
                && let (version, true) = self.store(py, |store| store.publish_numbers(encoding, &numbers))?
            {
                return Ok(version);
            }
            self.publish_with(py, &self.changes, |changed| {
                changed.encode_changes(py, changes)?;
                let publish = |store: &mut Store| {
                    store.publish_update(encoding, changed, &self.required).map(|()| true)
                };
                self.store(py, publish).map(|(version, _)| version)
            })
        })?;
        Ok(version.into_any().unbind())
    }
}

#[pymethods]
impl TrainingInfoWriter {
    #[new]
    #[pyo3(
        signature = (
            name, policy_id=PolicyId(0), *, capacity=65536, max_capacity=64 << 20, required=None, leftover="continue",
            verify_every=1.0
        ),
        text_signature = "(name, policy_id=0, *, capacity=65536, max_capacity=67108864, \
            required=('approx_total_training_steps',), leftover='continue', verify_every=1.0)"
    )]
    #[expect(clippy::too_many_arguments, reason = "Python's are named")]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        policy_id: PolicyId,
        capacity: usize,
        max_capacity: usize,
        required: Option<Vec<Bound<'_, PyString>>>,
        leftover: &str,
        verify_every: f64,
    ) -> PyResult<Self> {
        let name = channel_name(py, name, policy_id)?;
        let leftover = match leftover {
            "continue" => Leftover::Continue,
            "replace" => Leftover::Replace,
            "refuse" => Leftover::Refuse,
            _ => {
                let message =
                    format!("leftover={leftover:?} is unknown; use \"continue\", \"replace\" or \"refuse\"");
                return Err(PyValueError::new_err(message));
            }
        };
        let exact =
            |text: &str| Ok(Required { text: text.into(), object: ffi::interned(py, text)?.unbind() });
        let required = match required {
            Some(keys) => keys.iter().map(|key| exact(key.to_str()?)).collect::<PyResult<_>>()?,
            None => vec![exact("approx_total_training_steps")?],
        };
        let verify_every = match Duration::try_from_secs_f64(verify_every) {
            Ok(interval) => interval,
            Err(_) if verify_every == f64::INFINITY => Duration::MAX,
            Err(_) => {
                let message = format!("verify_every={verify_every} is not possible; give seconds from 0 up");
                return Err(PyValueError::new_err(message));
            }
        };
        let options = WriterOptions { capacity, max_capacity, leftover, verify_every };
        // It may have to wait until `clean` has finished with the channel.
        let opened = py.detach(|| {
            Directory::from_env().and_then(|directory| Writer::open(&directory, name.clone(), options))
        });
        let store = Arc::new(GilCell::new(Store::new(opened.map_err(|error| raise(py, error))?)));
        WRITERS.with(py, |writers| {
            writers.retain(|store| store.strong_count() > 0);
            writers.push(Arc::downgrade(&store));
        });
        Ok(Self { name, required, store, encoding: GilCell::new(None), changes: GilCell::new(None) })
    }

    /// Publishes a dictionary and returns its version.
    fn publish<'py>(&self, py: Python<'py>, info: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyInt>> {
        self.publish_whole(py, info, None)
    }

    /// What a checkpoint should hold of this channel.
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
                structure.build(py, &slot.values, &slot.blobs)?.into_any()
            }
            false => py.None().into_bound(py),
        };
        let state = ffi::dict(py)?;
        let set = |key, value| ffi::set_entry(&state, ffi::text(py, key)?.as_any().as_unbound(), &value);
        set("name", ffi::text(py, self.name.name())?.into_any())?;
        set("policy_id", ffi::int(py, self.name.policy_id().into())?.into_any())?;
        set("version", ffi::unsigned(py, version)?.into_any())?;
        set("epoch", ffi::unsigned(py, epoch)?.into_any())?;
        set("training_info", info)?;
        Ok(state)
    }

    /// Publishes the training information of a checkpoint; versions go on above the checkpoint's and the channel's own.
    fn load_state_dict(&self, py: Python<'_>, state: &Bound<'_, PyMapping>) -> PyResult<()> {
        let get = |key| state.as_any().get_item(ffi::text(py, key)?);
        let (version, epoch): (u64, u64) = (get("version")?.extract()?, get("epoch")?.extract()?);
        let info = get("training_info")?;
        if info.is_none() {
            let resumed = self.store.with(py, |store| store.writer.resume_at(Version(version), Epoch(epoch)));
            return resumed.map_err(|error| raise(py, error));
        }
        self.publish_whole(py, &info, Some((version, epoch))).map(drop)
    }

    /// Publishes a snapshot in wire form under the numbers of its origin. `None` if the channel has it already.
    #[pyo3(signature = (message, /))]
    fn publish_wire<'py>(
        &self,
        py: Python<'py>,
        message: &Bound<'py, PyBytes>,
    ) -> PyResult<Option<Bound<'py, PyInt>>> {
        let message = Message::parse(message.as_bytes()).map_err(|error| raise(py, error.into()))?;
        // The dtypes too must be known: the readers that it will reach take what they find for true.
        let known = Structure::default().renew(py, message.shape_words(), message.shape.bytes.len());
        known.map_err(|error| match error.get_type(py).is(py.get_type::<PyMemoryError>()) {
            true => error,
            false => exception(py, "InvalidSnapshotError", &error.value(py).to_string()),
        })?;
        let publish = |store: &mut Store| {
            let delivery = store.publish_message(&message, &self.required)?;
            Ok(matches!(delivery, Delivery::Published(_)))
        };
        self.store(py, publish).map(|(version, stored)| stored.then_some(version))
    }

    /// Ends the channel: readers keep the last snapshot, and `closed` is true for them.
    fn close(&self, py: Python<'_>) {
        self.store.with(py, |store| store.writer.close());
    }

    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        ffi::text(py, self.name.name())
    }

    #[getter]
    fn policy_id(&self) -> u16 {
        self.name.policy_id()
    }

    /// The channel's newest version; 0 before its first snapshot.
    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(py, self.store.with(py, |store| store.writer.version().get()))
    }

    /// 1 for the channel's first writer, one more for each that took it over.
    #[getter]
    fn epoch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(py, self.store.with(py, |store| store.writer.epoch().get()))
    }

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
            self.name
        )))
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let (closed, version, epoch) = self
            .store
            .with(py, |store| (store.writer.is_closed(), store.writer.version(), store.writer.epoch()));
        let (name, policy_id) = (self.name.name(), self.name.policy_id());
        let state = if closed { " closed" } else { "" };
        let text = format!(
            "<TrainingInfoWriter {name:?} policy_id={policy_id} version={version}, epoch={epoch}{state}>"
        );
        ffi::text(py, &text)
    }
}
