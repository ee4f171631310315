//! The number of a run among several.

/// The number of a run, and the number of all runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) number: u32,
    pub(super) of: u32,
}

impl Turn {
    pub(super) const ONLY: Self = Self { number: 1, of: 1 };

    pub(super) fn is_alone(self) -> bool {
        self.of == 1
    }
}
