//! `TrainingInfoReader`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString};
use traincast_core::directory::ChannelName;
use traincast_core::reader::{HeadRef, Reader, Settled, Waiter};
use traincast_core::snapshot::{SegmentKey, SlotMeta, Snapshot};
use traincast_core::tick_ns;

use crate::channel::{Channel, channel_name, duration, places_of, policy_id};
use crate::decode::Found;
use crate::errors::{exception, raise};
use crate::ffi::{self, GilCell};

/// Reads the newest training information of a channel.
#[pyclass(frozen, weakref, module = "traincast")]
pub struct TrainingInfoReader {
    channel_name: ChannelName,
    #[pyo3(get)]
    name: Py<PyString>,
    #[pyo3(get)]
    policy_id: u16,
    attach_timeout: f64,
    /// What was asked for; `None`: the environment's, also for a copy in another process.
    directory: Option<PathBuf>,
    held: GilCell<Option<Held>>,
}

/// What keeps a channel for the time of a read: this is counted without atomics.
#[pyclass(frozen)]
struct Hold(Arc<Channel>);

struct Held {
    channel: Py<Hold>,
    head: HeadRef,
    /// While this holds, `dict` is the newest.
    settled: Settled,
    /// When the name was last looked at; 0 if not for this dictionary.
    looked_ns: u64,
    /// After how many calls that find nothing new the clock says whether that is long ago, and what it said last.
    clock_in: u8,
    clock_ns: u64,
    /// `None` before the first read.
    dict: Option<Py<PyDict>>,
    /// Of that snapshot.
    segment: SegmentKey,
    meta: SlotMeta,
    /// How many reads have ended.
    reads: u64,
}

/// Somebody may have removed or replaced the file without a mark in it. So the name is looked at once a second. The clock for
/// that, a coarse one, is looked at in each call, but where calls follow each other within its tick only every so many.
const CLOCK_EVERY: u8 = 32;
const LOOK_EVERY_NS: u64 = 1_000_000_000;

impl Held {
    /// Whether nothing has changed: one load and one comparison.
    fn idle(&mut self) -> bool {
        self.settled.holds(&self.head) && {
            self.clock_in = self.clock_in.wrapping_sub(1);
            self.clock_in != 0 || self.looked_lately()
        }
    }

    /// Whether there is a newer snapshot in the file that the one in hand comes from. `false`: there may be one elsewhere.
    fn overtaken(&self) -> bool {
        let head = self.head.load();
        self.dict.is_some() && !head.ended() && head.position() > self.meta.position
    }

    #[inline(never)]
    fn looked_lately(&mut self) -> bool {
        let now = tick_ns();
        self.clock_in = if now == self.clock_ns { CLOCK_EVERY } else { 1 };
        self.clock_ns = now;
        now.saturating_sub(self.looked_ns) < LOOK_EVERY_NS
    }
}

impl TrainingInfoReader {
    /// Looks at what is held, unless this reader is closed.
    #[inline(always)]
    fn look<R>(&self, py: Python<'_>, look: impl FnOnce(&mut Held) -> R) -> Option<R> {
        self.held.with(py, |held| held.as_mut().map(look))
    }

    fn channel(&self, py: Python<'_>) -> PyResult<Py<Hold>> {
        self.look(py, |held| held.channel.clone_ref(py)).ok_or_else(|| self.closed_error(py))
    }

    /// The newest dictionary, and whether it is new to this reader.
    #[inline(never)]
    fn newest(&self, py: Python<'_>) -> PyResult<(Py<PyDict>, bool)> {
        let held = self.look(py, |held| {
            let before = held.dict.as_ref().map(|_| held.meta.stamp);
            (held.channel.clone_ref(py).into_bound(py), held.reads, before)
        });
        let Some((channel, reads, before)) = held else { return Err(self.closed_error(py)) };
        let channel = &channel.get().0;
        let (mut new, mut old) = (false, None);
        let take = |dict: Option<Py<PyDict>>, found: &Found<'_>| {
            old = self.held.with(py, |held| {
                let Some(held) = held else { return dict }; // closed meanwhile
                held.reads += 1;
                // Python code that ran meanwhile may have read a newer one.
                let elsewhere = held.segment != found.segment;
                if held.reads - reads > 1 && (elsewhere || held.meta.position > found.meta.position) {
                    return dict;
                }
                (held.settled, held.meta) = (found.settled, *found.meta);
                held.looked_ns = if dict.is_some() { 0 } else { tick_ns() };
                if elsewhere {
                    let (segment, head) = channel.head(py);
                    (held.segment, held.head) = (found.segment, head);
                    if segment != found.segment {
                        held.settled = Settled::default(); // the channel has moved on meanwhile
                    }
                }
                new = dict.is_some();
                dict.and_then(|dict| held.dict.replace(dict))
            });
        };
        channel.decoder.take_out(py, |decoder| decoder.read(py, &channel.reader, before, take))?;
        drop(old.map(|old| old.into_bound(py))); // while nothing is lent: this may run Python code, which may read a newer one again
        let in_hand = self.look(py, |held| held.dict.as_ref().map(|dict| dict.clone_ref(py)));
        in_hand.flatten().map(|dict| (dict, new)).ok_or_else(|| self.closed_error(py))
    }

    /// As `changed`, also where the channel may be in another file, which the head in hand says nothing of.
    fn has_news(&self, py: Python<'_>) -> PyResult<bool> {
        if self.look(py, |held| held.overtaken()) == Some(true) {
            return Ok(true);
        }
        let channel = self.channel(py)?;
        let (newest, place) = channel.get().0.reader.with(py, |reader| {
            let newest = reader.newest();
            (newest, (reader.segment_key(), reader.head().position()))
        });
        let looked = self.look(py, |held| {
            held.looked_ns = tick_ns();
            // What lies where the one in hand came from is not news, even if it has been damaged since. What cannot be read
            // elsewhere is: reading it says why.
            let news = held.dict.is_none()
                || place != (held.segment, held.meta.position)
                    && newest.map_or(true, |newest| newest.stamp != held.meta.stamp);
            if news {
                held.settled = Settled::default();
            }
            news
        });
        looked.ok_or_else(|| self.closed_error(py))
    }

    fn closed_error(&self, py: Python<'_>) -> PyErr {
        let message =
            format!("this reader of {} is closed; make a new TrainingInfoReader", self.channel_name);
        exception(py, "ChannelClosedError", &message)
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
        let (segment, head) = channel.head(py);
        let held = Held {
            channel: Py::new(py, Hold(channel))?,
            head,
            settled: Settled::default(),
            looked_ns: 0,
            clock_in: 1,
            clock_ns: 0,
            dict: None,
            segment,
            meta: SlotMeta::default(),
            reads: 0,
        };
        let (name, policy_id) = (ffi::text(py, channel_name.name())?.unbind(), channel_name.policy_id());
        let held = GilCell::new(Some(held));
        Ok(Self { channel_name, name, policy_id, attach_timeout, directory, held })
    }

    /// The newest dictionary; the same object while nothing changed.
    #[inline(always)]
    fn read(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let in_hand =
            |held: &mut Held| held.idle().then(|| held.dict.as_ref().map(|dict| dict.clone_ref(py)));
        match self.look(py, in_hand) {
            Some(Some(Some(dict))) => Ok(dict),
            _ => self.newest(py).map(|(dict, _)| dict),
        }
    }

    /// The newest dictionary if it is newer than the last one that this reader handed out, else `None`.
    fn read_if_changed(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        match self.look(py, Held::idle) {
            Some(true) => Ok(None),
            _ => self.newest(py).map(|(dict, new)| new.then_some(dict)),
        }
    }

    /// Whether `read` would give a newer dictionary.
    fn changed(&self, py: Python<'_>) -> PyResult<bool> {
        match self.look(py, Held::idle) {
            Some(true) => Ok(false),
            _ => self.has_news(py),
        }
    }

    fn __getitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Ok(self.read(py)?.bind(py).as_any().get_item(key)?.unbind())
    }

    /// Sleeps until there is a newer dictionary than the one in hand.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = timeout.map_or(Ok(None), |timeout| duration("a timeout", timeout))?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let channel = self.channel(py)?;
            let waiter = channel.get().0.reader.with(py, Reader::waiter); // before the look: what comes after it ends the sleep at once
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
                // Nearly always news, for which nobody need ask the file system.
                if self.has_news(py)? {
                    return Ok(true);
                }
                channel.get().0.reader.with(py, Reader::follow);
            }
        }
    }

    /// The version of the snapshot read last; 0 before the first read.
    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(py, self.look(py, |held| held.meta.stamp.version.get()).unwrap_or(0))
    }

    /// The writer epoch of the snapshot read last; 0 before the first read.
    #[getter]
    fn epoch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyInt>> {
        ffi::unsigned(py, self.look(py, |held| held.meta.stamp.epoch.get()).unwrap_or(0))
    }

    /// Where the channel is.
    #[getter]
    fn directory(&self, py: Python<'_>) -> PyResult<PathBuf> {
        let directory = |reader: &mut Reader| reader.directory().path().to_owned();
        Ok(self.channel(py)?.get().0.reader.with(py, directory))
    }

    /// Whether the writer closed the channel and no other has opened it since, or this reader was closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.channel(py).map_or(true, |channel| channel.get().0.reader.with(py, Reader::closed))
    }

    /// Whether anybody serves the channel: its writer, or a relay that waits for the learner.
    #[getter]
    fn served(&self, py: Python<'_>) -> PyResult<bool> {
        self.channel(py)?.get().0.reader.with(py, Reader::served).map_err(|error| raise(py, error))
    }

    /// Whether a live process owns the channel.
    #[getter]
    fn writer_alive(&self, py: Python<'_>) -> PyResult<bool> {
        self.channel(py)?.get().0.reader.with(py, Reader::writer_alive).map_err(|error| raise(py, error))
    }

    /// Seconds since the snapshot read last was published; before the first read, since the newest one was.
    #[getter]
    fn age(&self, py: Python<'_>) -> PyResult<f64> {
        let channel = self.channel(py)?;
        let meta = self.look(py, |held| held.dict.as_ref().map(|_| held.meta)).flatten();
        let age = channel.get().0.reader.with(py, |reader| {
            let meta = meta.map_or_else(|| reader.newest(), Ok)?;
            Ok(reader.age(&meta))
        });
        age.map_err(|error| raise(py, error))
    }

    /// The newest snapshot in wire form: what a relay carries to another node.
    fn read_wire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let channel = self.channel(py)?;
        let read = channel.get().0.reader.with(py, |reader| reader.read_wire(&mut Snapshot::default()));
        ffi::byte_string(py, &read.map_err(|error| raise(py, error))?)
    }

    /// Lets go of the channel; `read` then raises `ChannelClosedError`.
    fn close(&self, py: Python<'_>) {
        drop(self.held.with(py, Option::take));
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
        kwargs.set_item("directory", self.directory.as_deref())?;
        Ok(((self.channel_name.name().to_owned(), self.policy_id), kwargs))
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let stamp = self.look(py, |held| held.meta.stamp);
        let state = stamp
            .map_or("closed".into(), |stamp| format!("version={}, epoch={}", stamp.version, stamp.epoch));
        let (name, policy_id) = (self.channel_name.name(), self.policy_id);
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
