//! The driver's lists of processes, merged into one row a process.
//!
//! A process that computes and draws is in several lists, each with all its memory on the device. Such rows
//! are merged, and never added. Managed memory (`cudaMallocManaged`) is in no list.

use std::collections::BTreeMap;

use super::memory::pool_of;
use crate::{
    Unavailable,
    gpu::{
        AmountKind, Device, DeviceId, Figure, FigureScope, FigureSource, Gap, GpuQuerySource, GpuUsage,
        PidSpace, Pool, Reading, Work,
    },
};

/// The highest pid of Linux (`PID_MAX_LIMIT`); Windows has no such limit.
const MAX_PID: Option<u32> = if cfg!(target_os = "linux") { Some(1 << 22) } else { None };

/// The most impossible rows that are reported one by one for each device.
const MAX_REFUSED: usize = 4;

/// One list's entry of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListEntry {
    pub(super) pid: u32,
    /// The GPU instance and the compute instance, if the list is that of a divided GPU. Each instance has its
    /// own memory.
    pub(super) instance: Option<(u32, u32)>,
    pub(super) used: Reading,
    pub(super) work: Work,
}

/// A process, and the instance that it uses.
type Key = (u32, Option<(u32, u32)>);

/// A device's processes by pid, gathered from its lists.
#[derive(Debug)]
pub(super) struct DeviceProcesses<'a> {
    device: &'a Device,
    what: String,
    source: FigureSource,
    rows: BTreeMap<Key, (Reading, Work)>,
    refused: Vec<String>,
}

impl<'a> DeviceProcesses<'a> {
    pub(super) fn of(device: &'a Device, source: FigureSource) -> Self {
        Self { device, what: label(device), source, rows: BTreeMap::new(), refused: Vec::new() }
    }

    /// Adds an entry, or refuses an impossible one.
    pub(super) fn add(&mut self, entry: ListEntry) {
        if let Some(why) = impossible(&entry, self.device.total.reading.upper()) {
            if !self.refused.contains(&why) {
                self.refused.push(why);
            }
            return;
        }
        let row = self.rows.entry((entry.pid, entry.instance));
        let (used, work) = row.or_insert((entry.used.clone(), Work::default()));
        *used = merged(used, entry.used);
        *work = either(*work, entry.work);
    }

    /// Returns the rows, and a gap for each refusal.
    pub(super) fn finish(
        self,
        pid_space: PidSpace,
        holds: impl Fn(u32) -> bool,
    ) -> (Vec<GpuUsage>, Vec<Gap>) {
        let (pool, source) = (pool_of(self.device), self.source);
        let figure =
            |reading, pool| Figure::new(reading, FigureScope::Process, pool, AmountKind::Resident, source);
        let mut by_pid: BTreeMap<u32, (Reading, Work)> = BTreeMap::new();
        for ((pid, _), (used, work)) in self.rows.into_iter().filter(|((pid, _), _)| holds(*pid)) {
            match by_pid.get_mut(&pid) {
                None => drop(by_pid.insert(pid, (used, work))),
                Some(known) => {
                    known.0 = together(&known.0, &used);
                    known.1 = either(known.1, work);
                }
            }
        }
        let usages = by_pid.into_iter().map(|(pid, (used, work))| {
            // NVML does not report the system memory mapped for a process.
            let system = figure(Reading::Unknown(Unavailable::NotSupported), Pool::System);
            let id = self.device.id.clone();
            GpuUsage { pid_space, work, ..GpuUsage::new(pid, id, figure(used, pool), system) }
        });
        let usages = usages.collect();
        let more = self.refused.len().saturating_sub(MAX_REFUSED);
        let mut refused = self.refused;
        refused.truncate(MAX_REFUSED);
        if more > 0 {
            refused.push(format!("{more} more rows"));
        }
        let gap = |why| {
            let source = GpuQuerySource::of(source);
            Gap::of_device(source, &self.device.id, self.what.clone(), Unavailable::Implausible(why))
        };
        (usages, refused.into_iter().map(gap).collect())
    }
}

/// Names the device in gaps by name and id: machines have several of one name.
pub(super) fn label(device: &Device) -> String {
    label_of(device.name.as_deref(), &device.id)
}

pub(super) fn label_of(name: Option<&str>, id: &DeviceId) -> String {
    name.map_or_else(|| id.to_string(), |name| format!("{name} at {id}"))
}

fn impossible(entry: &ListEntry, total: Option<u64>) -> Option<String> {
    let ListEntry { pid, used, .. } = entry;
    if *pid == 0 || MAX_PID.is_some_and(|max| *pid > max) {
        return Some(format!("a process with pid {pid}"));
    }
    match (used.lower(), total) {
        (Some(used), Some(total)) if used > total => {
            Some(format!("process {pid} holds {used} bytes of {total}"))
        }
        _ => None,
    }
}

/// Merges two lists' amounts of one process, each of which is all its memory. They are read one after the
/// other, so if they differ the truth was both.
fn merged(one: &Reading, other: Reading) -> Reading {
    match (one.lower().zip(one.upper()), other.lower().zip(other.upper())) {
        (Some(one), Some(other)) => Reading::between(one.0.min(other.0), one.1.max(other.1)),
        (None, Some(_)) => other,
        (_, None) => one.clone(),
    }
}

/// Joins a process's amounts in two instances of a divided GPU. GPU instances have separate memory, but
/// compute instances of one GPU instance share it, so the truth is all or part of the sum.
fn together(one: &Reading, other: &Reading) -> Reading {
    let Some(lower) = one.lower().max(other.lower()) else { return one.clone() };
    match one.upper().zip(other.upper()) {
        Some((one, other)) => Reading::between(lower, one.saturating_add(other)),
        None => Reading::AtLeast(lower),
    }
}

fn either(one: Work, other: Work) -> Work {
    Work {
        compute: one.compute || other.compute,
        graphics: one.graphics || other.graphics,
        mps: one.mps || other.mps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPUTE: Work = Work { compute: true, graphics: false, mps: false };
    const GRAPHICS: Work = Work { compute: false, graphics: true, mps: false };

    fn device() -> Device {
        let total = Figure::new(
            Reading::Known(1000),
            FigureScope::Device,
            Pool::Dedicated,
            AmountKind::Capacity,
            FigureSource::Nvml,
        );
        Device::named(DeviceId::new("0000:01:00.0"), &total)
    }

    fn finish(entries: &[(u32, Reading, Work)]) -> (Vec<(u32, Reading, Work)>, Vec<String>) {
        let device = device();
        let mut processes = DeviceProcesses::of(&device, FigureSource::Nvml);
        for (pid, used, work) in entries.iter().cloned() {
            processes.add(ListEntry { pid, instance: None, used, work });
        }
        let (usages, gaps) = processes.finish(PidSpace::Own, |_| true);
        let rows = usages.into_iter().map(|usage| (usage.pid, usage.vram.reading, usage.work));
        (rows.collect(), gaps.into_iter().map(|gap| gap.why.to_string()).collect())
    }

    #[test]
    fn a_process_in_two_lists_is_one_and_its_memory_is_not_added() {
        let both = Work { compute: true, graphics: true, mps: false };
        let seven = Reading::Known(7);
        let (rows, gaps) = finish(&[(5, seven.clone(), COMPUTE), (5, seven.clone(), GRAPHICS)]);
        assert_eq!((rows, gaps.len()), (vec![(5, seven.clone(), both)], 0));
        let (rows, _) = finish(&[(5, seven, COMPUTE), (5, Reading::Known(9), GRAPHICS)]);
        assert_eq!(rows[0].1, Reading::Between { lower: 7, upper: 9 });
    }

    #[test]
    fn a_process_in_two_instances_is_one_row() {
        let (three, four) = (Reading::Known(3), Reading::Known(4));
        assert_eq!(together(&three, &four), Reading::Between { lower: 4, upper: 7 });
        let unknown = Reading::Unknown(Unavailable::DriverSaysNotAvailable);
        assert_eq!(together(&three, &unknown), Reading::AtLeast(3));
        assert_eq!(together(&unknown, &three), Reading::AtLeast(3));
        assert_eq!(together(&unknown, &unknown), unknown);
    }

    #[test]
    fn an_unknown_row_is_completed_by_other_lists() {
        let unknown = Reading::Unknown(Unavailable::DriverSaysNotAvailable);
        let (rows, gaps) = finish(&[(5, unknown.clone(), COMPUTE)]);
        assert_eq!((rows, gaps.len()), (vec![(5, unknown.clone(), COMPUTE)], 0));
        for order in [[unknown.clone(), Reading::Known(7)], [Reading::Known(7), unknown]] {
            let [first, second] = order;
            assert_eq!(finish(&[(5, first, COMPUTE), (5, second, COMPUTE)]).0[0].1, Reading::Known(7));
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason() {
        let one = Reading::Known(1);
        let (rows, gaps) = finish(&[(0, one.clone(), COMPUTE), (7, Reading::Known(1001), COMPUTE)]);
        assert_eq!(rows, []);
        assert!(gaps[0].ends_with("a process with pid 0"), "{gaps:?}");
        assert!(gaps[1].ends_with("process 7 holds 1001 bytes of 1000"), "{gaps:?}");
        if cfg!(target_os = "linux") {
            assert_eq!(finish(&[(u32::MAX, one, COMPUTE)]).0, []);
        }
        let many: Vec<_> = (1..50).map(|pid| (pid, Reading::Known(2000), COMPUTE)).collect();
        assert_eq!(finish(&many).1.len(), MAX_REFUSED + 1);
    }
}
