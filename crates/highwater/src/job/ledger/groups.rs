//! Sums by command.

use std::{collections::HashMap, time::Duration};

use crate::{
    job::timeline::round,
    record::{Certainty, Group, GroupKey, Process},
};

/// Sums by command, each sample anew, so that a group's peak is one instant's.
#[derive(Debug, Default)]
pub(super) struct Groups {
    keys: HashMap<String, usize>,
    folds: Vec<GroupFold>,
    touched: Vec<usize>,
}

#[derive(Debug, Default)]
struct GroupFold {
    now: u64,
    peak: Option<u64>,
    /// The largest peak of a single process.
    largest: u64,
    at: Option<Duration>,
    processes: u64,
}

impl Groups {
    pub(super) fn key(&mut self, command: &str) -> usize {
        if let Some(&index) = self.keys.get(command) {
            return index;
        }
        self.folds.push(GroupFold::default());
        self.keys.insert(command.to_owned(), self.folds.len() - 1);
        self.folds.len() - 1
    }

    pub(super) fn begin(&mut self) {
        for index in self.touched.drain(..) {
            self.folds[index].now = 0;
        }
    }

    pub(super) fn add(&mut self, index: usize, bytes: u64) {
        if self.folds[index].now == 0 {
            self.touched.push(index);
        }
        self.folds[index].now += bytes;
    }

    pub(super) fn end(&mut self, at: Duration) {
        for &index in &self.touched {
            let group = &mut self.folds[index];
            if group.peak.is_none_or(|peak| group.now > peak) {
                (group.peak, group.at) = (Some(group.now), Some(at));
            }
        }
    }

    /// Counts a finished process; its own mark may be more than any sample of the group saw.
    pub(super) fn count(&mut self, row: &Process) {
        let index = self.key(&row.command);
        let group = &mut self.folds[index];
        group.processes += 1;
        let image = row.images.last().map_or(row.peak.rss, |image| image.peak);
        // What it cannot have exceeded it need not have reached.
        let Some(peak) = image.filter(|peak| peak.certainty != Certainty::AtMost) else { return };
        group.largest = group.largest.max(peak.bytes);
        if group.peak.is_none_or(|known| peak.bytes > known) {
            (group.peak, group.at) = (Some(peak.bytes), None);
        }
    }

    /// The largest peak of a single process of this group so far.
    pub(super) fn largest(&self, index: usize) -> u64 {
        self.folds[index].largest
    }

    pub(super) fn finish(&mut self) -> Vec<Group> {
        let mut groups: Vec<Group> = std::mem::take(&mut self.keys)
            .into_iter()
            .map(|(key, index)| {
                let group = &self.folds[index];
                Group {
                    key,
                    by: GroupKey::Command,
                    processes: group.processes,
                    peak_bytes: group.peak,
                    at_seconds: group.at.map(|at| round(at.as_secs_f64())),
                    id: None,
                    parent: None,
                }
            })
            // A name that a process had only before an exec counts nobody.
            .filter(|group| group.processes > 0)
            .collect();
        groups.sort_by(|a, b| b.peak_bytes.cmp(&a.peak_bytes).then_with(|| a.key.cmp(&b.key)));
        groups
    }
}
