//! The programs that tests run: hwm itself, and the workloads.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The built hwm.
pub(crate) const HWM: &str = env!("CARGO_BIN_EXE_hwm");

/// Builds the workloads' program, beside hwm's own: Cargo builds no binaries of other crates for a test.
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
