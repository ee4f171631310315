//! The files that a check leaves behind, found out before the command starts.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

use crate::{
    args::CheckOutputArgs,
    console::{warn, warn_unwritten},
    files::{Appender, Destination, NewFileMode},
    output::ci::{CheckReport, benchmark, github, junit, markdown},
};
use anyhow::{Context, bail};

/// Writes one format.
type WriteCheck = fn(&CheckReport<'_>, &mut dyn Write) -> io::Result<()>;

/// The targets of all outputs.
pub(super) struct CheckOutputs {
    /// Files that only hwm writes.
    files: Vec<(Destination, WriteCheck)>,
    /// Files of the CI, to which other programs write too.
    shared: Vec<(PathBuf, Appender, WriteCheck)>,
    annotate: bool,
}

impl CheckOutputs {
    pub(super) fn check(args: &CheckOutputArgs) -> anyhow::Result<Self> {
        let asked: [(&str, &Option<PathBuf>, WriteCheck); 5] = [
            ("--markdown", &args.markdown, markdown::write),
            ("--env-file", &args.env_file, github::outputs),
            ("--junit", &args.junit, junit::write),
            ("--benchmark-json", &args.benchmark_json, benchmark::github),
            ("--bencher-json", &args.bencher_json, benchmark::bencher),
        ];
        let mut files: Vec<(Destination, WriteCheck)> = Vec::new();
        for (option, path, format) in asked {
            let Some(path) = path else { continue };
            if path.as_os_str() == "-" {
                bail!("{option} needs a file; standard output is {option} /dev/stdout");
            }
            let destination = Destination::check(option, path, NewFileMode::Shared)?;
            if files.iter().any(|(other, _)| other.is_same(&destination)) {
                bail!("two outputs both write to {}; give them different files", destination.name());
            }
            files.push((destination, format));
        }
        let mut shared: Vec<(PathBuf, Appender, WriteCheck)> = Vec::new();
        let given: [(&str, WriteCheck); 2] =
            [("GITHUB_STEP_SUMMARY", markdown::write), ("GITHUB_OUTPUT", github::outputs)];
        for (variable, format) in given {
            let Some(path) = set(variable).map(PathBuf::from) else { continue };
            let file = Appender::open(&path);
            let file = file.with_context(|| format!("{variable} {}", path.display()))?;
            shared.push((path, file, format));
        }
        let annotate = set("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        Ok(Self { files, shared, annotate })
    }

    /// Writes all of it. The command is over: what fails here is a warning.
    pub(super) fn write(mut self, report: &CheckReport<'_>) {
        if self.annotate {
            let mut lines = Vec::new();
            let written = github::annotations(report, &mut lines)
                .and_then(|()| io::stdout().write_all(&lines))
                .and_then(|()| io::stdout().flush());
            if let Err(error) = written {
                warn(format_args!("standard output: {error}"));
            }
        }
        for (destination, format) in &self.files {
            if let Err(error) = destination.write(|out| format(report, out)) {
                warn_unwritten(destination.name(), &error);
            }
        }
        for (path, file, format) in &mut self.shared {
            let mut content = Vec::new();
            if let Err(error) = format(report, &mut content).and_then(|()| file.append(&content)) {
                warn_unwritten(path.display(), &error);
            }
        }
    }
}

/// Returns the value of an environment variable that is not empty.
fn set(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}
