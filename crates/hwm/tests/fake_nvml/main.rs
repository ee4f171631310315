//! `hwm` beside a fake NVML, found where programs find the real one.
#![cfg(target_os = "linux")]

mod broken;
mod job;
mod ps;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use highwater::record::Record;
use tempfile::TempDir;

const HWM: &str = env!("CARGO_BIN_EXE_hwm");

/// A directory with the library, which plays a scenario for each process that loads it.
struct Fake(TempDir);

impl Fake {
    /// Runs `hwm ARGS`, to which NVML plays `scenario`.
    fn hwm(&self, scenario: &str, args: &[&str]) -> Output {
        let mut hwm = Command::new(HWM);
        // A real nvidia-smi must not answer.
        hwm.args(args)
            .env("LD_LIBRARY_PATH", self.0.path())
            .env("FAKE_NVML", scenario)
            .env("HWM_NVIDIA_SMI", self.0.path().join("nvidia-smi"));
        hwm.output().expect("hwm starts")
    }

    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::copy(library(), dir.path().join("libnvidia-ml.so.1")).expect("it is built");
        Self(dir)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `hwm run --gpu OPTIONS -- sh -c SCRIPT`; `$ROWS` is the file of the memory that the job holds.
    fn run(&self, scenario: &str, options: &[&str], script: &str) -> (Output, Record) {
        let json = self.file("record.json");
        let mut hwm = Command::new(HWM);
        hwm.args(["run", "--gpu", &format!("--json={}", json.display())]).args(options);
        hwm.args(["--", "sh", "-c", script]);
        hwm.env("LD_LIBRARY_PATH", self.0.path()).env("FAKE_NVML", scenario);
        hwm.env("FAKE_NVML_ROWS", self.file("rows")).env("ROWS", self.file("rows"));
        let output = hwm.output().expect("hwm starts");
        let record = Record::from_json(&fs::read(json).expect("written")).expect("a record");
        (output, record)
    }
}

fn library() -> PathBuf {
    let profile_dir = Path::new(HWM).parent().expect("hwm lies in a directory");
    let target_dir = profile_dir.parent().expect("in a target directory");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "fake-nvml", "--target-dir"]).arg(target_dir);
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    let path = profile_dir.join("libfake_nvml.so");
    assert!(path.exists(), "no {}, and {cargo:?}: {built:?}", path.display());
    path
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns whether NVML's pids are those of this process's namespace. Containers have a pid namespace of their own
/// (`PROC_PID_INIT_INO`).
fn are_pids_of_this_namespace() -> bool {
    let is_initial =
        fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]");
    if !is_initial {
        eprintln!("skipped: in a pid namespace NVML does not report the job's part");
    }
    is_initial
}
