//! Devices and the machine's RAM: a line each.

use std::io::{self, Write};

use highwater::{
    Error, Ram,
    gpu::{Device, Figure},
};

use super::{figure, text};
use crate::look::Missing;

/// Writes a line a device, or why there is none, and one for the RAM.
pub(crate) fn write(
    devices: &[Device],
    gaps: &[Missing],
    ram: &Result<Ram, Error>,
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let labels = devices.iter().map(|device| device.index.to_string().len()).max().unwrap_or(0) + 4;
    let names: Vec<String> = devices.iter().map(|device| text::printable(device.label())).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    // What the three amounts take.
    let room = width.map_or(longest, |width| longest.min(width.saturating_sub(labels + 2 + 52).max(12)));
    for (device, name) in devices.iter().zip(&names) {
        let label = format!("GPU {}", device.index);
        let figures = [("used", &device.used), ("free", &device.free), ("total", &device.total)]
            .map(|(word, figure)| format!("{:>10} {word}", figure::shown(figure)))
            .join("  ");
        let mut line = format!("{label:<labels$}  {:<room$}  {figures}", text::shorten(name, room));
        let notes = notes(device);
        if !notes.is_empty() {
            line.push_str("; ");
            line.push_str(&notes.join("; "));
        }
        wrapped(&line, width, labels + 2, out)?;
    }
    for gap in gaps {
        let label = "GPU ?";
        wrapped(
            &text::printable(&format!("{label:<labels$}  {}: {}", gap.what, gap.why)),
            width,
            labels + 2,
            out,
        )?;
    }
    if devices.is_empty() && gaps.is_empty() {
        writeln!(out, "{:<labels$}  none: no GPU was found, and no driver that could tell of one", "GPU")?;
    }
    let line = match ram {
        Ok(ram) => ram_line(ram),
        Err(error) => text::printable(&format!("unknown: {error}")),
    };
    wrapped(&format!("{:<labels$}  {line}", "RAM"), width, labels + 2, out)
}

fn ram_line(ram: &Ram) -> String {
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), text::size);
    let mut line = format!(
        "{} used, {} available, {} total",
        size(ram.used_bytes()),
        size(ram.available_bytes),
        size(ram.total_bytes)
    );
    if let Some(limit) = ram.container_limit_bytes {
        line.push_str("; this container may use ");
        line.push_str(&text::size(limit));
    }
    line
}

fn notes(device: &Device) -> Vec<String> {
    let mut notes = Vec::new();
    if device.reserved.bytes().is_some_and(|bytes| bytes > 0) {
        let size = figure::shown(&device.reserved);
        notes.push(match device.used_contains_reserved {
            Some(true) => format!("{size} of what is used is reserved by the driver"),
            Some(false) => format!("{size} more reserved by the driver"),
            _ => format!("{size} reserved by the driver"),
        });
    }
    if device.unified == Some(true) {
        notes.push("unified memory: the system's RAM".to_owned());
    }
    if device.system_used.bytes().is_some() {
        notes.push(format!("{} of RAM mapped for it", figure::said(&device.system_used)));
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

/// A line that is too long goes on below itself. Spaces that set columns stay.
fn wrapped(line: &str, width: Option<usize>, indent: usize, out: &mut dyn Write) -> io::Result<()> {
    let fits = |text: &str| width.is_none_or(|width| text.chars().count() <= width);
    if fits(line) {
        return writeln!(out, "{line}");
    }
    let room = width.unwrap_or(usize::MAX).saturating_sub(indent).max(20);
    let mut parts = line.split("; ");
    let mut current = parts.next().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for part in parts {
        let longer = format!("{current}; {part}");
        if fits(&longer) {
            current = longer;
        } else {
            lines.push(format!("{current};"));
            current = format!("{:indent$}{part}", "");
        }
    }
    lines.push(current);
    for line in lines {
        if fits(&line) {
            writeln!(out, "{line}")?;
            continue;
        }
        // Words of a sentence, after the columns.
        let (head, tail) = line.split_at(line.char_indices().nth(indent).map_or(0, |(at, _)| at));
        for (place, piece) in text::wrap(tail, room).into_iter().enumerate() {
            let head = if place == 0 { head.to_owned() } else { " ".repeat(indent) };
            writeln!(out, "{head}{piece}")?;
        }
    }
    Ok(())
}
