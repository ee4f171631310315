//! The figures of one record, as intervals.

use crate::record::{Certainty, GpuFigure, GpuPeak, MemorySource, PeakFigure, Record};

/// A figure and the interval of its true value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FigureInterval {
    pub(super) bytes: u64,
    pub(super) lower: u64,
    /// `None` if there is no upper bound.
    pub(super) upper: Option<u64>,
}

impl FigureInterval {
    /// Makes a figure that is taken as exact.
    pub(super) fn point(bytes: u64) -> Self {
        Self { bytes, lower: bytes, upper: Some(bytes) }
    }

    /// Makes a figure with the interval of its certainty; it cannot exceed `cap`. A sampled figure is taken
    /// as exact.
    fn with(bytes: u64, lower: u64, certainty: Certainty, cap: Option<u64>) -> Self {
        let lower = lower.min(bytes);
        match certainty {
            Certainty::AtLeast => Self { bytes, lower, upper: cap.map(|cap| cap.max(bytes)) },
            Certainty::AtMost => Self { bytes, lower: 0, upper: Some(bytes) },
            _ => Self { bytes, lower, upper: Some(bytes) },
        }
    }
}

/// The reading of a quantity in one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FigureReading {
    Known(FigureInterval),
    /// The quantity was not measured, or could not be.
    Unknown,
    /// The record has no such group.
    Absent,
}

impl FigureReading {
    pub(super) fn figure(&self) -> Option<FigureInterval> {
        match self {
            Self::Known(figure) => Some(*figure),
            Self::Unknown | Self::Absent => None,
        }
    }
}

impl From<Option<FigureInterval>> for FigureReading {
    fn from(figure: Option<FigureInterval>) -> Self {
        figure.map_or(Self::Unknown, Self::Known)
    }
}

/// Returns the total in the primary metric.
pub(super) fn total<P>(record: &Record<P>) -> Option<FigureInterval> {
    if let Some(peak) = record.peak.rss {
        // A bound on the wrong side of the estimate would feign certainty.
        let lower = peak.lower_bytes.min(peak.bytes);
        return Some(FigureInterval {
            bytes: peak.bytes,
            lower,
            upper: Some(peak.upper_bytes.max(peak.bytes)),
        });
    }
    record.total_peak_bytes().map(FigureInterval::point)
}

/// Returns the memory with each page counted once. `are_alike`: all figures that it is compared with have the same source,
/// and so the same bias; the upper end of a group includes page cache, which says nothing about them.
pub(super) fn memory<P>(record: &Record<P>, are_alike: bool) -> Option<FigureInterval> {
    let memory = record.peak.memory.as_ref()?;
    let lower = memory.lower_bytes.min(memory.bytes);
    let is_measured = matches!(memory.source, MemorySource::Cgroup | MemorySource::Pss);
    let upper = if are_alike && is_measured { memory.bytes } else { memory.upper_bytes.max(memory.bytes) };
    Some(FigureInterval { bytes: memory.bytes, lower, upper: Some(upper) })
}

/// Returns the total in PSS. No page counts more in PSS than in RSS, so the upper bound of RSS bounds it.
pub(super) fn pss<P>(record: &Record<P>) -> Option<FigureInterval> {
    let cap = record.peak.rss.map(|rss| rss.upper_bytes);
    record.peak.pss.map(|peak| match peak.certainty {
        // Earlier versions counted some processes in it with their RSS. It may be far too high, and another
        // moment may have been higher.
        Certainty::Sampled => {
            FigureInterval { bytes: peak.bytes, lower: 0, upper: cap.map(|cap| cap.max(peak.bytes)) }
        }
        certainty => FigureInterval::with(peak.bytes, peak.bytes, certainty, cap),
    })
}

/// Returns the kernel's peak of the job's cgroup.
pub(super) fn cgroup<P>(record: &Record<P>) -> Option<FigureInterval> {
    record
        .peak
        .cgroup
        .map(|PeakFigure { bytes, certainty, .. }| FigureInterval::with(bytes, bytes, certainty, None))
}

/// Returns the memory on a device, or mapped for it.
pub(super) fn on_gpu(
    device: &GpuPeak,
    figure: Option<GpuFigure>,
    cap: Option<u64>,
) -> Option<FigureInterval> {
    let figure = figure?;
    // If the driver does not report a member's memory, the figure has no upper bound.
    let certainty = if device.processes_unknown > 0 { Certainty::AtLeast } else { figure.certainty };
    Some(FigureInterval::with(figure.bytes, figure.lower_bytes, certainty, cap))
}
