//! Samples of the devices in, peaks of the job out: a pure fold.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{GpuSample, Held, OnDevice};
use crate::{
    gpu::{DeviceId, Reading, Source},
    job::{events::MemberId, timeline::round},
    record::{Certainty, Downgrade, GpuFigure, GpuPeak, GpuScope, GpuSource, PeakSource, ProcessPeak},
};

/// The peaks so far.
#[derive(Debug, Default)]
pub(crate) struct GpuFold {
    devices: BTreeMap<u32, OfDevice>,
    /// The highest sum over all devices, by member.
    members: HashMap<MemberId, ProcessPeak>,
    /// Sum over all devices in the last sample.
    last_total: Option<u64>,
    samples: u64,
    /// What could not be asked, each once.
    missing: Vec<Downgrade>,
}

#[derive(Debug)]
struct OfDevice {
    id: DeviceId,
    name: Option<String>,
    total_bytes: Option<u64>,
    source: GpuSource,
    /// What was in use before the job began.
    used_before: Option<u64>,
    vram: Option<GpuFigure>,
    gtt: Option<GpuFigure>,
    members: HashSet<MemberId>,
    unknown: HashSet<MemberId>,
    others: u64,
    /// What the job holds there now, if that is known.
    now: Option<u64>,
}

impl GpuFold {
    /// Takes in a sample. `at`: on the job's clock, 0 for one from before its start.
    pub(crate) fn add(&mut self, at: Duration, sample: &GpuSample) {
        self.samples += 1;
        for gap in &sample.gaps {
            self.miss(&gap.what, gap.why.to_string());
        }
        let mut by_member: HashMap<MemberId, (u64, Option<u64>)> = HashMap::new();
        let mut total = None;
        for on in &sample.devices {
            let device = self.devices.entry(on.device.index).or_insert_with(|| OfDevice::new(on));
            if let Some(job) = device.add(at, on) {
                total = Some(total.unwrap_or(0) + job);
            }
            for held in &on.rows {
                if held.vram.bytes().is_none() && held.peak.is_none() {
                    continue;
                }
                let sum = by_member.entry(held.id).or_default();
                sum.0 += held.vram.bytes().unwrap_or_default();
                if let Some(peak) = held.peak {
                    sum.1 = Some(sum.1.unwrap_or(0).max(peak));
                }
            }
        }
        self.last_total = total;
        for (id, (bytes, driver_peak)) in by_member {
            let sampled = ProcessPeak { bytes, source: PeakSource::Sampled, certainty: Certainty::Sampled };
            let kept = driver_peak.filter(|&peak| peak >= bytes).map(|bytes| ProcessPeak {
                bytes,
                source: PeakSource::Driver,
                // It may rise until the process ends.
                certainty: Certainty::AtLeast,
            });
            let now = kept.unwrap_or(sampled);
            let best = self.members.entry(id).or_insert(now);
            if now.bytes > best.bytes {
                *best = now;
            }
        }
    }

    /// A sample that could not be taken.
    pub(crate) fn miss(&mut self, what: &str, reason: String) {
        let wanted = format!("GPU memory: {what}");
        if !self.missing.iter().any(|known| known.wanted == wanted && known.reason == reason) {
            self.missing.push(Downgrade { wanted, reason });
        }
    }

    /// What the job held on all devices together, in the last sample in which something was known.
    pub(crate) fn last_total(&self) -> Option<u64> {
        self.last_total
    }

    /// The peak of one member, over all devices together.
    pub(crate) fn peak_of(&self, id: MemberId) -> Option<ProcessPeak> {
        self.members.get(&id).copied()
    }

    /// What the job holds on each device now.
    pub(crate) fn now(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.devices.iter().filter_map(|(&index, device)| Some((index, device.now?)))
    }

    /// What could not be had, and why.
    pub(crate) fn missing(&self) -> impl Iterator<Item = Downgrade> + '_ {
        let nothing =
            (self.samples > 0 && self.devices.is_empty() && self.missing.is_empty()).then(|| Downgrade {
                wanted: "GPU memory".to_owned(),
                reason: "no GPU was found, and no driver that could tell of one".to_owned(),
            });
        let by_device = self.devices.values().filter_map(OfDevice::reason);
        self.missing.iter().cloned().chain(nothing).chain(by_device)
    }

    /// One entry for each device.
    pub(crate) fn peaks(&self) -> Vec<GpuPeak> {
        self.devices.iter().map(|(&index, device)| device.peak(index)).collect()
    }
}

impl OfDevice {
    fn new(on: &OnDevice) -> Self {
        Self {
            id: on.device.id.clone(),
            name: on.device.name.clone(),
            total_bytes: on.device.total.reading.known(),
            source: source(on.device.used.source),
            used_before: on.device.used.reading.known(),
            vram: None,
            gtt: None,
            members: HashSet::new(),
            unknown: HashSet::new(),
            others: 0,
            now: None,
        }
    }

    /// Returns what the job holds there, as far as that is known.
    fn add(&mut self, at: Duration, on: &OnDevice) -> Option<u64> {
        self.others = self.others.max(on.others);
        self.members.extend(on.rows.iter().map(|held| held.id));
        let unknown = on.rows.iter().filter(|held| held.vram.bytes().is_none());
        self.unknown.extend(unknown.map(|held| held.id));
        if on.names_host_pids && on.rows.is_empty() {
            let rise = self.used_before.zip(on.device.used.reading.known());
            self.now = rise.map(|(before, now)| now.saturating_sub(before));
            let bytes = self.now?;
            let figure = GpuFigure {
                bytes,
                lower_bytes: 0,
                certainty: Certainty::AtMost,
                scope: GpuScope::Device,
                at_seconds: Some(round(at.as_secs_f64())),
            };
            keep_higher(&mut self.vram, figure);
            return None;
        }
        let job = figure(at, &on.rows, |held| &held.vram);
        if let Some(figure) = job {
            keep_higher(&mut self.vram, figure);
        }
        if let Some(figure) = figure(at, &on.rows, |held| &held.system) {
            keep_higher(&mut self.gtt, figure);
        }
        // Nobody of the job on it is a known nothing.
        self.now = job.map(|figure| figure.bytes).or(on.rows.is_empty().then_some(0));
        self.now
    }

    fn reason(&self) -> Option<Downgrade> {
        let label = self.name.as_deref().unwrap_or(self.id.as_str());
        let count = self.unknown.len();
        (count > 0).then(|| Downgrade {
            wanted: format!("GPU memory of every process on {label}"),
            reason: format!("of {count} processes the driver does not tell it"),
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

/// The sum over the members in one sample; `None` where nothing is known of any, or nobody is there.
fn figure<'a>(at: Duration, rows: &'a [Held], of: impl Fn(&'a Held) -> &'a Reading) -> Option<GpuFigure> {
    let known: Vec<(&Held, &Reading)> =
        rows.iter().map(|held| (held, of(held))).filter(|(_, reading)| reading.bytes().is_some()).collect();
    if known.is_empty() {
        return None;
    }
    let upper: u64 = known.iter().filter_map(|(_, reading)| reading.bytes()).sum();
    // What one process holds is surely held; a client that several hold may be the same memory in each.
    let alone: u64 =
        known.iter().filter(|(held, _)| !held.shares).filter_map(|(_, reading)| reading.lower()).sum();
    let sharing =
        known.iter().filter(|(held, _)| held.shares).filter_map(|(_, reading)| reading.lower()).max();
    let is_whole = known.len() == rows.len();
    Some(GpuFigure {
        bytes: upper,
        lower_bytes: alone + sharing.unwrap_or(0),
        certainty: if is_whole { Certainty::Sampled } else { Certainty::AtLeast },
        scope: GpuScope::Job,
        at_seconds: Some(round(at.as_secs_f64())),
    })
}

fn keep_higher(best: &mut Option<GpuFigure>, figure: GpuFigure) {
    if best.is_none_or(|best| figure.bytes > best.bytes) {
        *best = Some(figure);
    }
}

fn source(source: Source) -> GpuSource {
    match source {
        Source::Nvml | Source::NvmlAccounting => GpuSource::Nvml,
        Source::NvidiaSmi => GpuSource::NvidiaSmi,
        Source::Dxgi | Source::Pdh => GpuSource::Windows,
        Source::Metal => GpuSource::Metal,
        Source::Fdinfo
        | Source::AmdgpuSysfs
        | Source::I915Query
        | Source::XeQuery
        | Source::Kfd
        | Source::SystemMemory => GpuSource::Drm,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        Unavailable,
        gpu::{Device, Figure, Gap, Kind, Pool, Scope},
    };

    const MIB: u64 = 1 << 20;

    fn device(used: Option<u64>) -> Device {
        let unknown = Figure::new(
            Reading::Unknown(Unavailable::NotSupported),
            Scope::Device,
            Pool::Dedicated,
            Kind::Resident,
            Source::Nvml,
        );
        let mut device = Device::named(DeviceId::new("0000:01:00.0"), &unknown);
        if let Some(used) = used {
            device.used.reading = Reading::Known(used * MIB);
        }
        device
    }

    fn held(id: u32, mib: Option<u64>) -> Held {
        let vram = mib
            .map_or(Reading::Unknown(Unavailable::DriverSaysNotAvailable), |mib| Reading::Known(mib * MIB));
        Held {
            id: MemberId(id),
            vram,
            system: Reading::Unknown(Unavailable::NotProvided),
            shares: false,
            peak: None,
        }
    }

    fn sample(used: Option<u64>, rows: Vec<Held>) -> GpuSample {
        let on = OnDevice { device: device(used), rows, others: 0, names_host_pids: false };
        GpuSample { taken: Instant::now(), devices: vec![on], gaps: Vec::new() }
    }

    fn fold(samples: &[GpuSample]) -> GpuFold {
        let mut fold = GpuFold::default();
        for (second, sample) in samples.iter().enumerate() {
            fold.add(Duration::from_secs(second as u64), sample);
        }
        fold
    }

    #[test]
    fn the_peak_is_a_sum_at_one_instant() {
        let fold = fold(&[
            sample(None, vec![held(0, Some(100)), held(1, Some(10))]),
            sample(None, vec![held(0, Some(10)), held(1, Some(100))]),
        ]);
        let vram = fold.peaks()[0].vram.unwrap();
        assert_eq!(
            (vram.bytes, vram.lower_bytes, vram.certainty),
            (110 * MIB, 110 * MIB, Certainty::Sampled)
        );
        assert_eq!(fold.peak_of(MemberId(1)).unwrap().bytes, 100 * MIB);
        assert_eq!((fold.peaks()[0].processes, fold.peaks()[0].gtt), (2, None));
    }

    #[test]
    fn an_unknown_process_makes_the_sum_a_lower_bound() {
        let fold = fold(&[sample(None, vec![held(0, Some(100)), held(1, None)])]);
        let peak = &fold.peaks()[0];
        assert_eq!(peak.vram.unwrap().certainty, Certainty::AtLeast);
        assert_eq!((peak.processes_unknown, fold.peak_of(MemberId(1))), (1, None));
        assert_eq!(fold.missing().count(), 1);
    }

    #[test]
    fn nothing_known_is_no_figure() {
        let fold = fold(&[sample(None, vec![held(0, None)])]);
        assert_eq!((fold.peaks()[0].vram, fold.last_total()), (None, None));
    }

    #[test]
    fn memory_held_together_is_bounded() {
        let rows =
            vec![Held { shares: true, ..held(0, Some(100)) }, Held { shares: true, ..held(1, Some(100)) }];
        let vram = fold(&[sample(None, rows)]).peaks()[0].vram.unwrap();
        assert_eq!((vram.lower_bytes, vram.bytes), (100 * MIB, 200 * MIB));
    }

    #[test]
    fn in_a_container_the_rise_of_the_device_is_an_upper_bound() {
        let host = |used| {
            let mut sample = sample(Some(used), Vec::new());
            sample.devices[0].names_host_pids = true;
            sample.devices[0].others = 3;
            sample
        };
        let vram = fold(&[host(500), host(900), host(600)]).peaks()[0].vram.unwrap();
        assert_eq!((vram.bytes, vram.lower_bytes), (400 * MIB, 0));
        assert_eq!((vram.certainty, vram.scope), (Certainty::AtMost, GpuScope::Device));
    }

    #[test]
    fn what_the_driver_kept_is_a_processs_peak() {
        let rows = vec![Held { peak: Some(700 * MIB), ..held(0, Some(100)) }];
        let peak = fold(&[sample(None, rows)]).peak_of(MemberId(0)).unwrap();
        assert_eq!(
            (peak.bytes, peak.source, peak.certainty),
            (700 * MIB, PeakSource::Driver, Certainty::AtLeast)
        );
    }

    #[test]
    fn what_could_not_be_asked_is_said_once() {
        let gap = Gap { what: "nvidia".into(), why: Unavailable::PidNamespace };
        let sample = GpuSample { taken: Instant::now(), devices: Vec::new(), gaps: vec![gap] };
        assert_eq!(fold(&[sample.clone(), sample]).missing().count(), 1);
        assert_eq!(fold(&[]).missing().count(), 0);
    }
}
