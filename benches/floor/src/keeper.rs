//! What a reader and a writer must at least do for the benchmarks' payload.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat};

/// A reader without a channel: it makes up the values, and keeps the last dictionary, as a reader must in order to hand it
/// out again. And a writer without one: it stores the words where nobody reads.
#[pyclass(frozen, unsendable)]
pub struct Keeper {
    steps: Cell<i64>,
    info: Py<PyDict>,
    shaping: Py<PyDict>,
    info_keys: Vec<Py<PyAny>>,
    shaping_keys: Vec<Py<PyAny>>,
    kept: RefCell<Option<Py<PyDict>>>,
    words: [AtomicU64; 16],
}

impl Keeper {
    fn keep<'py>(&self, info: Bound<'py, PyDict>) -> Bound<'py, PyDict> {
        drop(self.kept.replace(Some(info.clone().unbind())));
        info
    }

    fn next(&self) -> i64 {
        self.steps.set(self.steps.get() + 1);
        self.steps.get()
    }

    /// Sets every leaf of the two dictionaries.
    fn fill(&self, info: &Bound<'_, PyDict>, shaping: &Bound<'_, PyDict>) -> PyResult<()> {
        let steps = self.next();
        info.set_item(&self.info_keys[0], steps)?;
        info.set_item(&self.info_keys[1], steps + 1)?;
        for (index, key) in self.shaping_keys.iter().enumerate() {
            shaping.set_item(key, PyFloat::new(info.py(), steps as f64 + index as f64))?;
        }
        Ok(())
    }

    /// Stores the words of a dictionary's leaves from `at` on; the place after them.
    fn store(&self, dict: &Bound<'_, PyDict>, mut at: usize) -> usize {
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: a dict, and references borrowed from it while no Python code runs; types are compared before use.
        unsafe {
            while ffi::PyDict_Next(dict.as_ptr(), &raw mut position, &raw mut key, &raw mut value) != 0 {
                let kind = ffi::Py_TYPE(value);
                let word = if kind == &raw mut ffi::PyFloat_Type {
                    ffi::PyFloat_AsDouble(value).to_bits()
                } else if kind == &raw mut ffi::PyLong_Type {
                    ffi::PyLong_AsLongLong(value) as u64
                } else {
                    at = self.store(&Borrowed::from_ptr(dict.py(), value).cast_unchecked(), at);
                    continue;
                };
                self.words[at].store(word, Ordering::Relaxed);
                at += 1;
            }
        }
        at
    }
}

#[pymethods]
impl Keeper {
    /// `info` is the payload, its third entry the nested dictionary.
    #[new]
    fn new(info: Bound<'_, PyDict>) -> PyResult<Self> {
        let keys = |dict: &Bound<'_, PyDict>| dict.keys().iter().map(Bound::unbind).collect::<Vec<_>>();
        let info_keys = keys(&info);
        let shaping = info.as_any().get_item(&info_keys[2])?.cast_into::<PyDict>()?;
        Ok(Self {
            steps: Cell::new(1_000_000),
            shaping_keys: keys(&shaping),
            info_keys,
            info: info.unbind(),
            shaping: shaping.unbind(),
            kept: RefCell::new(None),
            words: Default::default(),
        })
    }

    /// A dictionary from nothing, every leaf new.
    fn build<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (info, shaping) = (PyDict::new(py), PyDict::new(py));
        self.fill(&info, &shaping)?;
        info.set_item(&self.info_keys[2], shaping)?;
        Ok(self.keep(info))
    }

    /// Copies of two dictionaries, in which one leaf is exchanged before.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.info.bind(py).set_item(&self.info_keys[0], self.next())?;
        let info = self.info.bind(py).copy()?;
        info.set_item(&self.info_keys[2], self.shaping.bind(py).copy()?)?;
        Ok(self.keep(info))
    }

    /// Looks at every leaf, stores its word, and waits until others could see it, as one who wakes sleepers must.
    fn walk(&self, info: &Bound<'_, PyDict>) -> usize {
        let end = self.store(info, 0);
        fence(Ordering::SeqCst);
        end
    }
}
