//! A part of the picture that is missing.

use highwater::gpu::Gap;
use serde::Serialize;

/// A driver, device or file system that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MissingPart {
    pub(crate) what: String,
    pub(crate) why: String,
}

impl MissingPart {
    pub(crate) fn of(gap: &Gap) -> Self {
        Self { what: gap.what.clone(), why: gap.why.to_string() }
    }
}
