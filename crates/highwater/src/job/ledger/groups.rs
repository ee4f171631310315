//! Sums by command, and by the other keys that were asked for.

use std::{collections::HashMap, time::Duration};

use self::tree::TreeFold;
use crate::{
    job::{
        GroupBy,
        events::MemoryReading,
        identity::{MemberId, ProgramName},
        moment::rounded_seconds,
    },
    record::{Certainty, Group, Process, ProcessPeak},
};

mod tree;

/// Name of the group of command lines without a match.
const NO_MATCH: &str = "(no match)";
/// Most groups of one key that have names of their own.
const MAX_NAMED_GROUPS: usize = 10_000;
/// Name of the group of all others. No program has this name: a name ends at its first space, and a path begins with a
/// slash.
pub(super) const OTHERS: &str = "(others)";

/// The group of a member for each key, the one by command first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Membership(Vec<usize>);

/// All groups of all keys.
#[derive(Debug)]
pub(super) struct LedgerGroups {
    /// The groups by command are first, as bounds for unread programs need them.
    kinds: Vec<GroupKind>,
    tree: Option<TreeFold>,
}

impl LedgerGroups {
    /// Groups by command, and by the keys in `asked`.
    pub(super) fn new(asked: &[GroupBy]) -> Self {
        let mut kinds = vec![GroupKind::new(GroupBy::Command)];
        for by in asked.iter().filter(|by| !matches!(by, GroupBy::Command | GroupBy::Tree)) {
            kinds.push(GroupKind::new(by.clone()));
        }
        let with_tree = asked.iter().any(|by| matches!(by, GroupBy::Tree));
        Self { kinds, tree: with_tree.then(TreeFold::default) }
    }

    pub(super) fn of(&mut self, name: &ProgramName, parent: u32) -> Membership {
        Membership(self.kinds.iter_mut().map(|kind| kind.of(name, parent)).collect())
    }

    pub(super) fn born(&mut self, id: MemberId, parent: Option<MemberId>) {
        if let Some(tree) = &mut self.tree {
            tree.born(id, parent);
        }
    }

    /// Removes a member that is not counted as a process.
    pub(super) fn forget(&mut self, id: MemberId) {
        if let Some(tree) = &mut self.tree {
            tree.forget(id);
        }
    }

    /// Adds up the readings of one sample by group.
    pub(super) fn sample<'a>(
        &mut self,
        at: Duration,
        readings: &[MemoryReading],
        of: impl Fn(MemberId) -> Option<&'a Membership>,
    ) {
        for reading in readings.iter().filter(|reading| !reading.shares_map) {
            let Some(membership) = of(reading.id) else { continue };
            for (kind, &index) in self.kinds.iter_mut().zip(&membership.0) {
                kind.add(index, reading.rss);
            }
        }
        self.kinds.iter_mut().for_each(|kind| kind.end(at));
        if let Some(tree) = &mut self.tree {
            tree.sample(at, readings);
        }
    }

    /// Records that a member has left these groups for others, by an exec or by a new name. It reached `peak` in them.
    pub(super) fn leave(&mut self, membership: &Membership, peak: Option<ProcessPeak>) {
        for (kind, &index) in self.kinds.iter_mut().zip(&membership.0) {
            kind.folds[index].add_own(peak);
        }
    }

    /// Counts an exited process. Its own high-water mark may exceed every sample of the group.
    pub(super) fn close(&mut self, id: MemberId, membership: &Membership, row: &Process) {
        let last_image = row.images.last().map_or(row.peak.rss, |image| image.peak);
        for (kind, &index) in self.kinds.iter_mut().zip(&membership.0) {
            // An earlier program's memory belongs to the group of that program.
            let peak = if matches!(kind.by, GroupBy::Ppid) { row.peak.rss } else { last_image };
            kind.count(index, peak);
        }
        if let Some(tree) = &mut self.tree {
            tree.close(id, row);
        }
    }

    /// Returns the largest peak of a single process of this command so far.
    pub(super) fn largest(&self, membership: &Membership) -> u64 {
        membership.0.first().map_or(0, |&index| self.kinds[0].folds[index].largest)
    }

    /// Returns whether some groups share the name `(others)`.
    pub(super) fn are_gathered(&self) -> bool {
        self.kinds.iter().any(|kind| kind.keys.len() > MAX_NAMED_GROUPS)
    }

    /// Returns all groups; `row_of` gives the index of a member's row.
    pub(super) fn finish(&mut self, row_of: impl Fn(MemberId) -> Option<u64>) -> Vec<Group> {
        let mut groups: Vec<Group> = self.kinds.iter_mut().flat_map(GroupKind::finish).collect();
        groups.extend(self.tree.iter().flat_map(|tree| tree.finish(&row_of)));
        groups
    }
}

/// Sums by one key, anew in each sample, so that a group's peak is that of one instant.
#[derive(Debug)]
struct GroupKind {
    by: GroupBy,
    keys: HashMap<String, usize>,
    folds: Vec<GroupFold>,
    touched: Vec<usize>,
}

#[derive(Debug, Default)]
struct GroupFold {
    now: u64,
    peak: Option<u64>,
    /// The sum of the peaks of the processes that were read in it.
    own_peaks: u64,
    /// The largest peak of a single process.
    largest: u64,
    at: Option<Duration>,
    processes: u64,
}

impl GroupFold {
    fn add_own(&mut self, peak: Option<ProcessPeak>) {
        self.own_peaks = self.own_peaks.saturating_add(own_bytes(peak));
    }
}

/// Returns what a process that was read in a group reached there.
fn own_bytes(peak: Option<ProcessPeak>) -> u64 {
    // A process with an upper bound alone was in no sample.
    peak.filter(|peak| peak.certainty != Certainty::AtMost).map_or(0, |peak| peak.bytes)
}

/// Returns the peak of a group and its time. A sample may hold a child between fork and exec, which shows the pages of its
/// parent once more. The processes together never held more than the sum of their own peaks.
fn capped_peak(peak: Option<u64>, own_peaks: u64, at: Option<Duration>) -> (Option<u64>, Option<Duration>) {
    match peak {
        Some(peak) if own_peaks < peak => ((own_peaks > 0).then_some(own_peaks), None),
        peak => (peak, at),
    }
}

impl GroupKind {
    fn new(by: GroupBy) -> Self {
        Self { by, keys: HashMap::new(), folds: Vec::new(), touched: Vec::new() }
    }

    fn of(&mut self, name: &ProgramName, parent: u32) -> usize {
        match &self.by {
            GroupBy::Exe => match &name.exe {
                Some(exe) => self.index(exe),
                None => self.index(&format!("? ({})", name.command)),
            },
            GroupBy::Ppid => self.index(&parent.to_string()),
            GroupBy::CommandLine(key) => {
                let found = key.find(name.line.as_deref().unwrap_or(&name.command));
                self.index(found.as_deref().unwrap_or(NO_MATCH))
            }
            GroupBy::Name => self.index(name.display.as_deref().unwrap_or(&name.command)),
            GroupBy::Command | GroupBy::Tree => self.index(&name.command),
        }
    }

    fn index(&mut self, key: &str) -> usize {
        if let Some(&index) = self.keys.get(key) {
            return index;
        }
        let key = if self.keys.len() < MAX_NAMED_GROUPS { key } else { OTHERS };
        if let Some(&index) = self.keys.get(key) {
            return index;
        }
        self.folds.push(GroupFold::default());
        self.keys.insert(key.to_owned(), self.folds.len() - 1);
        self.folds.len() - 1
    }

    fn add(&mut self, index: usize, bytes: u64) {
        if self.folds[index].now == 0 {
            self.touched.push(index);
        }
        self.folds[index].now += bytes;
    }

    fn end(&mut self, at: Duration) {
        for index in self.touched.drain(..) {
            let group = &mut self.folds[index];
            if group.peak.is_none_or(|peak| group.now > peak) {
                (group.peak, group.at) = (Some(group.now), Some(at));
            }
            group.now = 0;
        }
    }

    fn count(&mut self, index: usize, peak: Option<ProcessPeak>) {
        let group = &mut self.folds[index];
        group.processes += 1;
        group.add_own(peak);
        // An upper bound need not have been reached.
        let Some(peak) = peak.filter(|peak| peak.certainty != Certainty::AtMost) else { return };
        group.largest = group.largest.max(peak.bytes);
        if group.peak.is_none_or(|known| peak.bytes > known) {
            (group.peak, group.at) = (Some(peak.bytes), None);
        }
    }

    fn finish(&mut self) -> Vec<Group> {
        let mut groups: Vec<Group> = std::mem::take(&mut self.keys)
            .into_iter()
            .map(|(key, index)| {
                let group = &self.folds[index];
                let (peak, at) = capped_peak(group.peak, group.own_peaks, group.at);
                Group {
                    key,
                    by: self.by.key(),
                    processes: group.processes,
                    peak_bytes: peak,
                    at_seconds: at.map(rounded_seconds),
                    id: None,
                    parent: None,
                }
            })
            // A name that a process had only before an exec counts no process.
            .filter(|group| group.processes > 0)
            .collect();
        groups.sort_by(|a, b| b.peak_bytes.cmp(&a.peak_bytes).then_with(|| a.key.cmp(&b.key)));
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::PeakSource;

    #[test]
    fn groups_beyond_the_bound_are_one() {
        let mut groups = LedgerGroups::new(&[]);
        let name =
            |number: usize| ProgramName::new(format!("program-{number}"), "program".into(), None, None);
        let mut members: Vec<Membership> = (0..MAX_NAMED_GROUPS).map(|n| groups.of(&name(n), 1)).collect();
        assert!(!groups.are_gathered());
        members.extend((0..3).map(|n| groups.of(&name(MAX_NAMED_GROUPS + n), 1)));
        assert_eq!(groups.of(&name(7), 1), members[7], "a group that has a name keeps it");
        assert!(groups.are_gathered());
        let reading = |id: usize| MemoryReading::of_rss(MemberId(u32::try_from(id).unwrap()), 100);
        let readings: Vec<MemoryReading> = (0..members.len()).map(reading).collect();
        groups.sample(Duration::from_secs(1), &readings, |id| members.get(id.0 as usize));
        let certainty = Certainty::AtLeast;
        let peak = ProcessPeak { bytes: 100, source: PeakSource::Sampled, certainty };
        for membership in &members {
            groups.kinds[0].count(membership.0[0], Some(peak));
        }
        let made = groups.finish(|_| None);
        assert_eq!(made.len(), MAX_NAMED_GROUPS + 1);
        let others = made.iter().find(|group| group.key == OTHERS).unwrap();
        assert_eq!(
            (others.processes, others.peak_bytes),
            (3, Some(300)),
            "sums of one instant, as of any group"
        );
        assert_eq!(made.iter().map(|group| group.processes).sum::<u64>(), members.len() as u64);
    }
}
