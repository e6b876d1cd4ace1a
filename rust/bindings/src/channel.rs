//! What all readers of one channel in this process share: one mapping, one decoding of each snapshot.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};
use traincast_core::directory::{ChannelName, Directory};
use traincast_core::error::Error;
use traincast_core::reader::{HeadRef, Reader, SlotMeta, Waiter};

use crate::decode::Decoder;
use crate::errors::{exception, raise};
use crate::ffi::GilCell;

/// One channel in this process.
pub struct Channel {
    reader: GilCell<Reader>,
    /// Taken out while Python code may run: whoever comes in meanwhile, on this thread or another, uses one of their own.
    decoder: GilCell<Option<Box<Decoder>>>,
}

/// A `policy_id` argument: any int, so that one that is too large gets the same error as one that is a bit too large.
#[derive(Clone, Copy)]
pub struct PolicyId(pub i128);

impl<'a, 'py> FromPyObject<'a, 'py> for PolicyId {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        object.cast::<PyInt>()?;
        Ok(Self(object.extract().unwrap_or(i128::MAX)))
    }
}

/// The channel of a name and a policy as Python gives them.
pub fn channel_name(
    py: Python<'_>,
    name: &Bound<'_, PyString>,
    policy_id: PolicyId,
) -> PyResult<ChannelName> {
    let Ok(name) = name.to_str() else {
        let message = format!("the channel name {} is not allowed: it holds a lone surrogate", name.repr()?);
        return Err(exception(py, "InvalidNameError", &message));
    };
    ChannelName::new(name, policy_id.0).map_err(|error| raise(py, error))
}

type Registry = BTreeMap<(PathBuf, ChannelName), Weak<Channel>>;

static CHANNELS: GilCell<Option<Registry>> = GilCell::new(None);

impl Channel {
    /// The channel of that name, waiting up to `timeout` for it to appear.
    pub fn attach(py: Python<'_>, name: ChannelName, timeout: Duration) -> PyResult<Arc<Self>> {
        let directory = Directory::from_env().map_err(|error| raise(py, error))?;
        let deadline = Instant::now().checked_add(timeout);
        let mut pause = Duration::from_millis(1);
        let reader = loop {
            match Reader::attach(&directory, name.clone(), Duration::ZERO) {
                Ok(reader) => break reader,
                Err(Error::ChannelNotFound { .. }) if deadline.is_none_or(|at| Instant::now() < at) => {}
                Err(error) => return Err(raise(py, error)),
            }
            let left = deadline.map_or(pause, |at| at.saturating_duration_since(Instant::now()));
            py.detach(|| std::thread::sleep(pause.min(left)));
            py.check_signals()?;
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        let key = (directory.path().to_owned(), name);
        // Whoever leaves the registry is dropped once that is no longer lent: with a channel go Python objects.
        let channel = CHANNELS.with(py, |registry| {
            let registry = registry.get_or_insert_default();
            registry.retain(|_, channel| channel.strong_count() > 0);
            registry.get(&key).and_then(Weak::upgrade)
        });
        if let Some(channel) = channel {
            // What was just found is the channel's present file; the others' may be that of an earlier life.
            channel.reader.with(py, |shared| {
                if shared.generation_key() != reader.generation_key() {
                    *shared = reader;
                }
            });
            return Ok(channel);
        }
        let channel = Arc::new(Self { reader: GilCell::new(reader), decoder: GilCell::new(None) });
        CHANNELS.with(py, |registry| registry.get_or_insert_default().insert(key, Arc::downgrade(&channel)));
        Ok(channel)
    }

    /// Hands a dictionary of the newest snapshot, which nobody else has, to `take`, unless `held` (generation key and version)
    /// is the newest.
    pub fn read(
        &self,
        py: Python<'_>,
        held: Option<(u64, u64)>,
        take: impl FnOnce(Py<PyDict>, &SlotMeta),
    ) -> PyResult<()> {
        let mut decoder = self.decoder.take(py).unwrap_or_default();
        match decoder.read(py, &self.reader, held, take) {
            Ok(()) => {
                self.keep(py, decoder);
                Ok(())
            }
            Err(error) => {
                self.keep(py, decoder);
                Err(error)
            }
        }
    }

    /// If there is another decoder by now, the last one to end is kept. Dropping the other may run Python code.
    fn keep(&self, py: Python<'_>, decoder: Box<Decoder>) {
        drop(self.decoder.replace(py, decoder));
    }

    /// When the newest snapshot was published.
    pub fn published_ns(&self, py: Python<'_>) -> PyResult<u64> {
        let mut published = 0;
        self.read(py, None, |_, meta| published = meta.published_ns)?;
        Ok(published)
    }

    /// Whether there is a newer snapshot than `held`.
    pub fn newer(&self, py: Python<'_>, held: (u64, u64)) -> bool {
        self.reader.with(py, |reader| {
            reader.look();
            (reader.generation_key(), reader.head() >> 2) != held
        })
    }

    /// As `newer`, but looks the name up first: somebody may have replaced the file without a mark.
    pub fn moved(&self, py: Python<'_>, held: (u64, u64)) -> bool {
        self.reader.with(py, Reader::look_up);
        self.newer(py, held)
    }

    /// Whether the writer closed the channel and none has opened it since.
    pub fn closed(&self, py: Python<'_>) -> bool {
        self.reader.with(py, |reader| {
            reader.look();
            reader.closed()
        })
    }

    /// Whether a live process owns the channel.
    pub fn writer_alive(&self, py: Python<'_>) -> PyResult<bool> {
        let alive = self.reader.with(py, |reader| {
            reader.look();
            reader.writer_alive()
        });
        alive.map_err(|error| raise(py, error))
    }

    pub fn waiter(&self, py: Python<'_>) -> Waiter {
        self.reader.with(py, |reader| reader.waiter())
    }

    /// Where the head of the present file is, and its generation key.
    pub fn head(&self, py: Python<'_>) -> (HeadRef, u64) {
        self.reader.with(py, |reader| (reader.head_cell(), reader.generation_key()))
    }
}
