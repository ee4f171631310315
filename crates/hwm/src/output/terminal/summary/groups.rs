//! Groups of processes, and the job as a tree of them.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use highwater::record::{Group, GroupKey, Record};

use super::lines::{BOLD, SummaryLayout};
use crate::text;

/// A tree of more lines than this is cut: `--json` has all of it.
const MAX_TREE_LINES: usize = 200;

/// Returns the kinds that were asked for, each with its groups; by command if none was.
pub(crate) fn kinds<P>(record: &Record<P>) -> Vec<(GroupKey, Vec<&Group>)> {
    let mut kinds: Vec<GroupKey> = Vec::new();
    for group in &record.groups {
        if !kinds.contains(&group.by) {
            kinds.push(group.by);
        }
    }
    if kinds.len() > 1 {
        kinds.retain(|kind| *kind != GroupKey::Command);
    }
    let groups = |kind| record.groups.iter().filter(|group| group.by == kind).collect();
    kinds.into_iter().map(|kind| (kind, groups(kind))).collect()
}

/// Writes the part of the summary about groups.
pub(super) fn write<P>(
    record: &Record<P>,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (kind, of_kind) in kinds(record) {
        match kind {
            GroupKey::Tree => write_tree(&of_kind, layout, out)?,
            _ => write_list(kind, &of_kind, layout, out)?,
        }
    }
    Ok(())
}

/// Writes the groups that were asked for; those by command are made for every job.
pub(super) fn write_wanted<P>(
    record: &Record<P>,
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let is_wanted = record.groups.iter().any(|group| group.by != GroupKey::Command);
    if is_wanted { write(record, layout, out) } else { Ok(()) }
}

fn write_list(
    kind: GroupKey,
    groups: &[&Group],
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let listed: Vec<_> = groups.iter().filter(|group| layout.filter.lists(&group.key)).collect();
    if listed.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = listed
        .iter()
        .take(layout.top)
        .map(|group| {
            let room = layout.width.saturating_sub(40).max(12);
            let name = text::shorten(&text::printable(&group.key), room);
            (format!("{name} ({})", processes(group)), text::size_or_unknown(group.peak_bytes))
        })
        .collect();
    let by = by(kind);
    writeln!(out, "\n{BOLD}Process groups by {by}{BOLD:#} (the group's peak at one instant)")?;
    let names = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let sizes = rows.iter().map(|(_, size)| size.chars().count()).max().unwrap_or(0);
    for (name, size) in &rows {
        writeln!(out, "  {name:<names$}  {size:>sizes$}")?;
    }
    let more = listed.len() - rows.len();
    if more > 0 { writeln!(out, "  ... and {more} more (see --json)") } else { Ok(()) }
}

/// Returns the words for a key.
pub(crate) fn by(kind: GroupKey) -> &'static str {
    match kind {
        GroupKey::Name => "name",
        GroupKey::Exe => "executable",
        GroupKey::Ppid => "parent's pid",
        GroupKey::CommandLine => "what was found in the command line",
        _ => "command",
    }
}

/// Returns the number of processes of a group.
pub(crate) fn processes(group: &Group) -> String {
    let plural = if group.processes == 1 { "process" } else { "processes" };
    format!("{} {plural}", group.processes)
}

/// Lines of a tree, before they are brought to one width.
struct PrintedTree<'a> {
    children: HashMap<Option<u64>, Vec<&'a Group>>,
    top: usize,
    lines: Vec<(String, String)>,
    cut: bool,
}

/// Writes each process with the peak of all its descendants; leaves of one command together. A process that is not
/// listed is left out, unless it leads to one that is.
pub(crate) fn write_tree(
    groups: &[&Group],
    layout: &SummaryLayout<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let parents: HashMap<u64, Option<u64>> =
        groups.iter().filter_map(|group| Some((group.id?, group.parent))).collect();
    let mut shown = std::collections::HashSet::new();
    for group in groups.iter().filter(|group| layout.filter.lists(&group.key)) {
        let mut next = group.id;
        while let Some(id) = next.filter(|&id| shown.insert(id)) {
            next = parents.get(&id).copied().flatten();
        }
    }
    let mut children: HashMap<Option<u64>, Vec<&Group>> = HashMap::new();
    for group in groups.iter().filter(|group| group.id.is_some_and(|id| shown.contains(&id))) {
        children.entry(group.parent).or_default().push(group);
    }
    let mut tree = PrintedTree { children, top: layout.top.max(1), lines: Vec::new(), cut: false };
    tree.below(None, 1);
    if tree.lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{BOLD}Process tree{BOLD:#} (each with all that descends from it, at one instant)")?;
    let room = layout.width.saturating_sub(16).max(20);
    let lines: Vec<(String, &str)> =
        tree.lines.iter().map(|(name, size)| (text::shorten(name, room), size.as_str())).collect();
    let names = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let sizes = lines.iter().map(|(_, size)| size.chars().count()).max().unwrap_or(0);
    for (name, size) in &lines {
        writeln!(out, "{}", format!("{name:<names$}  {size:>sizes$}").trim_end())?;
    }
    if tree.cut { writeln!(out, "  ... and more (see --json)") } else { Ok(()) }
}

impl PrintedTree<'_> {
    fn below(&mut self, parent: Option<u64>, depth: usize) {
        let Some(children) = self.children.remove(&parent) else { return };
        let indent = "  ".repeat(depth);
        // Largest first, as in the record; leaves of one command stand together where their largest does.
        let mut leaves: HashMap<&str, (usize, Option<u64>)> = HashMap::new();
        for leaf in children.iter().filter(|group| self.is_leaf(group)) {
            let known = leaves.entry(&leaf.key).or_default();
            *known = (known.0 + 1, known.1.max(leaf.peak_bytes));
        }
        let (mut shown, mut left_out) = (0, 0);
        for child in children {
            let name = text::printable(&child.key);
            let is_leaf = self.is_leaf(child);
            let together = if is_leaf { leaves.remove(child.key.as_str()) } else { None };
            if is_leaf && together.is_none() {
                continue;
            }
            if shown == self.top || self.lines.len() >= MAX_TREE_LINES {
                left_out += 1;
                continue;
            }
            shown += 1;
            match together {
                Some((count @ 2.., largest)) => {
                    let line = format!("{indent}{name} ({count} processes; the largest)");
                    self.lines.push((line, text::size_or_unknown(largest)));
                }
                Some(_) => {
                    self.lines.push((format!("{indent}{name}"), text::size_or_unknown(child.peak_bytes)));
                }
                None => {
                    let line = format!("{indent}{name} ({})", processes(child));
                    self.lines.push((line, text::size_or_unknown(child.peak_bytes)));
                    self.below(child.id, depth + 1);
                }
            }
        }
        self.cut |= self.lines.len() >= MAX_TREE_LINES;
        if left_out > 0 && self.lines.len() < MAX_TREE_LINES {
            self.lines.push((format!("{indent}... and {left_out} more"), String::new()));
        }
    }

    fn is_leaf(&self, group: &Group) -> bool {
        !self.children.contains_key(&group.id)
    }
}
