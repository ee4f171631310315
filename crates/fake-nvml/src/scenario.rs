//! The situation that is played. Each was observed on a real machine, or is allowed by `nvml.h`.

use std::{env, sync::OnceLock};

use crate::{Handle, code};

/// `NVML_VALUE_NOT_AVAILABLE` as an amount.
pub(crate) const NOT_AVAILABLE: u64 = u64::MAX;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Returns the name of the situation.
pub(crate) fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| env::var("FAKE_NVML").unwrap_or_else(|_| "normal".to_owned()))
}

pub(crate) fn is(name: &str) -> bool {
    self::name() == name
}

/// Returns the result of `nvmlInit`.
pub(crate) fn init() -> u32 {
    match name() {
        "mismatch" => code::LIB_RM_VERSION_MISMATCH,
        "driver_not_loaded" => code::DRIVER_NOT_LOADED,
        "abort" => std::process::abort(),
        "hang" => loop {
            std::thread::sleep(std::time::Duration::from_secs(60));
        },
        _ => code::SUCCESS,
    }
}

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlayedDevice {
    Gpu(u32),
    /// A part of the first GPU (MIG).
    Part(u32),
}

impl PlayedDevice {
    pub(crate) fn of(handle: Handle) -> Option<Self> {
        match handle {
            0x10..0x20 => Some(Self::Gpu(u32::try_from(handle - 0x10).ok()?)),
            0x20..0x30 => Some(Self::Part(u32::try_from(handle - 0x20).ok()?)),
            _ => None,
        }
    }

    pub(crate) fn handle(self) -> Handle {
        match self {
            Self::Gpu(index) => 0x10 + index as usize,
            Self::Part(place) => 0x20 + place as usize,
        }
    }

    pub(crate) fn bus_id(self) -> Option<&'static str> {
        match self {
            Self::Gpu(0) => Some("00000000:3B:00.0"),
            Self::Gpu(_) if is("one_address") => Some("00000000:3B:00.0"),
            Self::Gpu(_) => Some("00000000:AF:00.0"),
            Self::Part(_) => None,
        }
    }

    pub(crate) fn uuid(self) -> &'static str {
        match self {
            Self::Gpu(0) => "GPU-00000000-aaaa-bbbb-cccc-000000000000",
            Self::Gpu(_) => "GPU-00000001-aaaa-bbbb-cccc-000000000001",
            Self::Part(0) => "MIG-00000000-1111-2222-3333-000000000000",
            Self::Part(_) => "MIG-00000002-1111-2222-3333-000000000002",
        }
    }

    pub(crate) fn model(self) -> &'static str {
        match self {
            Self::Part(_) => "NVIDIA Fake 80GB MIG 1g.10gb",
            Self::Gpu(_) if is("gb10") => "NVIDIA GB10",
            Self::Gpu(_) => "NVIDIA Fake 80GB",
        }
    }

    /// Returns the code with which all queries of the device fail, or success.
    pub(crate) fn refusal(self) -> u32 {
        if is("gpu_lost_later") && self == Self::Gpu(1) { code::GPU_IS_LOST } else { code::SUCCESS }
    }
}

pub(crate) fn gpus() -> u32 {
    match name() {
        "gb10" | "mig" | "mig_privileged" => 1,
        "no_gpus" => 0,
        _ => 2,
    }
}

pub(crate) fn is_divided() -> bool {
    is("mig") || is("mig_privileged")
}

/// Returns the GPU instance and the compute instance of a part. The second place is empty.
pub(crate) fn instance(place: u32) -> Option<(u32, u32)> {
    match place {
        0 => Some((1, 0)),
        2 => Some((3, 0)),
        _ => None,
    }
}

/// Returns total, reserved, free, used (bytes).
pub(crate) fn memory(place: PlayedDevice) -> Result<[u64; 4], u32> {
    const TOTAL: u64 = 80 * GIB;
    const RESERVED: u64 = 506 * MIB;
    match (name(), place) {
        ("gb10", _) | ("no_memory_info", PlayedDevice::Gpu(0)) => Err(code::NOT_SUPPORTED),
        ("mig", PlayedDevice::Gpu(_)) => Err(code::NO_PERMISSION),
        ("all_zero", _) => Ok([0; 4]),
        ("no_amounts", _) => Ok([NOT_AVAILABLE; 4]),
        ("more_than_all", _) => Ok([TOTAL, 0, TOTAL - GIB, TOTAL - GIB]),
        ("garbage", _) => Ok([TOTAL, u64::MAX, u64::MAX / 3, 0x5a5a_5a5a_5a5a_5a5a]),
        (_, PlayedDevice::Part(_)) => Ok([10 * GIB, 16 * MIB, 7 * GIB, 3 * GIB]),
        // `used` contains what is reserved.
        (_, PlayedDevice::Gpu(0)) => Ok([TOTAL, RESERVED, TOTAL - RESERVED - 5 * GIB, RESERVED + 5 * GIB]),
        // `used` does not contain it.
        (_, PlayedDevice::Gpu(_)) => Ok([TOTAL, RESERVED, TOTAL - RESERVED - GIB, GIB]),
    }
}

/// A list of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowList {
    Compute,
    Graphics,
    Mps,
}

// Pids of made-up processes are close below Linux' PID_MAX_LIMIT (include/linux/threads.h: 4 x 1024 x 1024): a machine
// gives them to its own processes only after four million others.
const COMPUTE_PID: u32 = 4_184_242;
const GRAPHICS_PID: u32 = 4_184_300;
const MPS_PID: u32 = 4_184_400;
const FIRST_PID_OF_MANY: u32 = 4_185_000;
const HOST_PID: u32 = 4_190_000;

/// A row: pid, bytes, GPU instance, compute instance.
pub(crate) type Row = (u32, u64, u32, u32);

/// Returns the rows of a list, for a program whose pid is `own`.
pub(crate) fn rows(list: RowList, place: PlayedDevice, own: u32) -> Result<Vec<Row>, u32> {
    const NONE: u32 = u32::MAX;
    let whole = |rows: &[(u32, u64)]| Ok(rows.iter().map(|(pid, used)| (*pid, *used, NONE, NONE)).collect());
    if let ("rows", PlayedDevice::Gpu(0), RowList::Compute) = (name(), place, list) {
        return whole(&listed_rows());
    }
    match (name(), place, list) {
        ("rows", ..) => Ok(Vec::new()),
        ("mig", PlayedDevice::Gpu(_), _) | ("graphics_refused", PlayedDevice::Gpu(0), RowList::Graphics) => {
            Err(code::NO_PERMISSION)
        }
        // The list of the whole has the rows of its parts, and one of a part that this process may not use.
        ("mig_privileged", PlayedDevice::Gpu(_), RowList::Compute) => {
            Ok(vec![(own, 2 * GIB, 1, 0), (COMPUTE_PID, GIB, 3, 0), (GRAPHICS_PID, GIB, 5, 0)])
        }
        (_, PlayedDevice::Part(0), RowList::Compute) => Ok(vec![(own, 2 * GIB, 1, 0)]),
        (_, PlayedDevice::Part(2), RowList::Compute) => Ok(vec![(COMPUTE_PID, GIB, 3, 0)]),
        ("not_available", PlayedDevice::Gpu(0), RowList::Compute) => {
            whole(&[(own, NOT_AVAILABLE), (COMPUTE_PID, NOT_AVAILABLE)])
        }
        ("host_pid", PlayedDevice::Gpu(0), RowList::Compute) => whole(&[(2, GIB), (HOST_PID, 2 * GIB)]),
        ("used_gt_total", PlayedDevice::Gpu(0), RowList::Compute) => {
            whole(&[(own, 3 * GIB), (COMPUTE_PID, 81 * GIB)])
        }
        ("pid0", PlayedDevice::Gpu(0), RowList::Compute) => whole(&[(0, GIB), (own, 3 * GIB)]),
        ("growing", PlayedDevice::Gpu(0), RowList::Compute) => {
            Ok((0..300).map(|place| (FIRST_PID_OF_MANY + place, MIB, NONE, NONE)).collect())
        }
        ("same_pid", PlayedDevice::Gpu(0), _) => whole(&[(own, 3 * GIB)]),
        ("same_pid_apart", PlayedDevice::Gpu(0), RowList::Compute) => {
            whole(&[(own, 3 * GIB), (COMPUTE_PID, NOT_AVAILABLE)])
        }
        ("same_pid_apart", PlayedDevice::Gpu(0), RowList::Graphics) => {
            whole(&[(own, 4 * GIB), (COMPUTE_PID, GIB)])
        }
        ("no_graphics_list", _, RowList::Graphics | RowList::Mps) => Err(code::NOT_SUPPORTED),
        (_, PlayedDevice::Gpu(0), RowList::Compute) => whole(&[(own, 3 * GIB), (COMPUTE_PID, 2 * GIB)]),
        (_, PlayedDevice::Gpu(0), RowList::Graphics) => whole(&[(GRAPHICS_PID, 64 * MIB)]),
        (_, PlayedDevice::Gpu(1), RowList::Mps) => whole(&[(MPS_PID, 512 * MIB)]),
        _ => Ok(Vec::new()),
    }
}

/// Returns the rows that a job wrote about itself, a line of pid and MiB each, in the file that
/// `FAKE_NVML_ROWS` names.
fn listed_rows() -> Vec<(u32, u64)> {
    let file = env::var_os("FAKE_NVML_ROWS").unwrap_or_default();
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (pid, mib) = line.split_once(' ')?;
            Some((pid.parse().ok()?, mib.parse::<u64>().ok()? * MIB))
        })
        .collect()
}

/// Returns a process's peak in bytes if accounting is on, and whether the process still runs.
pub(crate) fn peak(pid: u32, own: u32) -> Option<(u64, bool)> {
    match pid {
        _ if pid == own => Some((6 * GIB, true)),
        COMPUTE_PID => Some((NOT_AVAILABLE, true)),
        // It is an earlier process's with that pid.
        GRAPHICS_PID => Some((70 * GIB, false)),
        _ => None,
    }
}
