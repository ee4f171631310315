//! `/sys/class/kfd/kfd`: VRAM that processes have allocated through `ROCm` (`kfd_procfs_show` in
//! `kfd_process.c`). The fdinfo of their render nodes contains the same memory, so these figures are never
//! added. They are used if fdinfo shows nothing of a process on a device, and by the doctor as a second
//! source.

use std::path::Path;

use super::{cards::Card, sysfs};
use crate::{Roots, gpu::DeviceId, process::INITIAL_PID_NAMESPACE};

/// The VRAM of one process on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KfdMemory {
    pub(super) pid: u32,
    /// The position of the device among the cards.
    pub(super) card: usize,
    /// The device's number in KFD.
    pub(super) gpu: u64,
    pub(super) bytes: u64,
}

/// Returns whether the pids of `roots` are the host's, which are the only ones that KFD uses.
pub(super) fn has_host_pids(roots: &Roots) -> bool {
    // A recorded tree may have no `self`; it was recorded as a whole.
    std::fs::read_link(roots.proc.join("self/ns/pid"))
        .map_or(!roots.is_this_machine(), |namespace| namespace == Path::new(INITIAL_PID_NAMESPACE))
}

/// Returns all that KFD reports of devices among `cards`; nothing if there is no KFD.
pub(super) fn memory(roots: &Roots, cards: &[Card]) -> Vec<KfdMemory> {
    let kfd = roots.sys.join("class/kfd/kfd");
    let processes = kfd.join("proc");
    let pids: Vec<u32> =
        sysfs::names(&processes).unwrap_or_default().iter().filter_map(|n| n.parse().ok()).collect();
    if pids.is_empty() {
        return Vec::new();
    }
    let gpus = gpus(&kfd.join("topology/nodes"), cards);
    let mut rows = Vec::<KfdMemory>::new();
    for pid in pids {
        let process = processes.join(pid.to_string());
        for &(gpu, card) in &gpus {
            // The process has ended, or does not use this device.
            let Ok(bytes) = sysfs::number(&process.join(format!("vram_{gpu}"))) else { continue };
            rows.push(KfdMemory { pid, card, gpu, bytes });
        }
    }
    rows
}

/// Returns KFD's numbers of the cards.
fn gpus(nodes: &Path, cards: &[Card]) -> Vec<(u64, usize)> {
    let mut gpus = Vec::new();
    for name in sysfs::names(nodes).unwrap_or_default() {
        let node = nodes.join(name);
        // 0 is a processor.
        let Some(gpu) = sysfs::number(&node.join("gpu_id")).ok().filter(|&gpu| gpu != 0) else { continue };
        let Some(id) = sysfs::text(&node.join("properties")).ok().and_then(|text| address(&text)) else {
            continue;
        };
        if let Some(card) = cards.iter().position(|card| card.id == id) {
            gpus.push((gpu, card));
        }
    }
    gpus
}

/// Reads the PCI address in a node's properties (`kfd_topology.c`). `location_id` has the bus in bits 8 to
/// 15, device and function below. Partitions of a device have more above.
fn address(properties: &str) -> Option<DeviceId> {
    let property = |name: &str| {
        properties
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
    };
    let (location, domain) = (property("location_id")?, property("domain").unwrap_or(0));
    let (bus, device, function) = (location >> 8 & 0xff, location >> 3 & 0x1f, location & 7);
    Some(DeviceId::new(&format!("{domain:04x}:{bus:02x}:{device:02x}.{function}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_a_node() {
        let of = |text: &str| address(text).map(|id| id.to_string());
        assert_eq!(of("simd_count 128\nlocation_id 768\ndomain 0\n").as_deref(), Some("0000:03:00.0"));
        assert_eq!(of("location_id 50465\ndomain 1\n").as_deref(), Some("0001:c5:04.1"));
        assert_eq!(of("location_id 768\n").as_deref(), Some("0000:03:00.0"));
        assert_eq!(of("location_idx 768\n"), None);
    }
}
