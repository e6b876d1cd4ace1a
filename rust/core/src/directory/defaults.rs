//! The places that every process knows.

use crate::sys;

/// Where directories of channels are made if the user names none, the best first.
pub(super) const SHARED: [&str; 2] = ["/dev/shm", "/tmp"];

/// The name of the user's directory in one of [`SHARED`]. The number is the one outside of the user's namespace: there it tells
/// the users of the machine apart, and in rootless containers everybody is number 0.
pub(super) fn own_name() -> String {
    format!("traincast-{}", sys::user_outside())
}
