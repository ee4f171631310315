//! hwm installed setuid, setgid or with file capabilities, and started by an ordinary user.
#![cfg(target_os = "linux")]

#[path = "programs/install.rs"]
mod install;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{StatVfsMountFlags, XattrFlags, setxattr, statvfs};
use serde_json::Value;
use tempfile::TempDir;

/// A time far longer than any step here takes, so that a failure ends.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(600);
const ORDINARY_UID: u32 = 65_534;

const CAP_DAC_OVERRIDE: u64 = 1 << 1;
const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_PERFMON: u64 = 1 << 38;

/// A copy of hwm with privileges of its own, beside a directory that every user may write to.
struct Installed(TempDir);

impl Installed {
    /// Installs hwm with this mode. Returns `None`, with the reason printed, if this is not run by root.
    fn new(mode: u32) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can install such a program");
            return None;
        }
        let honours_privileges = |place: &Path| {
            statvfs(place).is_ok_and(|system| !system.f_flag.contains(StatVfsMountFlags::NOSUID))
        };
        let places = [std::env::temp_dir(), PathBuf::from(env!("CARGO_TARGET_TMPDIR"))];
        let place = places.iter().find(|place| honours_privileges(place));
        let place = place.unwrap_or_else(|| panic!("all of {places:?} are mounted nosuid"));
        let dir = tempfile::tempdir_in(place).unwrap();
        let installed = Self(dir);
        set_mode(installed.0.path(), 0o755);
        install::install(Path::new(env!("CARGO_BIN_EXE_hwm")), &installed.path("hwm"));
        set_mode(&installed.path("hwm"), mode);
        fs::create_dir(installed.path("out")).unwrap();
        set_mode(&installed.path("out"), 0o777);
        Some(installed)
    }

    /// Installs hwm with capabilities. Returns `None`, with the reason printed, if files cannot have them.
    fn with_capabilities(capabilities: u64) -> Option<Self> {
        let installed = Self::new(0o755)?;
        // `struct vfs_cap_data` of linux/capability.h: revision 2, effective; permitted and inheritable, low and high.
        let halves = [capabilities & u64::from(u32::MAX), 0, capabilities >> 32, 0];
        let words = [0x0200_0001].into_iter().chain(halves);
        let value: Vec<u8> = words.flat_map(|word| u32::try_from(word).unwrap().to_le_bytes()).collect();
        match setxattr(installed.path("hwm"), "security.capability", &value, XattrFlags::empty()) {
            Ok(()) => Some(installed),
            Err(error) => {
                eprintln!("skipped: no file capabilities here: {error}");
                None
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns `hwm ARGS` as an ordinary user, which may write to the current directory.
    fn hwm(&self, args: &[&str]) -> Command {
        let mut hwm = Command::new(self.path("hwm"));
        hwm.args(args).current_dir(self.path("out")).stdin(Stdio::null()).uid(ORDINARY_UID).gid(ORDINARY_UID);
        hwm
    }

    fn prints(&self, args: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.hwm(args).output().unwrap();
        (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
    }

    fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("out/record.json")).unwrap()).unwrap()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns a set of capabilities in a `/proc/PID/status`.
fn capabilities(status: &str, set: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'));
    u64::from_str_radix(line.unwrap_or_else(|| panic!("{set}: {status}")).trim(), 16).unwrap()
}

/// Root's process, which ends when its standard input does.
struct Root(Child);

impl Root {
    fn start() -> Self {
        Self(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn setuid_and_setgid_are_refused() {
    for mode in [0o4755, 0o2755] {
        let Some(installed) = Installed::new(mode) else { return };
        let run = ["run", "--json=record.json", "--timeline=time.csv", "--", "touch", "ran"];
        let (code, printed) = installed.prints(&run);
        assert_eq!(code, Some(125), "{mode:o}: {printed}");
        assert!(
            printed.starts_with("hwm: not made to be installed setuid") && printed.contains("sudo"),
            "{printed}"
        );
        assert_eq!(printed.lines().count(), 1, "{printed}");
        for verb in [&["ps", "--json"][..], &["doctor"], &["--version"], &["view", "/etc/shadow"], &[]] {
            let (code, other) = installed.prints(verb);
            assert_eq!((code, other.as_str()), (Some(2), printed.as_str()), "{mode:o} {verb:?}");
        }
        assert_eq!(fs::read_dir(installed.path("out")).unwrap().count(), 0, "nothing was written or run");
    }
}

#[test]
fn few_file_capabilities_are_kept() {
    let given = CAP_DAC_OVERRIDE | CAP_DAC_READ_SEARCH | CAP_NET_ADMIN | CAP_SYS_PTRACE | CAP_PERFMON;
    let Some(installed) = Installed::with_capabilities(given) else { return };
    let script = "cat /proc/self/status > job; cat /proc/$PPID/status > hwm-itself";
    let run = ["run", "-q", "--json=record.json", "--post-run-cmd", "cat /proc/self/status > hook"];
    let (code, printed) = installed.prints(&[&run[..], &["--", "sh", "-c", script]].concat());
    assert_eq!(code, Some(0), "{printed}");
    let read = |name: &str| fs::read_to_string(installed.path("out").join(name)).unwrap();
    for started in [read("job"), read("hook")] {
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(capabilities(&started, set), 0, "{set}: {started}");
        }
    }
    let hwm = read("hwm-itself");
    let kept = CAP_NET_ADMIN | CAP_PERFMON;
    let sets = ["CapPrm", "CapEff", "CapInh", "CapAmb"].map(|set| capabilities(&hwm, set));
    assert_eq!(sets, [kept, 0, 0, 0], "{hwm}");

    // hwm learns by CAP_NET_ADMIN of all ends that root learns of.
    let of_root = installed.0.path().join("root.json");
    let mut root = Command::new(env!("CARGO_BIN_EXE_hwm"));
    root.args(["run", "-q", &format!("--json={}", of_root.display()), "--", "true"]);
    assert!(root.status().unwrap().success());
    let of_root: Value = serde_json::from_slice(&fs::read(of_root).unwrap()).unwrap();
    assert_eq!(installed.record()["capture"]["peaks"], of_root["capture"]["peaks"]);
}

#[test]
fn file_capabilities_open_no_file_that_the_user_names() {
    let Some(installed) = Installed::with_capabilities(CAP_DAC_OVERRIDE | CAP_DAC_READ_SEARCH) else {
        return;
    };
    let (closed, secret) = (installed.path("closed"), installed.path("secret.json"));
    fs::create_dir(&closed).unwrap();
    set_mode(&closed, 0o700);
    fs::write(&secret, include_str!("fixtures/record.json")).unwrap();
    set_mode(&secret, 0o600);
    for option in ["--json", "--csv", "--timeline", "--html"] {
        let file = format!("{option}={}", closed.join("x").display());
        let (code, printed) = installed.prints(&["run", &file, "--", "true"]);
        assert_eq!(code, Some(125), "{option}: {printed}");
        assert!(printed.contains("ermission denied"), "{printed}");
    }
    assert_eq!(fs::read_dir(&closed).unwrap().count(), 0);
    let (code, printed) = installed.prints(&["view", &secret.display().to_string()]);
    assert!(code == Some(1) && printed.contains("ermission denied"), "{code:?} {printed}");
    let (code, printed) = installed.prints(&["ps", "--procfs", &closed.display().to_string()]);
    assert_eq!(code, Some(2), "{printed}");
}

/// `CAP_SYS_PTRACE` opens PSS and the program's path. A user that may not read them without it, may not through hwm.
#[test]
fn file_capabilities_reveal_no_more_of_another_users_process() {
    let Some(installed) = Installed::with_capabilities(CAP_SYS_PTRACE | CAP_NET_ADMIN | CAP_PERFMON) else {
        return;
    };
    let root = Root::start();
    let pid = root.0.id().to_string();
    let timeline = ["--interval=250", "--timeline=timeline.csv"];
    let attach = [&["attach", &pid, "-q", "--json=record.json", "--with-io"], &timeline[..]].concat();
    let mut hwm = installed.hwm(&attach).spawn().unwrap();
    // With this interval a row is written at once, and after the first sample names are read.
    let timeline = installed.path("out/timeline.csv");
    let follows = || fs::read_to_string(&timeline).is_ok_and(|rows| rows.lines().count() > 2);
    let start = Instant::now();
    while !follows() {
        assert!(start.elapsed() < FAILURE_TIMEOUT && hwm.try_wait().unwrap().is_none(), "it does not attach");
        thread::sleep(Duration::from_millis(1));
    }
    drop(root);
    assert!(hwm.wait().unwrap().success());
    let record = installed.record();
    let row = &record["processes"][0];
    assert_eq!(row["command"], "cat", "names are for every user: {row}");
    assert!(row["exe"].is_null(), "{row}");
    assert!(record["peak"]["pss"].is_null(), "{record}");
}
