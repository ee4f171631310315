//! `hwm explain`: how the peak memory of a record came about, in sentences.

use std::process::ExitCode;

use crate::{args::ExplainArgs, console::print, output::terminal::explain, record_source, terminal};

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let record = record_source::read(&args.record).map_err(anyhow::Error::msg)?;
    let mut out = Vec::new();
    explain::write(&record, terminal::wanted_width(), &mut out)?;
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}
