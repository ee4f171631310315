//! Peaks of the job from samples of the devices: a pure fold.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{GpuSample, MemberGpuUse, OnDevice};
use crate::{
    gpu::{DeviceId, FigureSource, Reading},
    job::{identity::MemberId, moment::rounded_seconds},
    record::{Certainty, Downgrade, GpuFigure, GpuPeak, GpuScope, GpuSource, PeakSource, ProcessPeak},
};

/// The most missing figures that are reported.
const MAX_MISSING: usize = 100;

/// The peaks of the job on all devices so far.
#[derive(Debug, Default)]
pub(crate) struct GpuPeaks {
    devices: BTreeMap<u32, OfDevice>,
    /// The highest sum over all devices, by member.
    members: HashMap<MemberId, ProcessPeak>,
    /// Sum over all devices in the last sample.
    last_total: Option<u64>,
    samples: u64,
    /// Sources that could not be read, each once.
    missing: Vec<Downgrade>,
}

#[derive(Debug)]
struct OfDevice {
    id: DeviceId,
    name: Option<String>,
    total_bytes: Option<u64>,
    source: GpuSource,
    /// Memory in use before the job began.
    used_before: Option<u64>,
    names_host_pids: bool,
    vram: Option<GpuFigure>,
    gtt: Option<GpuFigure>,
    members: HashSet<MemberId>,
    unknown: HashSet<MemberId>,
    others: u64,
    /// Memory of the job on it now, if that is known.
    now: Option<u64>,
}

impl GpuPeaks {
    /// Adds a sample. `at` is on the job's clock, and 0 for a sample from before its start.
    pub(crate) fn add(&mut self, at: Duration, sample: &GpuSample) {
        self.samples += 1;
        for gap in &sample.gaps {
            self.miss(&gap.what, gap.why.to_string());
        }
        let mut by_member: HashMap<MemberId, OfMember> = HashMap::new();
        let mut total = None;
        for on in &sample.devices {
            let device = self.devices.entry(on.device.index).or_insert_with(|| OfDevice::new(at, on));
            if let Some(job) = device.add(at, on) {
                total = Some(u64::saturating_add(total.unwrap_or(0), job));
            }
            for row in &on.rows {
                by_member.entry(row.id).or_default().add(row);
            }
        }
        self.last_total = total;
        for (id, of_member) in by_member {
            let Some(now) = of_member.peak() else { continue };
            let best = self.members.entry(id).or_insert(now);
            if now.bytes > best.bytes {
                *best = now;
            }
        }
    }

    /// Records a sample that could not be taken.
    pub(crate) fn miss(&mut self, what: &str, reason: String) {
        let wanted = format!("GPU memory: {what}");
        // Some name processes, so there may be any number of them.
        if self.missing.len() < MAX_MISSING
            && !self.missing.iter().any(|known| known.wanted == wanted && known.reason == reason)
        {
            self.missing.push(Downgrade { wanted, reason });
        }
    }

    /// Returns the job's memory on all devices together, in the last sample in which something was known.
    pub(crate) fn last_total(&self) -> Option<u64> {
        self.last_total
    }

    /// Returns the peak of one member over all devices together.
    pub(crate) fn peak_of(&self, id: MemberId) -> Option<ProcessPeak> {
        self.members.get(&id).copied()
    }

    /// Iterates over the job's memory on each device now.
    pub(crate) fn now(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.devices.iter().filter_map(|(&index, device)| Some((index, device.now?)))
    }

    /// Iterates over the figures that are missing, and the reasons.
    pub(crate) fn missing(&self) -> impl Iterator<Item = Downgrade> + '_ {
        let nothing =
            (self.samples > 0 && self.devices.is_empty() && self.missing.is_empty()).then(|| Downgrade {
                wanted: "GPU memory".to_owned(),
                reason: "no GPU and no GPU driver was found".to_owned(),
            });
        let by_device = self.devices.values().filter_map(OfDevice::reason);
        self.missing.iter().cloned().chain(nothing).chain(by_device)
    }

    /// Returns one entry for each device.
    pub(crate) fn peaks(&self) -> Vec<GpuPeak> {
        self.devices.iter().map(|(&index, device)| device.peak(index)).collect()
    }
}

/// Memory of one member in one sample, on all devices together.
#[derive(Debug, Default)]
struct OfMember {
    known: Option<u64>,
    /// True if it may hold more on some device.
    is_open: bool,
    /// The highest value that a driver kept for it on one device.
    kept: Option<u64>,
}

impl OfMember {
    fn add(&mut self, row: &MemberGpuUse) {
        match row.vram.bytes() {
            Some(bytes) => self.known = Some(self.known.map_or(bytes, |known| known.saturating_add(bytes))),
            None => self.is_open = true,
        }
        self.is_open |= row.vram.upper().is_none();
        self.kept = self.kept.max(row.peak);
    }

    fn peak(&self) -> Option<ProcessPeak> {
        let kept = self.kept.filter(|&kept| self.known.is_none_or(|known| kept >= known));
        if let Some(bytes) = kept {
            // It may rise until the process exits.
            return Some(ProcessPeak { bytes, source: PeakSource::Driver, certainty: Certainty::AtLeast });
        }
        let certainty = if self.is_open { Certainty::AtLeast } else { Certainty::Sampled };
        Some(ProcessPeak { bytes: self.known?, source: PeakSource::Sampled, certainty })
    }
}

impl OfDevice {
    fn new(at: Duration, on: &OnDevice) -> Self {
        Self {
            id: on.device.id.clone(),
            name: on.device.name.clone(),
            total_bytes: on.device.total.reading.known(),
            source: source(on.device.used.source),
            // A driver that was slow to open is read for the first time while the job runs.
            used_before: on.device.used.reading.known().filter(|_| at.is_zero()),
            names_host_pids: on.names_host_pids,
            vram: None,
            gtt: None,
            members: HashSet::new(),
            unknown: HashSet::new(),
            others: 0,
            now: None,
        }
    }

    /// Returns the job's memory on this device, as far as it is known.
    fn add(&mut self, at: Duration, on: &OnDevice) -> Option<u64> {
        self.others = self.others.max(on.others);
        self.members.extend(on.rows.iter().map(|row| row.id));
        let unknown = on.rows.iter().filter(|row| row.vram.bytes().is_none());
        self.unknown.extend(unknown.map(|row| row.id));
        if on.names_host_pids && on.rows.is_empty() {
            let rise = self.used_before.zip(on.device.used.reading.known());
            self.now = rise.map(|(before, now)| now.saturating_sub(before));
            let bytes = self.now?;
            let figure = GpuFigure {
                bytes,
                lower_bytes: 0,
                certainty: Certainty::AtMost,
                scope: GpuScope::Device,
                at_seconds: Some(rounded_seconds(at)),
            };
            keep_higher(&mut self.vram, figure);
            return None;
        }
        let job = figure(at, on, |row| &row.vram);
        if let Some(figure) = job {
            keep_higher(&mut self.vram, figure);
        }
        if let Some(figure) = figure(at, on, |row| &row.system) {
            keep_higher(&mut self.gtt, figure);
        }
        // No process of the job on the device is a known 0.
        let is_none = on.rows.is_empty() && !on.is_partial;
        self.now = job.map(|figure| figure.bytes).or(is_none.then_some(0));
        self.now
    }

    fn reason(&self) -> Option<Downgrade> {
        let label = self.name.as_deref().unwrap_or(self.id.as_str());
        let count = self.unknown.len();
        if self.names_host_pids && self.used_before.is_none() {
            return Some(Downgrade {
                wanted: format!("GPU memory on {label}"),
                reason: "its driver names processes by the host's pids, and what was in use before the job began is \
                         not known"
                    .to_owned(),
            });
        }
        (count > 0).then(|| Downgrade {
            wanted: format!("GPU memory of every process on {label}"),
            reason: format!("the driver does not report it for {count} processes"),
        })
    }

    fn peak(&self, index: u32) -> GpuPeak {
        GpuPeak {
            index,
            name: self.name.clone(),
            id: self.id.as_str().to_owned(),
            total_bytes: self.total_bytes,
            vram: self.vram,
            gtt: self.gtt,
            processes: self.members.len() as u64,
            processes_unknown: self.unknown.len() as u64,
            other_users: self.others,
            source: self.source,
        }
    }
}

/// Returns the sum over the members in one sample; `None` if no process is there, or nothing is known of any.
fn figure<'a>(
    at: Duration,
    on: &'a OnDevice,
    of: impl Fn(&'a MemberGpuUse) -> &'a Reading,
) -> Option<GpuFigure> {
    let add = |sum: u64, bytes| sum.saturating_add(bytes);
    let known: Vec<(&MemberGpuUse, &Reading)> =
        on.rows.iter().map(|row| (row, of(row))).filter(|(_, reading)| reading.bytes().is_some()).collect();
    if known.is_empty() {
        return None;
    }
    let upper = known.iter().filter_map(|(_, reading)| reading.bytes()).fold(0, add);
    // Memory of a single process counts in full. Clients shared by several processes may be the same memory in each.
    let lower = |shares| known.iter().filter(move |(row, _)| row.shares == shares);
    let alone = lower(false).filter_map(|(_, reading)| reading.lower()).fold(0, add);
    let sharing = lower(true).filter_map(|(_, reading)| reading.lower()).max();
    // A process that may hold more leaves the sum open upwards.
    let bounded = known.iter().filter(|(_, reading)| reading.upper().is_some()).count();
    let is_whole = bounded == on.rows.len() && !on.is_partial;
    Some(GpuFigure {
        bytes: upper,
        lower_bytes: alone.saturating_add(sharing.unwrap_or(0)),
        certainty: if is_whole { Certainty::Sampled } else { Certainty::AtLeast },
        scope: GpuScope::Job,
        at_seconds: Some(rounded_seconds(at)),
    })
}

fn keep_higher(best: &mut Option<GpuFigure>, figure: GpuFigure) {
    if best.is_none_or(|best| figure.bytes > best.bytes) {
        *best = Some(figure);
    }
}

fn source(source: FigureSource) -> GpuSource {
    match source {
        FigureSource::Nvml | FigureSource::NvmlAccounting => GpuSource::Nvml,
        FigureSource::NvidiaSmi => GpuSource::NvidiaSmi,
        FigureSource::Dxgi | FigureSource::Pdh => GpuSource::Windows,
        FigureSource::Metal => GpuSource::Metal,
        FigureSource::Fdinfo
        | FigureSource::AmdgpuSysfs
        | FigureSource::I915Query
        | FigureSource::XeQuery
        | FigureSource::Kfd
        | FigureSource::SystemMemory => GpuSource::Drm,
    }
}

#[cfg(test)]
mod tests;
