//! The smallest PyO3 programs that bound the benchmarks from below.

/// Floors that traincast is measured against.
#[pyo3::pymodule]
mod traincast_floor {
    use std::sync::atomic::{AtomicU64, Ordering};

    use pyo3::intern;
    use pyo3::prelude::*;
    use pyo3::types::{PyDict, PyFloat};

    /// A class with nothing in it.
    #[pyclass(frozen)]
    struct Empty;

    #[pymethods]
    impl Empty {
        #[new]
        fn new() -> Self {
            Self
        }

        /// What any method call of a native class costs.
        fn method(&self) {}

        /// The same with one argument.
        fn method_with(&self, _argument: &Bound<'_, PyAny>) {}
    }

    /// One load and one comparison before a dictionary is handed out: what an unchanged read must at least do.
    #[pyclass(frozen)]
    struct Cached {
        head: AtomicU64,
        dict: Py<PyDict>,
    }

    #[pymethods]
    impl Cached {
        #[new]
        fn new(dict: Py<PyDict>) -> Self {
            Self { head: AtomicU64::new(1), dict }
        }

        /// The dictionary if the head is 1, as it is.
        fn read(&self, py: Python<'_>) -> Option<Py<PyDict>> {
            (self.head.load(Ordering::Acquire) == 1).then(|| self.dict.clone_ref(py))
        }
    }

    /// A dictionary like the benchmarks' payload, built from nothing: what any decoder must at least do.
    #[pyfunction]
    fn build(py: Python<'_>, steps: i64) -> PyResult<Bound<'_, PyDict>> {
        let shaping = PyDict::new(py);
        for (index, key) in [
            intern!(py, "goal"),
            intern!(py, "alive"),
            intern!(py, "speed"),
            intern!(py, "energy"),
            intern!(py, "smooth"),
            intern!(py, "contact"),
            intern!(py, "height"),
            intern!(py, "effort"),
        ]
        .into_iter()
        .enumerate()
        {
            shaping.set_item(key, PyFloat::new(py, steps as f64 + index as f64))?;
        }
        let info = PyDict::new(py);
        info.set_item(intern!(py, "approx_total_training_steps"), steps)?;
        info.set_item(intern!(py, "epoch"), steps + 1)?;
        info.set_item(intern!(py, "reward_shaping"), shaping)?;
        Ok(info)
    }
}
