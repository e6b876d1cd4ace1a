//! What relays do beyond reading and writing.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use traincast_core::directory::ChannelName;
use traincast_core::reader::{Reader, Waiter};
use traincast_core::relay::{self, RelayLock as Lock};
use traincast_core::snapshot::Snapshot;
use traincast_core::snapshot::wire::{self, Origin};

use crate::channel::{channel_name, duration, places_of, policy_id};
use crate::errors::{exception, raise};
use crate::ffi::{self, GilCell};

#[doc = doc!("RelayLock")]
#[pyclass(frozen, module = "traincast._core")]
pub struct RelayLock {
    name: ChannelName,
    lock: GilCell<Option<Lock>>,
}

impl RelayLock {
    fn held<R>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Lock) -> traincast_core::error::Result<R>,
    ) -> PyResult<R> {
        match self.lock.with(py, |lock| lock.as_mut().map(work)) {
            Some(done) => done.map_err(|error| raise(py, error)),
            None => {
                let message = format!("this relay of {} has released its lock", self.name);
                Err(exception(py, "ChannelClosedError", &message))
            }
        }
    }
}

#[pymethods]
impl RelayLock {
    #[new]
    #[pyo3(signature = (name, policy_id=0, *, directory=None))]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        #[pyo3(from_py_with = policy_id)] policy_id: i128,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        let name = channel_name(py, name, policy_id)?;
        let lock = relay::serve(&places_of(py, directory)?, &name).map_err(|error| raise(py, error))?;
        Ok(Self { name, lock: GilCell::new(Some(lock)) })
    }

    #[doc = doc!("RelayLock.keep")]
    fn keep(&self, py: Python<'_>) -> PyResult<()> {
        self.held(py, Lock::keep)
    }

    #[doc = doc!("RelayLock.announce")]
    #[pyo3(signature = (status, /))]
    fn announce(&self, py: Python<'_>, status: &str) -> PyResult<()> {
        self.held(py, |lock| lock.announce(status))
    }

    #[doc = doc!("RelayLock.directory")]
    #[getter]
    fn directory(&self, py: Python<'_>) -> PyResult<PathBuf> {
        self.held(py, |lock| Ok(lock.directory().path().to_owned()))
    }

    #[doc = doc!("RelayLock.close")]
    fn close(&self, py: Python<'_>) {
        if let Some(lock) = self.lock.with(py, Option::take) {
            lock.release();
        }
    }
}

#[doc = doc!("displace")]
#[pyfunction]
#[pyo3(signature = (name, policy_id, /, host, pid, *, directory=None))]
pub fn displace(
    py: Python<'_>,
    name: &Bound<'_, PyString>,
    #[pyo3(from_py_with = policy_id)] policy_id: i128,
    host: String,
    pid: u64,
    directory: Option<PathBuf>,
) -> PyResult<bool> {
    let name = channel_name(py, name, policy_id)?;
    relay::displace(&places_of(py, directory)?, &name, &Origin { host, pid })
        .map_err(|error| raise(py, error))
}

/// A relay's reader and the newest snapshot, which is never decoded.
struct Watched {
    reader: Reader,
    newest: Snapshot,
}

impl Watched {
    fn news(&mut self) -> traincast_core::error::Result<Option<Vec<u8>>> {
        let new = self.reader.read_into(&mut self.newest)?;
        Ok(new.then(|| wire::encode(&self.newest, &self.reader.origin())))
    }
}

#[doc = doc!("RelaySource")]
#[pyclass(frozen, module = "traincast._core")]
pub struct RelaySource {
    watched: GilCell<Watched>,
}

impl RelaySource {
    fn look<R>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&mut Watched) -> traincast_core::error::Result<R>,
    ) -> PyResult<R> {
        self.watched.with(py, look).map_err(|error| raise(py, error))
    }
}

#[pymethods]
impl RelaySource {
    #[new]
    #[pyo3(signature = (name, policy_id=0, *, directory=None))]
    fn new(
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        #[pyo3(from_py_with = policy_id)] policy_id: i128,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        let name = channel_name(py, name, policy_id)?;
        let reader = Reader::attach(places_of(py, directory)?, name, Duration::ZERO);
        let reader = reader.map_err(|error| raise(py, error))?;
        Ok(Self { watched: GilCell::new(Watched { reader, newest: Snapshot::default() }) })
    }

    #[doc = doc!("RelaySource.wait")]
    #[pyo3(signature = (timeout, /))]
    fn wait<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let slice = duration("a timeout", timeout)?.unwrap_or(Waiter::MAX_SLICE);
        // Made before reading: a later change ends the sleep at once.
        let waiter = self.look(py, |watched| Ok(watched.reader.waiter()))?;
        let mut news = self.look(py, Watched::news)?;
        if news.is_none() && py.detach(|| waiter.wait(slice)) {
            news = self.look(py, |watched| {
                let news = watched.news()?;
                Ok(if news.is_none() && watched.reader.follow() { watched.news()? } else { news })
            })?;
        }
        news.map(|message| ffi::byte_string(py, &message)).transpose()
    }

    #[doc = doc!("RelaySource.link")]
    #[getter]
    fn link(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.look(py, |watched| Ok(watched.reader.link().word()))
    }

    #[doc = doc!("RelaySource.closed")]
    #[getter]
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |watched| Ok(watched.reader.closed()))
    }

    #[doc = doc!("RelaySource.writer_alive")]
    #[getter]
    fn writer_alive(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |watched| watched.reader.writer_alive())
    }
}

#[doc = doc!("relay_status")]
#[pyfunction]
#[pyo3(signature = (name, policy_id, /, *, directory=None))]
pub fn relay_status(
    py: Python<'_>,
    name: &Bound<'_, PyString>,
    #[pyo3(from_py_with = policy_id)] policy_id: i128,
    directory: Option<PathBuf>,
) -> PyResult<Option<String>> {
    let name = channel_name(py, name, policy_id)?;
    relay::status(&places_of(py, directory)?, &name).map_err(|error| raise(py, error))
}
