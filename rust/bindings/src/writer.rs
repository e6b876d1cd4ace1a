//! `TrainingInfoWriter`.

use std::ffi::CStr;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict, PyMapping, PyString};
use traincast_core::directory::{ChannelName, Directory};
use traincast_core::numbering::{Epoch, Version};
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::encode::Encoder;
use traincast_core::snapshot::wire::Message;
use traincast_core::writer::{Delivery, Leftover, Writer, WriterOptions};

use crate::build::Structure;
use crate::channel::{PolicyId, channel_name};
use crate::encode::{Shapes, Walk};
use crate::errors::{exception, raise};
use crate::ffi::{Bytes, Changes, GilCell, KeywordMethod};

/// Publishes training information to any number of readers.
#[pyclass(frozen, module = "traincast")]
pub struct TrainingInfoWriter {
    name: ChannelName,
    required: Vec<Py<PyString>>,
    writer: GilCell<Writer>,
    /// Taken out while Python code may run; who publishes meanwhile gets an error.
    encoding: GilCell<Option<Box<Encoding>>>,
}

/// What one publish leaves for the next.
#[derive(Default)]
pub struct Encoding {
    pub encoder: Encoder<Bytes>,
    pub shapes: Shapes,
    /// The last snapshot's values, if it has no blobs.
    pub last: LastValues,
}

#[derive(Default)]
pub struct LastValues {
    /// 0 if there are none.
    pub shape_id: u64,
    pub values: Vec<u64>,
}

impl TrainingInfoWriter {
    /// Encodes with `walk`, then publishes, numbered above `resume` (version and epoch) if given. A failure changes
    /// nothing. `has` says whether a required key is there.
    #[inline]
    fn encode_and_publish(
        &self,
        py: Python<'_>,
        walk: impl FnOnce(&mut Encoding) -> PyResult<()>,
        has: impl Fn(&Encoding, &Bound<'_, PyString>) -> PyResult<bool>,
        resume: Option<(u64, u64)>,
    ) -> PyResult<i64> {
        self.writer.get(py).borrow().check_open().map_err(|error| raise(py, error))?;
        let Some(mut encoding) = self.encoding.get(py).borrow_mut().take() else {
            return Err(PyRuntimeError::new_err(format!(
                "publish() on {} was called while another one was running; publish from one thread at a time",
                self.name
            )));
        };
        let published = walk(&mut encoding).and_then(|()| {
            self.check_required(py, &mut encoding, has)?;
            let mut writer = self.writer.get(py).borrow_mut();
            encoding.publish(py, &mut writer, resume)
        });
        match published {
            Ok(version) => {
                self.keep(py, encoding);
                Ok(version as i64) // it has 62 bits, and a Python int is made faster of an i64
            }
            Err(error) => {
                self.keep(py, encoding);
                Err(error)
            }
        }
    }

    #[inline]
    fn keep(&self, py: Python<'_>, mut encoding: Box<Encoding>) {
        encoding.encoder.release();
        *self.encoding.get(py).borrow_mut() = Some(encoding);
    }

    /// Looks for the required keys, unless this very shape was found to have them.
    #[inline]
    fn check_required(
        &self,
        py: Python<'_>,
        encoding: &mut Encoding,
        has: impl Fn(&Encoding, &Bound<'_, PyString>) -> PyResult<bool>,
    ) -> PyResult<()> {
        let expected = encoding.encoder.recorded().is_none();
        if expected && encoding.shapes.last().is_some_and(|cached| cached.extra.complete) {
            return Ok(());
        }
        for key in &self.required {
            if !has(encoding, key.bind(py))? {
                let message = format!(
                    "info lacks the key {:?}, which {} guarantees to its readers; add it, or open the writer with \
                     required=() to guarantee nothing",
                    key.bind(py).to_string_lossy(),
                    self.name
                );
                return Err(exception(py, "MissingKeyError", &message));
            }
        }
        if expected && let Some(cached) = encoding.shapes.last_mut() {
            cached.extra.complete = true;
        }
        Ok(())
    }
}

impl Encoding {
    /// Publishes what was encoded. No Python code runs in here.
    #[inline]
    fn publish(&mut self, py: Python<'_>, writer: &mut Writer, resume: Option<(u64, u64)>) -> PyResult<u64> {
        let Self { encoder, shapes, last } = self;
        let payload = encoder.finish(shapes).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let shape_id = payload.shape_id;
        let published = match resume {
            None => writer.publish(&payload),
            Some((version, epoch)) => writer.publish_resumed(&payload, Version(version), Epoch(epoch)),
        };
        let version = published.map_err(|error| raise(py, error))?.get();
        last.shape_id = if encoder.blob_words() == 0 { shape_id } else { 0 };
        encoder.swap_values(&mut last.values);
        Ok(version)
    }

    /// Encodes a whole dictionary.
    #[inline(always)]
    fn encode(&mut self, info: &Bound<'_, PyAny>) -> PyResult<()> {
        let Self { encoder, shapes, .. } = self;
        match shapes.last_mut() {
            Some(cached) => {
                encoder.start(Some(&cached.shape));
                Walk::new(encoder, &mut cached.extra.keys).root(info)
            }
            None => {
                encoder.start(None);
                Walk::new(encoder, &mut Vec::new()).root(info)
            }
        }
    }
}

impl KeywordMethod for TrainingInfoWriter {
    const METHOD: &'static CStr = c"update";
    const TEXT: &'static CStr = c"update($self, /, **changes)\n--\n\n\
        Publishes the last dictionary with these entries changed or added.";

    fn call(&self, py: Python<'_>, changes: &Changes<'_>) -> PyResult<Py<PyAny>> {
        let base = match &*self.encoding.get(py).borrow() {
            Some(encoding) => encoding.base(py, &self.writer.get(py).borrow())?,
            None => None,
        };
        let version = match base {
            Some(base) => self.encode_and_publish(
                py,
                |encoding| encoding.encode_update(&base, changes),
                |encoding, key| Ok(encoding.base_has(&base, key.to_str()?) || is_among(changes, key)?),
                None,
            )?,
            None => self.publish(py, changes.into_py_dict(py)?.as_any())?,
        };
        Ok(version.into_pyobject(py)?.into_any().unbind())
    }
}

fn is_among(changes: &Changes<'_>, key: &Bound<'_, PyString>) -> PyResult<bool> {
    for (name, _) in changes {
        if name.as_any().eq(key)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[pymethods]
impl TrainingInfoWriter {
    #[new]
    #[pyo3(
        signature = (
            name, policy_id=PolicyId(0), *, capacity=65536, max_capacity=64 << 20, required=None, leftover="continue"
        ),
        text_signature = "(name, policy_id=0, *, capacity=65536, max_capacity=67108864, \
            required=('approx_total_training_steps',), leftover='continue')"
    )]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        policy_id: PolicyId,
        capacity: usize,
        max_capacity: usize,
        required: Option<Vec<Bound<'_, PyString>>>,
        leftover: &str,
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
        let options = WriterOptions { capacity, max_capacity, leftover, ..WriterOptions::default() };
        let opened =
            Directory::from_env().and_then(|directory| Writer::open(&directory, name.clone(), options));
        let required = match required {
            Some(keys) => keys.into_iter().map(Bound::unbind).collect(),
            None => vec![PyString::intern(py, "approx_total_training_steps").unbind()],
        };
        let writer = GilCell::new(opened.map_err(|error| raise(py, error))?);
        Ok(Self { name, required, writer, encoding: GilCell::new(Some(Box::default())) })
    }

    /// Publishes a dictionary and returns its version.
    fn publish(&self, py: Python<'_>, info: &Bound<'_, PyAny>) -> PyResult<i64> {
        self.encode_and_publish(py, |encoding| encoding.encode(info), |_, key| info.contains(key), None)
    }

    /// What a checkpoint should hold of this channel.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let writer = self.writer.get(py).borrow();
        let mut slot = Snapshot::default();
        let latest = writer.latest(&mut slot).map_err(|error| raise(py, error))?;
        let state = PyDict::new(py);
        state.set_item("name", self.name.name())?;
        state.set_item("policy_id", self.name.policy_id())?;
        state.set_item("version", writer.version().get())?;
        state.set_item("epoch", writer.epoch().get())?;
        drop(writer);
        let decode = || {
            let mut structure = Structure::default();
            structure.renew(py, &slot.shape, slot.meta.shape_len)?;
            structure.build(py, &slot.values, &slot.blobs)
        };
        let info = latest.then(decode).transpose()?;
        state.set_item("training_info", info)?;
        Ok(state)
    }

    /// Publishes the training information of a checkpoint; versions go on above the checkpoint's and the channel's own.
    fn load_state_dict(&self, py: Python<'_>, state: &Bound<'_, PyMapping>) -> PyResult<()> {
        let (version, epoch): (u64, u64) =
            (state.get_item("version")?.extract()?, state.get_item("epoch")?.extract()?);
        let info = state.get_item("training_info")?;
        if info.is_none() {
            let resumed = self.writer.get(py).borrow_mut().resume_at(Version(version), Epoch(epoch));
            return resumed.map_err(|error| raise(py, error));
        }
        let resume = Some((version, epoch));
        self.encode_and_publish(py, |encoding| encoding.encode(&info), |_, key| info.contains(key), resume)?;
        Ok(())
    }

    /// Publishes a snapshot in wire form under the numbers of its origin. `None` if the channel has it already.
    fn publish_wire(&self, py: Python<'_>, message: &[u8]) -> PyResult<Option<u64>> {
        let message = Message::parse(message).map_err(|error| raise(py, error.into()))?;
        let delivered = self.writer.get(py).borrow_mut().publish_message(&message, None);
        match delivered.map_err(|error| raise(py, error))? {
            Delivery::Published(version) => Ok(Some(version.get())),
            Delivery::Known(_) => Ok(None),
        }
    }

    /// Ends the channel: readers keep the last snapshot, and `closed` is true for them.
    fn close(&self, py: Python<'_>) {
        self.writer.get(py).borrow_mut().close();
    }

    #[getter]
    fn name(&self) -> &str {
        self.name.name()
    }

    #[getter]
    fn policy_id(&self) -> u16 {
        self.name.policy_id()
    }

    /// The channel's newest version; 0 before its first snapshot.
    #[getter]
    fn version(&self, py: Python<'_>) -> u64 {
        self.writer.get(py).borrow().version().get()
    }

    /// 1 for the channel's first writer, one more for each that took it over.
    #[getter]
    fn epoch(&self, py: Python<'_>) -> u64 {
        self.writer.get(py).borrow().epoch().get()
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.writer.get(py).borrow().is_closed()
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

    fn __repr__(&self, py: Python<'_>) -> String {
        let (name, policy_id) = (self.name.name(), self.name.policy_id());
        let writer = self.writer.get(py).borrow();
        let state = if writer.is_closed() { " closed" } else { "" };
        let (version, epoch) = (writer.version(), writer.epoch());
        format!("<TrainingInfoWriter {name:?} policy_id={policy_id} version={version}, epoch={epoch}{state}>")
    }
}
