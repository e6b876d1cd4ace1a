//! What is neither a builtin's exact type nor unknown: numpy, torch, subclasses, other containers.
//!
//! numpy and torch are looked for among the modules that are loaded: an object of theirs cannot exist without them.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{
    PyAnyMethods, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyModule, PyString, PyTuple, PyType,
};
use traincast_core::snapshot::shape::Kind;
use traincast_core::snapshot::to_words;

use crate::ffi::{Bytes, GilCell};
use crate::once::Once;

/// A numpy array or torch tensor, its bytes in C order.
pub struct Array {
    pub kind: Kind,
    pub dtype: Arc<str>,
    pub itemsize: usize,
    pub dims: Vec<u64>,
    pub bytes: Bytes,
}

/// What an object turned out to be.
pub enum Foreign<'py> {
    Array(Array),
    Scalar {
        dtype: String,
        itemsize: usize,
        words: Vec<u64>,
    },
    /// A subclass of a builtin, as the builtin.
    Plain(Bound<'py, PyAny>),
    Mapping(Bound<'py, PyMapping>),
    /// A known type that cannot be published, and why.
    Refused(String),
    Unknown,
}

/// The helpers that are simpler in Python, without numpy.
pub fn import_helpers(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("traincast._arrays")
}

/// The helpers, with numpy.
fn helpers(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static HELPERS: Once<Py<PyModule>> = Once::new();
    let import = || {
        let helpers = import_helpers(py)?;
        helpers.call_method0("load_numpy")?;
        Ok(helpers.unbind())
    };
    HELPERS.get_or_try_init(py, import).map(|helpers| helpers.bind(py))
}

/// A class of a module, if the module is loaded.
fn loaded_class<'py>(
    py: Python<'py>,
    kept: &'static Once<Py<PyType>>,
    module: &str,
    class: &str,
) -> PyResult<Option<&'py Bound<'py, PyType>>> {
    if let Some(found) = kept.get() {
        return Ok(Some(found.bind(py)));
    }
    let modules = py.import("sys")?.getattr("modules")?;
    let Ok(module) = modules.get_item(module) else {
        return Ok(None);
    };
    // A module that is being imported just now does not have its classes yet.
    let Ok(class) = module.getattr(class) else {
        return Ok(None);
    };
    let Ok(class) = class.cast_into::<PyType>() else {
        return Ok(None);
    };
    kept.get_or_try_init(py, || Ok(class.unbind())).map(|class| Some(class.bind(py)))
}

/// A class of a module, which is imported if need be.
fn imported<'py>(
    py: Python<'py>,
    kept: &'static Once<Py<PyType>>,
    module: &str,
    class: &str,
) -> PyResult<&'py Bound<'py, PyType>> {
    let import = || Ok(py.import(module)?.getattr(class)?.cast_into::<PyType>()?.unbind());
    kept.get_or_try_init(py, import).map(|class| class.bind(py))
}

/// Says what an object is that is no builtin's exact type.
pub fn recognise<'py>(object: &Bound<'py, PyAny>) -> PyResult<Foreign<'py>> {
    static NDARRAY: Once<Py<PyType>> = Once::new();
    static GENERIC: Once<Py<PyType>> = Once::new();
    static TENSOR: Once<Py<PyType>> = Once::new();
    let py = object.py();
    if let Some(class) = loaded_class(py, &NDARRAY, "numpy", "ndarray")?
        && object.is_instance(class)?
    {
        if object.get_type().is(class)
            && let Some(array) = contiguous(object)?
        {
            return Ok(Foreign::Array(array));
        }
        return described(Kind::Array, object, "describe_array");
    }
    if let Some(class) = loaded_class(py, &GENERIC, "numpy", "generic")?
        && object.is_instance(class)?
    {
        return scalar(object);
    }
    if let Some(class) = loaded_class(py, &TENSOR, "torch", "Tensor")?
        && object.is_instance(class)?
    {
        return described(Kind::Tensor, object, "describe_tensor");
    }
    plain(object)
}

/// The dtypes whose arrays were published lately: builtin ones are one object each, so that a pointer tells.
static DTYPES: GilCell<Vec<KnownDtype>> = GilCell::new(Vec::new());

struct KnownDtype {
    object: Py<PyAny>,
    name: Arc<str>,
    itemsize: usize,
}

/// Dtypes with parameters (units, lengths) are objects without end.
const KNOWN_DTYPES: usize = 32;

/// A C-contiguous array of a dtype that was met before.
fn contiguous(array: &Bound<'_, PyAny>) -> PyResult<Option<Array>> {
    static NAME: Once<Py<PyString>> = Once::new();
    let py = array.py();
    let name = NAME.get_or_try_init(py, || Ok(PyString::intern(py, "dtype").unbind()))?;
    let dtype = array.getattr(name.bind(py))?;
    let known = DTYPES.get(py).borrow();
    let Some(known) = known.iter().find(|known| known.object.is(&dtype)) else {
        return Ok(None);
    };
    let array = Bytes::of_array(array).map(|(bytes, dims)| Array {
        kind: Kind::Array,
        dtype: Arc::clone(&known.name),
        itemsize: known.itemsize,
        dims,
        bytes,
    });
    Ok(array)
}

fn remember(array: &Bound<'_, PyAny>, name: &Arc<str>, itemsize: usize) -> PyResult<()> {
    let py = array.py();
    let object = array.getattr("dtype")?.unbind();
    let mut known = DTYPES.get(py).borrow_mut();
    if known.len() < KNOWN_DTYPES && !known.iter().any(|known| known.object.is(&object)) {
        known.push(KnownDtype { object, name: Arc::clone(name), itemsize });
    }
    Ok(())
}

fn described<'py>(kind: Kind, object: &Bound<'py, PyAny>, describe: &str) -> PyResult<Foreign<'py>> {
    let described = helpers(object.py())?.call_method1(describe, (object,))?;
    if let Ok(refusal) = described.cast::<PyString>() {
        return Ok(Foreign::Refused(refusal.to_string()));
    }
    let (dtype, itemsize, dims, buffer): (String, usize, Vec<u64>, Bound<'py, PyAny>) =
        described.extract()?;
    let bytes = Bytes::of_buffer(&buffer)?;
    let dtype = Arc::<str>::from(dtype);
    if kind == Kind::Array {
        remember(object, &dtype, itemsize)?;
    }
    Ok(Foreign::Array(Array { kind, dtype, itemsize, dims, bytes }))
}

fn scalar<'py>(object: &Bound<'py, PyAny>) -> PyResult<Foreign<'py>> {
    let described = helpers(object.py())?.call_method1("describe_scalar", (object,))?;
    if let Ok(refusal) = described.cast::<PyString>() {
        return Ok(Foreign::Refused(refusal.to_string()));
    }
    let (dtype, itemsize, bytes): (String, usize, Vec<u8>) = described.extract()?;
    let words = to_words(&bytes);
    Ok(Foreign::Scalar { dtype, itemsize, words })
}

fn plain<'py>(object: &Bound<'py, PyAny>) -> PyResult<Foreign<'py>> {
    static DEQUE: Once<Py<PyType>> = Once::new();
    static MAPPING: Once<Py<PyType>> = Once::new();
    let py = object.py();
    // The unbound methods of the builtin give its value whatever the subclass overrides.
    if object.is_instance_of::<PyInt>() {
        let value = py.get_type::<PyInt>().call_method1("__int__", (object,))?;
        return Ok(Foreign::Plain(value));
    }
    if object.is_instance_of::<PyFloat>() {
        let value = py.get_type::<PyFloat>().call_method1("__float__", (object,))?;
        return Ok(Foreign::Plain(value));
    }
    if object.is_instance_of::<PyString>() {
        let value = py.get_type::<PyString>().call_method1("__str__", (object,))?;
        return Ok(Foreign::Plain(value));
    }
    if object.is_instance_of::<PyBytes>() {
        return Ok(Foreign::Plain(PyBytes::new(py, object.cast::<PyBytes>()?.as_bytes()).into_any()));
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return Ok(Foreign::Plain(PyTuple::new(py, tuple.iter())?.into_any()));
    }
    if let Ok(list) = object.cast::<PyList>() {
        return Ok(Foreign::Plain(list.get_slice(0, list.len()).into_any()));
    }
    if object.is_instance_of::<PyDict>()
        || object.is_instance(imported(py, &MAPPING, "collections.abc", "Mapping")?)?
    {
        return Ok(Foreign::Mapping(object.clone().cast_into::<PyMapping>()?));
    }
    if object.is_instance(imported(py, &DEQUE, "collections", "deque")?)? {
        return Ok(Foreign::Plain(py.get_type::<PyList>().call1((object,))?));
    }
    Ok(Foreign::Unknown)
}

/// An integer's two's complement, little endian, as short as it goes.
pub fn int_bytes(int: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let py = int.py();
    let class = py.get_type::<PyInt>();
    let bits: usize = class.call_method1("bit_length", (int,))?.extract()?;
    let kwargs = PyDict::new(py);
    kwargs.set_item("signed", true)?;
    class.call_method("to_bytes", (int, bits / 8 + 1, "little"), Some(&kwargs))?.extract()
}

/// The integer of these bytes.
pub fn int_from_bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let kwargs = PyDict::new(py);
    kwargs.set_item("signed", true)?;
    let class = py.get_type::<PyInt>();
    class.call_method("from_bytes", (PyBytes::new(py, bytes), "little"), Some(&kwargs))
}

/// What a reader needs to build arrays of a dtype; `None` if the file's dtype is none that a writer sends.
pub fn array_maker<'py>(
    py: Python<'py>,
    kind: Kind,
    dtype: &str,
    itemsize: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let name = match kind {
        Kind::Tensor => "tensor_maker",
        Kind::Scalar => "scalar_maker",
        _ => "array_maker",
    };
    helpers(py)?.call_method1(name, (dtype, itemsize))
}
