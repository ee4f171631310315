//! Devices and the machine's RAM: a line each.

use std::io::{self, Write};

use highwater::{
    Error, Ram,
    gpu::{Device, Figure},
};

use crate::missing_part::MissingPart;
use crate::text::{self, gpu_figure};

/// Names are not cut further.
const SHORTEST_NAME: usize = 12;

/// The name and what is used, free and there in all.
type DeviceCells = (String, [String; 3]);

/// Writes a line a device, or why there is none, and one for the RAM.
pub(crate) fn write(
    devices: &[Device],
    gaps: &[MissingPart],
    ram: &Result<Ram, Error>,
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let labels = devices
        .iter()
        .map(|device| device.index.to_string().len())
        .max()
        .unwrap_or(usize::from(!gaps.is_empty()))
        + 4;
    let lines: Vec<DeviceCells> = devices
        .iter()
        .map(|device| {
            let amounts = [&device.used, &device.free, &device.total].map(gpu_figure::shown);
            (text::printable(device.label()), amounts)
        })
        .collect();
    let widest = |of: &dyn Fn(&DeviceCells) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let sizes = [0, 1, 2].map(|place| widest(&|(_, amounts)| amounts[place].chars().count()));
    // The words and the spaces between them.
    let rest = labels + 2 + sizes.iter().sum::<usize>() + 3 * 2 + " used free total".len();
    let longest = widest(&|(name, _)| name.chars().count());
    let names = width.map_or(longest, |width| longest.min(width.saturating_sub(rest).max(SHORTEST_NAME)));
    for (device, (name, amounts)) in devices.iter().zip(&lines) {
        let label = format!("GPU {}", device.index);
        let mut line = format!("{label:<labels$}  {:<names$}", text::shorten(name, names));
        for ((amount, size), word) in amounts.iter().zip(sizes).zip(["used", "free", "total"]) {
            line.push_str(&" ".repeat(2 + size - amount.chars().count()));
            line.extend([amount, " ", word]);
        }
        with_notes(&line, &notes(device), labels + 2, width, out)?;
    }
    for gap in gaps {
        let label = "GPU ?";
        let why = text::printable(&format!("{}: {}", gap.what, gap.why));
        let pieces = text::wrap(&why, width.map_or(usize::MAX, |width| width.saturating_sub(labels + 2)));
        for (place, piece) in pieces.iter().enumerate() {
            writeln!(out, "{:<labels$}  {piece}", if place == 0 { label } else { "" })?;
        }
    }
    if devices.is_empty() && gaps.is_empty() {
        writeln!(out, "{:<labels$}  none: no GPU and no GPU driver was found", "GPU")?;
    }
    let (line, notes) = match ram {
        Ok(ram) => ram_line(ram),
        Err(error) => (text::printable(&format!("unknown: {error}")), Vec::new()),
    };
    with_notes(&format!("{:<labels$}  {line}", "RAM"), &notes, labels + 2, width, out)
}

fn ram_line(ram: &Ram) -> (String, Vec<String>) {
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), text::size);
    let line = format!(
        "{} used, {} available, {} total",
        size(ram.used_bytes()),
        size(ram.available_bytes),
        size(ram.total_bytes)
    );
    let limit =
        ram.container_limit_bytes.map(|limit| format!("this container may use {}", text::size(limit)));
    (line, limit.into_iter().collect())
}

fn notes(device: &Device) -> Vec<String> {
    let mut notes = Vec::new();
    if device.reserved.bytes().is_some_and(|bytes| bytes > 0) {
        let size = gpu_figure::shown(&device.reserved);
        notes.push(match device.used_contains_reserved {
            Some(true) => format!("{size} of what is used is reserved by the driver"),
            Some(false) => format!("{size} more reserved by the driver"),
            _ => format!("{size} reserved by the driver"),
        });
    }
    if device.unified == Some(true) {
        notes.push("unified memory: the system's RAM".to_owned());
    }
    if let Some(budget) = device.budget.as_ref().and_then(|budget| budget.reading.known()) {
        notes.push(format!("recommended for one process: at most {}", text::size(budget)));
    }
    if device.system_used.bytes().is_some() {
        notes.push(format!("{} of RAM mapped for it", gpu_figure::phrase(&device.system_used)));
    }
    let mut unknown: Vec<(String, Vec<&str>)> = Vec::new();
    let mut add = |word, figure: &Figure| {
        let Some(why) = figure.reading.unknown().map(ToString::to_string) else { return };
        match unknown.iter_mut().find(|(known, _)| *known == why) {
            Some((_, words)) => words.push(word),
            None => unknown.push((why, vec![word])),
        }
    };
    add("used", &device.used);
    add("free", &device.free);
    add("total", &device.total);
    for (why, words) in unknown {
        notes.push(text::printable(&format!("{} unknown: {why}", words.join(", "))));
    }
    notes
}

/// Adds the notes behind the line if the terminal has room, else below it.
fn with_notes(
    line: &str,
    notes: &[String],
    indent: usize,
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let notes = notes.join("; ");
    let length = line.chars().count() + 2 + notes.chars().count();
    match width {
        _ if notes.is_empty() => writeln!(out, "{line}"),
        Some(width) if length > width => {
            writeln!(out, "{line}")?;
            let pieces = text::wrap(&notes, width.saturating_sub(indent).max(SHORTEST_NAME));
            pieces.iter().try_for_each(|piece| writeln!(out, "{:indent$}{piece}", ""))
        }
        _ => writeln!(out, "{line}; {notes}"),
    }
}
