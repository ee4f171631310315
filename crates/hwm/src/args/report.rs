//! Reports of a measurement, of a job that is started or attached to.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use highwater::job::{CommandLineKey, GroupBy};
use regex_lite::Regex;

use super::{cell::CellArgs, output_mode::OutputModeArgs};
use crate::{store::RecordName, units};

/// Files that are written, and the rows in them.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// Write the record as JSON to FILE. Without FILE it goes to standard output, and the job's own standard output
    /// then goes to standard error.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,

    /// Write one row a process as CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write one row for each group as CSV: by command, and by the key of --group-by.
    #[arg(long, value_name = "FILE")]
    pub(crate) group_csv: Option<PathBuf>,

    /// Write one row a sample as CSV while the job runs.
    #[arg(long, value_name = "FILE")]
    pub(crate) timeline: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) cells: CellArgs,

    /// Write a page of charts to FILE, for any browser and without network (see hwm view --help).
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output_mode: OutputModeArgs,

    /// Keep the record, under NAME if one is given: hwm list shows what is kept, and other verbs take its name or @last.
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = parse_save)]
    pub(crate) save: Option<Save>,

    /// Print no summary.
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print all figures with their evidence: RSS, PSS, the peaks of processes and groups, and how they were measured.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Show the job's present memory on standard error while it runs. On a terminal it is one line, redrawn; elsewhere
    /// a line every 30 seconds. TIME sets another pace. It stands below what the job writes to the same terminal.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = parse_live)]
    pub(crate) live: Option<LivePace>,

    /// List at most N processes and N groups in the summary.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,

    /// List only processes and groups whose command matches (in summary and CSV; the JSON stays
    /// complete, and totals always count all). May be given several times.
    #[arg(long, value_name = "REGEX", value_parser = units::parse_pattern)]
    pub(crate) include: Vec<Regex>,

    /// Leave out of the lists what matches, as with --include.
    #[arg(long, value_name = "REGEX", value_parser = units::parse_pattern)]
    pub(crate) exclude: Vec<Regex>,

    /// Group processes also by KEY: command, name (such as `rustc serde`), exe, ppid, tree (a process with all its
    /// descendants), or cmdline-regex=REGEX. The last takes what REGEX finds in the command line: its first group in
    /// parentheses, if it has one. May be given several times. The summary shows these groups; CSV and JSON have those by
    /// command, too.
    #[arg(long, value_name = "KEY", value_parser = GroupChoice::parse)]
    pub(crate) group_by: Vec<GroupChoice>,

    /// Leave arguments out of all that is written, for they may hold secrets. The record has the program of the command
    /// alone. A process has the kernel's name (Linux: at most 15 bytes) in place of its first argument. The names of
    /// programs and the paths of their files stay, and so does what a program calls itself.
    #[arg(long)]
    pub(crate) no_args: bool,

    /// Show the job as a tree of processes, each with the peak of all that descends from it (as --group-by tree).
    #[arg(long)]
    pub(crate) tree: bool,
}

impl ReportArgs {
    /// Returns the names of all output files.
    pub(crate) fn outputs(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.json, &mut self.csv, &mut self.group_csv, &mut self.timeline, &mut self.html]
            .into_iter()
            .flatten()
    }

    /// Returns the keys of groups beside the command.
    pub(crate) fn groups(&self) -> Vec<GroupBy> {
        let tree = self.tree.then_some(GroupBy::Tree);
        self.group_by.iter().map(|key| key.0.clone()).chain(tree).collect()
    }
}

/// A value of `--group-by`.
#[derive(Debug, Clone)]
pub(crate) struct GroupChoice(GroupBy);

impl GroupChoice {
    fn parse(text: &str) -> Result<Self, String> {
        const PATTERN: &str = "cmdline-regex";
        Ok(Self(match text {
            "command" => GroupBy::Command,
            "name" => GroupBy::Name,
            "exe" => GroupBy::Exe,
            "ppid" => GroupBy::Ppid,
            "tree" => GroupBy::Tree,
            _ => match text.split_once('=') {
                Some((PATTERN, "")) => {
                    return Err("give a pattern, as in cmdline-regex='--type=(\\w+)'".to_owned());
                }
                Some((PATTERN, pattern)) => GroupBy::CommandLine(found_by(units::parse_pattern(pattern)?)),
                _ if text == PATTERN => {
                    return Err("give a pattern, as in cmdline-regex='--type=(\\w+)'".to_owned());
                }
                _ => return Err("use command, name, exe, ppid, tree or cmdline-regex=REGEX".to_owned()),
            },
        }))
    }
}

/// Returns a key that is the first group of the pattern, or all that the pattern matches.
fn found_by(pattern: Regex) -> CommandLineKey {
    CommandLineKey::new(move |line| {
        let found = pattern.captures(line)?;
        let part = found.get(1).or(found.get(0))?;
        Some(part.as_str().to_owned())
    })
}

/// The interval of the live line; `None`: the default of its target.
pub(crate) type LivePace = Option<Duration>;

// With the whole path, so that clap does not take it for an optional argument.
fn parse_live(text: &str) -> Result<std::option::Option<Duration>, String> {
    if text.is_empty() { Ok(None) } else { units::parse_time(text).map(Some) }
}

/// A name for what is kept, or none.
pub(crate) type Save = Option<RecordName>;

// With the whole path, so that clap does not take it for an optional argument.
fn parse_save(text: &str) -> Result<std::option::Option<RecordName>, String> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_keys() {
        assert!(matches!(GroupChoice::parse("tree").unwrap().0, GroupBy::Tree));
        for wrong in ["", "title", "cmdline-regex", "cmdline-regex=", "cmdline-regex=(", "exe=1"] {
            assert!(GroupChoice::parse(wrong).is_err(), "{wrong}");
        }
    }
}
