//! Programs that find the fake library in place of NVML.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::OnceLock,
};

use tempfile::TempDir;

/// A directory with the library and the program of one situation.
pub(crate) struct FakeLibrary {
    scenario: String,
    dir: TempDir,
    prefix: Vec<PathBuf>,
}

/// The functions that drivers before R510 do not have.
const SINCE_R510: [&str; 4] = [
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "nvmlDeviceGetMemoryInfo_v2",
];

/// The functions that even older drivers lack.
const SINCE_LONG: [&str; 8] = [
    "nvmlDeviceGetComputeRunningProcesses_v2",
    "nvmlDeviceGetGraphicsRunningProcesses_v2",
    "nvmlDeviceGetMPSComputeRunningProcesses_v2",
    "nvmlInit_v2",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetPciInfo_v2",
];

impl FakeLibrary {
    pub(crate) fn new(scenario: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let library = match scenario {
            "no_elf" | "smi" | "smi_old" | "smi_unknown" | "smi_broken" => {
                b"This is no library. ".repeat(100)
            }
            "no_v3" => without(&SINCE_R510),
            "no_v2" => without(&[&SINCE_R510[..], &SINCE_LONG].concat()),
            _ => fs::read(library()).unwrap(),
        };
        fs::write(dir.path().join("libnvidia-ml.so.1"), library).unwrap();
        if scenario.starts_with("smi") {
            // A link, and not a copy: a file that another thread's fork still has open for writing cannot be
            // executed.
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nvml/nvidia-smi.sh");
            std::os::unix::fs::symlink(script, dir.path().join("nvidia-smi")).unwrap();
        }
        Self { scenario: scenario.to_owned(), dir, prefix: Vec::new() }
    }

    /// Runs the same in a new pid namespace, with a procfs of it; `None` if this user may not make one.
    pub(crate) fn in_a_namespace(mut self) -> Option<Self> {
        let path = env::var_os("PATH")?;
        let unshare = env::split_paths(&path).map(|dir| dir.join("unshare")).find(|path| path.exists())?;
        let arguments = ["--map-root-user", "--pid", "--fork", "--mount-proc"];
        let made = Command::new(&unshare).args(arguments).arg("true").output();
        if !made.is_ok_and(|output| output.status.success()) {
            return None;
        }
        self.prefix = std::iter::once(unshare).chain(arguments.map(PathBuf::from)).collect();
        Some(self)
    }

    /// Returns the output of the test's child for `what` (see `child.rs`).
    pub(crate) fn output_of(&mut self, what: &str) -> String {
        let status = self.status(what);
        assert!(status.success(), "{}, {what}: {status:?}", self.scenario);
        let output = fs::read_to_string(self.dir.path().join("output")).unwrap();
        output.replace(&self.dir.path().display().to_string(), "DIR")
    }

    pub(crate) fn status(&mut self, what: &str) -> ExitStatus {
        let own = env::current_exe().unwrap();
        let mut command = self.prefix.iter().cloned().chain([own]);
        let mut program = Command::new(command.next().unwrap());
        program.args(command).args(["--ignored", "--exact", "child::as_a_child", "--test-threads=1"]);
        let dir = self.dir.path();
        program.env("CHILD", what).env("OUTPUT", dir.join("output"));
        program.env("FAKE_NVML", &self.scenario).env("FAKE_NVML_LOG", dir.join("log"));
        // A real nvidia-smi must not answer.
        program.env("LD_LIBRARY_PATH", dir).env("HWM_NVIDIA_SMI", dir.join("nvidia-smi"));
        let output = program.output().unwrap();
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
        output.status
    }

    /// Returns the library's log of its sessions.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// Returns the library without these functions. Their names are spoilt in a copy, so that looking them up fails as with
/// a driver that never had them.
fn without(names: &[&str]) -> Vec<u8> {
    let mut bytes = fs::read(library()).unwrap();
    for name in names {
        let places: Vec<usize> = bytes
            .windows(name.len())
            .enumerate()
            .filter_map(|(place, window)| (window == name.as_bytes()).then_some(place))
            .collect();
        assert!(!places.is_empty(), "{name} is not exported");
        for place in places {
            bytes[place] = b'x';
        }
    }
    bytes
}

/// Returns the path of the fake. Cargo builds no libraries of other crates for a test, so it is called.
fn library() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let own = env::current_exe().unwrap();
        // target/PROFILE/deps/nvml-...
        let profile_dir = own.parent().and_then(Path::parent).unwrap();
        let target_dir = profile_dir.parent().unwrap();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "fake-nvml", "--target-dir"]).arg(target_dir);
        if profile_dir.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        let path = profile_dir.join("libfake_nvml.so");
        assert!(path.exists(), "no {}, and {cargo:?}: {built:?}", path.display());
        path
    })
}
