//! The places that every process knows.

use crate::sys;
pub(super) use crate::sys::SHARED;

/// The name of the user's directory in one of [`SHARED`]. The number is the one outside of the user's namespace: there it tells
/// the users of the machine apart, and in rootless containers everybody is number 0.
pub(super) fn own_name() -> String {
    format!("traincast-{}", sys::user_outside())
}
