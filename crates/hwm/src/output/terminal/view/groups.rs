//! The courses of groups of processes.

use std::collections::{HashMap, HashSet};

use highwater::record::{Group, GroupKey, Process, Record};

use crate::series::{SeriesKind, SeriesPoint, TimeSeries, time_series};

/// The memory of a group in one column.
#[derive(Debug, Clone, Copy, Default)]
struct GroupColumn {
    /// One of its processes was there.
    is_lived: bool,
    /// The sum at the column's moment.
    sum: Option<u64>,
    /// The most that one of its processes held in a sample that was merged into the column.
    most: Option<u64>,
}

/// Returns the memory of each shown group in the record's metric, by the key of the group. The map is empty for a kind
/// of key that a process row does not hold. A line has a value for each column, so only the shown lines are made.
pub(super) fn courses(record: &Record, by: GroupKey, shown: &[&Group]) -> HashMap<String, Vec<SeriesPoint>> {
    let key: fn(&Process) -> Option<String> = match by {
        GroupKey::Command => |process| Some(process.command.clone()),
        GroupKey::Name => |process| Some(process.display_name().to_owned()),
        // A process too short to be asked for its executable stands by its command.
        GroupKey::Exe => |process| process.exe.clone().or_else(|| Some(process.command.clone())),
        GroupKey::Ppid => |process| Some(process.ppid.to_string()),
        _ => |_| None,
    };
    let seconds = record.timeline.as_ref().map_or(&[][..], |timeline| &timeline.seconds);
    let shown: HashSet<&str> = shown.iter().map(|group| group.key.as_str()).collect();
    let mut groups: HashMap<String, Vec<GroupColumn>> = HashMap::new();
    for series in time_series(record).filter(|series| series.of == SeriesKind::Memory(record.primary_metric))
    {
        let key = series.row(record).and_then(key);
        if let Some(key) = key.filter(|key| shown.contains(key.as_str())) {
            add(groups.entry(key).or_insert_with(|| vec![GroupColumn::default(); seconds.len()]), series);
        }
    }
    groups.into_iter().map(|(key, columns)| (key, points(seconds, &columns))).collect()
}

fn add(columns: &mut [GroupColumn], series: TimeSeries<'_>) {
    for (column, point) in columns.iter_mut().skip(series.first).zip(series.points()) {
        column.is_lived = true;
        column.most = column.most.max(point.max);
        if let Some(value) = point.value {
            column.sum = Some(column.sum.map_or(value, |sum| sum.saturating_add(value)));
        }
    }
}

/// Returns the points of a group, from its first process on. While none of its processes lives, a group holds nothing.
fn points(seconds: &[f64], columns: &[GroupColumn]) -> Vec<SeriesPoint> {
    let lived = seconds.iter().zip(columns).skip_while(|(_, column)| !column.is_lived);
    lived
        .map(|(&at_seconds, column)| {
            let value = if column.is_lived { column.sum.max(column.most) } else { Some(0) };
            SeriesPoint { at_seconds, value, min: None, max: None }
        })
        .collect()
}
