//! Objects whose type is not exactly a builtin: numpy, torch, subclasses, other containers.
//!
//! `traincast._codec` recognises such an object; only an array of a dtype that was met before takes a faster path. All of this
//! may run foreign Python code.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping, PyModule, PyString, PyType};
use traincast_core::snapshot::shape::Kind;
use traincast_core::snapshot::to_words;

use crate::ffi::{self, Bytes, GilCell};
use crate::once::make_once;

/// What [`recognise`] says about an object.
pub enum Recognised<'py> {
    Foreign(Foreign<'py>),
    /// Another object is to be published instead.
    Replaced(Bound<'py, PyAny>),
    /// It cannot be published, for this reason.
    Refused(String),
}

/// Values of a snapshot that are not builtins, and mappings of any kind.
pub enum Foreign<'py> {
    /// A numpy array or torch tensor, its bytes in C order.
    Array {
        kind: Kind,
        dtype: Arc<str>,
        itemsize: usize,
        dims: Vec<u64>,
        bytes: Bytes,
    },
    Scalar {
        dtype: String,
        itemsize: usize,
        words: Vec<u64>,
    },
    Mapping(Bound<'py, PyMapping>),
}

/// The helpers that are written in Python. Imported together with this module: a child that is forked while another thread
/// imports a module can never import it.
pub fn import_helpers(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static HELPERS: OnceLock<Py<PyModule>> = OnceLock::new();
    let import = || Ok(py.import(ffi::text(py, "traincast._codec")?)?.unbind());
    make_once(&HELPERS, import).map(|helpers| helpers.bind(py))
}

/// Calls a helper.
fn help<'py, const N: usize>(
    py: Python<'py>,
    helper: &str,
    arguments: [Bound<'py, PyAny>; N],
) -> PyResult<Bound<'py, PyAny>> {
    import_helpers(py)?.getattr(ffi::text(py, helper)?)?.call1(ffi::tuple(py, arguments)?)
}

/// Recognises an object whose type is not exactly a builtin.
pub fn recognise<'py>(object: &Bound<'py, PyAny>) -> PyResult<Recognised<'py>> {
    if let Some(array) = contiguous(object)? {
        return Ok(Recognised::Foreign(array));
    }
    let described = help(object.py(), "describe", [object.clone()])?;
    if let Ok(refusal) = described.cast::<PyString>() {
        return Ok(Recognised::Refused(refusal.to_str()?.to_owned()));
    }
    let part = |index| described.get_item(ffi::int(object.py(), index)?);
    let what = part(0)?;
    let kind = match what.cast::<PyString>()?.to_str()? {
        "array" => Kind::Array,
        "tensor" => Kind::Tensor,
        "plain" => return Ok(Recognised::Replaced(part(1)?)),
        "mapping" => return Ok(Recognised::Foreign(Foreign::Mapping(part(1)?.cast_into()?))),
        _ => {
            let (dtype, itemsize, bytes) = (part(1)?.extract()?, part(2)?.extract()?, part(3)?);
            let words = to_words(bytes.cast::<PyBytes>()?.as_bytes());
            return Ok(Recognised::Foreign(Foreign::Scalar { dtype, itemsize, words }));
        }
    };
    let (dtype, itemsize, dims) =
        (Arc::from(part(1)?.extract::<String>()?), part(2)?.extract()?, part(3)?.extract()?);
    let (bytes, _) = Bytes::of_buffer(&part(4)?)?;
    if let Ok(class) = part(5)?.cast_into::<PyType>() {
        make_once(&NDARRAY, || Ok(class.unbind()))?;
        remember(object, &dtype, itemsize)?;
    }
    Ok(Recognised::Foreign(Foreign::Array { kind, dtype, itemsize, dims, bytes }))
}

/// `numpy.ndarray`, once an array was met.
static NDARRAY: OnceLock<Py<PyType>> = OnceLock::new();

/// The dtypes of arrays that were published lately. A builtin dtype is a single object, so comparing pointers is enough.
static DTYPES: GilCell<Vec<MetDtype>> = GilCell::new(Vec::new());

struct MetDtype {
    object: Py<PyAny>,
    name: Arc<str>,
    itemsize: usize,
}

/// Limited, because dtypes with parameters (units, lengths) can be new objects each time.
const MET_DTYPES: usize = 32;

fn dtype_of<'py>(array: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static NAME: OnceLock<Py<PyString>> = OnceLock::new();
    let py = array.py();
    let name = make_once(&NAME, || ffi::interned(py, "dtype").map(Bound::unbind))?;
    array.getattr(name.bind(py))
}

/// A C-contiguous array of a dtype that was met before.
fn contiguous<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Foreign<'py>>> {
    let py = object.py();
    if !NDARRAY.get().is_some_and(|class| object.get_type().is(class)) {
        return Ok(None);
    }
    let dtype = dtype_of(object)?;
    let met = DTYPES.with(py, |met| {
        let met = met.iter().find(|met| met.object.is(&dtype))?;
        Some((Arc::clone(&met.name), met.itemsize))
    });
    let Some((dtype, itemsize)) = met else { return Ok(None) };
    match Bytes::of_buffer(object) {
        Ok((bytes, dims)) => Ok(Some(Foreign::Array { kind: Kind::Array, dtype, itemsize, dims, bytes })),
        Err(error) if error.is_instance_of::<PyMemoryError>(py) => Err(error),
        // Not contiguous, or of a dtype that the buffer protocol does not support.
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

fn remember(array: &Bound<'_, PyAny>, name: &Arc<str>, itemsize: usize) -> PyResult<()> {
    let object = dtype_of(array)?;
    DTYPES.with(array.py(), |met| {
        if met.len() < MET_DTYPES && !met.iter().any(|met| met.object.is(&object)) {
            met.push(MetDtype { object: object.clone().unbind(), name: Arc::clone(name), itemsize });
        }
    });
    Ok(())
}

/// Converts a key that is not exactly a `str` or `int` to one that is, or says why it cannot be a key.
pub fn plain_key<'py>(key: &Bound<'py, PyAny>) -> PyResult<Result<Bound<'py, PyAny>, String>> {
    let plain = help(key.py(), "plain_key", [key.clone()])?;
    match plain.cast::<PyString>() {
        Ok(refusal) => Ok(Err(refusal.to_str()?.to_owned())),
        Err(_) => Ok(Ok(plain.get_item(ffi::int(key.py(), 0)?)?)),
    }
}

/// Why this cannot be published as a snapshot.
pub fn refuse_root(object: &Bound<'_, PyAny>) -> PyResult<String> {
    help(object.py(), "refuse_root", [object.clone()])?.extract()
}

/// An integer's two's complement, little endian, in as few bytes as possible.
pub fn int_bytes<'py>(int: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(help(int.py(), "int_bytes", [int.clone()])?.cast_into()?)
}

/// The integer of these bytes.
pub fn int_from_bytes<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    help(py, "int_from_bytes", [ffi::byte_string(py, bytes)?.into_any()])
}

/// The function that builds a reader's arrays of a dtype. An error if no writer stores this dtype.
pub fn array_maker<'py>(
    py: Python<'py>,
    kind: Kind,
    dtype: &str,
    itemsize: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let name = match kind {
        Kind::Tensor => "tensor",
        Kind::Scalar => "scalar",
        _ => "array",
    };
    let itemsize = ffi::unsigned(py, itemsize as u64)?.into_any();
    help(py, "maker", [ffi::text(py, name)?.into_any(), ffi::text(py, dtype)?.into_any(), itemsize])
}

/// The name of an object's type, for a message.
pub fn type_name(object: &Bound<'_, PyAny>) -> PyResult<String> {
    help(object.py(), "type_name", [object.clone()])?.extract()
}
