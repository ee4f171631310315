//! Options that every measurement has, whether the job is started or attached to.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use highwater::job::{CommandLineKey, GroupBy, Pace};
use regex_lite::Regex;

use super::output_mode::OutputModeArgs;
use crate::{kept::Name, output::cell::CellArgs, units};

/// How often to look.
#[derive(Debug, Clone, Args)]
pub(crate) struct PaceArgs {
    /// Sample every MS milliseconds [default: adaptive, quick while things change, slow when still].
    #[arg(short, long, value_name = "MS", value_parser = parse_interval, allow_negative_numbers = true)]
    pub(crate) interval: Option<Duration>,

    /// With --interval: sample quickly during the first quarter of a second all the same.
    #[arg(long)]
    pub(crate) burst: bool,
}

/// What is written, and what is listed in it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// Write the record as JSON to FILE; without FILE to standard output, and the job's own standard
    /// output then goes to standard error.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,

    /// Write one row a process as CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write one row a group as CSV: by command, and by what --group-by says.
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
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Say on standard error how the job stands while it runs: on a terminal one line, redrawn; elsewhere a line every
    /// 30 seconds. TIME sets another pace. It stands below what the job writes to the same terminal.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = parse_live)]
    pub(crate) live: Option<LivePace>,

    /// List at most N processes and N groups in the summary.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,

    /// List only processes and groups whose command matches (in summary and CSV; the JSON stays
    /// complete, and totals always count all). May be given several times.
    #[arg(long, value_name = "REGEX", value_parser = parse_pattern)]
    pub(crate) include: Vec<Regex>,

    /// Leave out of the lists what matches, as with --include.
    #[arg(long, value_name = "REGEX", value_parser = parse_pattern)]
    pub(crate) exclude: Vec<Regex>,

    /// Group processes also by KEY: command, exe, ppid, tree (a process with all its descendants), or
    /// cmdline-regex=REGEX, by what REGEX finds in the command line (its first group in parentheses, if it has one).
    /// May be given several times. The summary shows these groups; CSV and JSON have those by command, too.
    #[arg(long, value_name = "KEY", value_parser = GroupKey::parse)]
    pub(crate) group_by: Vec<GroupKey>,

    /// Leave arguments out of all that is written, for they may hold secrets: the record has the program of the command
    /// alone, and processes are called as the kernel calls them (Linux: at most 15 bytes), not by their first argument.
    /// The names of programs and the paths of their files stay, and so does what a program calls itself.
    #[arg(long)]
    pub(crate) no_args: bool,

    /// Show the job as a tree of processes, each with the peak of all that descends from it (as --group-by tree).
    #[arg(long)]
    pub(crate) tree: bool,
}

/// What is measured beside memory.
#[derive(Debug, Clone, Args)]
pub(crate) struct AlsoArgs {
    /// Also measure GPU memory: what the job's processes hold on each device, over time and at the peak. The drivers
    /// are opened before the job starts.
    #[arg(long, visible_alias = "with-gpu")]
    pub(crate) gpu: bool,

    /// Also measure CPU time and page faults, process by process and over time.
    #[arg(long)]
    pub(crate) with_cpu: bool,

    /// Also measure what is read and written, process by process and over time.
    #[arg(long)]
    pub(crate) with_io: bool,
}

impl PaceArgs {
    /// The pace they ask for.
    pub(crate) fn pace(&self) -> anyhow::Result<Pace> {
        match (self.interval, self.burst) {
            (Some(interval), burst) => Ok(Pace::Fixed { interval, burst }),
            (None, true) => {
                anyhow::bail!("--burst needs --interval, as in -i 200 --burst; without them sampling adapts")
            }
            (None, false) => Ok(Pace::Adaptive),
        }
    }
}

impl ReportArgs {
    /// The names of all output files.
    pub(crate) fn outputs(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.json, &mut self.csv, &mut self.group_csv, &mut self.timeline, &mut self.html]
            .into_iter()
            .flatten()
    }

    /// What to group by beside the command.
    pub(crate) fn groups(&self) -> Vec<GroupBy> {
        let tree = self.tree.then_some(GroupBy::Tree);
        self.group_by.iter().map(|key| key.0.clone()).chain(tree).collect()
    }
}

/// What `--group-by` takes.
#[derive(Debug, Clone)]
pub(crate) struct GroupKey(GroupBy);

impl GroupKey {
    fn parse(text: &str) -> Result<Self, String> {
        const PATTERN: &str = "cmdline-regex";
        Ok(Self(match text {
            "command" => GroupBy::Command,
            "exe" => GroupBy::Exe,
            "ppid" => GroupBy::Ppid,
            "tree" => GroupBy::Tree,
            _ => match text.split_once('=') {
                Some((PATTERN, "")) => {
                    return Err("give a pattern, as in cmdline-regex='--type=(\\w+)'".to_owned());
                }
                Some((PATTERN, pattern)) => GroupBy::CommandLine(found_by(parse_pattern(pattern)?)),
                _ if text == PATTERN => {
                    return Err("give a pattern, as in cmdline-regex='--type=(\\w+)'".to_owned());
                }
                _ => return Err("use command, exe, ppid, tree or cmdline-regex=REGEX".to_owned()),
            },
        }))
    }
}

/// The first group of the pattern, or all that it matches.
fn found_by(pattern: Regex) -> CommandLineKey {
    CommandLineKey::new(move |line| {
        let found = pattern.captures(line)?;
        let part = found.get(1).or(found.get(0))?;
        Some(part.as_str().to_owned())
    })
}

/// How often the live line comes; `None`: as it suits where it goes.
pub(crate) type LivePace = Option<Duration>;

// With the whole path, so that clap does not take it for an optional argument.
fn parse_live(text: &str) -> Result<std::option::Option<Duration>, String> {
    if text.is_empty() { Ok(None) } else { units::parse_time(text).map(Some) }
}

/// A name for what is kept, or none.
pub(crate) type Save = Option<Name>;

// With the whole path, so that clap does not take it for an optional argument.
fn parse_save(text: &str) -> Result<std::option::Option<Name>, String> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// Longest interval: above it a sampling interval is surely a mistake, and sums of times stay far from overflow.
const LONGEST_INTERVAL_MS: u64 = 24 * 60 * 60 * 1000;

fn parse_interval(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(ms @ 1..=LONGEST_INTERVAL_MS) => Ok(Duration::from_millis(ms)),
        Ok(_) => Err(format!("give 1 to {LONGEST_INTERVAL_MS} milliseconds, as in -i 200")),
        Err(_) => Err("give a whole number of milliseconds, as in -i 200".to_owned()),
    }
}

pub(crate) fn parse_pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        format!("{error}; put a backslash before each of . + * ? ( ) | [ ] {{ }} ^ $ that is meant literally")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert!(parse_interval("0").is_err());
        assert!(parse_interval("-5").is_err());
        assert!(parse_interval("abc").is_err());
        assert!(parse_interval("99999999999999999999").is_err());
        assert_eq!(parse_interval("1"), Ok(Duration::from_millis(1)));
    }

    #[test]
    fn group_keys() {
        assert!(matches!(GroupKey::parse("tree").unwrap().0, GroupBy::Tree));
        for wrong in ["", "name", "cmdline-regex", "cmdline-regex=", "cmdline-regex=(", "exe=1"] {
            assert!(GroupKey::parse(wrong).is_err(), "{wrong}");
        }
    }
}
