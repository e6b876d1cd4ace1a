//! A safe interface to `include/traincast_scores.h`.

use std::ffi::{CStr, c_char, c_double, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{Result, c_string, result, zeros};

unsafe extern "C" {
    fn shim_scores_size() -> usize;
    fn shim_scores_open(s: *mut u64, directory: *const c_char, name: *const c_char, policy_id: u16) -> c_int;
    fn shim_record(s: *mut u64, task: usize, success: c_int, episode_return: c_double, length: u64) -> c_int;
    fn shim_scores_tasks(s: *const u64) -> usize;
    fn shim_scores_error(s: *const u64) -> *const c_char;
    fn shim_scores_close(s: *mut u64);
}

/// `tc_scores`, open.
#[derive(Debug)]
pub struct Scores(Box<[u64]>);

impl Scores {
    /// `tc_scores_open_at`.
    ///
    /// # Errors
    /// The errno.
    pub fn open(directory: &Path, name: &str, policy_id: u16) -> Result<Self> {
        // SAFETY: no arguments.
        let mut scores = Self(zeros(unsafe { shim_scores_size() }));
        let (directory, name) = (c_string(directory.as_os_str().as_bytes()), c_string(name.as_bytes()));
        // SAFETY: the memory has the size that C asks for, and is aligned to 8; the strings are terminated and live during the
        // call.
        let code =
            unsafe { shim_scores_open(scores.0.as_mut_ptr(), directory.as_ptr(), name.as_ptr(), policy_id) };
        result(code).map(|_| scores)
    }

    /// `tc_record`. Returns whether the episode was recorded.
    ///
    /// # Errors
    /// The errno.
    pub fn record(&mut self, task: usize, success: bool, episode_return: f64, length: u64) -> Result<bool> {
        // SAFETY: scores that were opened.
        let code = unsafe { shim_record(self.0.as_mut_ptr(), task, success.into(), episode_return, length) };
        result(code).map(|counted| counted == 1)
    }

    /// `tc_scores_tasks`.
    pub fn tasks(&self) -> usize {
        // SAFETY: scores that were opened.
        unsafe { shim_scores_tasks(self.0.as_ptr()) }
    }

    /// `tc_scores_error`.
    pub fn error(&self) -> String {
        // SAFETY: scores that were opened; C returns a constant string.
        unsafe { CStr::from_ptr(shim_scores_error(self.0.as_ptr())) }.to_string_lossy().into_owned()
    }

    /// `tc_scores_close`; dropping it does that too.
    pub fn close(&mut self) {
        // SAFETY: scores that were opened.
        unsafe { shim_scores_close(self.0.as_mut_ptr()) }
    }
}

impl Drop for Scores {
    fn drop(&mut self) {
        self.close();
    }
}
