//! A program written for hypomnesis 0.2, compiled with nothing but the crate's name changed.
#![cfg(feature = "gpu")]

use highwater::compat as hypomnesis;
use hypomnesis::{GpuDeviceInfo, HypomnesisError, Result, Snapshot};

fn free_bytes(device: u32) -> Result<Option<u64>> {
    let snapshot = Snapshot::now(device)?;
    Ok(snapshot.gpu_device.map(|device: GpuDeviceInfo| device.free_bytes))
}

fn explain(error: &HypomnesisError) -> String {
    match error {
        HypomnesisError::Ram(reason) => format!("RAM: {reason}"),
        HypomnesisError::DeviceIndexOutOfRange { index, count } => format!("{index} of {count}"),
        HypomnesisError::NoGpuSource => "no GPU".to_owned(),
        other => other.to_string(),
    }
}

#[test]
fn errors_have_their_former_names() {
    assert_eq!(explain(&HypomnesisError::Ram("no procfs".into())), "RAM: no procfs");
    assert_eq!(explain(&HypomnesisError::DeviceIndexOutOfRange { index: 3, count: 1 }), "3 of 1");
    assert_eq!(explain(&HypomnesisError::NoGpuSource), "no GPU");
    let text = HypomnesisError::Ram("no procfs".into()).to_string();
    assert_eq!(text, "the memory of this process cannot be read: no procfs");
}

#[test]
fn functions_return_the_result_alias() {
    let resident: Result<u64> = hypomnesis::process_rss();
    assert!(resident.expect("this process has memory") > 0);
    match free_bytes(0) {
        Ok(_) | Err(HypomnesisError::DeviceIndexOutOfRange { .. }) => {}
        Err(error) => panic!("{}", explain(&error)),
    }
}

#[test]
fn modules_have_their_former_paths() {
    fn both(_: hypomnesis::error::Result<hypomnesis::snapshot::Snapshot>) {}
    both(Snapshot::now(0));
    assert!(hypomnesis::ram::process_rss().is_ok());
    let count: std::result::Result<u32, hypomnesis::error::HypomnesisError> = hypomnesis::gpu::device_count();
    assert!(count.is_ok() || hypomnesis::device_count().is_err());
}

/// `hypomnesis = { package = "highwater" }` in `Cargo.toml` makes the root of the crate what programs see.
#[test]
fn the_root_has_the_same_names() {
    let error: highwater::HypomnesisError = highwater::Error::NoGpuSource;
    let result: highwater::Result<()> = Err(error);
    assert!(result.is_err());
}
