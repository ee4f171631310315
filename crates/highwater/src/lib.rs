//! Measures the memory of a process, and of a whole job (a command and all its descendants) at its peak.
//! Every figure says what it counts, where it comes from and how certain it is. An unknown figure is never 0.
//!
//! | to | start with | feature |
//! |---|---|---|
//! | run a command and measure it with its descendants | `Job` | `job` |
//! | read a record that `hwm run --json` wrote | `record::Record` | `record` |
//! | compare records, find leaks | `analysis` | `record` |
//! | see which mechanisms work on this machine | `doctor::examine` | `job` |
//! | read this process: RAM and GPU memory | [`Snapshot`] | - |
//! | print the difference of two snapshots | `MemoryReport` | `report` |
//! | read any process: RSS, PSS, USS, swap, peak RSS | [`ProcessMemory`] | - |
//! | list GPUs and the processes that use them | [`gpu::Monitor`] | - |
//! | list processes with user, RSS and GPU memory | [`listing::ProcessLister`] | - |
//!
//! # Measure a job
//!
//! `Job` follows the command and all its descendants. The peak of a sum is known inside an interval:
//!
#![cfg_attr(feature = "job", doc = "```")]
#![cfg_attr(not(feature = "job"), doc = "```ignore")]
//! let record = highwater::Job::new("cargo").arg("--version").run()?;
//! println!("{} processes in {} s", record.capture.processes_seen, record.duration_seconds);
//! if let Some(peak) = record.peak.rss {
//!     println!("peak RSS {} bytes, between {} and {}", peak.bytes, peak.lower_bytes, peak.upper_bytes);
//! }
//! # Ok::<(), highwater::Error>(())
//! ```
//!
//! # Measure a part of a program
//!
//! Two snapshots of this process, and what lies between them:
//!
#![cfg_attr(feature = "report", doc = "```")]
#![cfg_attr(not(feature = "report"), doc = "```ignore")]
//! use highwater::{MemoryReport, Snapshot};
//!
//! let before = Snapshot::now(0)?;
//! let table = vec![1_u8; 50 << 20];
//! let report = MemoryReport::new(before, Snapshot::now(0)?);
//! report.print_delta("table"); //   table: RAM +50 MiB  |  VRAM unknown: no GPU was found
//! # drop(table);
//! # Ok::<(), highwater::Error>(())
//! ```
//!
//! # Read a record
//!
//! `hwm run --json=mem.json -- COMMAND` writes the same record as `Job` returns. Records of every version since 1.0 are
//! read:
//!
#![cfg_attr(feature = "record", doc = "```no_run")]
#![cfg_attr(not(feature = "record"), doc = "```ignore")]
//! use highwater::record::Record;
//!
//! let record = Record::from_json(&std::fs::read("mem.json")?)?;
//! let peaks = record.processes.iter().filter_map(|process| Some((process.peak.rss?.bytes, process)));
//! if let Some((bytes, process)) = peaks.max_by_key(|(bytes, _)| *bytes) {
//!     println!("{} (pid {}) used most: {bytes} bytes", process.command, process.pid);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | on by default | gives | adds |
//! |---|---|---|---|
//! | `gpu` | yes | all sources of GPU memory: the next six | - |
//! | `nvml` | yes | NVIDIA's management library, loaded if present (Linux, Windows) | libloading |
//! | `nvidia-smi-fallback` | yes | the program `nvidia-smi`, if that library fails | - |
//! | `drm` | yes | the kernel's account of DRM clients: AMD, Intel, Arm and others (Linux) | - |
//! | `dxgi` | yes | adapters of every vendor (Windows) | windows |
//! | `pdh` | yes | GPU memory of other processes (Windows) | libloading |
//! | `metal` | yes | GPU memory on Macs | objc2 and its frameworks |
//! | `report` | no | `MemoryReport`: the difference of two snapshots, printed | - |
//! | `record` | no | `record` and `analysis`; runs no command | `serde`, `serde_json`, jiff |
//! | `job` | no | `Job` and `doctor`; includes `record` | tempfile |
//! | `schema` | no | the JSON schema of the record | schemars |
//! | `debug-output` | no | raw answers of the GPU sources, sent to the program's logger | log |
//! | `test-helpers` | no | made-up devices and snapshots, for tests of programs that use this library | - |
//!
//! Without any feature the library reads RAM only. The types of GPU memory are always there.
//!
//! # Platforms
//!
//! Linux is the reference. In place of RSS, Windows has working sets and commit charges, and macOS has
//! physical footprints: see [`process::PRIMARY`].
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "record")]
pub mod analysis;
mod bounded;
#[cfg(all(any(feature = "job", feature = "drm"), target_os = "linux"))]
mod capability;
#[cfg(all(feature = "record", target_os = "linux"))]
#[cfg_attr(not(feature = "job"), allow(dead_code))] // For the job's record alone.
mod cgroup;
pub mod compat;
#[cfg(feature = "job")]
pub mod doctor;
mod error;
mod fork;
pub mod gpu;
pub mod helper;
#[cfg(feature = "record")]
#[cfg_attr(not(feature = "job"), allow(dead_code))]
mod host;
#[cfg(feature = "job")]
pub mod job;
pub mod listing;
#[cfg(all(feature = "job", target_os = "linux"))]
mod netlink;
#[cfg(all(feature = "job", target_os = "linux"))]
mod perf_event;
pub mod process;
#[cfg(feature = "record")]
pub mod record;
#[cfg(feature = "report")]
pub mod report;
mod roots;
mod snapshot;
#[cfg(feature = "test-helpers")]
pub mod test_helpers;
#[cfg(any(target_os = "linux", all(target_os = "macos", feature = "job")))]
mod thread_with_signals_blocked;

#[doc(hidden)]
pub use compat::{HypomnesisError, Result};
pub use error::{Error, Unavailable};
pub use gpu::{
    GpuDeviceInfo, GpuProcessEntry, GpuQuerySource, ProcessGpuInfo, device_count, device_info, gpu_processes,
    process_gpu_info,
};
#[cfg(feature = "record")]
pub use host::{Ram, host_name, rank as job_rank};
#[cfg(feature = "job")]
#[doc(inline)]
pub use job::Job;
#[doc(inline)]
pub use process::{ProcessId, ProcessMemory, process_rss};
#[cfg(feature = "report")]
#[doc(inline)]
pub use report::MemoryReport;
pub use roots::Roots;
pub use snapshot::Snapshot;
#[cfg(feature = "test-helpers")]
pub use test_helpers::{GpuDeviceInfoBuilder, GpuProcessEntryBuilder};

/// Passes any bytes to every parser of `/proc/PID` files; for `fuzz/`.
#[cfg(all(fuzzing, target_os = "linux"))]
#[doc(hidden)]
pub fn fuzz_kernel_text(text: &[u8]) {
    process::linux::fuzz_entry::parse(text);
}

/// Passes any bytes to the parser of DRM clients' fdinfo; for `fuzz/`.
#[cfg(all(fuzzing, target_os = "linux", feature = "drm"))]
#[doc(hidden)]
pub fn fuzz_fdinfo(text: &[u8]) {
    gpu::drm::fuzz_entry::parse(text);
}
