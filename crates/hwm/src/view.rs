//! `hwm view`: a record in the terminal, or as a page.

mod browser;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use highwater::record::Record;

use crate::{
    args::ViewArgs,
    console::{print, warn},
    files::{Destination, NewFileMode},
    output::{
        formats::html::{Page, payload::Packed},
        terminal::{summary::BOLD, view},
    },
    record_source, terminal, text,
};

pub(crate) fn run(args: &ViewArgs) -> anyhow::Result<ExitCode> {
    if args.html.is_none() && !args.open {
        return in_terminal(args);
    }
    let is_stdout = args.html.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if args.open && is_stdout {
        bail!("--open needs a file; name one with --html FILE, or leave --html out");
    }
    let page = Page::built_in()?;
    let files = std::iter::once(&args.record).chain(&args.other);
    let packed = files.map(|file| pack(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let destination = match &args.html {
        Some(_) if is_stdout => Destination::stdout()?,
        Some(path) => Destination::check("--html", path, args.output_mode.mode())?,
        None => Destination::check("--open", &browser::temporary()?, NewFileMode::Private)?,
    };
    destination
        .write(|out| page.write(&packed, out))
        .with_context(|| format!("cannot write {}", destination.name()))?;
    if args.open {
        browser::open(destination.path())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn pack(file: &Path) -> anyhow::Result<Packed> {
    let record: Record = record_source::read(file).map_err(anyhow::Error::msg)?;
    if !record.complete {
        warn(format_args!("{}: a checkpoint, its job had not ended: it has no timeline", file.display()));
    }
    Ok(Packed::new(&record, record.processes.iter().cloned().map(Ok))?)
}

/// Shows the record in the terminal; two of them one after the other.
fn in_terminal(args: &ViewArgs) -> anyhow::Result<ExitCode> {
    let layout =
        view::ViewLayout { width: terminal::wanted_width(), top: args.top, is_utf8: terminal::is_utf8() };
    let files = || std::iter::once(&args.record).chain(&args.other);
    let read = |file: &PathBuf| record_source::read(file).map_err(anyhow::Error::msg);
    let records = files().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let mut out = Vec::new();
    for (file, record) in files().zip(&records) {
        if records.len() > 1 {
            let gap = if out.is_empty() { "" } else { "\n" };
            writeln!(out, "{gap}{BOLD}{}{BOLD:#}", text::printable(&record_source::name(file).to_string()))?;
        }
        view::write(record, layout, &mut out)?;
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}
