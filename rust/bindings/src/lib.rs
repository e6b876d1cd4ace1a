//! PyO3 bindings: they only translate between Python and `traincast-core`.
//!
//! Only `ffi` has `unsafe` code.
#![deny(unsafe_code)]

#[cfg(Py_GIL_DISABLED)]
compile_error!(
    "traincast relies on CPython's global interpreter lock: build it for an interpreter that is not free-threaded"
);

/// A docstring from the stub: see `build.rs`.
macro_rules! doc {
    ($name:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/", $name, ".txt"))
    };
}

mod arguments;
mod arrays;
mod build;
mod channel;
mod convert;
mod decode;
mod encode;
mod encoding;
mod errors;
mod ffi;
mod inspect;
mod key;
mod once;
mod paths;
mod reader;
mod relay;
mod scores;
mod store;
mod templates;
mod watch;
mod wire;
mod writer;
mod writers;

#[doc = doc!("module")]
#[pyo3::pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use crate::inspect::{directories, directory, leftovers, list_channels, remove_leftover};
    #[pymodule_export]
    use crate::reader::TrainingInfoReader;
    #[pymodule_export]
    use crate::relay::{RelayLock, RelaySource, displace, relay_status};
    #[pymodule_export]
    use crate::scores::{RemoteScores, ScoreCounters, ScoreWriter};
    #[pymodule_export]
    use crate::wire::decode_wire;
    #[pymodule_export]
    use crate::writer::TrainingInfoWriter;
    #[pymodule_export]
    use crate::writers::close_writers;

    use pyo3::prelude::*;
    use pyo3::types::PyTuple;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::ffi::check_main_interpreter()?;
        module.add("TrainingInfoKey", crate::ffi::callable_class::<crate::key::TrainingInfoKey>(py)?)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("known_layouts", PyTuple::new(py, crate::ffi::learn_layouts(py)?)?)?;
        crate::ffi::learn_tracking(py)?;
        crate::once::make_pyo3s(&py.get_type::<TrainingInfoReader>());
        crate::arrays::import_helpers(py)?;
        py.import("atexit")?.call_method1("register", (module.getattr("close_writers")?,))?;
        crate::ffi::add_keyword_method::<TrainingInfoWriter>(&py.get_type::<TrainingInfoWriter>())?;
        crate::ffi::add_quick_method::<ScoreWriter>(&py.get_type::<ScoreWriter>())
    }
}
