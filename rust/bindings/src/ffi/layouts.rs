//! How objects lie in the memory of this interpreter.
//!
//! An abi3 module is not to know. But to ask the interpreter for each entry of a dictionary takes longer than all that is done
//! with it, and a version of CPython, once it is out, keeps these things as they are. So for the versions that are known, and
//! after a look at some objects of each kind, `dicts` and `numbers` go the short way; everywhere else the official one.

use pyo3::prelude::*;

use super::{dicts, numbers};

/// The minor versions of CPython 3 that are known, and tested.
const KNOWN: std::ops::RangeInclusive<u8> = 11..=13;

/// Finds out which short ways there are, by name.
pub fn learn_layouts(py: Python<'_>) -> PyResult<Vec<&'static str>> {
    let version = py.version_info();
    if cfg!(feature = "unknown-layouts") || version.major != 3 || !KNOWN.contains(&version.minor) {
        return Ok(Vec::new());
    }
    // SAFETY: a version that is known.
    let found = unsafe {
        [
            ("dict", dicts::learn_layout(py)?),
            ("float", numbers::learn_floats(py)?),
            ("int", numbers::learn_ints(py)?),
        ]
    };
    Ok(found.into_iter().filter_map(|(name, found)| found.then_some(name)).collect())
}
