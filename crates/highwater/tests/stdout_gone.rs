//! Tests printing to a closed pipe. There is one test only: it closes the process's stdout.

#![cfg(all(target_os = "linux", feature = "report", feature = "test-helpers"))]

use highwater::{GpuDeviceInfo, MemoryReport, Snapshot};
use rustix::{
    fs::{Mode, OFlags, open},
    io::dup,
    pipe::pipe,
    stdio::{dup2_stdout, stdout},
};

#[test]
fn printing_never_panics() {
    let report = MemoryReport::new(Snapshot::now(0).unwrap(), Snapshot::now(0).unwrap());
    let device = GpuDeviceInfo::builder().build();
    let all = || {
        report.print_delta("x");
        report.print_before_after("x");
        device.print_free();
    };
    let kept = dup(stdout()).unwrap();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    dup2_stdout(writer).unwrap();
    all();
    dup2_stdout(open("/dev/full", OFlags::WRONLY, Mode::empty()).unwrap()).unwrap();
    all();
    dup2_stdout(&kept).unwrap();
    all();
}
