//! `TrainingInfoReader`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString};
use traincast_core::directory::ChannelName;
use traincast_core::reader::{HeadRef, Settled, Waiter};
use traincast_core::snapshot::{SegmentKey, SlotMeta};

use crate::channel::{Channel, PolicyId, channel_name};
use crate::errors::exception;
use crate::ffi::{self, GilCell};

/// Reads the newest training information of a channel.
#[pyclass(frozen, weakref, module = "traincast")]
pub struct TrainingInfoReader {
    name: ChannelName,
    attach_timeout: f64,
    held: GilCell<Option<Held>>,
}

struct Held {
    channel: Arc<Channel>,
    segment: SegmentKey,
    head: HeadRef,
    /// While this holds, `dict` is the newest.
    settled: Settled,
    idle_reads: Cell<u8>,
    /// `None` before the first read.
    dict: Option<Py<PyDict>>,
    /// Of that snapshot.
    meta: SlotMeta,
    /// How many reads have ended.
    reads: u64,
}

/// Every so many unchanged reads the name is looked at too (at most once a second): somebody may have removed or replaced
/// the file without a mark in it.
const IDLE_READS: u8 = 255;

impl Held {
    /// Whether nothing has changed: one load and one comparison.
    fn idle(&self) -> bool {
        let reads = self.idle_reads.get();
        self.idle_reads.set(reads.wrapping_add(1));
        self.settled.holds(&self.head) && reads != IDLE_READS
    }
}

impl TrainingInfoReader {
    /// The dictionary in hand if it is the newest: one load and one comparison.
    fn unchanged(&self, py: Python<'_>) -> Option<Py<PyDict>> {
        self.held.with(py, |held| match held {
            Some(held) if held.idle() => held.dict.as_ref().map(|dict| dict.clone_ref(py)),
            _ => None,
        })
    }

    fn channel(&self, py: Python<'_>) -> PyResult<Arc<Channel>> {
        let channel = self.held.with(py, |held| held.as_ref().map(|held| Arc::clone(&held.channel)));
        channel.ok_or_else(|| self.closed_error(py))
    }

    /// The newest dictionary, and whether it is new to this reader.
    #[inline(never)]
    fn newest(&self, py: Python<'_>) -> PyResult<(Py<PyDict>, bool)> {
        let held = self.held.with(py, |held| {
            let held = held.as_ref()?;
            let before = held.dict.as_ref().map(|_| held.meta.stamp);
            Some((Arc::clone(&held.channel), held.reads, before))
        });
        let Some((channel, reads, before)) = held else { return Err(self.closed_error(py)) };
        let mut new = false;
        let mut old = None; // let go of once nothing is lent: that may run Python code
        channel.read(py, before, |dict, found| {
            old = self.held.with(py, |held| {
                let Some(held) = held else { return dict }; // closed meanwhile
                held.reads += 1;
                // Python code that ran meanwhile may have read a newer one.
                let elsewhere = held.segment != found.segment;
                if held.reads - reads > 1 && (elsewhere || held.meta.position > found.meta.position) {
                    return dict;
                }
                if elsewhere {
                    (held.segment, held.head) = channel.head(py);
                }
                (held.settled, held.meta) = (found.settled, *found.meta);
                new = dict.is_some();
                dict.and_then(|dict| held.dict.replace(dict))
            });
        })?;
        drop(old); // and may read a newer one again
        let in_hand = self.held.with(py, |held| held.as_ref()?.dict.as_ref().map(|dict| dict.clone_ref(py)));
        in_hand.map(|dict| (dict, new)).ok_or_else(|| self.closed_error(py))
    }

    /// As `changed`, without the short way: the channel may be in another file, which the head in hand says nothing of.
    fn has_news(&self, py: Python<'_>) -> PyResult<bool> {
        let channel = self.channel(py)?;
        let in_hand = self
            .held
            .with(py, |held| held.as_ref().filter(|held| held.dict.is_some()).map(|held| held.meta.stamp));
        let news = in_hand.is_none_or(|than| channel.has_other(py, than));
        self.held.with(py, |held| {
            if let Some(held) = held.as_mut().filter(|_| news) {
                held.settled = Settled::default();
            }
        });
        Ok(news)
    }

    fn closed_error(&self, py: Python<'_>) -> PyErr {
        let message = format!("this reader of {} is closed; make a new TrainingInfoReader", self.name);
        exception(py, "ChannelClosedError", &message)
    }
}

#[pymethods]
impl TrainingInfoReader {
    #[new]
    #[pyo3(
        signature = (name, policy_id=PolicyId(0), *, attach_timeout=0.0),
        text_signature = "(name, policy_id=0, *, attach_timeout=0.0)"
    )]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        policy_id: PolicyId,
        attach_timeout: f64,
    ) -> PyResult<Self> {
        let name = channel_name(py, name, policy_id)?;
        let timeout = duration(attach_timeout)?.unwrap_or(Duration::MAX);
        let channel = Channel::attach(py, name.clone(), timeout)?;
        let (segment, head) = channel.head(py);
        let held = Held {
            channel,
            segment,
            head,
            settled: Settled::default(),
            idle_reads: Cell::new(0),
            dict: None,
            meta: SlotMeta::default(),
            reads: 0,
        };
        Ok(Self { name, attach_timeout, held: GilCell::new(Some(held)) })
    }

    /// The newest dictionary; the same object while nothing changed.
    fn read(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        match self.unchanged(py) {
            Some(dict) => Ok(dict),
            None => self.newest(py).map(|(dict, _)| dict),
        }
    }

    /// The newest dictionary if it is newer than the last one that this reader handed out, else `None`.
    fn read_if_changed(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        if self.held.with(py, |held| held.as_ref().is_some_and(Held::idle)) {
            return Ok(None);
        }
        self.newest(py).map(|(dict, new)| new.then_some(dict))
    }

    /// Whether `read` would give a newer dictionary.
    fn changed(&self, py: Python<'_>) -> PyResult<bool> {
        let settled = |held: &Held| held.dict.is_some() && held.settled.holds(&held.head);
        if self.held.with(py, |held| held.as_ref().is_some_and(settled)) {
            Ok(false)
        } else {
            self.has_news(py)
        }
    }

    fn __getitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Ok(self.read(py)?.bind(py).as_any().get_item(key)?.unbind())
    }

    /// Sleeps until there is a newer dictionary than the one in hand.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = timeout.map_or(Ok(None), duration)?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let channel = self.channel(py)?;
            let waiter = channel.waiter(py); // before the look: what comes after it ends the sleep at once
            if self.has_news(py)? {
                return Ok(true);
            }
            if channel.closed(py) {
                return Ok(false);
            }
            if channel.head(py).0 != waiter.segment_key() {
                continue; // it has moved to another file
            }
            let left = deadline.map_or(Waiter::MAX_SLICE, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(false);
            }
            if py.detach(|| waiter.wait(left)) {
                channel.follow(py);
            }
            py.check_signals()?;
        }
    }

    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        ffi::text(py, self.name.name())
    }

    #[getter]
    fn policy_id(&self) -> u16 {
        self.name.policy_id()
    }

    /// The version of the snapshot read last; 0 before the first read.
    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(
            py,
            self.held.with(py, |held| held.as_ref().map_or(0, |held| held.meta.stamp.version.get())),
        )
    }

    /// The writer epoch of the snapshot read last; 0 before the first read.
    #[getter]
    fn epoch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(
            py,
            self.held.with(py, |held| held.as_ref().map_or(0, |held| held.meta.stamp.epoch.get())),
        )
    }

    /// Whether the writer closed the channel and no other has opened it since, or this reader was closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        match self.channel(py) {
            Ok(channel) => Ok(channel.closed(py)),
            Err(_) => Ok(true),
        }
    }

    /// Whether a live process owns the channel.
    #[getter]
    fn writer_alive(&self, py: Python<'_>) -> PyResult<bool> {
        self.channel(py)?.writer_alive(py)
    }

    /// Seconds since the snapshot read last was published; before the first read, since the newest one was.
    #[getter]
    fn age(&self, py: Python<'_>) -> PyResult<f64> {
        let channel = self.channel(py)?;
        let meta =
            self.held.with(py, |held| held.as_ref().filter(|held| held.dict.is_some()).map(|held| held.meta));
        channel.age(py, meta.as_ref())
    }

    /// The newest snapshot in wire form: what a relay carries to another node.
    fn read_wire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        ffi::byte_string(py, &self.channel(py)?.read_wire(py)?)
    }

    /// Lets go of the channel; `read` then raises `ChannelClosedError`.
    fn close(&self, py: Python<'_>) {
        drop(self.held.take(py));
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (_exc_type, _exc, _tb, /))]
    fn __exit__(&self, py: Python<'_>, _exc_type: Py<PyAny>, _exc: Py<PyAny>, _tb: Py<PyAny>) {
        self.close(py);
    }

    /// Pickled by name: the copy attaches anew, in whatever process it is.
    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<((String, u16), Bound<'py, PyDict>)> {
        let kwargs = PyDict::new(py);
        kwargs.set_item("attach_timeout", self.attach_timeout)?;
        Ok(((self.name.name().to_owned(), self.name.policy_id()), kwargs))
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let held = self
            .held
            .with(py, |held| held.as_ref().map(|held| (held.meta.stamp.version, held.meta.stamp.epoch)));
        let state =
            held.map_or("closed".into(), |(version, epoch)| format!("version={version}, epoch={epoch}"));
        let (name, policy_id) = (self.name.name(), self.name.policy_id());
        ffi::text(py, &format!("<TrainingInfoReader {name:?} policy_id={policy_id} {state}>"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let dict = |held: &Option<Held>| held.as_ref().map_or(Ok(()), |held| visit.call(&held.dict));
        self.held.traverse(dict).unwrap_or(Ok(())) // lent further up the stack: what it refers to is alive anyway
    }

    fn __clear__(&self, py: Python<'_>) {
        self.close(py);
    }
}

/// Seconds as a duration; infinity is `None`.
fn duration(seconds: f64) -> PyResult<Option<Duration>> {
    if seconds == f64::INFINITY {
        return Ok(None);
    }
    Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| {
        pyo3::exceptions::PyValueError::new_err(format!(
            "a timeout of {seconds} s is not possible; give seconds from 0 up, or None to wait without end"
        ))
    })
}
