//! The program `nvidia-smi`, used if NVML cannot be.
//!
//! It prints whole MiB and does not say how it rounds, so its figures are bounds. It lists processes that
//! compute, and no others.

mod run;
mod table;

use std::time::{Duration, Instant};

use self::table::Gpu;
use super::{
    WantedPids,
    memory::MemoryAmounts,
    processes::{DeviceProcesses, ListEntry},
    trace,
};
use crate::{
    Unavailable,
    gpu::{
        AmountKind, Device, DeviceId, Figure, FigureScope, FigureSource, Gap, GpuQuerySource, Listing, Pool,
        Reading, Work,
    },
};

/// One start of the program reports all devices. Its answer serves the reads that follow within this time.
const ANSWER_LIFETIME: Duration = Duration::from_millis(100);

/// The program's last answer.
#[derive(Debug)]
pub(super) struct Smi {
    gpus: Vec<Gpu>,
    at: Instant,
    /// The reason of the last failure.
    failure: Option<Unavailable>,
}

impl Smi {
    /// Starts the program to list the devices.
    pub(super) fn find() -> Result<(Self, Vec<Device>), Unavailable> {
        let gpus = gpus()?;
        let devices = gpus.iter().map(identify).collect();
        Ok((Self { gpus, at: Instant::now(), failure: None }, devices))
    }

    pub(super) fn read(&mut self, device: &mut Device) {
        if self.at.elapsed() > ANSWER_LIFETIME {
            match gpus() {
                Ok(gpus) => (self.gpus, self.failure) = (gpus, None),
                Err(why) => self.failure = Some(why),
            }
            self.at = Instant::now();
        }
        let listed = self.gpus.iter().find(|gpu| id(gpu) == device.id);
        let amounts = match (&self.failure, listed) {
            (Some(why), _) => MemoryAmounts::unknown(why),
            (None, None) => {
                MemoryAmounts::unknown(&Unavailable::Failed("nvidia-smi no longer lists it".into()))
            }
            (None, Some(gpu)) => gpu.amounts.clone(),
        };
        amounts.store(device, FigureSource::NvidiaSmi);
    }

    pub(super) fn usages(&mut self, devices: &[Device], wanted: WantedPids<'_>, into: &mut Listing) {
        let gap = |what: &str, why| Gap::of_source(GpuQuerySource::NvidiaSmi, what, why);
        let why = Unavailable::Failed("it lists only processes that compute".into());
        into.gaps.push(gap("nvidia-smi, processes (graphics)", why));
        let rows = match run::nvidia_smi(&table::APPS).and_then(|text| table::apps(&text)) {
            Ok(rows) => rows,
            Err(why) => {
                into.gaps.push(gap("nvidia-smi, processes (compute)", why));
                return;
            }
        };
        trace(|| format!("nvidia-smi: processes {rows:?}"));
        let is_known = |uuid: &String| devices.iter().any(|device| device.uuid.as_ref() == Some(uuid));
        for row in rows.iter().filter(|row| !is_known(&row.uuid)) {
            let why = Unavailable::Implausible(format!("process {} on a device that is not listed", row.pid));
            into.gaps.push(gap(&format!("nvidia-smi, {}", row.uuid), why));
        }
        for device in devices {
            let mut device = device.clone();
            self.read(&mut device);
            let mut processes = DeviceProcesses::of(&device, FigureSource::NvidiaSmi);
            for row in rows.iter().filter(|row| Some(&row.uuid) == device.uuid.as_ref()) {
                let work = Work { compute: true, ..Work::default() };
                processes.add(ListEntry { pid: row.pid, instance: None, used: row.used.clone(), work });
            }
            let (usages, gaps) = processes.finish(wanted.pid_space, |pid| wanted.holds(pid));
            into.usages.extend(usages);
            into.gaps.extend(gaps);
        }
    }

    pub(super) fn raw() -> Vec<String> {
        let mut lines = Vec::new();
        for query in [&table::GPUS[..], &table::APPS] {
            let output = run::nvidia_smi(query);
            let text = output.unwrap_or_else(|why| why.to_string());
            lines.extend(text.lines().map(|line| format!("{}: {line}", query[0])));
        }
        lines
    }
}

fn gpus() -> Result<Vec<Gpu>, Unavailable> {
    let gpus = match run::nvidia_smi(&table::GPUS) {
        // Drivers before R510 lack `memory.reserved`, and refuse the whole query.
        Err(Unavailable::DriverBroken { code: 2, .. }) => {
            table::gpus(&run::nvidia_smi(&table::GPUS_BEFORE_R510)?, false)?
        }
        text => table::gpus(&text?, true)?,
    };
    trace(|| format!("nvidia-smi: devices {gpus:?}"));
    Ok(gpus)
}

/// Returns the identity that NVML's session would give.
fn id(gpu: &Gpu) -> DeviceId {
    let address = DeviceId::new(&gpu.bus_id);
    if address.pci().is_some() { address } else { DeviceId::new(&gpu.uuid) }
}

fn identify(gpu: &Gpu) -> Device {
    let unknown = Reading::Unknown(Unavailable::DriverSaysNotAvailable);
    let unknown = Figure::new(
        unknown,
        FigureScope::Device,
        Pool::Dedicated,
        AmountKind::Resident,
        FigureSource::NvidiaSmi,
    );
    let mut device = Device::named(id(gpu), &unknown);
    device.uuid = Some(gpu.uuid.clone());
    device.name.clone_from(&gpu.name);
    device.driver = Some("nvidia".to_owned());
    device.driver_version.clone_from(&gpu.driver_version);
    device
}
