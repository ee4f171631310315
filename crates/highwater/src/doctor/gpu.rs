//! GPUs: whether devices report their memory, and whether every process can be read.

use crate::{
    Roots,
    doctor::{
        MechanismState,
        prospect::{MechanismUse, Wish},
    },
    gpu::{Device, Gap, Monitor},
};

/// Memory of GPUs, for users.
pub(super) const MEMORY_WISH: Wish = Wish {
    name: "GPU memory",
    ways: &[
        MechanismUse { mechanism: "gpu processes", gives: "GPU memory of each process", option: None },
        MechanismUse { mechanism: "gpu devices", gives: "GPU memory of each device", option: None },
    ],
};

const TO_SEE_THEM: &str = if cfg!(windows) {
    "run it in an elevated console (as administrator) to see them"
} else {
    "run as root to see them"
};

pub(super) fn devices(roots: &Roots) -> MechanismState {
    let mut monitor = Monitor::with_roots(roots.clone());
    let devices = monitor.devices();
    let gaps = said(monitor.gaps());
    match (devices.is_empty(), gaps.is_empty()) {
        (true, true) => MechanismState::missing("no GPU and no GPU driver was found"),
        (true, false) if cfg!(target_os = "linux") && !roots.sys.join("class").exists() => {
            MechanismState::missing(gaps).or("mount sysfs at /sys (bwrap: --ro-bind /sys /sys)")
        }
        (true, false) => {
            MechanismState::missing(gaps).or("repair or reinstall the driver; hwm doctor --raw shows more")
        }
        (false, true) => MechanismState::works_with(named(&devices)),
        (false, false) => MechanismState::works_with(format!("{}; but {gaps}", named(&devices))),
    }
}

pub(super) fn processes(roots: &Roots) -> MechanismState {
    let mut monitor = Monitor::with_roots(roots.clone());
    if monitor.count() == 0 {
        let gaps = said(monitor.gaps());
        return MechanismState::missing(if gaps.is_empty() { "no GPU was found".to_owned() } else { gaps });
    }
    let listing = monitor.usages();
    let refused = listing.refused.len();
    if refused > 0 {
        return MechanismState::missing(format!("{refused} processes cannot be read")).or(TO_SEE_THEM);
    }
    if !listing.gaps.is_empty() {
        return MechanismState::missing(said(&listing.gaps));
    }
    let mut pids: Vec<u32> = listing.usages.iter().map(|usage| usage.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    MechanismState::works_with(format!("{} hold some now", pids.len()))
}

fn named(devices: &[Device]) -> String {
    let one = |device: &Device| {
        let unread = if device.is_readable() { "" } else { " (its memory is unknown)" };
        let driver = device.driver.as_deref().map_or_else(String::new, |driver| format!(" [{driver}]"));
        format!("{} {}{driver}{unread}", device.index, device.label())
    };
    devices.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn said(gaps: &[Gap]) -> String {
    gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.why)).collect::<Vec<_>>().join("; ")
}
