//! A figure of GPU memory in JSON, with its bounds, certainty and reason.

use highwater::gpu::{AmountKind, Figure, FigureSource, Pool, Reading};
use serde::{Serialize, ser::SerializeMap};

/// Adds `NAME_bytes`, `NAME_certainty`, and the bounds if there are some. An unknown value is null.
pub(crate) fn entries<M: SerializeMap>(
    map: &mut M,
    name: &str,
    figure: Option<&Figure>,
) -> Result<(), M::Error> {
    map.serialize_entry(&format!("{name}_bytes"), &figure.and_then(Figure::bytes))?;
    let Some(figure) = figure else { return Ok(()) };
    map.serialize_entry(&format!("{name}_certainty"), certainty(figure))?;
    if figure.reading.known().is_none() && figure.reading.unknown().is_none() {
        map.serialize_entry(&format!("{name}_lower_bytes"), &figure.reading.lower())?;
        map.serialize_entry(&format!("{name}_upper_bytes"), &figure.reading.upper())?;
    }
    Ok(())
}

/// Returns the certainty, in the words of the record.
fn certainty(figure: &Figure) -> &'static str {
    match figure.reading {
        Reading::Known(_) => "exact",
        Reading::AtLeast(_) => "at_least",
        Reading::AtMost(_) => "at_most",
        Reading::Between { .. } => "bounded",
        _ => "unknown",
    }
}

/// Reasons of what is unknown, by field.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Vec<(&'static str, String)>);

impl Reasons {
    pub(crate) fn add(&mut self, field: &'static str, why: &(impl ToString + ?Sized)) {
        self.0.push((field, why.to_string()));
    }

    pub(crate) fn add_figure(&mut self, field: &'static str, figure: Option<&Figure>) {
        if let Some(why) = figure.and_then(|figure| figure.reading.unknown()) {
            self.add(field, why);
        }
    }
}

impl Serialize for Reasons {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, why)| (field, why)))
    }
}

pub(crate) fn source(source: FigureSource) -> &'static str {
    match source {
        FigureSource::Nvml => "nvml",
        FigureSource::NvmlAccounting => "nvml_accounting",
        FigureSource::NvidiaSmi => "nvidia_smi",
        FigureSource::Fdinfo => "fdinfo",
        FigureSource::AmdgpuSysfs => "amdgpu_sysfs",
        FigureSource::I915Query => "i915_query",
        FigureSource::XeQuery => "xe_query",
        FigureSource::Kfd => "kfd",
        FigureSource::SystemMemory => "system_memory",
        FigureSource::Dxgi => "dxgi",
        FigureSource::Pdh => "pdh",
        FigureSource::Metal => "metal",
        _ => "other",
    }
}

pub(crate) fn pool(pool: Pool) -> &'static str {
    match pool {
        Pool::Dedicated => "dedicated",
        Pool::System => "system",
        Pool::Unified => "unified",
        _ => "other",
    }
}

pub(crate) fn kind(kind: AmountKind) -> &'static str {
    match kind {
        AmountKind::Resident => "resident",
        AmountKind::Allocated => "allocated",
        AmountKind::Budget => "budget",
        AmountKind::Committed => "committed",
        AmountKind::Capacity => "capacity",
        AmountKind::Free => "free",
        AmountKind::Peak => "peak",
        _ => "other",
    }
}
