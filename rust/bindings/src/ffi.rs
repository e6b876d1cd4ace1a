//! The calls of CPython's C interface that PyO3 has no equally fast safe form of. Everything exported here is safe.
#![allow(unsafe_code, reason = "the one file of this crate that has unsafe code")]

use std::cell::RefCell;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use pyo3::PyClass;
use pyo3::exceptions::{PyImportError, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};
use traincast_core::snapshot::encode::{Encoder, Expected};
use traincast_core::snapshot::shape::{Kind, Node};

/// State of a Python object that is touched only while attached to the interpreter.
///
/// An abi3 module runs only where the interpreter has a global lock, so the token proves that no other thread is here.
/// The `RefCell` covers what the lock does not: Python code that runs in the middle of an access.
pub struct GilCell<T>(RefCell<T>);

// SAFETY: the ways in demand the token of an attached thread, or are the collector's; under the global lock there is one such
// thread at a time, so the value is never accessed concurrently. `T: Send` because the accessing thread changes.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    #[inline]
    pub fn get<'a>(&'a self, _py: Python<'a>) -> &'a RefCell<T> {
        &self.0
    }

    /// For `__traverse__`, which the interpreter calls attached but without a token.
    pub fn traverse<R: Default>(&self, visit: impl FnOnce(&T) -> R) -> R {
        // In use further up the stack: what it refers to is alive anyway.
        self.0.try_borrow().map_or_else(|_| R::default(), |value| visit(&value))
    }
}

/// A Python object by its exact type: the leaves by value.
pub enum Item<'py> {
    None,
    Bool(bool),
    Int(i64),
    /// An exact `int` beyond 64 bits.
    BigInt(Bound<'py, PyAny>),
    Float(f64),
    Str(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
    Dict(Bound<'py, PyDict>),
    List(Bound<'py, PyList>),
    Tuple(Bound<'py, PyTuple>),
    /// Any other type, subclasses of the above included.
    Other(Bound<'py, PyAny>),
}

/// Classifies a borrowed reference. None of the calls runs Python code.
///
/// # Safety
/// `object` must be a valid object, alive for the duration of the call.
#[inline]
unsafe fn classify<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Item<'py> {
    // SAFETY: the caller vouches for `object`; type objects are static; each unchecked cast follows the comparison of the
    // exact type that makes it true; `from_borrowed_ptr` takes a reference of its own.
    unsafe {
        let kind = ffi::Py_TYPE(object);
        if kind == &raw mut ffi::PyFloat_Type {
            return Item::Float(ffi::PyFloat_AsDouble(object));
        }
        if kind == &raw mut ffi::PyLong_Type {
            let mut overflow = 0;
            let value = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
            return if overflow == 0 {
                Item::Int(value)
            } else {
                Item::BigInt(Bound::from_borrowed_ptr(py, object))
            };
        }
        if object == ffi::Py_None() {
            return Item::None;
        }
        if object == ffi::Py_True() {
            return Item::Bool(true);
        }
        if object == ffi::Py_False() {
            return Item::Bool(false);
        }
        let any = Bound::from_borrowed_ptr(py, object);
        if kind == &raw mut ffi::PyDict_Type {
            Item::Dict(any.cast_into_unchecked())
        } else if kind == &raw mut ffi::PyUnicode_Type {
            Item::Str(any.cast_into_unchecked())
        } else if kind == &raw mut ffi::PyList_Type {
            Item::List(any.cast_into_unchecked())
        } else if kind == &raw mut ffi::PyTuple_Type {
            Item::Tuple(any.cast_into_unchecked())
        } else if kind == &raw mut ffi::PyBytes_Type {
            Item::Bytes(any.cast_into_unchecked())
        } else {
            Item::Other(any)
        }
    }
}

/// Classifies an object.
#[inline]
pub fn item<'py>(object: &Bound<'py, PyAny>) -> Item<'py> {
    // SAFETY: a `Bound` holds a reference.
    unsafe { classify(object.py(), object.as_ptr()) }
}

/// The list's item, `None` beyond its end.
#[inline]
pub fn list_item<'py>(list: &Bound<'py, PyList>, index: usize) -> Option<Item<'py>> {
    if index >= list.len() {
        return None;
    }
    // SAFETY: the index was just checked and no Python code ran since; the reference is borrowed from the list, which
    // stays unchanged until `classify` has returned.
    unsafe { Some(classify(list.py(), ffi::PyList_GetItem(list.as_ptr(), index as ffi::Py_ssize_t))) }
}

/// The tuple's item, `None` beyond its end.
#[inline]
pub fn tuple_item<'py>(tuple: &Bound<'py, PyTuple>, index: usize) -> Option<Item<'py>> {
    if index >= tuple.len() {
        return None;
    }
    // SAFETY: the index was just checked; a tuple keeps its items alive.
    unsafe { Some(classify(tuple.py(), ffi::PyTuple_GetItem(tuple.as_ptr(), index as ffi::Py_ssize_t))) }
}

/// Steps through a dictionary: the next key, `None` if it is the very object `expected`, and the value.
///
/// A dictionary that changes between two calls gives wrong entries, never invalid ones.
#[inline]
pub fn next_entry<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut isize,
    expected: Option<&Py<PyAny>>,
) -> Option<(Option<Bound<'py, PyAny>>, Item<'py>)> {
    let py = dict.py();
    let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: `dict` is a dict; PyDict_Next checks `position` against its present size. Both references are borrowed from
    // the dict, which cannot change before `classify` and `from_borrowed_ptr` took theirs: no Python code runs between.
    unsafe {
        if ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) == 0 {
            return None;
        }
        let same = expected.is_some_and(|expected| expected.as_ptr() == key);
        let key = if same { None } else { Some(Bound::from_borrowed_ptr(py, key)) };
        Some((key, classify(py, value)))
    }
}

/// The word of a leaf that is what its node expects: of that kind, exactly.
///
/// # Safety
/// `object` must be a valid object, alive for the duration of the call.
#[inline]
unsafe fn expected_word(node: &Node, object: *mut ffi::PyObject) -> Option<u64> {
    // SAFETY: as in `classify`.
    unsafe {
        let kind = ffi::Py_TYPE(object);
        match node.kind {
            Kind::Float if kind == &raw mut ffi::PyFloat_Type => {
                Some(ffi::PyFloat_AsDouble(object).to_bits())
            }
            Kind::Int if kind == &raw mut ffi::PyLong_Type => {
                let mut overflow = 0;
                let value = ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
                (overflow == 0).then_some(value as u64)
            }
            Kind::Bool if kind == &raw mut ffi::PyBool_Type => Some(u64::from(object == ffi::Py_True())),
            _ => None,
        }
    }
}

/// The word of a leaf that is a bool, an int or a float, exactly, and which of them.
///
/// # Safety
/// As for [`expected_word`].
#[inline]
unsafe fn number_of(object: *mut ffi::PyObject) -> Option<(Kind, u64)> {
    // SAFETY: as the caller vouches.
    match unsafe { classify(Python::assume_attached(), object) } {
        Item::Float(value) => Some((Kind::Float, value.to_bits())),
        Item::Int(value) => Some((Kind::Int, value as u64)),
        Item::Bool(value) => Some((Kind::Bool, value.into())),
        _ => None,
    }
}

/// How far a walk through a dictionary has come.
pub struct Place {
    /// `PyDict_Next`'s.
    pub position: isize,
    /// Entries to come.
    pub left: usize,
    /// Entries that there were at the start.
    pub len: usize,
}

/// Goes on through a dictionary, and those in it, for as long as key objects, leaves and lengths are the expected ones: the
/// way that nearly every publish takes from end to end. Whether it came to the end of `dict`. If it stopped inside a
/// dictionary below, that one is the first in `inside`, before those that it lies in.
///
/// Not deeper than the expected shape, whose depth is limited.
pub fn follow<'py>(
    dict: &Bound<'py, PyDict>,
    place: &mut Place,
    expected: &mut Expected<'_>,
    keys: &mut [Option<Py<PyAny>>],
    inside: &mut Vec<(Bound<'py, PyDict>, Place)>,
) -> bool {
    while place.left > 0 {
        let taken = run_of_entries(dict, place, expected, keys);
        *expected.cursor += taken;
        place.left -= taken;
        if place.left == 0 {
            break;
        }
        let Some(node) = expected.nodes.get(*expected.cursor).filter(|node| node.kind == Kind::Dict) else {
            return false;
        };
        let Some(expected_key) = keys.get_mut(node.key as usize) else { return false };
        let (mut next, mut key, mut value) = (place.position, ptr::null_mut(), ptr::null_mut());
        // SAFETY: as in `next_entry`; none of the calls runs Python code, so `dict` holds `value` until all is done.
        let below = unsafe {
            if ffi::PyDict_Next(dict.as_ptr(), &raw mut next, &raw mut key, &raw mut value) == 0
                || !is_expected_key(dict.py(), key, expected_key)
                || ffi::Py_TYPE(value) != &raw mut ffi::PyDict_Type
                || ffi::PyDict_Size(value) != node.aux as ffi::Py_ssize_t
            {
                return false;
            }
            Borrowed::from_ptr(dict.py(), value).cast_unchecked::<PyDict>()
        };
        *expected.cursor += 1;
        place.position = next;
        let len = node.aux as usize;
        let mut start = Place { position: 0, left: len, len };
        if !follow(&below, &mut start, expected, keys, inside) {
            inside.push((below.to_owned(), start));
            return false;
        }
        place.left -= 1;
    }
    true
}

/// Records the dictionary's next entries as long as keys are strings and values bools, ints or floats: the short way where
/// nothing is expected.
pub fn record_entries(dict: &Bound<'_, PyDict>, place: &mut Place, encoder: &mut Encoder<Bytes>) {
    let (mut next, mut key, mut value) = (place.position, ptr::null_mut(), ptr::null_mut());
    while place.left > 0 {
        // SAFETY: as in `next_entry`; none of the calls runs Python code. The UTF-8 form of a key is cached in it, and the
        // dict holds it.
        unsafe {
            if ffi::PyDict_Next(dict.as_ptr(), &raw mut next, &raw mut key, &raw mut value) == 0
                || ffi::Py_TYPE(key) != &raw mut ffi::PyUnicode_Type
            {
                return;
            }
            let Some((kind, word)) = number_of(value) else { return };
            let mut len = 0;
            let start = ffi::PyUnicode_AsUTF8AndSize(key, &raw mut len);
            if start.is_null() {
                return ffi::PyErr_Clear(); // a lone surrogate: the long way says so
            }
            let text = std::slice::from_raw_parts(start.cast(), len as usize);
            encoder.key_str(std::str::from_utf8_unchecked(text));
            encoder.number(kind, word);
        }
        place.position = next;
        place.left -= 1;
    }
}

/// Takes the leaves that come next, as far as they are the expected ones. How many.
fn run_of_entries(
    dict: &Bound<'_, PyDict>,
    place: &mut Place,
    expected: &mut Expected<'_>,
    keys: &mut [Option<Py<PyAny>>],
) -> usize {
    // Leaves have nothing below them, so the words and keys of those that follow each other do so too.
    let nodes = expected.nodes.get(*expected.cursor..).unwrap_or_default();
    let Some(first) = nodes.first() else { return 0 };
    let words = expected.words.get_mut(first.value_at as usize..).unwrap_or_default();
    let keys = keys.get_mut(first.key as usize..).unwrap_or_default();
    let most = place.left.min(nodes.len()).min(words.len()).min(keys.len());
    let (nodes, words, keys) = (&nodes[..most], &mut words[..most], &mut keys[..most]);
    let (mut next, mut key, mut value) = (place.position, ptr::null_mut(), ptr::null_mut());
    let mut taken = 0;
    while taken < most {
        // Another one is met again on the long way: not looked up twice.
        if !nodes[taken].kind.is_number() {
            break;
        }
        // SAFETY: as in `next_entry`; none of the calls runs Python code.
        unsafe {
            if ffi::PyDict_Next(dict.as_ptr(), &raw mut next, &raw mut key, &raw mut value) == 0
                || !is_expected_key(dict.py(), key, &mut keys[taken])
            {
                break;
            }
            let Some(word) = expected_word(&nodes[taken], value) else { break };
            words[taken] = word;
        }
        place.position = next;
        taken += 1;
    }
    taken
}

/// Whether a key is the expected object, or a string equal to it: then it is the one to expect from now on.
///
/// # Safety
/// `key` must be a valid object, alive for the duration of the call.
#[inline]
unsafe fn is_expected_key(py: Python<'_>, key: *mut ffi::PyObject, expected: &mut Option<Py<PyAny>>) -> bool {
    // SAFETY: as the caller vouches.
    expected.as_ref().map_or(ptr::null_mut(), Py::as_ptr) == key || unsafe { replaces(py, key, expected) }
}

/// # Safety
/// As for [`is_expected_key`].
#[cold]
unsafe fn replaces(py: Python<'_>, key: *mut ffi::PyObject, expected: &mut Option<Py<PyAny>>) -> bool {
    let Some(old) = expected else { return false };
    // SAFETY: both are held; strings of the exact type compare without error, and without Python code.
    unsafe {
        let text = &raw mut ffi::PyUnicode_Type;
        let equal = ffi::Py_TYPE(key) == text
            && ffi::Py_TYPE(old.as_ptr()) == text
            && ffi::PyUnicode_Compare(key, old.as_ptr()) == 0;
        if equal {
            *expected = Some(Bound::from_borrowed_ptr(py, key).unbind());
        }
        equal
    }
}

/// Takes the list's items from `start` on, at most `left`, as far as they are the expected leaves. How many.
pub fn run_of_items(
    list: &Bound<'_, PyList>,
    start: usize,
    left: usize,
    expected: &mut Expected<'_>,
) -> usize {
    let left = left.min(list.len().saturating_sub(start));
    let nodes = expected.nodes.get(*expected.cursor..).unwrap_or_default();
    let Some(first) = nodes.first() else { return 0 };
    let words = expected.words.get_mut(first.value_at as usize..).unwrap_or_default();
    let mut taken = 0;
    for (node, place) in nodes.iter().zip(words).take(left) {
        let index = (start + taken) as ffi::Py_ssize_t;
        // SAFETY: the index is below the length, which no Python code can change meanwhile.
        let word = unsafe { expected_word(node, ffi::PyList_GetItem(list.as_ptr(), index)) };
        let Some(word) = word else { break };
        *place = word;
        taken += 1;
    }
    *expected.cursor += taken;
    taken
}

/// Sets an entry: `PyDict_SetItem` without the conversions.
#[inline]
pub fn set_entry(dict: &Py<PyDict>, key: &Py<PyAny>, value: Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: a dict, and two objects that are held over the call.
    if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(value.py()))
    }
}

/// The number of a value word. `kind` is that of a bool, an int or a float.
#[inline]
pub fn number(py: Python<'_>, kind: Kind, word: u64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: each gives a new reference, or null with an exception set.
    unsafe {
        let made = match kind {
            Kind::Float => ffi::PyFloat_FromDouble(f64::from_bits(word)),
            Kind::Int => ffi::PyLong_FromLongLong(word as i64),
            _ => ffi::PyBool_FromLong((word != 0).into()),
        };
        Bound::from_owned_ptr_or_err(py, made)
    }
}

/// An immutable run of bytes, with what keeps it alive until a publish has copied it.
pub struct Bytes {
    start: *const u8,
    len: usize,
    #[expect(dead_code, reason = "held for the memory that `start` points to")]
    keep: Keep,
}

#[expect(dead_code, reason = "held for the memory that they own")]
enum Keep {
    Object(Py<PyAny>),
    Buffer(View),
    Owned(Box<[u8]>),
}

// SAFETY: the bytes are only read, and what keeps them alive may be dropped on any thread: `Py` and `View` see to that.
unsafe impl Send for Bytes {}

impl Bytes {
    /// The UTF-8 form of a string, `None` if it holds a lone surrogate.
    #[inline]
    pub fn of_str(text: &Bound<'_, PyString>) -> Option<Self> {
        let mut len = 0;
        // SAFETY: the UTF-8 form is cached in the string object, which `keep` holds.
        unsafe {
            let start = ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut len);
            if start.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            let keep = Keep::Object(text.clone().into_any().unbind());
            Some(Self { start: start.cast(), len: len as usize, keep })
        }
    }

    #[inline]
    pub fn of_bytes(bytes: &Bound<'_, PyBytes>) -> Self {
        let slice = bytes.as_bytes();
        let keep = Keep::Object(bytes.clone().into_any().unbind());
        Self { start: slice.as_ptr(), len: slice.len(), keep }
    }

    pub fn of_vec(bytes: Vec<u8>) -> Self {
        let owned = bytes.into_boxed_slice();
        Self { start: owned.as_ptr(), len: owned.len(), keep: Keep::Owned(owned) }
    }

    /// The memory of an object with a C-contiguous buffer.
    pub fn of_buffer(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut view = Box::<ffi::Py_buffer>::new_uninit();
        // SAFETY: a successful PyObject_GetBuffer initialises the view, and the exporter keeps the memory in place until
        // it is released, which `View::drop` does.
        unsafe {
            if ffi::PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), ffi::PyBUF_SIMPLE) != 0 {
                return Err(PyErr::fetch(object.py()));
            }
            let view = View(view.assume_init());
            let start = NonNull::new(view.0.buf.cast::<u8>()).unwrap_or(NonNull::dangling());
            Ok(Self { start: start.as_ptr(), len: view.0.len as usize, keep: Keep::Buffer(view) })
        }
    }

    /// The memory and the shape of a C-contiguous array, `None` if the exporter refuses.
    pub fn of_array(array: &Bound<'_, PyAny>) -> Option<(Self, Vec<u64>)> {
        let mut view = Box::<ffi::Py_buffer>::new_uninit();
        // SAFETY: as in `of_buffer`; PyBUF_ND asks for `shape` with `ndim` entries, and for C order, since not for strides.
        unsafe {
            if ffi::PyObject_GetBuffer(array.as_ptr(), view.as_mut_ptr(), ffi::PyBUF_ND) != 0 {
                ffi::PyErr_Clear();
                return None;
            }
            let view = View(view.assume_init());
            let dims = match NonNull::new(view.0.shape) {
                Some(shape) => std::slice::from_raw_parts(shape.as_ptr(), view.0.ndim as usize),
                None => &[],
            };
            let dims = dims.iter().map(|&dim| dim as u64).collect();
            let start = NonNull::new(view.0.buf.cast::<u8>()).unwrap_or(NonNull::dangling());
            Some((Self { start: start.as_ptr(), len: view.0.len as usize, keep: Keep::Buffer(view) }, dims))
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }
}

impl AsRef<[u8]> for Bytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` bytes while `keep` lives. Another thread that writes into an exported buffer
        // meanwhile needs the interpreter, which the publishing thread does not leave before it has copied.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

struct View(Box<ffi::Py_buffer>);

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the view was filled by PyObject_GetBuffer and is released once, while attached.
        Python::attach(|_| unsafe { ffi::PyBuffer_Release(&raw mut *self.0) });
    }
}

/// Fills the view that Python asked for with read-only memory of `owner`.
///
/// # Safety
/// `view` is the pointer that a `__getbuffer__` received; `bytes` lives as long as `owner`.
pub unsafe fn fill_read_only(
    view: *mut ffi::Py_buffer,
    owner: &Bound<'_, PyAny>,
    bytes: &[u8],
    flags: std::ffi::c_int,
) -> PyResult<()> {
    // SAFETY: as the caller vouches; PyBuffer_FillInfo takes a reference to `owner` and refuses a writable view.
    let status = unsafe {
        ffi::PyBuffer_FillInfo(
            view,
            owner.as_ptr(),
            bytes.as_ptr().cast_mut().cast(),
            bytes.len() as ffi::Py_ssize_t,
            1,
            flags,
        )
    };
    if status == 0 { Ok(()) } else { Err(PyErr::fetch(owner.py())) }
}

/// Keyword arguments.
pub type Changes<'py> = [(Bound<'py, PyString>, Bound<'py, PyAny>)];

/// A method that takes any keyword arguments and nothing else. PyO3 calls such a one with a dictionary, and makes another
/// from it; this one takes them from the caller's stack.
pub trait KeywordMethod: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    /// The method's name.
    const METHOD: &'static CStr;
    /// Its docstring, which begins with its signature as the interpreter wants it.
    const TEXT: &'static CStr;
    /// The method.
    fn call(&self, py: Python<'_>, changes: &Changes<'_>) -> PyResult<Py<PyAny>>;
}

/// Refuses to be loaded by a sub-interpreter. Classes and exceptions are made once per process here: there they would be
/// another interpreter's, which `except` does not catch and which may have ended. CPython itself refuses only for
/// interpreters with a lock of their own.
pub fn check_main_interpreter() -> PyResult<()> {
    // SAFETY: called while attached to an interpreter, which is what is asked about.
    let id = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match id {
        0 => Ok(()),
        _ => Err(PyImportError::new_err(
            "traincast cannot be loaded in a sub-interpreter: use it from the main interpreter, in any thread, or from \
             a process of its own",
        )),
    }
}

/// Adds the method to the class.
pub fn add_keyword_method<T: KeywordMethod>(class: &Bound<'_, PyType>) -> PyResult<()> {
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: T::METHOD.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: keyword_method::<T> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: T::TEXT.as_ptr(),
    }));
    // SAFETY: a type, and a definition that is never freed. The descriptor checks that `self` is of that type.
    let method = unsafe {
        let method = ffi::PyDescr_NewMethod(class.as_ptr().cast(), definition);
        Bound::from_owned_ptr_or_err(class.py(), method)?
    };
    class.setattr(method.getattr("__name__")?.cast::<PyString>()?, method)
}

unsafe extern "C" fn keyword_method<T: KeywordMethod>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let called = || {
        Python::attach(|py| {
            // SAFETY: the descriptor has checked the type of `this`; the vectorcall protocol gives `positional` arguments and
            // then one for each of `names`, a tuple of str or null. The caller holds them all over the call.
            let (this, changes) = unsafe {
                let this = Borrowed::from_ptr(py, this).cast_unchecked::<T>();
                if positional != 0 {
                    return Err(PyTypeError::new_err("update() takes keyword arguments only"));
                }
                let count = if names.is_null() { 0 } else { ffi::PyTuple_Size(names) };
                let change = |index| {
                    let name = Bound::from_borrowed_ptr(py, ffi::PyTuple_GetItem(names, index));
                    let value = Bound::from_borrowed_ptr(py, *arguments.offset(index));
                    (name.cast_into_unchecked::<PyString>(), value)
                };
                (this, (0..count).map(change).collect::<Vec<_>>())
            };
            this.get().call(py, &changes)
        })
    };
    // A panic must not unwind into the interpreter.
    let result = catch_unwind(AssertUnwindSafe(called))
        .unwrap_or_else(|_| Err(PyRuntimeError::new_err("update() has panicked; please report it")));
    match result {
        Ok(object) => object.into_ptr(),
        Err(error) => {
            Python::attach(|py| error.restore(py));
            ptr::null_mut()
        }
    }
}
