//! What all readers of a channel in this process share: one mapping, and one decoder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};
use traincast_core::directory::{ChannelName, Directory, Places};
use traincast_core::error::Error;
use traincast_core::reader::{HeadRef, Reader};
use traincast_core::snapshot::SegmentKey;

use crate::decode::Decoder;
use crate::errors::{exception, raise};
use crate::ffi::GilCell;

/// One channel in this process.
pub struct Channel {
    pub reader: GilCell<Reader>,
    /// Taken out while it is used, because decoding may run Python code.
    pub decoder: GilCell<Option<Box<Decoder>>>,
}

/// A Python object that keeps a channel alive during a read: its reference count is not atomic.
#[pyclass(frozen)]
pub struct Hold(pub Arc<Channel>);

/// A reader's connection to its channel, which its keys share. Gone once the reader is closed.
#[pyclass(frozen)]
pub struct Line {
    name: ChannelName,
    hold: GilCell<Option<Py<Hold>>>,
}

impl Line {
    pub fn new(py: Python<'_>, name: ChannelName, channel: Arc<Channel>) -> PyResult<Py<Self>> {
        let hold = Py::new(py, Hold(channel))?;
        Py::new(py, Self { name, hold: GilCell::new(Some(hold)) })
    }

    pub fn channel_name(&self) -> &ChannelName {
        &self.name
    }

    #[inline]
    pub fn is_open(&self, py: Python<'_>) -> bool {
        self.hold.with(py, |hold| hold.is_some())
    }

    /// The channel, for work that may run Python code.
    #[inline]
    pub fn hold<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Hold>> {
        let hold = self.hold.with(py, |hold| hold.as_ref().map(|hold| hold.clone_ref(py).into_bound(py)));
        hold.ok_or_else(|| self.closed_error(py))
    }

    /// Calls `look` with the channel, unless the reader is closed. `look` must not run Python code.
    #[inline]
    pub fn look<R>(&self, py: Python<'_>, look: impl FnOnce(&Channel) -> R) -> Option<R> {
        self.hold.with(py, |hold| hold.as_ref().map(|hold| look(&hold.get().0)))
    }

    pub fn close(&self, py: Python<'_>) {
        drop(self.hold.with(py, Option::take));
    }

    #[cold]
    pub fn closed_error(&self, py: Python<'_>) -> PyErr {
        let message = format!("this reader of {} is closed; make a new TrainingInfoReader", self.name);
        exception(py, "ChannelClosedError", &message)
    }
}

/// A `policy_id` argument: any int, so that a huge one gets the same error as one that is slightly too large.
pub fn policy_id(object: &Bound<'_, PyAny>) -> PyResult<i128> {
    object.cast::<PyInt>()?;
    Ok(object.extract().unwrap_or(i128::MAX))
}

/// The channel for a name and a policy from Python.
pub fn channel_name(py: Python<'_>, name: &Bound<'_, PyString>, policy_id: i128) -> PyResult<ChannelName> {
    let Ok(name) = name.to_str() else {
        let message = format!("the channel name {} is not allowed: it holds a lone surrogate", name.repr()?);
        return Err(exception(py, "InvalidNameError", &message));
    };
    ChannelName::new(name, policy_id).map_err(|error| raise(py, error))
}

/// The directory that the caller gave, otherwise the places of the environment.
pub fn places_of(py: Python<'_>, asked: Option<PathBuf>) -> PyResult<Places> {
    let places = asked.map_or_else(Places::from_env, |path| Directory::at(path).map(Places::from));
    places.map_err(|error| raise(py, error))
}

/// Seconds as a duration; infinity is `None`.
pub fn duration(what: &str, seconds: f64) -> PyResult<Option<Duration>> {
    if seconds == f64::INFINITY {
        return Ok(None);
    }
    Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| {
        PyValueError::new_err(format!(
            "{what} of {seconds} s is not possible; give seconds from 0 up, or math.inf"
        ))
    })
}

type Registry = BTreeMap<(Places, ChannelName), Weak<Channel>>;

static CHANNELS: GilCell<Registry> = GilCell::new(BTreeMap::new());

impl Channel {
    /// The channel of that name, waiting up to `timeout` for it to appear.
    pub fn attach(
        py: Python<'_>,
        places: &Places,
        name: ChannelName,
        timeout: Duration,
    ) -> PyResult<Arc<Self>> {
        let deadline = Instant::now().checked_add(timeout);
        let mut pause = Duration::from_millis(1);
        let reader = loop {
            match Reader::attach(places, name.clone(), Duration::ZERO) {
                Ok(reader) => break reader,
                Err(Error::ChannelNotFound { .. }) if deadline.is_none_or(|at| Instant::now() < at) => {}
                Err(error) => return Err(raise(py, error)),
            }
            let left = deadline.map_or(pause, |at| at.saturating_duration_since(Instant::now()));
            py.detach(|| std::thread::sleep(pause.min(left)));
            py.check_signals()?;
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        let key = (places.clone(), name);
        // An upgraded channel must not be dropped while the registry is borrowed, because that drops Python objects.
        let channel = CHANNELS.with(py, |registry| {
            registry.retain(|_, channel| channel.strong_count() > 0);
            registry.get(&key).and_then(Weak::upgrade)
        });
        if let Some(channel) = channel {
            // The new reader has found the channel's present file; the shared one may still be at a file of an earlier term.
            channel.reader.with(py, |shared| {
                if shared.segment_key() != reader.segment_key() {
                    *shared = reader;
                }
            });
            return Ok(channel);
        }
        let channel = Arc::new(Self { reader: GilCell::new(reader), decoder: GilCell::new(None) });
        CHANNELS.with(py, |registry| registry.insert(key, Arc::downgrade(&channel)));
        Ok(channel)
    }

    /// The file that it reads now, and where its head is.
    pub fn head(&self, py: Python<'_>) -> (SegmentKey, HeadRef) {
        self.reader.with(py, |reader| (reader.segment_key(), reader.head_ref()))
    }
}
