//! Stops of a tracer in the job that the measurement may have prevented, in a record.

use super::Capture;

/// Name of these stops in `capture.downgrades`.
pub(crate) const TRACER_STOPS: &str = "stops that a tracer in the job asked for";

impl Capture {
    /// Returns why the job may have behaved differently than without the measurement. `None`: there is no sign of it.
    #[must_use]
    pub fn tracer_doubt(&self) -> Option<&str> {
        let found = self.downgrades.iter().find(|downgrade| downgrade.wanted == TRACER_STOPS);
        found.map(|downgrade| downgrade.reason.as_str())
    }
}
