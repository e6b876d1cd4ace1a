//! The memory layouts of this interpreter's objects.
//!
//! A module for the stable ABI should not depend on them. But asking the interpreter for each entry of a dictionary would take
//! most of the time of a publish, and a CPython version does not change its layouts after its release. So on versions whose
//! headers were compared, and after checking some objects of each kind, `dicts` and `numbers` read the objects' memory.
//! Everywhere else, and if the environment variable `TRAINCAST_OFFICIAL_API` is set, they ask the interpreter.
//!
//! They only read. Only the interpreter creates and changes objects.

use pyo3::prelude::*;

use super::{dicts, numbers};

/// The minor versions of CPython 3 whose headers were compared (`scripts/layouts.c`): with the global lock, dict and float have
/// the same layout in all of them. The codec's tests ran on 3.11.7, 3.12.1, 3.13.0, 3.14.10 and 3.15.2.
const KNOWN: std::ops::RangeInclusive<u8> = 11..=15;

/// Finds out which types have a known layout. Returns their names.
pub fn learn_layouts(py: Python<'_>) -> PyResult<Vec<&'static str>> {
    let version = py.version_info();
    let implementation: String = py.import("sys")?.getattr("implementation")?.getattr("name")?.extract()?;
    let known = implementation == "cpython" && version.major == 3 && KNOWN.contains(&version.minor);
    let official_only =
        std::env::var_os("TRAINCAST_OFFICIAL_API").is_some_and(|set| !set.is_empty() && set != "0");
    if !known || official_only {
        return Ok(Vec::new());
    }
    // SAFETY: the version is known.
    let found = unsafe { [("dict", dicts::learn_layout(py)?), ("float", numbers::learn_layout(py)?)] };
    Ok(found.into_iter().filter_map(|(name, found)| found.then_some(name)).collect())
}
