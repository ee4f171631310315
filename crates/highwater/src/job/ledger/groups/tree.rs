//! Sums over each process and all its descendants.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::capped_peak;
use crate::{
    job::{events::MemoryReading, identity::MemberId, moment::rounded_seconds},
    record::{Certainty, Group, GroupKey, Process},
};

/// One process and its descendants.
#[derive(Debug, Default)]
struct GroupNode {
    /// Its parent, if that is a member.
    parent: Option<MemberId>,
    command: String,
    /// Number of processes: itself and its descendants.
    processes: u64,
    peak: Option<u64>,
    /// The sum of the peaks of these processes.
    own_peaks: u64,
    at: Option<Duration>,
}

/// All of them, for as long as the job lasts: an exited process may have descendants that live.
#[derive(Debug, Default)]
pub(super) struct TreeFold {
    nodes: HashMap<MemberId, GroupNode>,
    /// Sums of one sample. A descendant has a higher number than its ancestors. So each sum is complete when it is
    /// added to the parent's, from the highest number down.
    sums: BTreeMap<MemberId, u64>,
}

impl TreeFold {
    pub(super) fn born(&mut self, id: MemberId, parent: Option<MemberId>) {
        self.nodes.insert(id, GroupNode { parent, ..GroupNode::default() });
        self.count(id, 1);
    }

    /// Removes a member that is not counted as a process after all.
    pub(super) fn forget(&mut self, id: MemberId) {
        self.count(id, -1);
        if self.nodes.get(&id).is_some_and(|node| node.processes == 0) {
            self.nodes.remove(&id);
        }
    }

    fn count(&mut self, id: MemberId, change: i64) {
        let mut next = Some(id);
        while let Some(node) = next.and_then(|id| self.nodes.get_mut(&id)) {
            node.processes = node.processes.saturating_add_signed(change);
            next = node.parent;
        }
    }

    pub(super) fn sample(&mut self, at: Duration, readings: &[MemoryReading]) {
        self.sums.clear();
        for reading in readings.iter().filter(|reading| !reading.shares_map) {
            *self.sums.entry(reading.id).or_default() += reading.rss;
        }
        while let Some((id, sum)) = self.sums.pop_last() {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            if node.peak.is_none_or(|peak| sum > peak) {
                (node.peak, node.at) = (Some(sum), Some(at));
            }
            if let Some(parent) = node.parent {
                *self.sums.entry(parent).or_default() += sum;
            }
        }
    }

    /// Closes a row. Its own high-water mark, which a sample may have missed, was reached by its ancestors' groups,
    /// too.
    pub(super) fn close(&mut self, id: MemberId, row: &Process) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.command.clone_from(&row.command);
        }
        let Some(peak) = row.peak.rss.filter(|peak| peak.certainty != Certainty::AtMost) else { return };
        let mut next = Some(id);
        while let Some(node) = next.and_then(|id| self.nodes.get_mut(&id)) {
            node.own_peaks = node.own_peaks.saturating_add(peak.bytes);
            if node.peak.is_none_or(|known| peak.bytes > known) {
                (node.peak, node.at) = (Some(peak.bytes), None);
            }
            next = node.parent;
        }
    }

    /// Returns the groups of the members that `row_of` knows.
    pub(super) fn finish(&self, row_of: impl Fn(MemberId) -> Option<u64>) -> Vec<Group> {
        let groups = self.nodes.iter().filter_map(|(&id, node)| {
            let ancestors = std::iter::successors(node.parent, |id| self.nodes.get(id)?.parent);
            let (peak, at) = capped_peak(node.peak, node.own_peaks, node.at);
            Some(Group {
                key: node.command.clone(),
                by: GroupKey::Tree,
                processes: node.processes,
                peak_bytes: peak,
                at_seconds: at.map(rounded_seconds),
                id: Some(row_of(id)?),
                parent: ancestors.into_iter().find_map(&row_of),
            })
        });
        let mut groups: Vec<Group> = groups.collect();
        groups.sort_by(|a, b| b.peak_bytes.cmp(&a.peak_bytes).then_with(|| a.id.cmp(&b.id)));
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(id: u32, rss: u64) -> MemoryReading {
        MemoryReading::of_rss(MemberId(id), rss)
    }

    #[test]
    fn an_exited_process_still_joins_its_descendants() {
        let mut tree = TreeFold::default();
        for (id, parent) in [(0, None), (1, Some(0)), (2, Some(1)), (3, Some(0))] {
            tree.born(MemberId(id), parent.map(MemberId));
        }
        let at = Duration::from_secs;
        tree.sample(at(1), &[reading(0, 10), reading(1, 20), reading(2, 30), reading(3, 5)]);
        // The middle one has exited; its child has grown.
        tree.sample(at(2), &[reading(0, 10), reading(2, 90), reading(3, 1)]);
        for (id, own) in [(0, 10), (1, 20), (2, 90), (3, 5)] {
            tree.nodes.get_mut(&MemberId(id)).unwrap().own_peaks = own;
        }
        for (id, below) in [(0, 115), (1, 90)] {
            tree.nodes.get_mut(&MemberId(id)).unwrap().own_peaks += below;
        }
        let groups = tree.finish(|id| Some(u64::from(id.0)));
        let of = |id| groups.iter().find(|group| group.id == Some(id)).unwrap();
        let figures = |id: u64| (of(id).peak_bytes, of(id).processes, of(id).at_seconds, of(id).parent);
        assert_eq!(figures(0), (Some(101), 4, Some(2.0), None));
        assert_eq!(figures(1), (Some(90), 2, Some(2.0), Some(0)));
        assert_eq!(figures(2), (Some(90), 1, Some(2.0), Some(1)));
        assert_eq!(figures(3), (Some(5), 1, Some(1.0), Some(0)));
        // A row that was left out passes its children on to its parent.
        let groups = tree.finish(|id| (id.0 != 1).then_some(u64::from(id.0)));
        assert_eq!(groups.iter().find(|group| group.id == Some(2)).unwrap().parent, Some(0));
        tree.forget(MemberId(3));
        assert_eq!(tree.finish(|id| Some(u64::from(id.0))).len(), 3);
    }
}
