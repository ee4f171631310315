//! The highest values that were seen, a row each process and device.

use std::{collections::BTreeMap, time::Duration};

use highwater::{
    gpu::{DeviceId, Figure, PidSpace, Reading},
    listing::{HoldingDevice, ProcessRow},
};
use serde::{Serialize, Serializer};

use crate::{output::formats::documents::HoldingDeviceEntry, process_listing::SelectedProcesses};

/// Number of rows that are kept of processes that have ended. With more of them the memory of a watch that lasts for
/// days would grow with each process that a user starts.
const MAX_ENDED_PEAKS: usize = 4096;

/// The peaks of processes and of devices.
#[derive(Debug, Default, Serialize)]
pub(super) struct WatchPeaks {
    #[serde(serialize_with = "values")]
    peaks: BTreeMap<PeakKey, ProcessHighs>,
    /// Number of rows of ended processes that were left out because others are larger.
    peaks_left_out: u64,
    #[serde(skip)]
    samples: u64,
    #[serde(serialize_with = "values")]
    devices: BTreeMap<u32, DeviceHighs>,
}

/// The key of a peak. A pid may be given to another process while hwm watches.
type PeakKey = (u32, bool, Option<u64>, Option<DeviceId>);

#[derive(Debug, Serialize)]
struct ProcessHighs {
    pid: u32,
    name: Option<String>,
    user: Option<String>,
    #[serde(serialize_with = "device")]
    device: Option<HoldingDevice>,
    #[serde(flatten)]
    vram: Highest<VramNames>,
    #[serde(flatten)]
    gtt: Highest<GttNames>,
    max_rss_bytes: Option<u64>,
    first_seen_seconds: f64,
    last_seen_seconds: f64,
    /// Number of the last sample that it was in.
    #[serde(skip)]
    last_sample: u64,
}

impl ProcessHighs {
    /// Returns the order in which ended processes stay: VRAM comes first, as it is the scarcer memory.
    fn rank(&self) -> [Option<u64>; 3] {
        [self.vram.bytes, self.gtt.bytes, self.max_rss_bytes]
    }
}

#[derive(Debug, Serialize)]
struct DeviceHighs {
    index: u32,
    id: String,
    name: Option<String>,
    #[serde(flatten)]
    used: Highest<UsedNames>,
}

/// The highest of several readings, when it was, and how sure that is.
#[derive(Debug)]
struct Highest<N> {
    bytes: Option<u64>,
    at: f64,
    /// True if every reading says "this or more", so that the peak is not below.
    is_lower_bound: bool,
    names: std::marker::PhantomData<N>,
}

trait FigureNames {
    const NAMES: [&'static str; 3];
}

macro_rules! names {
    ($name:ident, $word:literal) => {
        #[derive(Debug)]
        struct $name;
        impl FigureNames for $name {
            const NAMES: [&'static str; 3] = [
                concat!("max_", $word, "_bytes"),
                concat!("max_", $word, "_certainty"),
                concat!("max_", $word, "_at_seconds"),
            ];
        }
    };
}
names!(VramNames, "vram");
names!(GttNames, "gtt");
names!(UsedNames, "used");

impl<N> Default for Highest<N> {
    fn default() -> Self {
        Self { bytes: None, at: 0.0, is_lower_bound: true, names: std::marker::PhantomData }
    }
}

impl<N> Highest<N> {
    fn add(&mut self, figure: Option<&Figure>, at: f64) {
        let Some((figure, bytes)) = figure.and_then(|figure| Some((figure, figure.bytes()?))) else { return };
        self.is_lower_bound &= matches!(figure.reading, Reading::Known(_) | Reading::AtLeast(_));
        if self.bytes.is_none_or(|before| bytes > before) {
            (self.bytes, self.at) = (Some(bytes), at);
        }
    }
}

impl<N: FigureNames> Serialize for Highest<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let [bytes, certainty, at] = N::NAMES;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(bytes, &self.bytes)?;
        let word = match (self.bytes, self.is_lower_bound) {
            (None, _) => "unknown",
            (_, true) => "at_least",
            (_, false) => "sampled",
        };
        map.serialize_entry(certainty, word)?;
        map.serialize_entry(at, &self.bytes.map(|_| self.at))?;
        map.end()
    }
}

fn values<K, V: Serialize, S: Serializer>(map: &BTreeMap<K, V>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map.values())
}

#[allow(clippy::ref_option)] // serde's signature
fn device<S: Serializer>(device: &Option<HoldingDevice>, serializer: S) -> Result<S::Ok, S::Error> {
    device.as_ref().map(HoldingDeviceEntry).serialize(serializer)
}

impl WatchPeaks {
    pub(super) fn is_empty(&self) -> bool {
        self.peaks.is_empty()
    }

    /// Returns the number of rows that were left out.
    pub(super) fn left_out(&self) -> u64 {
        self.peaks_left_out
    }

    pub(super) fn add(&mut self, found: &SelectedProcesses, elapsed: Duration) {
        let at = thousandths(elapsed);
        self.samples += 1;
        for row in &found.rows {
            self.add_row(row, at);
        }
        // Some more stay until then, so that not every sample sorts them.
        if self.peaks.len() > found.rows.len() + 2 * MAX_ENDED_PEAKS {
            self.leave_out_ended();
        }
        for device in &found.devices {
            let peak = self.devices.entry(device.index).or_insert_with(|| DeviceHighs {
                index: device.index,
                id: device.id.as_str().to_owned(),
                name: device.name.clone(),
                used: Highest::default(),
            });
            peak.used.add(Some(&device.used), at);
        }
    }

    /// Leaves out all ended processes but the largest.
    pub(super) fn leave_out_ended(&mut self) {
        let has_ended = |highs: &ProcessHighs| highs.last_sample < self.samples;
        let mut ended: Vec<_> = self.peaks.iter().filter(|(_, highs)| has_ended(highs)).collect();
        if ended.len() <= MAX_ENDED_PEAKS {
            return;
        }
        ended.sort_by_key(|(_, highs)| std::cmp::Reverse(highs.rank()));
        let smallest: Vec<PeakKey> =
            ended.split_off(MAX_ENDED_PEAKS).into_iter().map(|(key, _)| key.clone()).collect();
        for key in smallest {
            self.peaks.remove(&key);
            self.peaks_left_out += 1;
        }
    }

    fn add_row(&mut self, row: &ProcessRow, at: f64) {
        let id = row.gpu.as_ref().map(|holding| holding.device.id.clone());
        let peak = self
            .peaks
            .entry((row.pid, row.pid_space == PidSpace::Host, row.start_ticks, id))
            .or_insert_with(|| ProcessHighs {
                pid: row.pid,
                name: None,
                user: None,
                device: row.gpu.as_ref().map(|holding| holding.device.clone()),
                vram: Highest::default(),
                gtt: Highest::default(),
                max_rss_bytes: None,
                first_seen_seconds: at,
                last_seen_seconds: at,
                last_sample: self.samples,
            });
        // A program may exec another one: the last name counts.
        if let Ok(name) = &row.name {
            peak.name = Some(name.clone());
        }
        if let Ok(user) = &row.user {
            peak.user = Some(user.clone());
        }
        peak.vram.add(row.vram(), at);
        peak.gtt.add(row.gpu_system_memory(), at);
        peak.max_rss_bytes = peak.max_rss_bytes.max(row.rss_bytes.as_ref().ok().copied());
        peak.last_seen_seconds = at;
        peak.last_sample = self.samples;
    }
}

/// Returns a time in seconds, to the millisecond.
pub(super) fn thousandths(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a sample of processes with these pids, each with an RSS of its pid in KiB.
    fn sample(pids: impl Iterator<Item = u32>) -> SelectedProcesses {
        let row = |pid| {
            let mut row = ProcessRow::new(pid);
            row.rss_bytes = Ok(u64::from(pid) << 10);
            row
        };
        SelectedProcesses { rows: pids.map(row).collect(), ..SelectedProcesses::default() }
    }

    fn pids(peaks: &WatchPeaks) -> Vec<u32> {
        peaks.peaks.values().map(|highs| highs.pid).collect()
    }

    #[test]
    fn the_largest_of_very_many_ended_processes_stay() {
        let kept = u32::try_from(MAX_ENDED_PEAKS).unwrap();
        let mut peaks = WatchPeaks::default();
        let (batch, batches) = (1_000, 50);
        // The pids rise and fall by turns, so that neither the first nor the last processes are the largest.
        for number in 0..batches {
            let turn = if number % 2 == 0 { number } else { batches - number };
            let started = 10 + turn * batch..10 + (turn + 1) * batch;
            peaks.add(&sample([1].into_iter().chain(started)), Duration::from_secs(number.into()));
            let most = 2 * MAX_ENDED_PEAKS + 1 + usize::try_from(batch).unwrap();
            assert!(peaks.peaks.len() <= most, "{}", peaks.peaks.len());
        }
        peaks.add(&sample([1, 2].into_iter()), Duration::from_secs(batches.into()));
        peaks.leave_out_ended();
        let last = 10 + batches * batch;
        let expected: Vec<u32> = [1, 2].into_iter().chain(last - kept..last).collect();
        assert_eq!(pids(&peaks), expected, "the living stay, however small");
        assert_eq!(peaks.left_out(), u64::from(batches * batch - kept));
        let printed = serde_json::to_value(&peaks).unwrap();
        assert_eq!(printed["peaks_left_out"], peaks.left_out());
        assert_eq!(printed["peaks"].as_array().unwrap().len(), expected.len());
    }

    #[test]
    fn nothing_is_left_out_of_few() {
        let kept = u32::try_from(MAX_ENDED_PEAKS).unwrap();
        let mut peaks = WatchPeaks::default();
        peaks.add(&sample(1..=kept), Duration::ZERO);
        peaks.add(&sample(std::iter::empty()), Duration::from_secs(1));
        peaks.leave_out_ended();
        assert_eq!((peaks.peaks.len(), peaks.left_out()), (MAX_ENDED_PEAKS, 0));
    }
}
