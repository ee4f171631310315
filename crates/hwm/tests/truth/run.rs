//! One run of the built `hwm` on one workload.

use std::{
    fmt, fs,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    programs,
    rows::{Program, Row},
};

/// `workload` exits with it where a situation cannot be made.
const SKIPPED_EXIT_CODE: i32 = 77;
/// No row takes a quarter of this.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// The record of hwm, and the truth.
pub(crate) struct Run {
    pub(crate) record: Value,
    pub(crate) truth: Truth,
}

/// The figures that the workload reports of itself.
pub(crate) struct Truth {
    pub(crate) rss: u64,
    pub(crate) pss: Option<u64>,
}

/// The reason why there is nothing to judge.
pub(crate) enum Failed {
    /// The situation cannot be made on this machine.
    Skipped(String),
    /// hwm or the workload went wrong.
    Broken(String),
}

impl From<String> for Failed {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

impl Run {
    /// Returns a number of the record, by its JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> Option<u64> {
        self.record.pointer(pointer).and_then(Value::as_u64)
    }

    /// Returns a word of the record.
    pub(crate) fn word(&self, pointer: &str) -> &str {
        self.record.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }

    pub(crate) fn rss_ratio(&self) -> Option<f64> {
        Some(self.number("/peak/rss/bytes")? as f64 / self.truth.rss as f64)
    }

    pub(crate) fn pss_ratio(&self) -> Option<f64> {
        Some(self.number("/peak/pss/bytes")? as f64 / self.truth.pss? as f64)
    }

    pub(crate) fn processes(&self) -> &[Value] {
        self.record["processes"].as_array().map_or(&[], Vec::as_slice)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: Option<u64>| {
            bytes.map_or("none".to_owned(), |b| format!("{:.2} MiB", b as f64 / 1_048_576.0))
        };
        let ratio = |ratio: Option<f64>| ratio.map_or("none".to_owned(), |r| format!("{r:.3}"));
        write!(
            f,
            "reported {}, truth {}, ratio {}, interval [{}, {}] {}; PSS {} of {}, ratio {}; {} processes ({})",
            mib(self.number("/peak/rss/bytes")),
            mib(Some(self.truth.rss)),
            ratio(self.rss_ratio()),
            mib(self.number("/peak/rss/lower_bytes")),
            mib(self.number("/peak/rss/upper_bytes")),
            self.word("/peak/rss/certainty"),
            mib(self.number("/peak/pss/bytes")),
            mib(self.truth.pss),
            ratio(self.pss_ratio()),
            self.number("/capture/processes_seen").map_or("?".to_owned(), |n| n.to_string()),
            self.word("/capture/processes_seen_is"),
        )
    }
}

/// Runs `row` once.
pub(crate) fn run(row: &Row) -> Result<Run, Failed> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (record, truth) = (dir.path().join("record.json"), dir.path().join("truth.json"));
    let mut hwm = Command::new(programs::HWM);
    hwm.args(["run", "-q"]).arg(format!("--json={}", record.display()));
    if row.wait {
        hwm.arg("--wait");
    }
    hwm.arg("--").env("WORKLOAD_TRUTH", &truth).stdin(Stdio::null());
    let known = match row.program {
        Program::Workload(args) => {
            hwm.arg(programs::workload()?).args(args);
            None
        }
        Program::Tiny(_) if !cfg!(target_arch = "x86_64") => {
            return Err(Failed::Skipped("the tiny program speaks x86_64 only".to_owned()));
        }
        Program::Tiny(kib) => {
            let file = dir.path().join("tiny");
            let rss = crate::tiny::make_tiny(&file, kib, 1000)?;
            hwm.arg(&file);
            Some(Truth { rss, pss: None })
        }
    };
    let status = wait(&mut hwm)?;
    if status.code() == Some(SKIPPED_EXIT_CODE) {
        return Err(Failed::Skipped(
            "the situation cannot be made here; the workload prints the reason".to_owned(),
        ));
    }
    if status.code() != Some(row.exit) {
        return Err(Failed::Broken(format!("hwm ended with {status}, not with {}", row.exit)));
    }
    let truth = match known {
        Some(truth) => truth,
        None => read_truth(&truth)?,
    };
    Ok(Run { record: read_json(&record)?, truth })
}

fn wait(command: &mut Command) -> Result<ExitStatus, String> {
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status);
        }
        if start.elapsed() > RUN_TIMEOUT {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("hwm had not ended after {RUN_TIMEOUT:?}"));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn read_json(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_truth(path: &Path) -> Result<Truth, String> {
    let truth = read_json(path)?;
    let rss = truth["rss_bytes"].as_u64().ok_or("the workload did not report its truth")?;
    Ok(Truth { rss, pss: truth["pss_bytes"].as_u64() })
}
