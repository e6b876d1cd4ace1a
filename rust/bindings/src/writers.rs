//! The writers of this process: a new one may supersede one of them, and all are closed when the interpreter exits.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use pyo3::prelude::*;
use traincast_core::directory::{ChannelName, Places};
use traincast_core::error::Error;
use traincast_core::snapshot::history::History;
use traincast_core::writer::{Writer, WriterOptions};

use crate::errors::{exception, raise};
use crate::ffi::GilCell;
use crate::store::Store;

struct Entry {
    directory: PathBuf,
    name: ChannelName,
    /// File and line of the caller that opened it.
    opened_at: String,
    store: Weak<GilCell<Store>>,
}

static WRITERS: GilCell<Vec<Entry>> = GilCell::new(Vec::new());

#[doc = doc!("close_writers")]
#[pyfunction]
pub fn close_writers(py: Python<'_>) {
    // In a forked child this does nothing: a writer belongs to the process that made it.
    for entry in WRITERS.with(py, std::mem::take) {
        if let Some(store) = entry.store.upgrade() {
            store.with(py, |store| store.writer.close());
        }
    }
}

/// Opens a writer. If a writer of this process has the channel, unreachable ones are collected first. If a reachable one has it,
/// this fails, or with `supersede` that writer loses the channel.
pub fn open(
    py: Python<'_>,
    places: &Places,
    name: &ChannelName,
    options: WriterOptions,
    supersede: bool,
) -> PyResult<Writer> {
    // Detached, because it may have to wait until `clean` has finished with the channel.
    let attempt = || py.detach(|| Writer::open(places, name.clone(), options));
    let mut opened = attempt();
    if matches!(opened, Err(Error::ChannelBusy { .. })) && living(py, places, name).is_some() {
        // A notebook cell that is run again may leave the writer of its last run in a cycle of frames and tracebacks.
        py.import("gc")?.call_method0("collect")?;
        opened = attempt();
        if matches!(opened, Err(Error::ChannelBusy { .. }))
            && let Some((store, opened_at)) = living(py, places, name)
        {
            if !supersede {
                return Err(busy(py, name, &opened_at));
            }
            store.with(py, |store| store.writer.supersede());
            opened = attempt();
        }
    }
    opened.map_err(|error| raise(py, error))
}

/// Registers a writer until it is dropped.
pub fn register(py: Python<'_>, writer: Writer) -> PyResult<Arc<GilCell<Store>>> {
    let opened_at = caller(py)?;
    let (directory, name) = (writer.directory().path().to_owned(), writer.name().clone());
    let store = Arc::new(GilCell::new(Store { writer, history: History::default() }));
    let entry = Entry { directory, name, opened_at, store: Arc::downgrade(&store) };
    WRITERS.with(py, |writers| {
        writers.retain(|entry| entry.store.strong_count() > 0);
        writers.push(entry);
    });
    Ok(store)
}

/// The open writer of a channel in this process, and where it was opened.
fn living(py: Python<'_>, places: &Places, name: &ChannelName) -> Option<(Arc<GilCell<Store>>, String)> {
    let found = WRITERS.with(py, |writers| {
        let here = |entry: &Entry| places.iter().any(|directory| directory.path() == entry.directory);
        let same = |entry: &&Entry| here(entry) && entry.name == *name;
        let living = |entry: &Entry| Some((entry.store.upgrade()?, entry.opened_at.clone()));
        writers.iter().filter(same).filter_map(living).collect::<Vec<_>>()
    });
    found.into_iter().find(|(store, _)| store.with(py, |store| store.writer.check_open().is_ok()))
}

#[cold]
fn busy(py: Python<'_>, name: &ChannelName, opened_at: &str) -> PyErr {
    let message = format!(
        "channel {:?} (policy {}) has a live writer in this process, opened at {opened_at}; close that one, or pass \
         supersede=True to take its place: it then publishes nothing more",
        name.name(),
        name.policy_id()
    );
    exception(py, "ChannelBusyError", &message)
}

/// File and line of the code that called into traincast.
fn caller(py: Python<'_>) -> PyResult<String> {
    let mut frame = py.import("sys")?.call_method0("_getframe")?;
    loop {
        let module =
            frame.getattr("f_globals")?.get_item("__name__").and_then(|name| name.extract::<String>());
        let ours = module.is_ok_and(|name| name == "traincast" || name.starts_with("traincast."));
        let outer = frame.getattr("f_back")?;
        if !ours || outer.is_none() {
            let file: String = frame.getattr("f_code")?.getattr("co_filename")?.extract()?;
            return Ok(format!("{file}:{}", frame.getattr("f_lineno")?));
        }
        frame = outer;
    }
}
