//! Parses the instance names of `\GPU Process Memory(*)` and `\GPU Adapter Memory(*)`, and sums over them.

#[cfg(any(test, feature = "job", feature = "pdh"))]
use std::collections::BTreeMap;
#[cfg(any(test, feature = "job"))]
use std::collections::BTreeSet;

/// A process on an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder {
    pub(super) pid: u32,
    /// The adapter's number until the system restarts.
    pub(super) luid: u64,
}

/// Amounts in bytes, each if there is such a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CounterAmounts {
    pub(super) dedicated: Option<u64>,
    pub(super) shared: Option<u64>,
}

/// The pool of a value.
#[cfg(any(test, feature = "pdh"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CounterPool {
    Dedicated,
    Shared,
}

/// Parses `pid_6448_luid_0x00000000_0x0000D1F3_phys_0`: high and low half of the LUID, then the linked card.
/// A repeated name ends in `#1`.
#[cfg(any(test, feature = "pdh"))]
pub(super) fn holder(instance: &str) -> Option<Holder> {
    let (pid, rest) = instance.strip_prefix("pid_")?.split_once('_')?;
    Some(Holder { pid: pid.parse().ok()?, luid: luid(rest)? })
}

/// Parses `luid_0x00000000_0x0000D1F3_phys_0`.
#[cfg(any(test, feature = "pdh"))]
pub(super) fn luid(instance: &str) -> Option<u64> {
    let (high, rest) = instance.strip_prefix("luid_0x")?.split_once("_0x")?;
    let (low, card) = rest.split_once("_phys_")?;
    let digits = card.split_once('#').map_or(card, |(card, _)| card);
    digits.parse::<u32>().ok()?;
    let half = |digits: &str| u32::from_str_radix(digits, 16).ok();
    Some(u64::from(half(high)?) << 32 | u64::from(half(low)?))
}

/// Adds a value to the sum: linked cards are one adapter. A negative value is no amount.
#[cfg(any(test, feature = "pdh"))]
pub(super) fn add<K: Ord>(sums: &mut BTreeMap<K, CounterAmounts>, key: K, pool: CounterPool, value: i64) {
    let Ok(bytes) = u64::try_from(value) else { return };
    let amounts = sums.entry(key).or_default();
    let sum = match pool {
        CounterPool::Dedicated => &mut amounts.dedicated,
        CounterPool::Shared => &mut amounts.shared,
    };
    *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
}

/// Returns how many processes have memory on any adapter.
#[cfg(any(test, feature = "job"))]
pub(super) fn holder_count(memory: &BTreeMap<Holder, CounterAmounts>) -> usize {
    let is_some = |amounts: &CounterAmounts| {
        [amounts.dedicated, amounts.shared].into_iter().flatten().any(|bytes| bytes > 0)
    };
    let pids: BTreeSet<u32> =
        memory.iter().filter(|(_, amounts)| is_some(amounts)).map(|(holder, _)| holder.pid).collect();
    pids.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instances_as_windows_writes_them() {
        let holder_of = |pid, luid| Some(Holder { pid, luid });
        assert_eq!(holder("pid_6448_luid_0x00000000_0x0000D1F3_phys_0"), holder_of(6448, 0xd1f3));
        assert_eq!(holder("pid_4_luid_0x00000001_0x0001C2B0_phys_1"), holder_of(4, 0x1_0001_c2b0));
        assert_eq!(holder("pid_6448_luid_0x00000000_0x0000d1f3_phys_0#1"), holder_of(6448, 0xd1f3));
        assert_eq!(luid("luid_0x00000000_0x0000D1F3_phys_0"), Some(0xd1f3));
    }

    #[test]
    fn other_names_are_no_holder() {
        for name in [
            "",
            "_Total",
            "pid_",
            "pid_x_luid_0x0_0x1_phys_0",
            "pid_1_luid_0x0_0x1",
            "pid_1_luid_0x0_phys_0",
            "pid_1_luid_0x0_0x1_phys_",
            "pid_4294967296_luid_0x0_0x1_phys_0",
            "pid_1_luid_0x100000000_0x1_phys_0",
            "luid_0x0_0x1_phys_0",
        ] {
            assert_eq!(holder(name), None, "{name}");
        }
    }

    #[test]
    fn linked_cards_are_one_and_absent_is_not_none() {
        let mut sums = BTreeMap::new();
        add(&mut sums, 7, CounterPool::Dedicated, 100);
        add(&mut sums, 7, CounterPool::Dedicated, 50);
        add(&mut sums, 8, CounterPool::Shared, 0);
        add(&mut sums, 9, CounterPool::Shared, -1);
        assert_eq!(sums[&7], CounterAmounts { dedicated: Some(150), shared: None });
        assert_eq!(sums[&8], CounterAmounts { dedicated: None, shared: Some(0) });
        assert!(!sums.contains_key(&9));
    }

    #[test]
    fn who_holds_some_counts_once() {
        let counted =
            |pid, luid, dedicated, shared| (Holder { pid, luid }, CounterAmounts { dedicated, shared });
        let listed = [
            counted(1, 7, Some(100), Some(0)),
            counted(1, 8, None, Some(5)),
            counted(2, 7, Some(0), Some(3)),
            counted(3, 7, Some(0), None),
            counted(4, 7, None, None),
        ];
        assert_eq!(holder_count(&listed.into()), 2);
    }

    proptest! {
        #[test]
        fn fuzz_entry(text in ".{0,60}") {
            let _ = holder(&text);
        }

        #[test]
        fn any_holder(pid: u32, high: u32, low: u32, card in 0u32..9) {
            let name = format!("pid_{pid}_luid_0x{high:08X}_0x{low:08X}_phys_{card}");
            let luid = u64::from(high) << 32 | u64::from(low);
            prop_assert_eq!(holder(&name), Some(Holder { pid, luid }));
        }
    }
}
