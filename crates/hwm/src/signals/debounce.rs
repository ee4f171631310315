//! Requests that come twice.

use std::time::Duration;

/// A second TERM or HUP within this time is the same one: `timeout` sends TERM to its child and at once to the
/// whole group.
pub(super) const SAME_REQUEST_WITHIN: Duration = Duration::from_millis(500);
