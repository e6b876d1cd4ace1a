//! What the shell asks.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use traincast_core::directory::Directory;
use traincast_core::inspect::{self, ChannelInfo, ReaderInfo};

use crate::errors::raise;

fn open(py: Python<'_>) -> PyResult<Directory> {
    Directory::from_env().map_err(|error| raise(py, error))
}

/// The channel directory, checked if it is there.
#[pyfunction]
pub fn directory(py: Python<'_>) -> PyResult<String> {
    let directory = open(py)?;
    directory.check_if_there().map_err(|error| raise(py, error))?;
    Ok(directory.path().to_string_lossy().into_owned())
}

/// One dictionary for each channel file of the directory.
#[pyfunction]
pub fn list_channels(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let channels = inspect::list(&open(py)?).map_err(|error| raise(py, error))?;
    channels.iter().map(|channel| channel_dict(py, channel)).collect()
}

/// The files that dead writers left.
#[pyfunction]
pub fn leftovers(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let files = inspect::leftovers(&open(py)?).map_err(|error| raise(py, error))?;
    let file_dict = |file: inspect::LeftoverFile| {
        let dict = PyDict::new(py);
        dict.set_item("path", file.path.to_string_lossy())?;
        dict.set_item("size", file.size)?;
        dict.set_item("why", file.why)?;
        Ok(dict)
    };
    files.into_iter().map(file_dict).collect()
}

/// Removes one of `leftovers()`; `False` if it is one no longer.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub fn remove_leftover(py: Python<'_>, path: PathBuf) -> PyResult<bool> {
    inspect::remove_leftover(&open(py)?, &path).map_err(|error| raise(py, error))
}

fn channel_dict<'py>(py: Python<'py>, channel: &ChannelInfo) -> PyResult<Bound<'py, PyDict>> {
    let (status, reason) = channel.status.words();
    let readers = channel.readers.iter().map(|reader| reader_dict(py, reader, channel));
    let dict = PyDict::new(py);
    dict.set_item("name", channel.name.name())?;
    dict.set_item("policy_id", channel.name.policy_id())?;
    dict.set_item("status", status)?;
    dict.set_item("reason", reason)?;
    dict.set_item("version", channel.version)?;
    dict.set_item("epoch", channel.epoch)?;
    dict.set_item("term", channel.term)?;
    dict.set_item("link", channel.link.word())?;
    dict.set_item("origin_host", &channel.origin.0)?;
    dict.set_item("origin_pid", channel.origin.1)?;
    dict.set_item("generation", channel.generation)?;
    dict.set_item("age", channel.age)?;
    dict.set_item("created", channel.created)?;
    dict.set_item("capacity", channel.capacity)?;
    dict.set_item("size", channel.size)?;
    dict.set_item("writer_pid", channel.writer_pid)?;
    dict.set_item("readers", readers.collect::<PyResult<Vec<_>>>()?)?;
    dict.set_item("files", channel.files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>())?;
    Ok(dict)
}

fn reader_dict<'py>(
    py: Python<'py>,
    reader: &ReaderInfo,
    channel: &ChannelInfo,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("pid", reader.pid)?;
    dict.set_item("alive", reader.alive)?;
    dict.set_item("elsewhere", reader.elsewhere)?;
    dict.set_item("version", reader.version)?;
    dict.set_item("behind", channel.version.saturating_sub(reader.version))?;
    let behind_ns = reader.behind_ns(channel.published_ns, channel.generation);
    dict.set_item("seconds_behind", behind_ns.map(|ns| ns as f64 / 1e9))?;
    Ok(dict)
}
