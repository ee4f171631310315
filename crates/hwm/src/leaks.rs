//! `hwm leaks`: memory that went on growing.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anstyle::{AnsiColor, Style};
use highwater::analysis::{LeakReport, find_leaks};
use serde::Serialize;

use crate::{
    args::LeaksArgs,
    console::{complain, print, print_json},
    exit,
    record_source::read_all_ended,
    schema::Schema,
    text::{self, leaks},
};

/// `hwm leaks --json`.
#[derive(Debug, Serialize)]
struct LeaksDocument<'a> {
    schema: Schema,
    records: &'a [JudgedRecord],
}

/// The findings in one record.
#[derive(Debug, Serialize)]
struct JudgedRecord {
    record: PathBuf,
    #[serde(flatten)]
    report: LeakReport,
}

pub(crate) fn run(args: &LeaksArgs) -> anyhow::Result<ExitCode> {
    let rules = args.rules();
    let mut judged = Vec::new();
    // All records are read before any finding is printed.
    for record in &args.records {
        match read_all_ended(record) {
            Ok(all) => judged.extend(
                all.into_iter()
                    .map(|(record, content)| JudgedRecord { record, report: find_leaks(&content, rules) }),
            ),
            Err(error) => {
                complain(error);
                return Ok(ExitCode::from(exit::NOT_COMPARED));
            }
        }
    }
    if args.json {
        print_json(&LeaksDocument { schema: Schema::LEAKS, records: &judged })?;
    } else {
        print(in_words(&judged).as_bytes())?;
    }
    let found = judged.iter().any(|judged| !judged.report.leaks.is_empty());
    let unjudged = judged.iter().any(|judged| !judged.report.search.total_judged);
    Ok(ExitCode::from(match (found, unjudged) {
        (true, _) => exit::REGRESSION,
        (false, true) => exit::NOT_COMPARED,
        (false, false) => 0,
    }))
}

const BAD_STYLE: Style = AnsiColor::Red.on_default().bold();
const PLAIN_STYLE: Style = Style::new();

fn in_words(judged: &[JudgedRecord]) -> String {
    let mut out = String::new();
    for JudgedRecord { record, report } in judged {
        let style = if report.leaks.is_empty() { PLAIN_STYLE } else { BAD_STYLE };
        for line in leaks::lines(&report.search, &report.leaks) {
            if judged.len() > 1 {
                out.push_str(&text::printable(&format!("{}: ", record.display())));
            }
            let _ = writeln!(out, "{style}{line}{style:#}");
        }
    }
    out
}
