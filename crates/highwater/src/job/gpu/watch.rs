//! Reads the devices while a job runs, in a thread of its own, because a driver may be slow or hang.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use super::{GpuSample, MemberGpuUse, OnDevice};
use crate::{
    Roots, Unavailable,
    gpu::{Device, FigureSource, Gap, GpuQuerySource, Listing, Monitor, PidSpace},
    job::{
        Pace,
        identity::MemberId,
        os::{OpenDevices, thread_with_signals_blocked},
    },
};

/// Longest wait for the drivers to open: NVML takes seconds if no persistence daemon runs.
const DRIVER_OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the last sample.
const LAST_SAMPLE_TIMEOUT: Duration = Duration::from_secs(1);
/// Shortest and longest pause between two samples at an adaptive pace.
const MIN_SAMPLE_PAUSE: Duration = Duration::from_millis(20);
const MAX_SAMPLE_PAUSE: Duration = Duration::from_millis(500);
/// Divisor of the time until the next sample: a sample may cost this share of it.
const SAMPLE_COST_DIVISOR: u32 = 50;

/// Stack of the thread: drivers' libraries need more than code of this library.
const WATCH_STACK_BYTES: usize = 2 << 20;

/// The thread that reads the devices.
#[derive(Debug)]
pub(crate) struct GpuWatch {
    samples: Receiver<GpuSample>,
    shared: Arc<WatchShared>,
    /// Samples from before the job began.
    first: Vec<GpuSample>,
    is_open: bool,
}

#[derive(Debug, Default)]
struct WatchShared {
    state: Mutex<WatchState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct WatchState {
    members: HashMap<u32, MemberId>,
    over: bool,
}

impl GpuWatch {
    /// Opens the drivers and reads the devices once, before the job begins.
    pub(crate) fn start(roots: &Roots, pace: Pace) -> Self {
        let shared = Arc::new(WatchShared::default());
        let (sender, samples) = channel();
        let (thread_shared, roots) = (Arc::clone(&shared), roots.clone());
        // Without a thread there are no samples, and the record says so.
        let started = thread_with_signals_blocked::start("hw-gpu", WATCH_STACK_BYTES, move || {
            read(&roots, pace, &thread_shared, &sender);
        });
        let mut watch = Self { samples, shared, first: Vec::new(), is_open: started.is_ok() };
        match watch.samples.recv_timeout(DRIVER_OPEN_TIMEOUT) {
            Ok(sample) => watch.first.push(sample),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => watch.is_open = false,
        }
        watch
    }

    /// Returns whether the drivers have answered.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Sets the members to be read from now on.
    pub(crate) fn follow(&self, members: impl Iterator<Item = (u32, MemberId)>) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.members.clear();
        state.members.extend(members);
    }

    /// Returns the samples since the last call.
    pub(crate) fn drain(&mut self) -> Vec<GpuSample> {
        let mut samples = std::mem::take(&mut self.first);
        samples.extend(self.samples.try_iter());
        samples
    }

    /// Ends the thread and returns its last samples. A driver that hangs is left behind.
    pub(crate) fn finish(&mut self) -> Vec<GpuSample> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.shared.changed.notify_all();
        let mut samples = self.drain();
        let deadline = Instant::now() + LAST_SAMPLE_TIMEOUT;
        let left = || deadline.saturating_duration_since(Instant::now());
        if self.is_open {
            samples.extend(std::iter::from_fn(|| self.samples.recv_timeout(left()).ok()));
        }
        samples
    }
}

/// Reads until the job is over.
fn read(roots: &Roots, pace: Pace, shared: &WatchShared, samples: &Sender<GpuSample>) {
    let mut monitor = Monitor::beside_a_job(roots.clone());
    let mut is_first = true;
    loop {
        let members = shared.state.lock().unwrap_or_else(PoisonError::into_inner).members.clone();
        let begin = Instant::now();
        let open_before = is_first.then(|| OpenDevices::now(roots));
        let sample = sample(&mut monitor, &members, is_first);
        is_first = false;
        if let Some(open_before) = open_before {
            open_before.keep_later_ones_from_the_job(roots);
        }
        let found_nothing = sample.devices.is_empty();
        let cost = begin.elapsed();
        // The receiver is gone, or there is no device to read.
        if samples.send(sample).is_err() || found_nothing {
            return;
        }
        let pause = match pace {
            Pace::Fixed { interval, .. } => interval,
            Pace::Adaptive => (cost * SAMPLE_COST_DIVISOR).clamp(MIN_SAMPLE_PAUSE, MAX_SAMPLE_PAUSE),
        };
        let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = shared.changed.wait_timeout_while(state, pause, |state| !state.over);
        if waited.unwrap_or_else(PoisonError::into_inner).0.over {
            return;
        }
    }
}

/// Takes a sample. `with_others` reads all users of the devices, which costs a walk over the whole machine. Otherwise
/// only the members are read.
fn sample(monitor: &mut Monitor, members: &HashMap<u32, MemberId>, with_others: bool) -> GpuSample {
    let devices = monitor.devices();
    // Opening the drivers may have taken seconds; the readings are of now.
    let taken = Instant::now();
    let listing = if with_others {
        monitor.usages()
    } else {
        let pids: HashSet<u32> = members.keys().copied().collect();
        monitor.usages_of(&pids)
    };
    let on = devices.iter().map(|device| on_device(device, &devices, &listing, members)).collect();
    GpuSample { taken, devices: on, gaps: listing.gaps }
}

/// Returns whether a gap may hide users of a device: it names the device, or names none and comes from the same kind of
/// driver.
fn hides_users_of(device: &Device, all: &[Device], gap: &Gap) -> bool {
    if gap.why == Unavailable::PidNamespace {
        // It is handled separately.
        return false;
    }
    match &gap.device {
        Some(id) if all.iter().any(|device| device.id == *id) => device.id == *id,
        _ => {
            let is_of_nvidia = matches!(gap.source, GpuQuerySource::Nvml | GpuQuerySource::NvidiaSmi);
            is_of_nvidia == is_asked_by_nvidia(device)
        }
    }
}

fn is_asked_by_nvidia(device: &Device) -> bool {
    matches!(device.used.source, FigureSource::Nvml | FigureSource::NvidiaSmi)
}

fn on_device(
    device: &Device,
    all: &[Device],
    listing: &Listing,
    members: &HashMap<u32, MemberId>,
) -> OnDevice {
    // A gap does not name its device. A gap of pid namespaces belongs to the driver that names processes by pids of the
    // host.
    let by_nvidia = is_asked_by_nvidia(device);
    let names_host_pids = by_nvidia && listing.gaps.iter().any(|gap| gap.why == Unavailable::PidNamespace);
    let is_partial = listing.gaps.iter().any(|gap| hides_users_of(device, all, gap))
        || !by_nvidia && listing.refused.iter().any(|pid| members.contains_key(pid));
    let mut on =
        OnDevice { device: device.clone(), rows: Vec::new(), others: 0, names_host_pids, is_partial };
    for usage in listing.usages.iter().filter(|usage| usage.device == on.device.id) {
        let id = members.get(&usage.pid).filter(|_| usage.pid_space == PidSpace::Own);
        on.names_host_pids |= usage.pid_space == PidSpace::Host;
        let Some(&id) = id else {
            on.others += 1;
            continue;
        };
        on.rows.push(MemberGpuUse {
            id,
            vram: usage.vram.reading.clone(),
            system: usage.system.reading.clone(),
            shares: !usage.shared_with.is_empty(),
            peak: usage.peak.as_ref().and_then(|peak| peak.reading.known()),
        });
    }
    on
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{AmountKind, DeviceId, Figure, FigureScope, Pool, Reading};

    fn device(id: &str, source: FigureSource) -> Device {
        let reading = Reading::Unknown(Unavailable::NotProvided);
        let figure = Figure::new(reading, FigureScope::Device, Pool::Dedicated, AmountKind::Resident, source);
        Device::named(DeviceId::new(id), &figure)
    }

    #[test]
    fn a_gap_covers_its_device_or_source() {
        let whole = device("GPU-1", FigureSource::Nvml);
        let part = device("GPU-1/0", FigureSource::Nvml);
        let other = device("0000:03:00.0", FigureSource::Fdinfo);
        let all = [whole, part, other];
        let hidden = |gap: Gap| [0, 1, 2].map(|place: usize| hides_users_of(&all[place], &all, &gap));
        let failed = || Unavailable::Failed("reason".into());

        let of_part = Gap::of_device(GpuQuerySource::Nvml, &all[1].id, "a part at GPU-1/0", failed());
        assert_eq!(hidden(of_part), [false, true, false], "the name of the part contains that of the whole");
        let of_nvml = Gap::of_source(GpuQuerySource::Nvml, "NVML", failed());
        assert_eq!(hidden(of_nvml), [true, true, false], "the text does not decide");
        let of_drm = Gap::of_source(GpuQuerySource::Drm, "nvidia: /dev/dri/renderD200", failed());
        assert_eq!(hidden(of_drm), [false, false, true]);
        let of_pids = Gap::of_source(GpuQuerySource::Nvml, "nvidia", Unavailable::PidNamespace);
        assert_eq!(hidden(of_pids), [false; 3]);
    }
}
