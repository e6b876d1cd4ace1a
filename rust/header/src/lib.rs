//! A safe interface to `include/traincast.h`, for the tests that compare it with the core.
#![allow(unsafe_code, reason = "calls of C functions")]

mod scores;

pub use scores::Scores;

use std::ffi::{CStr, CString, c_char, c_double, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `tc_part`.
#[repr(C)]
struct RawPart {
    name: *const c_char,
    number: i64,
}

/// `tc_array`.
#[repr(C)]
struct RawArray {
    data: *const c_void,
    shape: *const u64,
    ndim: usize,
    count: usize,
    itemsize: usize,
    dtype: *const c_char,
    dtype_len: usize,
}

unsafe extern "C" {
    fn shim_reader_size() -> usize;
    fn shim_key_size() -> usize;
    fn shim_open(r: *mut u64, directory: *const c_char, name: *const c_char, policy_id: u16) -> c_int;
    fn shim_poll(r: *mut u64) -> c_int;
    fn shim_refresh(r: *mut u64) -> c_int;
    fn shim_closed(r: *const u64) -> c_int;
    fn shim_close(r: *mut u64);
    fn shim_error(r: *const u64) -> *const c_char;
    fn shim_numbers(r: *const u64, numbers: *mut u64);
    fn shim_key(r: *mut u64, path: *const c_char, key: *mut u64) -> c_int;
    fn shim_key_parts(r: *mut u64, parts: *const RawPart, count: usize, key: *mut u64) -> c_int;
    fn shim_key_error(key: *const u64) -> c_int;
    fn shim_kind(r: *mut u64, key: *mut u64) -> u32;
    fn shim_f64(r: *mut u64, key: *mut u64, fallback: c_double) -> c_double;
    fn shim_i64(r: *mut u64, key: *mut u64, fallback: i64) -> i64;
    fn shim_bool(r: *mut u64, key: *mut u64, fallback: c_int) -> c_int;
    fn shim_str(r: *mut u64, key: *mut u64, fallback: *const c_char, len: *mut usize) -> *const c_char;
    fn shim_bytes(r: *mut u64, key: *mut u64, fallback: *const c_void, len: *mut usize) -> *const c_void;
    fn shim_view(r: *mut u64, key: *mut u64, array: *mut RawArray) -> c_int;
}

/// Result of a C function: its return value if that is not negative, otherwise the errno.
pub type Result<T> = std::result::Result<T, i32>;

fn result(code: c_int) -> Result<i32> {
    if code < 0 { Err(-code) } else { Ok(code) }
}

/// `tc_reader`, open.
#[derive(Debug)]
pub struct Reader(Box<[u64]>);

/// `tc_key`. A key of one reader may be used with another.
#[derive(Clone, Debug)]
pub struct Key(Box<[u64]>);

/// One key of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// A name.
    Name(CString),
    /// An int, or an index.
    Int(i64),
}

/// The numbers of the snapshot in hand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Numbers {
    /// Term, epoch, version: compared in this order, a newer snapshot is larger.
    pub stamp: [u64; 3],
    /// On this machine's clock.
    pub published_ns: u64,
    /// At the learner.
    pub published_unix_ns: u64,
}

/// `tc_array`.
#[derive(Debug)]
pub struct Array<'a> {
    /// Its elements.
    pub bytes: &'a [u8],
    /// Length of each axis.
    pub shape: &'a [u64],
    /// Number of elements, from C.
    pub count: usize,
    /// Bytes of an element.
    pub itemsize: usize,
    /// Name of the type.
    pub dtype: &'a [u8],
}

fn zeros(bytes: usize) -> Box<[u64]> {
    vec![0; bytes.div_ceil(8)].into_boxed_slice()
}

fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).unwrap_or_default()
}

impl Reader {
    /// `tc_open_at`, or `tc_open` without a directory. After `-ENOENT` the C reader is usable: see [`Reader::open_soon`].
    ///
    /// # Errors
    /// The errno.
    pub fn open(directory: Option<&Path>, name: &str, policy_id: u16) -> Result<Self> {
        let (reader, code) = Self::open_soon(directory, name, policy_id);
        result(code).map(|_| reader)
    }

    /// As [`Reader::open`], but returns the reader together with C's return value: the reader may be used in any case.
    pub fn open_soon(directory: Option<&Path>, name: &str, policy_id: u16) -> (Self, i32) {
        // SAFETY: no arguments.
        let mut reader = Self(zeros(unsafe { shim_reader_size() }));
        let directory = directory.map(|path| c_string(path.as_os_str().as_bytes()));
        let directory = directory.as_ref().map_or(std::ptr::null(), |path| path.as_ptr());
        // SAFETY: the memory has the size that C asks for, and is aligned to 8; the strings are terminated and live during the call.
        let code = unsafe {
            shim_open(reader.0.as_mut_ptr(), directory, c_string(name.as_bytes()).as_ptr(), policy_id)
        };
        (reader, code)
    }

    /// `tc_poll`. Returns whether there was another snapshot.
    ///
    /// # Errors
    /// The errno.
    pub fn poll(&mut self) -> Result<bool> {
        // SAFETY: a reader that was opened.
        result(unsafe { shim_poll(self.0.as_mut_ptr()) }).map(|new| new == 1)
    }

    /// `tc_refresh`.
    ///
    /// # Errors
    /// The errno.
    pub fn refresh(&mut self) -> Result<bool> {
        // SAFETY: a reader that was opened.
        result(unsafe { shim_refresh(self.0.as_mut_ptr()) }).map(|new| new == 1)
    }

    /// `tc_closed`.
    pub fn closed(&self) -> bool {
        // SAFETY: a reader that was opened.
        unsafe { shim_closed(self.0.as_ptr()) != 0 }
    }

    /// `tc_close`; dropping it does that too.
    pub fn close(&mut self) {
        // SAFETY: a reader that was opened.
        unsafe { shim_close(self.0.as_mut_ptr()) }
    }

    /// `tc_error`.
    pub fn error(&self) -> String {
        // SAFETY: a reader that was opened; C returns a constant string.
        unsafe { CStr::from_ptr(shim_error(self.0.as_ptr())) }.to_string_lossy().into_owned()
    }

    /// The public members.
    pub fn numbers(&self) -> Numbers {
        let mut numbers = [0; 5];
        // SAFETY: a reader that was opened, and room for five numbers.
        unsafe { shim_numbers(self.0.as_ptr(), numbers.as_mut_ptr()) };
        let [term, epoch, version, published_ns, published_unix_ns] = numbers;
        Numbers { stamp: [term, epoch, version], published_ns, published_unix_ns }
    }

    /// `tc_key`.
    ///
    /// # Errors
    /// The errno.
    pub fn key(&mut self, path: &CStr) -> Result<Key> {
        let mut key = Key::unresolved();
        // SAFETY: a reader that was opened, memory of the size that C asks for.
        result(unsafe { shim_key(self.0.as_mut_ptr(), path.as_ptr(), key.0.as_mut_ptr()) }).map(|_| key)
    }

    /// `tc_key_parts`.
    ///
    /// # Errors
    /// The errno.
    pub fn key_of(&mut self, parts: &[Part]) -> Result<Key> {
        let mut key = Key::unresolved();
        let raw = |part: &Part| match part {
            Part::Name(name) => RawPart { name: name.as_ptr(), number: 0 },
            Part::Int(number) => RawPart { name: std::ptr::null(), number: *number },
        };
        let raw: Vec<_> = parts.iter().map(raw).collect();
        // SAFETY: a reader that was opened, as many parts as it says, memory of the size that C asks for.
        let code =
            unsafe { shim_key_parts(self.0.as_mut_ptr(), raw.as_ptr(), raw.len(), key.0.as_mut_ptr()) };
        result(code).map(|_| key)
    }

    /// `key->kind`.
    pub fn kind(&mut self, key: &mut Key) -> u32 {
        // SAFETY: a reader that was opened, a key.
        unsafe { shim_kind(self.0.as_mut_ptr(), key.0.as_mut_ptr()) }
    }

    /// `tc_f64`.
    ///
    /// # Errors
    /// The errno.
    pub fn f64(&mut self, key: &mut Key) -> Result<f64> {
        // SAFETY: a reader that was opened, a key.
        let value = unsafe { shim_f64(self.0.as_mut_ptr(), key.0.as_mut_ptr(), -77.5) };
        key.checked(value, value == -77.5)
    }

    /// `tc_i64`.
    ///
    /// # Errors
    /// The errno.
    pub fn i64(&mut self, key: &mut Key) -> Result<i64> {
        // SAFETY: a reader that was opened, a key.
        let value = unsafe { shim_i64(self.0.as_mut_ptr(), key.0.as_mut_ptr(), -77) };
        key.checked(value, value == -77)
    }

    /// `tc_bool`.
    ///
    /// # Errors
    /// The errno.
    pub fn bool(&mut self, key: &mut Key) -> Result<bool> {
        // SAFETY: a reader that was opened, a key.
        let value = unsafe { shim_bool(self.0.as_mut_ptr(), key.0.as_mut_ptr(), 77) };
        key.checked(value != 0, value == 77)
    }

    /// `tc_str`.
    ///
    /// # Errors
    /// The errno.
    pub fn str(&mut self, key: &mut Key) -> Result<&[u8]> {
        let (fallback, mut len) = (c"nothing", 0);
        // SAFETY: a reader that was opened, a key, a string that lives for the call.
        let text =
            unsafe { shim_str(self.0.as_mut_ptr(), key.0.as_mut_ptr(), fallback.as_ptr(), &raw mut len) };
        key.checked((), text == fallback.as_ptr() && len == 7)?;
        // SAFETY: `len` bytes of the reader, which stay valid until the next poll, and that needs a mutable reference.
        Ok(unsafe { std::slice::from_raw_parts(text.cast(), len) })
    }

    /// `tc_bytes`.
    ///
    /// # Errors
    /// The errno.
    pub fn bytes(&mut self, key: &mut Key) -> Result<&[u8]> {
        let (fallback, mut len) = (b"none", 4);
        let raw = fallback.as_ptr().cast();
        // SAFETY: a reader that was opened, a key, bytes that live for the call.
        let bytes = unsafe { shim_bytes(self.0.as_mut_ptr(), key.0.as_mut_ptr(), raw, &raw mut len) };
        key.checked((), bytes == raw && len == 4)?;
        // SAFETY: as above.
        Ok(unsafe { std::slice::from_raw_parts(bytes.cast(), len) })
    }

    /// `tc_view`.
    ///
    /// # Errors
    /// The errno.
    pub fn view(&mut self, key: &mut Key) -> Result<Array<'_>> {
        let null = std::ptr::null();
        let mut raw = RawArray {
            data: null,
            shape: null.cast(),
            ndim: 0,
            count: 0,
            itemsize: 0,
            dtype: null.cast(),
            dtype_len: 0,
        };
        // SAFETY: a reader that was opened, a key, room for what it fills in.
        result(unsafe { shim_view(self.0.as_mut_ptr(), key.0.as_mut_ptr(), &raw mut raw) })?;
        assert!(!raw.data.is_null() && !raw.shape.is_null() && !raw.dtype.is_null());
        // SAFETY: memory of the reader, which stays valid until the next poll, and that needs a mutable reference.
        unsafe {
            Ok(Array {
                bytes: std::slice::from_raw_parts(raw.data.cast(), raw.count * raw.itemsize),
                shape: std::slice::from_raw_parts(raw.shape, raw.ndim),
                count: raw.count,
                itemsize: raw.itemsize,
                dtype: std::slice::from_raw_parts(raw.dtype.cast(), raw.dtype_len),
            })
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.close();
    }
}

impl Key {
    /// A key of zeros, which leads nowhere.
    pub fn unresolved() -> Self {
        // SAFETY: no arguments.
        Self(zeros(unsafe { shim_key_size() }))
    }

    /// `key->error`.
    pub fn error(&self) -> i32 {
        // SAFETY: a key.
        -unsafe { shim_key_error(self.0.as_ptr()) }
    }

    /// The value, or the key's error: then C must have returned the fallback.
    fn checked<T>(&self, value: T, is_fallback: bool) -> Result<T> {
        match self.error() {
            0 => Ok(value),
            error => {
                assert!(is_fallback, "an error, but not the fallback");
                Err(error)
            }
        }
    }
}
