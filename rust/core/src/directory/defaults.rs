//! The default places, which every process knows.

use crate::sys;
pub(super) use crate::sys::SHARED;

/// The name of the user's directory in one of [`SHARED`]. The user id is the one outside of the user namespace, where it tells
/// the machine's users apart: in rootless containers everybody is user 0.
pub(super) fn own_name() -> String {
    format!("traincast-{}", sys::user_outside())
}
