//! The record of one job as it is stored: plain, versioned data, whatever its source.
//!
//! Sizes are bytes where the name says `bytes`, and KiB (1024 bytes) where it says `kib`. Times named
//! `*_seconds` count from the start of the job on a monotonic clock. A figure that is not known is absent
//! (`null`), never 0. `docs/record.md` explains each field, `docs/record.schema.json` is made from these types.
//!
//! ```no_run
//! use highwater::record::{Certainty, Record};
//!
//! let record = Record::from_json(&std::fs::read("mem.json")?)?;
//! if record.schema.is_newer_minor() {
//!     println!("written by a newer version: fields that this one does not know are left out");
//! }
//! let exact = |certainty| certainty == Certainty::Exact;
//! let rows = record.processes.iter().filter(|row| row.peak.rss.is_some_and(|peak| exact(peak.certainty)));
//! println!("{} of {} peaks are exact", rows.count(), record.capture.processes_seen);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod consistency;
mod finding;
mod gpu;
mod job;
mod limit;
mod memory;
mod peak_memory;
mod process;
mod read;
mod timeline;
mod timestamp;
mod tracer_stops;
mod usage;
mod words;

pub use self::finding::{Confidence, Finding, Leak, LeakSearch};
pub use self::gpu::{GpuFigure, GpuPeak, GpuScope, GpuSource};
pub use self::job::{
    Capture, Certainty, Downgrade, Exit, ExitCause, Host, IntervalMode, Lineage, Metric, Overhead,
    PeakFigure, PeakInterval, Peaks, PeaksFrom, Record, Tool,
};
#[cfg(all(feature = "job", target_os = "linux"))]
pub(crate) use self::limit::CGROUP_PEAK;
pub use self::limit::{Exceeded, Limit, LimitAction, LimitEnd, LimitVerdict, Limited};
#[cfg(feature = "job")]
pub(crate) use self::limit::{UNJUDGED_MEMORY_LIMIT, UNJUDGED_PSS_LIMIT, UNSAMPLED_LIMITS};
pub use self::peak_memory::{MemoryHolder, MemoryHolders, MemoryParts, MemorySource, PeakMemory};
pub use self::process::{Image, PeakSource, Process, ProcessExit, ProcessPeak, ProcessPeaks};
pub use self::read::{ReadError, SchemaVersion};
pub use self::timeline::{Counter, CounterMetric, CounterUnit, Group, GroupKey, Scope, Series, Timeline};
pub use self::timestamp::Timestamp;
#[cfg(all(feature = "job", target_os = "linux"))]
pub(crate) use self::tracer_stops::TRACER_STOPS;
pub use self::usage::{
    Attached, CpuTime, Faults, Io, OomEvidence, OomKills, OomVictim, Pressure, PressureOf, ProcessUsage,
    Usage, UsageSource,
};
