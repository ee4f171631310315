//! The names of the crate hypomnesis 0.2, for programs that were written for it.
//!
//! Either way below, such a program compiles unchanged, except for what `docs/from-hypomnesis.md` lists:
//!
//! - in its `Cargo.toml`: `hypomnesis = { package = "highwater", version = "0.2", features = ["report"] }`
//! - in its source: `use highwater::compat as hypomnesis;`
//!
//! ```
//! use highwater::compat as hypomnesis;
//!
//! use hypomnesis::{HypomnesisError, Snapshot};
//!
//! fn resident() -> hypomnesis::Result<u64> {
//!     match Snapshot::now(0) {
//!         Ok(snapshot) => Ok(snapshot.ram_bytes),
//!         Err(HypomnesisError::DeviceIndexOutOfRange { .. }) => hypomnesis::process_rss(),
//!         Err(error) => Err(error),
//!     }
//! }
//! assert!(resident()? > 0);
//! # Ok::<(), HypomnesisError>(())
//! ```

use crate::Error;
pub use crate::gpu::{self, device_count, device_info, gpu_processes, process_gpu_info};
#[cfg(feature = "report")]
pub use crate::report::{self, MemoryReport};
#[cfg(feature = "test-helpers")]
pub use crate::test_helpers::{GpuDeviceInfoBuilder, GpuProcessEntryBuilder};
pub use error::{HypomnesisError, Result};
pub use ram::process_rss;
pub use snapshot::{GpuDeviceInfo, GpuProcessEntry, GpuQuerySource, ProcessGpuInfo, Snapshot};

/// Errors under their former names.
pub mod error {
    use super::Error;

    /// The error type of every call of this library.
    pub type HypomnesisError = Error;
    /// The result of a call that fails with an [`Error`].
    pub type Result<T, E = Error> = std::result::Result<T, E>;
}

/// RAM of the calling process.
pub mod ram {
    pub use crate::process::process_rss;
}

/// Snapshots, and the plain numbers of devices and processes.
pub mod snapshot {
    pub use crate::{
        gpu::{GpuDeviceInfo, GpuProcessEntry, GpuQuerySource, ProcessGpuInfo},
        snapshot::Snapshot,
    };
}
