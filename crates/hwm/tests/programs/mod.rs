//! The programs that tests run: hwm itself, and the workloads.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::OnceLock,
    thread,
    time::Duration,
};

/// The built hwm.
pub(crate) const HWM: &str = env!("CARGO_BIN_EXE_hwm");

/// Writes a program of `kib` that lives `ms` milliseconds, and returns its size as the kernel's own mark has it.
pub(crate) fn make_tiny(file: &Path, kib: u64, ms: u64) -> Result<u64, String> {
    let make = |file: &Path, ms: u64| {
        let made =
            Command::new(workload()?).arg("tiny").arg(file).args([kib.to_string(), ms.to_string()]).status();
        let is_made = made.as_ref().is_ok_and(ExitStatus::success);
        if is_made { Ok(()) } else { Err(format!("workload tiny: {made:?}")) }
    };
    make(file, ms)?;
    // Another one that lives long enough to be asked.
    let lasting = file.with_extension("lasting");
    make(&lasting, 1000)?;
    let mut alone = Command::new(&lasting).spawn().map_err(|error| error.to_string())?;
    thread::sleep(Duration::from_millis(200));
    let status = fs::read_to_string(format!("/proc/{}/status", alone.id())).unwrap_or_default();
    alone.wait().map_err(|error| error.to_string())?;
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib =
        mark.trim().trim_end_matches(" kB").parse::<u64>().map_err(|error| format!("VmHWM: {error}"))?;
    Ok(kib << 10)
}

/// The workloads' program, beside hwm's own; Cargo builds no binaries of other crates for a test, so we ask it.
pub(crate) fn workload() -> Result<&'static Path, String> {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PATH.get_or_init(build_workload).as_deref().map_err(Clone::clone)
}

fn build_workload() -> Result<PathBuf, String> {
    let profile_dir = Path::new(HWM).parent().ok_or("hwm lies in no directory")?;
    let target_dir = profile_dir.parent().ok_or("hwm lies in no target directory")?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "workload", "--target-dir"]).arg(target_dir);
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    let path = profile_dir.join("workload");
    if path.exists() { Ok(path) } else { Err(format!("no {}, and {cargo:?}: {built:?}", path.display())) }
}
