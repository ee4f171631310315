//! The cost of `Snapshot::now` for a program without a GPU, and with one whose driver takes 10 ms to open. That driver
//! is a made-up NVML. A monitor opened for each call is measured too, as a library that keeps nothing would do.

use std::{hint::black_box, path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, bail};
use highwater::{Snapshot, gpu::Monitor, process_rss};

use super::{Setup, sample_cost};
use crate::{
    stats,
    table::{ResultRow, digits},
};

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    let mut rows = Vec::new();
    let bare = measure(setup, &mut || setup.bare(&["snapshots"]))?;
    rows.push(ResultRow::new("process_rss", "us", stats::mean(&bare.rss_us)));
    let no_gpu = ResultRow::new("Snapshot::now, no GPU", "us", stats::mean(&bare.each_us));
    rows.push(match bare.devices {
        0 => no_gpu.at_most(10.0).note(bare.beside()),
        devices => {
            ResultRow::new("Snapshot::now, no GPU", "us", None).note(format!("{devices} GPUs are here"))
        }
    });

    let fake = tempfile::tempdir()?;
    std::fs::copy(build_fake(setup)?, fake.path().join("libnvidia-ml.so.1"))?;
    let played = measure(setup, &mut || {
        let mut command = setup.bare(&["snapshots"]);
        command.env("LD_LIBRARY_PATH", fake.path()).env("FAKE_NVML", "slow_init");
        command
    })?;
    if played.devices == 0 {
        bail!("the NVML that plays a GPU was not found");
    }
    let what = "Snapshot::now, a driver that takes 10 ms to open";
    rows.push(
        ResultRow::new(format!("{what}: the first"), "ms", stats::mean(&played.first_ms))
            .note("wall time; the others CPU time"),
    );
    rows.push(
        ResultRow::new(format!("{what}: each other"), "us", stats::mean(&played.each_us))
            .at_most(20.0)
            .note(played.beside()),
    );
    Ok(rows)
}

#[derive(Debug, Default)]
struct Measured {
    devices: u32,
    rss_us: Vec<f64>,
    first_ms: Vec<f64>,
    each_us: Vec<f64>,
    opened_us: Vec<f64>,
}

impl Measured {
    fn beside(&self) -> String {
        let opened = stats::mean(&self.opened_us).map_or_else(|| "unknown".into(), |us| digits(us.mid));
        format!("with the drivers opened each time {opened} us of wall time")
    }
}

/// Measures runs, each in a new process, so that each has its first call.
fn measure(setup: &Setup, command: &mut dyn FnMut() -> Command) -> Result<Measured> {
    let mut measured = Measured::default();
    for _ in 0..setup.pairs {
        let output = command().stdout(std::process::Stdio::piped()).output()?;
        if !output.status.success() {
            bail!("the snapshots failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        let figures: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let &[devices, rss, first, each, opened] = figures.as_slice() else { bail!("{text:?}") };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
        let devices = devices as u32;
        measured.devices = devices;
        measured.rss_us.push(rss);
        measured.first_ms.push(first * 1e3);
        measured.each_us.push(each);
        measured.opened_us.push(opened);
    }
    Ok(measured)
}

/// Plays the job: prints how many devices there are and what the calls took.
pub(super) fn play() -> Result<()> {
    const CALLS: u32 = 5_000;
    const OPENED: u32 = 20;
    let started = Instant::now();
    let first = Snapshot::now(0)?;
    let first_seconds = started.elapsed().as_secs_f64();
    let rss_us = sample_cost::time(CALLS, || process_rss().unwrap_or(0));
    let each_us = sample_cost::time(CALLS, || black_box(Snapshot::now(0)).map_or(0, |now| now.ram_bytes));
    let started = Instant::now();
    for _ in 0..OPENED {
        let mut monitor = Monitor::new();
        black_box((
            process_rss()?,
            monitor.device(0).is_ok(),
            monitor.usages_of(&[std::process::id()].into()),
        ));
    }
    let opened_us = started.elapsed().as_secs_f64() * 1e6 / f64::from(OPENED);
    let devices = if first.device.is_some() { Monitor::new().count() } else { 0 };
    println!("{devices} {rss_us} {first_seconds} {each_us} {opened_us}");
    Ok(())
}

fn build_fake(setup: &Setup) -> Result<std::path::PathBuf> {
    let profile = setup.me.parent().context("this program lies in no directory")?;
    let target =
        profile.parent().and_then(Path::to_str).context("this program lies in no target directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "-p", "fake-nvml", "--target-dir", target, "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .status()
        .context("cargo did not start")?;
    if !status.success() {
        bail!("cargo could not build fake-nvml ({status})");
    }
    Ok(Path::new(target).join("release/libfake_nvml.so"))
}
