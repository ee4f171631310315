//! highwater measures memory: how much a process or a whole job (a command and all its descendants) uses, and
//! how high it rose. Every figure says what it counts, where it comes from and how sure it is; unknown is never 0.

#[cfg(feature = "record")]
pub mod analysis;
mod bounded;
#[cfg(all(any(feature = "job", feature = "drm"), target_os = "linux"))]
mod capability;
#[cfg(all(feature = "record", target_os = "linux"))]
#[cfg_attr(not(feature = "job"), allow(dead_code))] // For the job's record alone.
mod cgroup;
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

pub use error::{Error, Unavailable};
pub use gpu::{
    GpuDeviceInfo, GpuProcessEntry, GpuQuerySource, ProcessGpuInfo, device_count, device_info, gpu_processes,
    process_gpu_info,
};
#[cfg(feature = "record")]
pub use host::{Ram, host_name, rank as job_rank};
#[cfg(feature = "job")]
pub use job::Job;
pub use process::{ProcessId, ProcessMemory, process_rss};
#[cfg(feature = "report")]
pub use report::MemoryReport;
pub use roots::Roots;
pub use snapshot::Snapshot;
#[cfg(feature = "test-helpers")]
pub use test_helpers::{GpuDeviceInfoBuilder, GpuProcessEntryBuilder};

/// The name of [`Error`] in programs that come from hypomnesis.
pub type HypomnesisError = Error;

/// Hands any bytes to every parser of `/proc/PID` files; for `fuzz/`.
#[cfg(all(fuzzing, target_os = "linux"))]
#[doc(hidden)]
pub fn fuzz_kernel_text(text: &[u8]) {
    process::linux::any_text::parse(text);
}

/// Hands any bytes to the parser of DRM clients' fdinfo; for `fuzz/`.
#[cfg(all(fuzzing, target_os = "linux", feature = "drm"))]
#[doc(hidden)]
pub fn fuzz_fdinfo(text: &[u8]) {
    gpu::drm::any_text::parse(text);
}
