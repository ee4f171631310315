//! The members that are asked whether they have left the job's cgroup.
//!
//! Asking all would double the cost of a sample of many processes. So each poll with marks asks the largest members, which
//! matter most, and some of the others in turn. A member with more memory than the whole group is asked at once.

use crate::job::{events::MemoryReading, identity::MemberId};

/// Most members that are asked for each of the two reasons.
const MAX_ASKED_MEMBERS: usize = 16;
/// Bytes by which the counters of a group may be late.
const LATE_COUNTER_BYTES: u64 = 1 << 20;

/// The turns of the members.
#[derive(Debug)]
pub(super) struct StrayTurns {
    /// Member from which on the others have not had their turn.
    next: MemberId,
}

impl StrayTurns {
    /// Returns turns of which none was taken.
    pub(super) fn new() -> Self {
        Self { next: MemberId(0) }
    }

    /// Chooses the members to ask. `counted_anon` is the anonymous memory that the group counts, `None` if it does not
    /// matter; `marks` is true in a poll that read marks.
    ///
    /// Anonymous memory of one process is mapped once. If it exceeds that of the group, it is charged elsewhere.
    pub(super) fn choose(
        &mut self,
        readings: &[MemoryReading],
        counted_anon: Option<u64>,
        marks: bool,
    ) -> Vec<MemberId> {
        let exceeds_group = |reading: &MemoryReading| {
            let anon = reading.rss.saturating_sub(reading.shared);
            !reading.shares_map
                && counted_anon.is_some_and(|counted| anon > counted.saturating_add(LATE_COUNTER_BYTES))
        };
        let large = readings.iter().filter(|reading| marks || exceeds_group(reading));
        let mut large: Vec<_> = large.map(|reading| (reading.rss, reading.id)).collect();
        if large.len() > MAX_ASKED_MEMBERS {
            large.select_nth_unstable_by(MAX_ASKED_MEMBERS, |one, other| other.cmp(one));
            large.truncate(MAX_ASKED_MEMBERS);
        }
        let mut asked: Vec<_> = large.into_iter().map(|(_, id)| id).collect();
        if marks {
            let mut waiting = readings.iter().map(|reading| reading.id).filter(|&id| id >= self.next);
            asked.extend(waiting.by_ref().take(MAX_ASKED_MEMBERS));
            self.next = waiting.next().unwrap_or(MemberId(0));
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn reading(id: u32, mib: u64, shared: u64) -> MemoryReading {
        MemoryReading {
            shared: shared * MIB,
            beside: crate::job::events::BesideRss::default(),
            ..MemoryReading::of_rss(MemberId(id), mib * MIB)
        }
    }

    fn choose(turns: &mut StrayTurns, readings: &[MemoryReading], counted: u64, marks: bool) -> Vec<u32> {
        let mut asked: Vec<_> =
            turns.choose(readings, Some(counted * MIB), marks).iter().map(|id| id.0).collect();
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    #[test]
    fn a_member_with_more_memory_than_the_group_is_asked_at_once() {
        let readings: Vec<_> = (0..100).map(|id| reading(id, if id == 70 { 300 } else { 2 }, 0)).collect();
        let mut turns = StrayTurns::new();
        assert_eq!(choose(&mut turns, &readings, 50, false), [70]);
        assert_eq!(choose(&mut turns, &readings, 299, false), [0; 0], "the counters may be late");
        assert!(turns.choose(&readings, None, false).is_empty());
        let shared = [reading(0, 300, 295)];
        assert_eq!(choose(&mut turns, &shared, 50, false), [0; 0], "another group may have touched it first");
        let guest = [MemoryReading { shares_map: true, ..reading(0, 300, 0) }];
        assert_eq!(choose(&mut turns, &guest, 50, false), [0; 0]);
    }

    #[test]
    fn each_member_has_its_turn_and_the_largest_have_one_at_each() {
        let readings: Vec<_> = (0..100).map(|id| reading(id, u64::from(id), 0)).collect();
        let mut turns = StrayTurns::new();
        let mut asked = std::collections::HashSet::new();
        for _ in 0..7 {
            let now = choose(&mut turns, &readings, 1000, true);
            assert!(now.len() <= 2 * MAX_ASKED_MEMBERS && (84..100).all(|id| now.contains(&id)), "{now:?}");
            asked.extend(now);
        }
        assert_eq!(asked.len(), 100);
        assert_eq!(choose(&mut turns, &readings[..3], 1000, true), [0, 1, 2], "they begin again");
        assert_eq!(choose(&mut turns, &[], 1000, true), [0; 0]);
    }
}
