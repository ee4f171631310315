//! Processes and their GPU memory as a table, with notes on its gaps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{self, Write},
};

use highwater::{
    gpu::{Figure, Pool},
    listing::{CpuLoad, EngineLoad, GpuHolding, ProcessRow},
    process::{PRIMARY, Primary},
};

use super::{
    privilege::Privilege,
    table::{self, TableColumn},
};
use crate::process_listing::{SelectedProcesses, why_nameless};
use crate::process_selection::ProcessSelection;
use crate::text::{self, gpu_figure};

/// One column: how it is set, whether it is worth its place, and a cell.
struct ProcessColumn {
    column: TableColumn,
    cell: fn(&ProcessRow) -> String,
    /// `None`: always shown.
    shown: Option<fn(&ProcessRow) -> bool>,
}

const fn text_field(
    title: &'static str,
    least: Option<usize>,
    cell: fn(&ProcessRow) -> String,
) -> ProcessColumn {
    ProcessColumn { column: TableColumn { title, is_right: false, least }, cell, shown: None }
}

const fn amount(title: &'static str, cell: fn(&ProcessRow) -> String) -> ProcessColumn {
    ProcessColumn { column: TableColumn { title, is_right: true, least: None }, cell, shown: None }
}

/// The column title for a process's memory on this system.
const MEMORY_TITLE: &str = match PRIMARY {
    Primary::WorkingSet => "WORKING SET",
    Primary::PhysFootprint => "FOOTPRINT",
    _ => "RSS",
};

const PROCESS_COLUMNS: &[ProcessColumn] = &[
    amount("PID", |row| row.pid.to_string()),
    text_field("USER", Some(6), |row| row.user.as_deref().map_or_else(|_| "?".to_owned(), without_domain)),
    text_field("NAME", Some(8), |row| {
        row.name.as_ref().map_or_else(|_| "?".to_owned(), |name| text::printable(name))
    }),
    ProcessColumn { shown: Some(may_hold), ..amount("VRAM", |row| memory(row, row.vram())) },
    ProcessColumn {
        // The column is hidden if the value is unknown for every process: NVIDIA's driver does not report it.
        shown: Some(|row| row.gpu_system_memory().is_some_and(|gtt| gtt.bytes().is_some())),
        ..amount(
            "GTT",
            |row| if is_one_pool(row) { "-".to_owned() } else { memory(row, row.gpu_system_memory()) },
        )
    },
    amount(MEMORY_TITLE, |row| match &row.rss_bytes {
        Ok(bytes) => text::size(*bytes),
        Err(highwater::Unavailable::NoMemoryMap) => "-".to_owned(),
        Err(_) => "?".to_owned(),
    }),
    ProcessColumn {
        shown: Some(|row| row.cpu.is_some()),
        ..amount("CPU%", |row| row.cpu.map_or("?".to_owned(), cpu))
    },
    text_field("S", None, |row| row.state.map_or_else(|| "?".to_owned(), |state| state.to_string())),
    ProcessColumn {
        shown: Some(|row| loads(row).iter().any(|load| load.percent.is_some())),
        ..text_field("ENGINES", Some(8), |row| engines(loads(row)))
    },
    ProcessColumn { shown: Some(may_hold), ..text_field("DEVICE", Some(6), device) },
];

/// Returns whether the device has no memory of its own, so that all of it stands under VRAM already.
fn is_one_pool(row: &ProcessRow) -> bool {
    row.vram().is_some_and(|vram| vram.pool == Pool::Unified)
        && row.gpu_system_memory().is_some_and(|gtt| gtt.bytes().is_none())
}

/// Returns whether the process holds GPU memory, or may hold some unseen. `--all` also lists processes that hold none.
fn may_hold(row: &ProcessRow) -> bool {
    row.gpu.is_some() || row.gpu_refused
}

fn device(row: &ProcessRow) -> String {
    let Some(GpuHolding { device, .. }) = &row.gpu else {
        return if row.gpu_refused { "?" } else { "-" }.to_owned();
    };
    let name = text::printable(device.name.as_deref().unwrap_or(device.id.as_str()));
    device.index.map_or_else(|| name.clone(), |index| format!("{index} {name}"))
}

fn loads(row: &ProcessRow) -> &[EngineLoad] {
    row.gpu.as_ref().map_or(&[], |holding| &holding.loads)
}

/// Returns the text of a cell; `-` if no memory of the process was found.
fn memory(row: &ProcessRow, figure: Option<&Figure>) -> String {
    match figure {
        Some(figure) => gpu_figure::shown(figure),
        None if row.gpu_refused => "?".to_owned(),
        None => "-".to_owned(),
    }
}

/// Returns the text of a CPU load. The kernel counts in steps: no step in so short a time is less than one step, not
/// 0.
fn cpu(cpu: CpuLoad) -> String {
    if cpu.percent == 0.0 && cpu.step_percent >= 0.5 {
        return format!("<{:.0}", cpu.step_percent.ceil());
    }
    format!("{:.0}", cpu.percent)
}

fn engines(loads: &[EngineLoad]) -> String {
    if loads.is_empty() {
        return "-".to_owned();
    }
    let busy = loads.iter().filter_map(|load| {
        let percent = load.percent.filter(|&percent| percent > 0.0)?;
        let number = if percent < 0.5 { "<1".to_owned() } else { format!("{percent:.0}") };
        Some(format!("{} {number}%", text::printable(&load.name)))
    });
    let busy = busy.collect::<Vec<_>>().join(" ");
    match loads.iter().any(|load| load.percent.is_none()) {
        _ if !busy.is_empty() => busy,
        true => "?".to_owned(),
        false => "idle".to_owned(),
    }
}

/// Writes the table; nothing at all if there is no row.
pub(crate) fn write(rows: &[ProcessRow], width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let fields: Vec<&ProcessColumn> =
        PROCESS_COLUMNS.iter().filter(|field| field.shown.is_none_or(|is| rows.iter().any(is))).collect();
    let columns: Vec<TableColumn> = fields.iter().map(|field| field.column).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| fields.iter().map(|field| (field.cell)(row)).collect()).collect();
    table::write(&columns, &cells, width, out)
}

/// Returns the meaning of the marks in the table, and why figures are unknown; a line each.
pub(crate) fn notes(found: &SelectedProcesses) -> Vec<String> {
    let mut notes = Vec::new();
    let mut unknown: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let mut bounded = false;
    for row in &found.rows {
        let mut add = |what: &str, why: &dyn ToString| {
            unknown.entry(format!("{what} unknown: {}", why.to_string())).or_default().insert(row.pid);
        };
        if let Some(why) = why_nameless(row) {
            add("NAME", &why);
        }
        if let Some(why) = row.vram().and_then(|figure| figure.reading.unknown()) {
            add("VRAM", why);
        }
        if let (Err(why), Ok(_)) = (&row.rss_bytes, &row.name)
            && *why != highwater::Unavailable::NoMemoryMap
        {
            add(MEMORY_TITLE, why);
        }
        bounded |= [row.vram(), row.gpu_system_memory()].into_iter().flatten().any(gpu_figure::is_marked);
    }
    for (what, pids) in unknown {
        notes.push(format!("{}: {what}", of_pids(&pids)));
    }
    if bounded {
        notes.push(
            "≥ and ≤: the truth is more or less; ~: it is between that and a lower figure, see --json"
                .to_owned(),
        );
    }
    let shared: BTreeSet<BTreeSet<u32>> = found
        .rows
        .iter()
        .filter_map(|row| Some((row.pid, &row.gpu.as_ref()?.usage.shared_with)))
        .filter(|(_, shared_with)| !shared_with.is_empty())
        .map(|(pid, shared_with)| shared_with.iter().copied().chain([pid]).collect())
        .collect();
    for pids in shared {
        let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
        notes.push(format!("pids {} share a client; its memory is in the row of each", pids.join(", ")));
    }
    let named: BTreeSet<u32> = found.late.difference(&found.unread).copied().collect();
    if !named.is_empty() {
        notes.push(format!(
            "{}: NAME is the kernel's, of at most 15 bytes: the arguments could not be read in time (a process may hold its \
             memory map locked)",
            of_pids(&named)
        ));
    }
    for pid in &found.missing {
        notes.push(format!("no process has pid {pid}"));
    }
    notes.extend(found.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.why)));
    notes
}

fn of_pids(pids: &BTreeSet<u32>) -> String {
    const MAX_NAMED_PIDS: usize = 3;
    let named: Vec<_> = pids.iter().take(MAX_NAMED_PIDS).map(ToString::to_string).collect();
    let word = if pids.len() == 1 { "pid" } else { "pids" };
    let more = pids.len().saturating_sub(MAX_NAMED_PIDS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{word} {}{more}", named.join(", "))
}

/// Returns the one line with the number of processes and whether the list is complete.
pub(crate) fn summary(
    found: &SelectedProcesses,
    selection: &ProcessSelection,
    privilege: Privilege,
) -> String {
    let count = found.process_count();
    let what = match (selection.scope.without_gpu, count) {
        (true, 1) => "process",
        (true, _) => "processes",
        (false, 1) => "process holds GPU memory",
        (false, _) => "processes hold GPU memory",
    };
    let mut text = format!("{count} {what}{selection}");
    let unknown: BTreeSet<u32> = found
        .rows
        .iter()
        .filter(|row| row.vram().is_some_and(|vram| vram.bytes().is_none()))
        .map(|row| row.pid)
        .collect();
    if !unknown.is_empty() {
        let _ = write!(text, " ({} of them an unknown amount)", unknown.len());
    }
    let nameless = privilege.for_names(found.nameless.len());
    let late = || format!("{} did not answer in time", of_pids(&found.late));
    if found.is_complete() {
        text.push_str("; complete");
        if found.devices.is_empty() && found.rows.is_empty() {
            text.push_str(": no GPU and no GPU driver was found");
        }
        if !found.nameless.is_empty() {
            let _ = write!(text, "; {nameless}");
        }
        if !found.late.is_empty() {
            let _ = write!(text, "; {}", late());
        }
        return text;
    }
    let mut why = Vec::new();
    let refused = found.refused.len();
    if refused > 0 {
        let them = if refused == 1 { "it" } else { "them" };
        why.push(format!("{refused} protected ({})", privilege.to_look_into(them)));
    }
    if !found.gaps.is_empty() {
        let what: BTreeSet<&str> = found.gaps.iter().map(|gap| gap.what.as_str()).collect();
        why.push(format!("see {}", what.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if !found.nameless.is_empty() {
        why.push(nameless);
    }
    if !found.late.is_empty() {
        why.push(late());
    }
    format!("{text}; incomplete: {}", why.join(", "))
}

/// Removes the domain or the machine before the name of a Windows account. The JSON holds it.
fn without_domain(user: &str) -> String {
    let name = user.rsplit('\\').next().filter(|_| cfg!(windows));
    text::printable(name.unwrap_or(user))
}

// The texts that they are compared with have the names of Linux.
#[cfg(all(test, target_os = "linux"))]
mod tests;
