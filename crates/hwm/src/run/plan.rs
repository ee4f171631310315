//! Everything that can be checked before the job starts, checked.

use std::{ffi::OsString, sync::Arc};

use anyhow::{Context, bail};
use highwater::{
    Error,
    analysis::LeakRules,
    job::{CgroupUse, GroupBy, Limits, LineageFrom, OnLimit, Pace},
};

use super::{hook::HookArgs, repeat::Turn};
use crate::{
    args::{self, Lineage, LivePace, RunArgs},
    files::Destination,
    output::{cell::CellArgs, html::Page, listed::Listed, timeline::TimelineFile},
    startup,
};

/// What to run and what to leave behind.
#[derive(Debug)]
pub(super) struct Plan {
    /// A process that runs already, in place of the program.
    pub(super) attach: Option<u32>,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) pace: Pace,
    pub(super) wait: bool,
    pub(super) exact: bool,
    pub(super) gpu: bool,
    pub(super) with_cpu: bool,
    pub(super) with_io: bool,
    pub(super) cgroup: CgroupUse,
    pub(super) lineage: LineageFrom,
    pub(super) limits: Limits,
    pub(super) leaks: Option<LeakRules>,
    /// Exit codes for a job that a limit on the total, or on a process, has ended.
    pub(super) limit_codes: (u8, u8),
    pub(super) quiet: bool,
    pub(super) live: Option<LivePace>,
    pub(super) top: usize,
    pub(super) listed: Listed,
    pub(super) json: Option<Arc<Destination>>,
    pub(super) json_on_stdout: bool,
    pub(super) csv: Option<Destination>,
    pub(super) group_csv: Option<Destination>,
    pub(super) cells: CellArgs,
    /// Beside the command.
    pub(super) group_by: Vec<GroupBy>,
    pub(super) no_args: bool,
    pub(super) html: Option<(Page, Destination)>,
    pub(super) timeline: Option<Destination>,
    pub(super) turn: Turn,
    pub(super) hook: HookArgs,
}

impl Plan {
    pub(super) fn check(args: RunArgs, turn: Turn) -> anyhow::Result<Self> {
        let mut command = args.command.into_iter();
        let program = command.next().unwrap_or_default();
        if program.is_empty() {
            bail!("the command is empty; name one, as in: hwm run -- cargo build");
        }
        let pace = args.pace.pace()?;
        let report = args.report;
        let group_by = report.groups();
        if report.no_args && group_by.iter().any(|by| matches!(by, GroupBy::CommandLine(_))) {
            bail!(
                "--group-by cmdline-regex writes what it finds in arguments, and --no-args leaves them out; give one of the two"
            );
        }
        let mode = report.output_mode.mode();

        let json_on_stdout = report.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
        let json = match &report.json {
            Some(_) if json_on_stdout && startup::inherited_closed_stdout() => {
                bail!("standard output is closed; to write the record to a file use --json=FILE")
            }
            Some(_) if json_on_stdout => Some(Destination::stdout()?),
            Some(path) => Some(Destination::check("--json", path, mode)?),
            None => None,
        };
        let file = |option: &str, path: Option<std::path::PathBuf>| match path {
            Some(path) if path.as_os_str() == "-" => {
                bail!("{option} needs a file; standard output is {option} /dev/stdout")
            }
            Some(path) => Destination::check(option, &path, mode).map(Some),
            None => Ok(None),
        };
        let csv = file("--csv", report.csv)?;
        let group_csv = file("--group-csv", report.group_csv)?;
        let timeline = file("--timeline", report.timeline)?;
        let html = file("--html", report.html)?;
        let html = html.map(|to| Page::built_in().context("--html").map(|page| (page, to))).transpose()?;

        let mut limits = Limits::default();
        limits.total_rss_bytes = args.max_total_rss;
        limits.process_rss_bytes = args.max_per_proc_rss;
        limits.total_pss_bytes = args.max_total_pss;
        limits.cgroup_bytes = args.max_cgroup;
        limits.grace = args.grace;
        limits.on_limit = match args.on_limit {
            args::OnLimit::Kill => OnLimit::Kill,
            args::OnLimit::Warn => OnLimit::Warn,
        };

        let plan = Self {
            attach: None,
            program,
            args: command.collect(),
            pace,
            wait: args.wait,
            exact: args.exact,
            gpu: args.also.gpu,
            with_cpu: args.also.with_cpu,
            with_io: args.also.with_io,
            cgroup: match (args.cgroup, args.no_cgroup) {
                (true, _) => CgroupUse::Always,
                (false, true) => CgroupUse::Never,
                (false, false) => CgroupUse::Auto,
            },
            lineage: match args.lineage {
                Lineage::Auto => LineageFrom::Auto,
                Lineage::Perf => LineageFrom::Perf,
                Lineage::ProcConnector => LineageFrom::ProcConnector,
                Lineage::Sampling => LineageFrom::Sampling,
            },
            limits,
            leaks: args.leaks.rules(),
            limit_codes: (args.total_limit_code, args.per_proc_limit_code),
            quiet: report.quiet,
            live: report.live,
            top: report.top,
            listed: Listed::new(report.include, report.exclude),
            json: json.map(Arc::new),
            json_on_stdout,
            csv,
            group_csv,
            cells: report.cells,
            group_by,
            no_args: report.no_args,
            html,
            timeline,
            turn,
            hook: args.hook,
        };
        let outputs: Vec<_> = plan.outputs().collect();
        for (index, (option, one)) in outputs.iter().enumerate() {
            if let Some((other, _)) = outputs[..index].iter().find(|(_, two)| one.is_same(two)) {
                bail!("{other} and {option} both write to {}; give them different files", one.name());
            }
        }
        Ok(plan)
    }

    /// The files that are written, with the options that name them.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (&'static str, &Destination)> {
        [
            ("--json", self.json.as_deref()),
            ("--csv", self.csv.as_ref()),
            ("--group-csv", self.group_csv.as_ref()),
            ("--timeline", self.timeline.as_ref()),
            ("--html", self.html.as_ref().map(|(_, to)| to)),
        ]
        .into_iter()
        .filter_map(|(option, output)| Some((option, output?)))
    }

    /// Opens the file that grows while the job runs, and creates it.
    pub(super) fn open_timeline(&mut self) -> anyhow::Result<Option<TimelineFile>> {
        let Some(to) = self.timeline.take() else { return Ok(None) };
        let name = to.name().to_string();
        let interval = match self.pace {
            Pace::Fixed { interval, .. } => Some(interval),
            _ => None,
        };
        TimelineFile::open(to, interval).map(Some).with_context(|| format!("--timeline {name}"))
    }

    /// Whether the job is held to a limit by looking at it.
    pub(super) fn has_limits(&self) -> bool {
        let Limits { total_rss_bytes, process_rss_bytes, total_pss_bytes, .. } = &self.limits;
        total_rss_bytes.or(*process_rss_bytes).or(*total_pss_bytes).is_some()
    }

    /// What the user may have meant: `--json FILE` takes FILE for the command.
    pub(super) fn hint(&self, error: &Error) -> String {
        let name = self.program.to_string_lossy();
        let mistaken = matches!(error, Error::NotFound { .. } | Error::NotExecutable { .. })
            && self.json_on_stdout
            && name.ends_with(".json");
        if mistaken { format!("; to write the record to a file use --json={name}") } else { String::new() }
    }
}
