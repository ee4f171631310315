//! The record of one job as it stands on disk: plain, versioned data that knows no source.
//!
//! Sizes are bytes where the name says `bytes`, and KiB (1024 bytes) where it says `kib`. Times named
//! `*_seconds` count from the start of the job on a monotonic clock. A figure that is not known is absent
//! (`null`), never 0. `docs/record.md` explains each field, `docs/record.schema.json` is made from these types.

mod job;
mod read;
mod timestamp;

pub use self::job::{
    Capture, Certainty, Downgrade, Exit, ExitCause, Group, GroupKey, Host, Image, IntervalMode, Lineage,
    Metric, Overhead, PeakFigure, PeakInterval, PeakSource, Peaks, PeaksFrom, Process, ProcessExit,
    ProcessPeak, ProcessPeaks, Record, Scope, Series, Timeline, Tool,
};
pub use self::read::{ReadError, SchemaVersion};
pub use self::timestamp::Timestamp;
