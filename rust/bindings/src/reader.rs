//! `TrainingInfoReader`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString, PyType};
use traincast_core::directory::ChannelName;
use traincast_core::reader::{Reader, Waiter};
use traincast_core::snapshot::Snapshot;

use crate::arguments::Argument;
use crate::channel::{Channel, Hold, Line, channel_name, duration, places_of, policy_id};
use crate::decode::Found;
use crate::errors::raise;
use crate::ffi::{self, GilCell};
use crate::watch::{Glance, Watch};

#[doc = doc!("TrainingInfoReader")]
#[pyclass(frozen, weakref, mapping, module = "traincast")]
pub struct TrainingInfoReader {
    channel_name: ChannelName,
    #[doc = doc!("TrainingInfoReader.name")]
    #[pyo3(get)]
    name: Py<PyString>,
    #[doc = doc!("TrainingInfoReader.policy_id")]
    #[pyo3(get)]
    policy_id: u16,
    attach_timeout: f64,
    /// The directory that the user gave; `None`: that of the environment, also for a copy in another process.
    directory: Option<PathBuf>,
    line: Py<Line>,
    held: GilCell<Option<Held>>,
}

struct Held {
    watch: Watch,
    /// `None` before the first read.
    dict: Option<Py<PyDict>>,
}

impl Held {
    fn idle(&mut self) -> bool {
        self.watch.glance() == Glance::Same
    }
}

impl TrainingInfoReader {
    /// Calls `look` with what this reader holds, unless it is closed.
    #[inline(always)]
    fn look<R>(&self, py: Python<'_>, look: impl FnOnce(&mut Held) -> R) -> Option<R> {
        self.held.with(py, |held| held.as_mut().map(look))
    }

    /// The connection to the channel, which its keys share.
    pub fn line(&self, py: Python<'_>) -> Py<Line> {
        self.line.clone_ref(py)
    }

    #[inline]
    fn channel<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Hold>> {
        self.line.get().hold(py)
    }

    fn closed_error(&self, py: Python<'_>) -> PyErr {
        self.line.get().closed_error(py)
    }

    /// The newest dictionary, and whether it is new to this reader.
    #[inline(never)]
    fn newest(&self, py: Python<'_>) -> PyResult<(Py<PyDict>, bool)> {
        let held = self.look(py, |held| {
            let before = held.dict.as_ref().map(|_| held.watch.meta.stamp);
            (held.watch.begin(), before)
        });
        let Some((begun, before)) = held else { return Err(self.closed_error(py)) };
        let channel = self.channel(py)?;
        let channel = &channel.get().0;
        let (mut new, mut old) = (false, None);
        let take = |dict: Option<Py<PyDict>>, found: &Found<'_>| {
            old = self.held.with(py, |held| {
                let Some(held) = held else { return dict }; // closed in the meantime
                if !held.watch.end(py, begun, channel, found, dict.is_some()) {
                    return dict;
                }
                new = dict.is_some();
                dict.and_then(|dict| held.dict.replace(dict))
            });
        };
        channel.decoder.take_out(py, |decoder| decoder.read(py, &channel.reader, before, take))?;
        drop(old.map(|old| old.into_bound(py))); // while nothing is borrowed: this may run Python code, which may read again
        let in_hand = self.look(py, |held| held.dict.as_ref().map(|dict| dict.clone_ref(py)));
        in_hand.flatten().map(|dict| (dict, new)).ok_or_else(|| self.closed_error(py))
    }

    /// As `changed`, in all cases: also if the channel may be in another file, about which the head of this file says nothing.
    fn has_news(&self, py: Python<'_>) -> PyResult<bool> {
        if self.look(py, |held| held.dict.is_some() && held.watch.overtaken()) == Some(true) {
            return Ok(true);
        }
        let channel = self.channel(py)?;
        let (newest, place) = channel.get().0.reader.with(py, |reader| {
            let newest = reader.newest();
            (newest, (reader.segment_key(), reader.head().position()))
        });
        let looked = self.look(py, |held| {
            let Watch { segment, meta, .. } = held.watch;
            // The snapshot at the same place as the one in hand is not news, even if it has been damaged since. At another place,
            // a snapshot that cannot be read is news: reading it raises the error.
            let news = held.dict.is_none()
                || place != (segment, meta.position)
                    && newest.map_or(true, |newest| newest.stamp != meta.stamp);
            held.watch.looked(news);
            news
        });
        looked.ok_or_else(|| self.closed_error(py))
    }
}

#[pymethods]
impl TrainingInfoReader {
    #[new]
    #[pyo3(
        signature = (name, policy_id=0, *, attach_timeout=0.0, directory=None),
        text_signature = "(name, policy_id=0, *, attach_timeout=0.0, directory=None)"
    )]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        #[pyo3(from_py_with = policy_id)] policy_id: i128,
        attach_timeout: f64,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        let channel_name = channel_name(py, name, policy_id)?;
        let timeout = duration("a timeout", attach_timeout)?.unwrap_or(Duration::MAX);
        let places = places_of(py, directory.clone())?;
        let channel = Channel::attach(py, &places, channel_name.clone(), timeout)?;
        let held = Held { watch: Watch::new(py, &channel), dict: None };
        let line = Line::new(py, channel_name.clone(), channel)?;
        let (name, policy_id) = (ffi::text(py, channel_name.name())?.unbind(), channel_name.policy_id());
        let held = GilCell::new(Some(held));
        Ok(Self { channel_name, name, policy_id, attach_timeout, directory, line, held })
    }

    #[doc = doc!("TrainingInfoReader.read")]
    #[inline(always)]
    fn read(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let in_hand =
            |held: &mut Held| held.idle().then(|| held.dict.as_ref().map(|dict| dict.clone_ref(py)));
        match self.look(py, in_hand) {
            Some(Some(Some(dict))) => Ok(dict),
            _ => self.newest(py).map(|(dict, _)| dict),
        }
    }

    #[doc = doc!("TrainingInfoReader.read_if_changed")]
    fn read_if_changed(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        match self.look(py, Held::idle) {
            Some(true) => Ok(None),
            _ => self.newest(py).map(|(dict, new)| new.then_some(dict)),
        }
    }

    #[doc = doc!("TrainingInfoReader.changed")]
    fn changed(&self, py: Python<'_>) -> PyResult<bool> {
        match self.look(py, Held::idle) {
            Some(true) => Ok(false),
            _ => self.has_news(py),
        }
    }

    #[doc = doc!("TrainingInfoReader.key")]
    #[pyo3(signature = (path, default=Argument::Missing), text_signature = "($self, path, default=...)")]
    fn key<'py>(
        slf: &Bound<'py, Self>,
        path: Bound<'py, PyAny>,
        default: Argument,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let class =
            py.import(ffi::text(py, "traincast._core")?)?.getattr(ffi::text(py, "TrainingInfoKey")?)?;
        let mut arguments = vec![slf.as_any().clone(), path];
        if let Argument::Given(default) = default {
            arguments.push(default.into_bound(py));
        }
        class.call1(ffi::tuple(py, arguments)?)
    }

    #[doc = doc!("TrainingInfoReader.get")]
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let dict = self.read(py)?.into_bound(py);
        Ok(if dict.contains(key)? { Some(dict.as_any().get_item(key)?) } else { default })
    }

    fn __getitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Ok(self.read(py)?.bind(py).as_any().get_item(key)?.unbind())
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.read(py)?.bind(py).contains(key)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.read(py)?.bind(py).len())
    }

    /// A reader is always true: `if reader:` asks whether there is a reader.
    fn __bool__(&self) -> bool {
        true
    }

    /// Each look-up reads again, so an iteration would mix snapshots.
    fn __iter__(&self) -> PyResult<Py<PyAny>> {
        Err(PyTypeError::new_err(
            "a TrainingInfoReader is not a mapping: each call of read() returns the newest dictionary; iterate over \
             reader.read(), which is one snapshot",
        ))
    }

    #[classmethod]
    #[pyo3(signature = (item, /))]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        ffi::generic_alias(cls, item)
    }

    #[doc = doc!("TrainingInfoReader.wait")]
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = timeout.map_or(Ok(None), |timeout| duration("a timeout", timeout))?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let channel = self.channel(py)?;
            let waiter = channel.get().0.reader.with(py, Reader::waiter); // made first: a later change ends the sleep at once
            if self.has_news(py)? {
                return Ok(true);
            }
            if channel.get().0.reader.with(py, Reader::closed) {
                return Ok(false);
            }
            if channel.get().0.head(py).0 != waiter.segment_key() {
                continue; // it has moved to another file
            }
            let left = deadline.map_or(Waiter::MAX_SLICE, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(false);
            }
            let stirred = py.detach(|| waiter.wait(left));
            py.check_signals()?;
            if stirred {
                // This is nearly always news, which is found without asking the file system.
                if self.has_news(py)? {
                    return Ok(true);
                }
                channel.get().0.reader.with(py, Reader::follow);
            }
        }
    }

    #[doc = doc!("TrainingInfoReader.version")]
    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(py, self.look(py, |held| held.watch.meta.stamp.version.get()).unwrap_or(0))
    }

    #[doc = doc!("TrainingInfoReader.epoch")]
    #[getter]
    fn epoch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(py, self.look(py, |held| held.watch.meta.stamp.epoch.get()).unwrap_or(0))
    }

    #[doc = doc!("TrainingInfoReader.directory")]
    #[getter]
    fn directory(&self, py: Python<'_>) -> PyResult<PathBuf> {
        let directory = |reader: &mut Reader| reader.directory().path().to_owned();
        Ok(self.channel(py)?.get().0.reader.with(py, directory))
    }

    #[doc = doc!("TrainingInfoReader.closed")]
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.channel(py).map_or(true, |channel| channel.get().0.reader.with(py, Reader::closed))
    }

    #[doc = doc!("TrainingInfoReader.served")]
    #[getter]
    fn served(&self, py: Python<'_>) -> PyResult<bool> {
        self.channel(py)?.get().0.reader.with(py, Reader::served).map_err(|error| raise(py, error))
    }

    #[doc = doc!("TrainingInfoReader.writer_alive")]
    #[getter]
    fn writer_alive(&self, py: Python<'_>) -> PyResult<bool> {
        self.channel(py)?.get().0.reader.with(py, Reader::writer_alive).map_err(|error| raise(py, error))
    }

    #[doc = doc!("TrainingInfoReader.age")]
    #[getter]
    fn age(&self, py: Python<'_>) -> PyResult<f64> {
        let channel = self.channel(py)?;
        let meta = self.look(py, |held| held.dict.as_ref().map(|_| held.watch.meta)).flatten();
        let age = channel.get().0.reader.with(py, |reader| {
            let meta = meta.map_or_else(|| reader.newest(), Ok)?;
            Ok(reader.age(&meta))
        });
        age.map_err(|error| raise(py, error))
    }

    #[doc = doc!("TrainingInfoReader.read_wire")]
    fn read_wire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let channel = self.channel(py)?;
        let read = channel.get().0.reader.with(py, |reader| reader.read_wire(&mut Snapshot::default()));
        ffi::byte_string(py, &read.map_err(|error| raise(py, error))?)
    }

    #[doc = doc!("TrainingInfoReader.close")]
    fn close(&self, py: Python<'_>) {
        self.line.get().close(py);
        drop(self.held.with(py, Option::take));
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (_exc_type, _exc, _tb, /))]
    fn __exit__(&self, py: Python<'_>, _exc_type: Py<PyAny>, _exc: Py<PyAny>, _tb: Py<PyAny>) {
        self.close(py);
    }

    /// Pickled by name: the copy attaches to the channel again, in any process.
    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<((String, u16), Bound<'py, PyDict>)> {
        let kwargs = PyDict::new(py);
        kwargs.set_item("attach_timeout", self.attach_timeout)?;
        kwargs.set_item("directory", self.directory.as_deref())?;
        Ok(((self.channel_name.name().to_owned(), self.policy_id), kwargs))
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let stamp = self.look(py, |held| held.watch.meta.stamp);
        let state = stamp
            .map_or("closed".into(), |stamp| format!("version={}, epoch={}", stamp.version, stamp.epoch));
        let (name, policy_id) = (self.channel_name.name(), self.policy_id);
        ffi::text(py, &format!("<TrainingInfoReader {name:?} policy_id={policy_id} {state}>"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let dict = |held: &Option<Held>| held.as_ref().map_or(Ok(()), |held| visit.call(&held.dict));
        self.held.traverse(dict).unwrap_or(Ok(())) // borrowed further up the stack: then its objects are alive anyway
    }

    fn __clear__(&self, py: Python<'_>) {
        self.close(py);
    }
}
