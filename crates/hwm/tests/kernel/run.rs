//! One run of hwm, as one user or another.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{install::install, programs};

/// A time far longer than any step here takes, so that a failure ends.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(600);
const ORDINARY_UID: u32 = 65_534;

/// The user that runs hwm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// The user that runs the test.
    Same,
    /// An ordinary user; only root can become one.
    Ordinary,
}

impl User {
    /// Returns all users that the test can run hwm as.
    pub(crate) fn all() -> Vec<Self> {
        if is_root() { vec![Self::Same, Self::Ordinary] } else { vec![Self::Same] }
    }

    /// Returns whether hwm runs with root's capabilities.
    pub(crate) fn is_root(self) -> bool {
        self == Self::Same && is_root()
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A place that every user may read and write, with the programs in it.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("the test's own directory");
        let place = Self(dir);
        for (name, from) in [("hwm", Path::new(programs::HWM)), ("workload", programs::workload().unwrap())] {
            install(from, &place.path(name));
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns a program of `kib` that lives `ms`, and its size.
    pub(crate) fn tiny(&self, kib: u64, ms: u64) -> (PathBuf, u64) {
        let file = self.path(&format!("tiny-{kib}-{ms}"));
        let bytes = crate::tiny::make_tiny(&file, kib, ms).unwrap();
        (file, bytes)
    }

    /// Returns `hwm run -q OPTIONS --json=record.json -- COMMAND`, not started yet.
    pub(crate) fn hwm(&self, user: User, options: &[&str], command: &[&str]) -> Command {
        let record = self.path("record.json");
        let _ = fs::remove_file(&record);
        let mut hwm = Command::new(self.path("hwm"));
        hwm.args(["run", "-q"])
            .args(options)
            .arg(format!("--json={}", record.display()))
            .arg("--")
            .args(command);
        hwm.stdin(Stdio::null()).stdout(Stdio::null()).current_dir(self.0.path());
        if user == User::Ordinary {
            hwm.uid(ORDINARY_UID).gid(ORDINARY_UID);
        }
        hwm
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, user: User, options: &[&str], command: &[&str]) -> Run {
        let mut hwm = self.hwm(user, options, command);
        let status = wait(&mut hwm.spawn().expect("hwm starts"));
        Run { status, record: self.record() }
    }

    /// Returns the record that hwm left.
    pub(crate) fn record(&self) -> Value {
        let text = fs::read(self.path("record.json")).expect("a record");
        serde_json::from_slice(&text).expect("JSON")
    }
}

/// A run that is over.
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) record: Value,
}

impl Run {
    pub(crate) fn number(&self, pointer: &str) -> Option<u64> {
        self.record.pointer(pointer).and_then(Value::as_u64)
    }

    pub(crate) fn word(&self, pointer: &str) -> &str {
        self.record.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }

    pub(crate) fn processes(&self) -> &[Value] {
        self.record["processes"].as_array().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn seen(&self) -> (u64, &str) {
        (self.number("/capture/processes_seen").unwrap_or(0), self.word("/capture/processes_seen_is"))
    }

    /// Returns the reasons for the mechanisms that were missing.
    pub(crate) fn reasons(&self) -> String {
        self.record["capture"]["downgrades"].to_string()
    }

    pub(crate) fn upper_is_rigorous(&self) -> bool {
        self.record["peak"]["rss"]["upper_rigorous"] == true
    }

    /// Checks the facts that every record must hold.
    pub(crate) fn check(&self) {
        let end = |name: &str| self.number(&format!("/peak/rss/{name}"));
        if let (Some(lower), Some(bytes), Some(upper)) =
            (end("lower_bytes"), end("bytes"), end("upper_bytes"))
        {
            assert!(lower <= bytes && bytes <= upper, "{}", self.record["peak"]);
        }
        let unmarked = self.number("/capture/images_without_last_mark");
        assert!(!self.upper_is_rigorous() || unmarked == Some(0), "{}", self.record["capture"]);
        assert!(
            !self.upper_is_rigorous() || self.number("/capture/lost_events") == Some(0),
            "rigorous in spite of losses"
        );
        let ends_are_known = self.word("/capture/lineage") == "proc_connector";
        assert!(!self.upper_is_rigorous() || ends_are_known, "rigorous, and ends are guessed");
        for process in self.processes() {
            assert_ne!(process["max_rss_kib"], 0, "unknown is never 0: {process}");
        }
    }
}

/// Waits for a child, but not for ever.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            return status;
        }
        if start.elapsed() > FAILURE_TIMEOUT {
            let _ = child.kill();
            panic!("it had not ended after {FAILURE_TIMEOUT:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < FAILURE_TIMEOUT, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns whether the kernel reports starts and exits here, as the run found by trying.
pub(crate) fn kernel_reports_events(run: &Run) -> bool {
    matches!(run.word("/capture/lineage"), "perf" | "proc_connector")
}

/// Returns whether all is known that a rigorous bound takes: last marks of all that exit by themselves, and true ends.
pub(crate) fn bounds(run: &Run) -> bool {
    holds(run) && run.word("/capture/lineage") == "proc_connector"
}

/// Returns whether tasks were held at their exec and exit.
pub(crate) fn holds(run: &Run) -> bool {
    run.word("/capture/peaks").starts_with("exit_notify")
}
