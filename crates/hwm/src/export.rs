//! `hwm export`: a record for other tools.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use highwater::record::Record;

use crate::{
    args::{ExportArgs, ExportFormat},
    console::{complain, warn},
    exit,
    files::{Destination, NewFileMode},
    output::formats::export::{chrome_trace, firefox_profiler, samples},
    paths, record_source,
};

pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    if let Some(mistake) = args.mistake() {
        complain(mistake);
        return Ok(ExitCode::from(exit::USAGE));
    }
    let to = ExportTarget::check(args)?;
    let record = record_source::read(&args.record).map_err(anyhow::Error::msg)?;
    if record.timeline.is_none() {
        let why = if record.complete { "" } else { ": its job had not ended when it was written" };
        warn(format_args!("{} has no memory over time{why}", record_source::name(&args.record)));
    }
    match to {
        ExportTarget::Stdout => {
            let mut out = BufWriter::new(io::stdout().lock());
            match write(args, &record, &mut out).and_then(|()| out.flush()) {
                // A reader that stops early (`| head -1`) is no failure.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                written => written.context("standard output")?,
            }
        }
        ExportTarget::File(file) => {
            file.write(|out| write(args, &record, out)).with_context(|| file.name().to_string())?;
        }
        ExportTarget::Directory(directory) => write_tables(&record, &directory, args.output_mode.mode())?,
    }
    Ok(ExitCode::SUCCESS)
}

impl ExportArgs {
    /// Returns the file of the output; `-` is standard output.
    fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// Returns the fault of options that parse but contradict each other.
    fn mistake(&self) -> Option<String> {
        let same =
            |file: &Path| file.exists() && fs::canonicalize(file).ok() == fs::canonicalize(&self.record).ok();
        match self.file() {
            None if self.format == ExportFormat::Parquet => {
                Some("the tables are three files: name a directory for them, as in -o mem.parquet".to_owned())
            }
            Some(file) if same(file) => {
                Some(format!("--output {}: this is the record itself", file.display()))
            }
            _ => None,
        }
    }
}

/// The target of the output.
#[derive(Debug)]
enum ExportTarget {
    Stdout,
    File(Destination),
    /// The directory of the tables.
    Directory(PathBuf),
}

impl ExportTarget {
    /// Checks the target before the record is read: the record may come from a job that runs for hours.
    fn check(args: &ExportArgs) -> anyhow::Result<Self> {
        match (args.format, args.file()) {
            (ExportFormat::Parquet, _) if cfg!(not(feature = "parquet")) => {
                bail!(
                    "this hwm was built without Parquet; cargo install hwm --features parquet builds one with it"
                )
            }
            (ExportFormat::Parquet, Some(directory)) => Ok(Self::Directory(paths::expand(directory)?)),
            (_, Some(file)) => Ok(Self::File(Destination::check("--output", file, args.output_mode.mode())?)),
            (_, None) => Ok(Self::Stdout),
        }
    }
}

fn write(args: &ExportArgs, record: &Record, out: &mut dyn Write) -> io::Result<()> {
    match args.format {
        ExportFormat::ChromeTrace => chrome_trace::write(record, out),
        ExportFormat::FirefoxProfiler => firefox_profiler::write(record, out),
        ExportFormat::Csv => samples::write(record, args.cells.style(), out),
        ExportFormat::Parquet => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(feature = "parquet")]
fn write_tables(record: &Record, directory: &Path, mode: NewFileMode) -> anyhow::Result<()> {
    use crate::{files::make_directory, output::formats::export::tables};

    make_directory(directory).with_context(|| format!("--output {}", directory.display()))?;
    let tables = [tables::samples(record), tables::processes(record), tables::run(record)];
    let mut files = Vec::new();
    for table in tables {
        let file = directory.join(table.name).with_extension("parquet");
        files.push((Destination::check("--output", &file, mode)?, table));
    }
    for (file, table) in files {
        let bytes = table.to_bytes()?;
        file.write(|out| out.write_all(&bytes)).with_context(|| file.name().to_string())?;
    }
    Ok(())
}

#[cfg(not(feature = "parquet"))]
fn write_tables(_record: &Record, _directory: &Path, _mode: NewFileMode) -> anyhow::Result<()> {
    bail!("built without Parquet")
}
