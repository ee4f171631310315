//! The reports of a run: files, checked before the job starts, and the summary.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use highwater::{
    job::{Pace, Rows},
    record::Record,
};

use super::timeline::TimelineFile;
use super::turn::Turn;
use crate::{
    args::ReportArgs,
    console::{print_to_stderr, warn, warn_unwritten},
    files::{Destination, NewFileMode},
    filter::RowFilter,
    output::{
        formats::{
            group_csv::GroupCsv, html::HtmlReport, json::JsonReport, process_csv::ProcessCsv, report::Report,
        },
        terminal::summary::{self, NextStep, SummaryDetail, runs::RunQuantities},
    },
    paths, startup,
    text::leaks,
};

/// The reports that a run leaves behind.
#[derive(Debug)]
pub(super) struct Reports {
    files: Vec<ReportFile>,
    /// True if the record goes to standard output; the job's own output then goes to standard error.
    pub(super) record_on_stdout: bool,
    pub(super) summary: SummaryStyle,
}

/// One file of those.
#[derive(Debug)]
struct ReportFile {
    /// The option that names it.
    option: &'static str,
    to: Arc<Destination>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Written once the job is over.
    Report(Box<dyn Report>),
    /// Rows that are added while the job runs.
    Timeline,
}

/// The part of a summary that is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SummaryAmount {
    Nothing,
    Answer,
    All,
}

/// The summary on standard error.
#[derive(Debug)]
pub(super) struct SummaryStyle {
    amount: SummaryAmount,
    top: usize,
    filter: RowFilter,
    with_cpu: bool,
    /// The file with all rows, if one is written.
    csv: Option<String>,
}

impl Reports {
    /// Finds out whether all of them can be written, and no two into the same file. `run` is the number of the run.
    pub(super) fn check(mut args: ReportArgs, with_cpu: bool, run: u32) -> anyhow::Result<Self> {
        for output in args.outputs() {
            *output = paths::with_number(output, run);
        }
        let mode = args.output_mode.mode();
        let cells = args.cells.style();
        let filter = RowFilter::new(args.include, args.exclude);
        let record_on_stdout = args.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
        let json = match &args.json {
            Some(_) if record_on_stdout && startup::inherited_closed_stdout() => {
                bail!("standard output is closed; to write the record to a file use --json=FILE")
            }
            Some(_) if record_on_stdout => Some(Destination::stdout()?),
            Some(path) => Some(Destination::check("--json", path, mode)?),
            None => None,
        };
        let csv = file("--csv", args.csv.as_deref(), mode)?;
        let group_csv = file("--group-csv", args.group_csv.as_deref(), mode)?;
        let timeline = file("--timeline", args.timeline.as_deref(), mode)?;
        let html = file("--html", args.html.as_deref(), mode)?;
        let page = html.as_ref().map(|_| HtmlReport::new().context("--html")).transpose()?;

        let csv_name = csv.as_ref().map(|to| to.name().to_string());
        let report = |option, to: Option<Destination>, report: Box<dyn Report>| {
            Some(ReportFile { option, to: Arc::new(to?), content: Content::Report(report) })
        };
        let files = [
            report("--json", json, Box::new(JsonReport)),
            report("--csv", csv, Box::new(ProcessCsv { filter: filter.clone(), cells })),
            report("--group-csv", group_csv, Box::new(GroupCsv { filter: filter.clone(), cells })),
            timeline.map(|to| ReportFile {
                option: "--timeline",
                to: Arc::new(to),
                content: Content::Timeline,
            }),
            page.and_then(|page| report("--html", html, Box::new(page))),
        ];
        let files: Vec<ReportFile> = files.into_iter().flatten().collect();
        for (index, ReportFile { option, to, .. }) in files.iter().enumerate() {
            if let Some(other) = files[..index].iter().find(|other| to.is_same(&other.to)) {
                bail!("{} and {option} both write to {}; give them different files", other.option, to.name());
            }
        }
        let amount = match (args.quiet, args.verbose) {
            (true, _) => SummaryAmount::Nothing,
            (false, false) => SummaryAmount::Answer,
            (false, true) => SummaryAmount::All,
        };
        let summary = SummaryStyle { amount, top: args.top, filter, with_cpu, csv: csv_name };
        Ok(Self { files, record_on_stdout, summary })
    }

    /// Returns the files that are written, with the options that name them.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (&'static str, &Destination)> {
        self.files.iter().map(|file| (file.option, &*file.to))
    }

    /// Returns the target of the record itself.
    pub(super) fn record_destination(&self) -> Option<&Arc<Destination>> {
        let is_record =
            |file: &&ReportFile| matches!(&file.content, Content::Report(report) if report.is_record());
        self.files.iter().find(is_record).map(|file| &file.to)
    }

    /// Opens the file that grows while the job runs, and creates it.
    pub(super) fn open_timeline(&mut self, pace: Pace) -> anyhow::Result<Option<TimelineFile>> {
        let is_timeline = |file: &ReportFile| matches!(file.content, Content::Timeline);
        let Some(index) = self.files.iter().position(is_timeline) else { return Ok(None) };
        let to = self.files.remove(index).to;
        let name = to.name().to_string();
        let interval = match pace {
            Pace::Fixed { interval, .. } => Some(interval),
            _ => None,
        };
        TimelineFile::open(to, interval).map(Some).with_context(|| format!("--timeline {name}"))
    }

    /// Writes all of them; the file that holds the record now, if one does. The job is over: a failure is a warning.
    pub(super) fn write(&self, record: &Record<Rows>) -> Option<PathBuf> {
        let mut record_file = None;
        for ReportFile { to, content, .. } in &self.files {
            let Content::Report(report) = content else { continue };
            match to.write(|out| report.write(record, out)) {
                Ok(()) if report.is_record() && to.is_file() => record_file = Some(to.path().to_owned()),
                Ok(()) => {}
                // A reader of standard output that stops early (`| head -1`) is no failure.
                Err(error)
                    if report.is_record()
                        && self.record_on_stdout
                        && error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => warn_unwritten(to.name(), &error),
            }
        }
        record_file
    }
}

impl SummaryStyle {
    /// Returns whether no summary is printed.
    pub(super) fn is_quiet(&self) -> bool {
        self.amount == SummaryAmount::Nothing
    }

    /// Returns what is printed of several runs, if anything is.
    pub(super) fn quantities_of_runs(&self) -> Option<RunQuantities> {
        match self.amount {
            SummaryAmount::Nothing => None,
            SummaryAmount::Answer => Some(RunQuantities::Answer),
            SummaryAmount::All => Some(RunQuantities::All),
        }
    }

    /// Prints the summary of a run. `next` is what the user may look at next.
    pub(super) fn print(&self, record: &Record<Rows>, turn: Turn, next: NextStep) {
        if let Some(why) = record.capture.tracer_doubt() {
            warn(why);
        }
        if self.is_quiet() {
            // A leak that was looked for is reported all the same.
            for leak in leaks::among(&record.findings) {
                warn(format_args!("leak: {}", leaks::sentence(leak)));
            }
        } else if let Err(error) = self.try_print(record, turn, next)
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            warn(format_args!("the summary is not complete: {error}"));
        }
    }

    fn try_print(&self, record: &Record<Rows>, turn: Turn, next: NextStep) -> io::Result<()> {
        if !turn.is_alone() {
            return print_to_stderr(|width, out| {
                summary::runs::one(record, turn.number, turn.of, width, out)
            });
        }
        let tally =
            summary::Tally::of(record.processes.iter(), self.top, &self.filter, record.peak.memory.as_ref())?;
        print_to_stderr(|width, out| {
            let layout = summary::SummaryLayout {
                width,
                top: self.top,
                filter: &self.filter,
                with_cpu: self.with_cpu,
                csv: self.csv.clone(),
                detail: match self.amount {
                    SummaryAmount::All => SummaryDetail::All,
                    SummaryAmount::Nothing | SummaryAmount::Answer => SummaryDetail::Answer(next),
                },
            };
            summary::write(record, &tally, &layout, out)
        })
    }
}

/// Opens the file of an option that takes no standard output.
fn file(option: &str, path: Option<&Path>, mode: NewFileMode) -> anyhow::Result<Option<Destination>> {
    match path {
        Some(path) if path.as_os_str() == "-" => {
            bail!("{option} needs a file; standard output is {option} /dev/stdout")
        }
        Some(path) => Destination::check(option, path, mode).map(Some),
        None => Ok(None),
    }
}
