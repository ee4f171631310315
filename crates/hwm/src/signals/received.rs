//! A signal that hwm received.

/// A signal that hwm received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReceivedSignal {
    pub(super) signal: i32,
    /// True if the signal came from the terminal, so that the whole process group got it.
    pub(super) terminal: bool,
}
