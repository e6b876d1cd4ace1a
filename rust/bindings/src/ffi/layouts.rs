//! How objects lie in the memory of this interpreter.
//!
//! A module for the stable interface is not to know that. But asking the interpreter for each entry of a dictionary would take
//! most of the time of a publish, and a version of CPython keeps its layouts once it is out. So on the versions whose headers
//! were compared, and after a look at some objects of each kind, `dicts` and `numbers` look into the objects themselves.
//! Everywhere else, and where the environment variable `TRAINCAST_OFFICIAL_API` says so, they ask the interpreter.
//!
//! They only read. Objects are made and changed by the interpreter alone.

use pyo3::prelude::*;

use super::{dicts, numbers};

/// The minor versions of CPython 3 whose headers were compared (`scripts/layouts.c`): dict and float are the same in all of them,
/// wherever there is a global lock. The codec's tests ran on 3.11.7, 3.12.1, 3.13.0, 3.14.10 and 3.15.2.
const KNOWN: std::ops::RangeInclusive<u8> = 11..=15;

/// Finds out which types can be looked into, by name.
pub fn learn_layouts(py: Python<'_>) -> PyResult<Vec<&'static str>> {
    let version = py.version_info();
    let implementation: String = py.import("sys")?.getattr("implementation")?.getattr("name")?.extract()?;
    let known = implementation == "cpython" && version.major == 3 && KNOWN.contains(&version.minor);
    let official_only =
        std::env::var_os("TRAINCAST_OFFICIAL_API").is_some_and(|set| !set.is_empty() && set != "0");
    if !known || official_only {
        return Ok(Vec::new());
    }
    // SAFETY: a version that is known.
    let found = unsafe { [("dict", dicts::learn_layout(py)?), ("float", numbers::learn_layout(py)?)] };
    Ok(found.into_iter().filter_map(|(name, found)| found.then_some(name)).collect())
}
