//! What all readers of one channel in this process share: one mapping, one decoding of each snapshot.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};
use traincast_core::directory::{ChannelName, Directory};
use traincast_core::error::Error;
use traincast_core::reader::{HeadRef, Reader, Refresh, SlotBuffer, SlotMeta};
use traincast_core::snapshot::shape::Shape;
use traincast_core::snapshot::to_bytes;

use crate::decode::Templates;
use crate::errors::{corrupt, exception, raise};
use crate::ffi::GilCell;

/// Shapes whose templates are kept: enough for structures that take turns, few enough to forget ones that never return.
const KEPT_TEMPLATES: usize = 8;

/// One channel in this process.
pub struct Channel {
    directory: Directory,
    name: ChannelName,
    /// Taken out during a decoding, which may run Python code: who comes in meanwhile makes a state of their own.
    state: GilCell<Option<Box<State>>>,
}

/// A channel's mapping and the newest snapshot in decoded form.
pub struct State {
    pub reader: Reader,
    buffer: SlotBuffer,
    /// By generation and shape id, the newest last.
    templates: Vec<((u64, u64), Templates)>,
    /// The snapshot that the last of `templates` holds.
    meta: Option<SlotMeta>,
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
        let message = format!(
            "the channel name {} is not allowed: it holds a lone surrogate",
            name.repr()?
        );
        return Err(exception(py, "InvalidNameError", &message));
    };
    ChannelName::new(name, policy_id.0).map_err(|error| raise(py, &error))
}

/// A new dictionary.
pub struct Handed {
    pub dict: Py<PyDict>,
    pub meta: SlotMeta,
}

type Registry = BTreeMap<(PathBuf, ChannelName), Weak<Channel>>;

static CHANNELS: GilCell<Option<Registry>> = GilCell::new(None);

impl Channel {
    /// The channel of that name, waiting up to `timeout` for it to appear.
    pub fn attach(py: Python<'_>, name: ChannelName, timeout: Duration) -> PyResult<Arc<Self>> {
        let directory = Directory::from_env().map_err(|error| raise(py, &error))?;
        let deadline = Instant::now().checked_add(timeout);
        let mut pause = Duration::from_millis(1);
        let reader = loop {
            match Reader::attach(&directory, name.clone(), Duration::ZERO) {
                Ok(reader) => break reader,
                Err(Error::ChannelNotFound { .. }) if deadline.is_none_or(|at| Instant::now() < at) => {}
                Err(error) => return Err(raise(py, &error)),
            }
            let left = deadline.map_or(pause, |at| at.saturating_duration_since(Instant::now()));
            py.detach(|| std::thread::sleep(pause.min(left)));
            py.check_signals()?;
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        let key = (directory.path().to_owned(), name.clone());
        let mut registry = CHANNELS.get(py).borrow_mut();
        let registry = registry.get_or_insert_default();
        if let Some(channel) = registry.get(&key).and_then(Weak::upgrade) {
            return Ok(channel);
        }
        registry.retain(|_, channel| channel.strong_count() > 0);
        let channel = Arc::new(Self {
            directory,
            name,
            state: GilCell::new(Some(Box::new(State::new(reader)))),
        });
        registry.insert(key, Arc::downgrade(&channel));
        Ok(channel)
    }

    /// Runs `work` on the state, or on a new one if the state is in use further up the stack.
    pub fn with<T>(&self, py: Python<'_>, work: impl FnOnce(&mut State) -> PyResult<T>) -> PyResult<T> {
        let taken = self.state.get(py).borrow_mut().take();
        let mut state = match taken {
            Some(state) => state,
            None => {
                let reader = Reader::attach(&self.directory, self.name.clone(), Duration::ZERO)
                    .map_err(|error| raise(py, &error))?;
                Box::new(State::new(reader))
            }
        };
        let done = work(&mut state);
        // Out of the borrow before anything is dropped: that, too, may run Python code.
        let other = self.state.get(py).borrow_mut().replace(state);
        drop(other);
        done
    }
}

impl State {
    fn new(reader: Reader) -> Self {
        Self {
            reader,
            buffer: SlotBuffer::default(),
            templates: Vec::new(),
            meta: None,
        }
    }

    /// A dictionary of the newest snapshot, `None` if `held` (generation key and version) is the newest.
    pub fn read(&mut self, py: Python<'_>, held: Option<(u64, u64)>) -> PyResult<Option<Handed>> {
        self.refresh(py)?;
        let Some(meta) = self.meta else {
            return Err(corrupt(py, "the channel has no snapshot"));
        };
        if held == Some((meta.generation_key, meta.version)) {
            return Ok(None);
        }
        let Some((_, templates)) = self.templates.last() else {
            return Err(corrupt(py, "the channel has no snapshot"));
        };
        let dict = templates.hand_out(py)?.unbind();
        Ok(Some(Handed { dict, meta }))
    }

    /// Takes over the newest snapshot, if it is a new one.
    fn refresh(&mut self, py: Python<'_>) -> PyResult<()> {
        let known = self.templates.last().map_or(0, |(key, _)| key.1);
        let refreshed = self
            .reader
            .refresh(known, &mut self.buffer)
            .map_err(|error| raise(py, &error))?;
        let Refresh::Snapshot(meta) = refreshed else {
            return Ok(());
        };
        // Until the templates hold the new snapshot there is none: an error must not leave an old one under a new version.
        self.meta = None;
        let key = (meta.generation_key, meta.shape_id);
        let mut templates = match self.templates.iter().position(|(known, _)| *known == key) {
            Some(at) if self.templates[at].1.shape.bytes.len() == meta.shape_len => {
                self.templates.remove(at).1
            }
            // The values lie behind the shape: another length would give other words as values.
            Some(_) => return Err(corrupt(py, "a shape has another length than before")),
            None => {
                let bytes = to_bytes(&self.buffer.shape, meta.shape_len);
                let shape = Shape::parse(&bytes).map_err(|error| corrupt(py, &error.to_string()))?;
                if self.templates.len() == KEPT_TEMPLATES {
                    self.templates.remove(0);
                }
                Templates::new(py, Arc::new(shape))?
            }
        };
        templates.update(py, &self.buffer.values, &self.buffer.blobs)?;
        self.templates.push((key, templates));
        self.meta = Some(meta);
        Ok(())
    }

    /// Whether there is a newer snapshot than this one.
    pub fn newer(&mut self, py: Python<'_>, held: (u64, u64)) -> PyResult<bool> {
        self.refresh(py)?;
        Ok(self
            .meta
            .is_none_or(|meta| (meta.generation_key, meta.version) != held))
    }

    /// Whether the writer closed the channel and none has opened it since.
    pub fn closed(&mut self, py: Python<'_>) -> PyResult<bool> {
        if self.reader.closed() {
            self.refresh(py)?; // moves to a successor
        }
        Ok(self.reader.closed())
    }

    /// Whether a live process owns the channel.
    pub fn writer_alive(&mut self, py: Python<'_>) -> PyResult<bool> {
        if self.closed(py)? {
            return Ok(false);
        }
        self.reader.writer_alive().map_err(|error| raise(py, &error))
    }

    /// When the newest snapshot was published.
    pub fn published_ns(&mut self, py: Python<'_>) -> PyResult<u64> {
        self.refresh(py)?;
        Ok(self.reader.published_ns())
    }

    pub fn head(&self) -> HeadRef {
        self.reader.head_cell()
    }
}
