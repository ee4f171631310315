//! A signal that hwm received.

/// A signal that hwm received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReceivedSignal {
    pub(super) signal: i32,
    /// From the terminal, so to the whole process group.
    pub(super) terminal: bool,
}
