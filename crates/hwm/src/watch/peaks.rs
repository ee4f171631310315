//! The highest values that were seen, a row each process and device.

use std::{collections::BTreeMap, time::Duration};

use highwater::{
    gpu::{DeviceId, Figure, PidSpace, Reading},
    listing::{HoldingDevice, ProcessRow},
};
use serde::{Serialize, Serializer};

use crate::{output::formats::documents::HoldingDeviceEntry, process_listing::SelectedProcesses};

/// The peaks of processes and of devices.
#[derive(Debug, Default, Serialize)]
pub(super) struct WatchPeaks {
    #[serde(serialize_with = "values")]
    peaks: BTreeMap<PeakKey, ProcessHighs>,
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

    pub(super) fn add(&mut self, found: &SelectedProcesses, elapsed: Duration) {
        let at = thousandths(elapsed);
        for row in &found.rows {
            self.add_row(row, at);
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
    }
}

/// Returns a time in seconds, to the millisecond.
pub(super) fn thousandths(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}
