//! Functions for the command line.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use traincast_core::directory::{Directory, Places};
use traincast_core::error::Result;
use traincast_core::inspect::{self, ChannelInfo, ReaderInfo};

use crate::channel::places_of;
use crate::errors::raise;

fn text(directory: &Directory) -> String {
    directory.path().to_string_lossy().into_owned()
}

/// The lists of all directories together.
fn gather<T>(places: &Places, list: fn(&Directory) -> Result<Vec<T>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for directory in places.present()? {
        all.extend(list(directory)?);
    }
    Ok(all)
}

#[doc = doc!("directory")]
#[pyfunction]
pub fn directory(py: Python<'_>) -> PyResult<String> {
    let places = places_of(py, None)?;
    // Where no directory can be created, readers may still find existing channels.
    let directory = places.for_new(0).map_or_else(|_| places.best(), |choice| choice.directory);
    directory.check_if_there().map_err(|error| raise(py, error))?;
    Ok(text(directory))
}

#[doc = doc!("directories")]
#[pyfunction]
pub fn directories(py: Python<'_>) -> PyResult<Vec<String>> {
    Ok(places_of(py, None)?.iter().map(text).collect())
}

#[doc = doc!("list_channels")]
#[pyfunction]
#[pyo3(signature = (*, directory=None))]
pub fn list_channels(py: Python<'_>, directory: Option<PathBuf>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let channels = gather(&places_of(py, directory)?, inspect::list).map_err(|error| raise(py, error))?;
    channels.iter().map(|channel| channel_dict(py, channel)).collect()
}

#[doc = doc!("leftovers")]
#[pyfunction]
#[pyo3(signature = (*, directory=None))]
pub fn leftovers(py: Python<'_>, directory: Option<PathBuf>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let files = gather(&places_of(py, directory)?, inspect::leftovers).map_err(|error| raise(py, error))?;
    let file_dict = |file: inspect::LeftoverFile| {
        let dict = PyDict::new(py);
        dict.set_item("path", file.path.to_string_lossy())?;
        dict.set_item("size", file.size)?;
        dict.set_item("why", file.why)?;
        Ok(dict)
    };
    files.into_iter().map(file_dict).collect()
}

#[doc = doc!("remove_leftover")]
#[pyfunction]
#[pyo3(signature = (path, /, *, directory=None))]
pub fn remove_leftover(py: Python<'_>, path: PathBuf, directory: Option<PathBuf>) -> PyResult<bool> {
    let places = places_of(py, directory)?;
    let directory = places.iter().find(|directory| path.parent() == Some(directory.path()));
    inspect::remove_leftover(directory.unwrap_or(places.best()), &path).map_err(|error| raise(py, error))
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
    dict.set_item("relay", channel.relay.as_deref())?;
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
