//! `hwm list`: the records that `hwm run --save` has kept.

mod index;

use std::{collections::HashMap, path::Path, process::ExitCode};

use anyhow::{Context, bail};
use highwater::record::{Certainty, Exit};
use serde::Serialize;

use crate::{
    args::ListArgs,
    console::{complain, print, print_json},
    files::Directory,
    output::terminal::table::{self, TableColumn},
    schema::Schema,
    store::{RecordReference, RecordStore, RunSet},
    terminal, text,
};
use index::IndexLine;

pub(crate) fn run(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let kept = RecordStore::of_user()?;
    RecordStore::warn_of_ignored_place();
    kept.sweep();
    let sets = kept.sets()?;
    if !args.remove.is_empty() {
        remove(&kept, &args.remove)?;
    } else if let Some(newest) = args.keep.map(|newest| usize::try_from(newest).unwrap_or(usize::MAX)) {
        if sets.len() > newest {
            let root = open(&kept)?;
            for set in sets.iter().skip(newest) {
                set.remove(&root, None).context("cannot remove a record")?;
            }
        }
        let gone = sets.len().saturating_sub(newest);
        print(format!("removed {gone}, kept {}\n", sets.len() - gone).as_bytes())?;
    } else {
        show(args, &kept, &sets)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn open(kept: &RecordStore) -> anyhow::Result<Directory> {
    kept.open().with_context(|| kept.root().display().to_string())
}

/// Removes all of them, or none if one is not there.
fn remove(kept: &RecordStore, references: &[RecordReference]) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for reference in references {
        let set = kept.find(reference)?;
        let set = set
            .filter(|set| reference.run.is_none_or(|run| set.runs.iter().any(|(number, _)| *number == run)));
        let Some(set) = set else { bail!("{reference}: no such record is kept; nothing was removed") };
        found.push((reference, set));
    }
    let root = open(kept)?;
    for (reference, set) in found {
        set.remove(&root, reference.run).with_context(|| reference.to_string())?;
        let runs = if reference.run.is_some() { 1 } else { set.runs.len() };
        let plural = if runs == 1 { "run" } else { "runs" };
        let time = text::printable(&set.time);
        print(format!("removed {reference} ({runs} {plural} of {time})\n").as_bytes())?;
    }
    Ok(())
}

/// The records that one call of hwm kept.
#[derive(Debug, Serialize)]
struct ListedRunSet<'a> {
    /// The reference by which the user names it.
    reference: String,
    name: Option<String>,
    time: &'a str,
    runs: Vec<ListedRun<'a>>,
}

#[derive(Debug, Serialize)]
struct ListedRun<'a> {
    number: u32,
    file: &'a Path,
    /// The reason why the file cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    line: Option<&'a IndexLine>,
}

#[derive(Debug, Serialize)]
struct ListDocument<'a> {
    schema: Schema,
    directory: &'a Path,
    records: Vec<ListedRunSet<'a>>,
}

fn show(args: &ListArgs, kept: &RecordStore, sets: &[RunSet]) -> anyhow::Result<()> {
    let entries = index::lines(kept, sets);
    let mut times: HashMap<&crate::store::RecordName, usize> = HashMap::new();
    let mut records = Vec::new();
    for ((back, set), entries) in sets.iter().enumerate().zip(&entries) {
        let reference = match &set.name {
            Some(name) => {
                let nth = times.entry(name).or_default();
                let reference =
                    RecordReference { name: Some(name.clone()), back: *nth, run: None, is_marked: false };
                *nth += 1;
                reference
            }
            None => RecordReference { name: None, back, run: None, is_marked: true },
        };
        if args.name.is_some() && args.name != set.name {
            continue;
        }
        let runs = set.runs.iter().zip(entries).map(|((number, file), entry)| ListedRun {
            number: *number,
            file,
            error: entry.as_ref().err().map(String::as_str),
            line: entry.as_ref().ok(),
        });
        records.push(ListedRunSet {
            reference: reference.to_string(),
            name: set.name.as_ref().map(ToString::to_string),
            time: &set.time,
            runs: runs.collect(),
        });
    }
    if args.json {
        print_json(&ListDocument { schema: Schema::LIST, directory: kept.root(), records })?;
        return Ok(());
    }
    if records.is_empty() {
        let what = args.name.as_ref().map_or_else(String::new, |name| format!(" as {name}"));
        complain(format_args!(
            "no record is kept{what} in {}; hwm run --save keeps one",
            kept.root().display()
        ));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    let mut shown = Vec::new();
    table::write(&RECORD_COLUMNS, &rows, terminal::width(), &mut shown)?;
    print(&shown)?;
    Ok(())
}

const RECORD_COLUMNS: [TableColumn; 7] = [
    TableColumn { title: "RECORD", is_right: false, least: None },
    TableColumn { title: "TIME (UTC)", is_right: false, least: None },
    TableColumn { title: "RUNS", is_right: true, least: None },
    TableColumn { title: "PEAK", is_right: true, least: None },
    TableColumn { title: "DURATION", is_right: true, least: None },
    TableColumn { title: "EXIT", is_right: true, least: None },
    TableColumn { title: "COMMAND", is_right: false, least: Some(12) },
];

/// Returns the row of a set. Several runs are shown by their medians and by the end of the first that failed.
fn row(listed: &ListedRunSet<'_>) -> Vec<String> {
    let lines: Vec<&IndexLine> = listed.runs.iter().filter_map(|run| run.line).collect();
    let unreadable = || listed.runs.iter().find_map(|run| run.error).unwrap_or_default();
    let command = match lines.first() {
        Some(line) => text::command_line(&line.command),
        None => format!("({})", text::printable(unreadable())),
    };
    vec![
        listed.reference.clone(),
        text::printable(listed.time.replace('T', " ").trim_end_matches('Z')),
        listed.runs.len().to_string(),
        peak(&lines),
        median(lines.iter().map(|line| line.duration_seconds)).map_or_else(|| "?".to_owned(), text::duration),
        exit(&lines),
        command,
    ]
}

fn peak(lines: &[&IndexLine]) -> String {
    let known: Vec<_> =
        lines.iter().filter_map(|line| Some((line.peak_bytes?, line.peak_certainty))).collect();
    let Some(bytes) = median(known.iter().map(|(bytes, _)| *bytes as f64)) else { return "?".to_owned() };
    let all = |certainty| known.iter().all(|(_, of)| *of == Some(certainty));
    let sign = match () {
        () if all(Certainty::Exact) => "",
        () if all(Certainty::AtLeast) => "≥ ",
        () if all(Certainty::AtMost) => "≤ ",
        () => "~ ",
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a median of u64
    let bytes = bytes as u64;
    format!("{sign}{}", text::size(bytes))
}

fn exit(lines: &[&IndexLine]) -> String {
    let shown = |exit: &Exit| match (exit.code, exit.signal) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => exit.signal_name.clone().unwrap_or_else(|| format!("signal {signal}")),
        (None, None) => "?".to_owned(),
    };
    let ends: Vec<String> =
        lines.iter().map(|line| line.exit.as_ref().map_or_else(|| "?".to_owned(), shown)).collect();
    ends.iter()
        .find(|end| *end != "0")
        .or(ends.first())
        .map_or_else(|| "?".to_owned(), |end| text::printable(end))
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(f64::midpoint(values[last / 2], values[last.div_ceil(2)]))
}
