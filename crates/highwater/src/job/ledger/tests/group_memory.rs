//! Readings of the job's group beside samples of its members.

use super::{MIB, born, exactly, finish, ledger, ms, reading};
use crate::job::{
    events::{MemoryReading, Sample},
    group_memory::{ChargeMark, GroupReading},
    ledger::Ledger,
};

fn group(anon: u64, faulted_in: u64, mark: u64) -> GroupReading {
    GroupReading {
        anon: anon * MIB,
        faulted_in: faulted_in * MIB,
        mark: Some(ChargeMark::SinceLastReading(mark * MIB)),
        swap: Some(anon * MIB / 10),
        ..GroupReading::default()
    }
}

fn sample(ledger: &mut Ledger, at: u64, readings: &[MemoryReading], group: GroupReading) {
    ledger.sample(&Sample {
        at: ms(at),
        readings,
        uses: &[],
        group: Some(group),
        marks: true,
        complete_until: ms(at),
    });
}

fn ledger_of_two() -> Ledger {
    let mut ledger = ledger();
    exactly(&mut ledger, 0, born(0, 10, 1, "a", false));
    exactly(&mut ledger, 0, born(1, 11, 1, "b", false));
    ledger
}

/// Returns what the holders of the peak held, the largest first.
fn holders_in_mib(ledger: Ledger) -> Vec<u64> {
    let holders = finish(ledger, 200).0.peak.memory.unwrap().holders.unwrap();
    holders.largest.iter().map(|holder| holder.bytes / MIB).collect()
}

#[test]
fn a_reading_between_samples_counts_for_memory_alone() {
    let mut ledger = ledger();
    exactly(&mut ledger, 0, born(0, 10, 1, "a", false));
    let readings = [reading(0, 200, 200)];
    sample(&mut ledger, 0, &readings, group(200, 200, 200));
    // It touches 200 MiB more and gives 50 of them back in this window.
    ledger.group_between_samples(ms(50), group(350, 400, 400));
    assert_eq!(ledger.last_memory(), Some(350 * MIB));
    assert_eq!(ledger.last_group_memory(), Some(400 * MIB), "the window");
    assert_eq!(ledger.last_swap(), Some(35 * MIB));
    assert_eq!(ledger.last_total(), Some(200 * MIB), "no member was read");
    ledger.group_between_samples(ms(100), group(200, 400, 350));
    sample(&mut ledger, 150, &readings, group(200, 400, 200));
    let (record, rows) = finish(ledger, 200);
    let memory = record.peak.memory.unwrap();
    assert_eq!((memory.bytes, memory.lower_bytes), (400 * MIB, 350 * MIB));
    assert_eq!(memory.between_seconds, Some([0.0, 0.05]), "the window is that of the group's readings");
    assert_eq!((record.samples, rows.len()), (2, 1));
    assert_eq!(record.peak.rss.unwrap().bytes, 200 * MIB);
}

#[test]
fn the_sample_after_a_reading_may_show_its_holders() {
    let holders = |after: &[MemoryReading]| {
        let mut ledger = ledger_of_two();
        sample(&mut ledger, 0, &[reading(0, 200, 200), reading(1, 1, 1)], group(201, 201, 201));
        ledger.group_between_samples(ms(50), group(301, 301, 301));
        sample(&mut ledger, 100, after, group(301, 301, 301));
        sample(&mut ledger, 150, &[reading(0, 1, 200), reading(1, 1, 101)], group(2, 301, 301));
        holders_in_mib(ledger)
    };
    assert_eq!(holders(&[reading(0, 200, 200), reading(1, 101, 101)]), [200, 101], "it shows more");
    assert_eq!(holders(&[reading(0, 100, 200), reading(1, 50, 50)]), [200, 1], "those before held more");
}

#[test]
fn a_later_sample_at_the_same_height_may_show_more_of_its_holders() {
    let holders = |later: GroupReading| {
        let mut ledger = ledger_of_two();
        // The second member has grown after it was read, and before the group was.
        sample(&mut ledger, 0, &[reading(0, 200, 200), reading(1, 1, 1)], group(300, 300, 300));
        sample(&mut ledger, 50, &[reading(0, 200, 200), reading(1, 100, 100)], later);
        holders_in_mib(ledger)
    };
    assert_eq!(holders(group(299, 300, 299)), [200, 100]);
    assert_eq!(holders(group(290, 300, 299)), [200, 1], "it was no longer as high");
}

#[test]
fn a_plateau_that_ends_a_little_higher_keeps_its_holders() {
    let holders = |between: u64| {
        let mut ledger = ledger_of_two();
        sample(&mut ledger, 0, &[reading(0, 200, 200), reading(1, 100, 100)], group(300, 300, 300));
        ledger.group_between_samples(ms(50), group(between, 600, 300));
        // The second member frees its memory while it is read.
        sample(&mut ledger, 100, &[reading(0, 200, 200), reading(1, 20, 100)], group(301, 900, 301));
        holders_in_mib(ledger)
    };
    assert_eq!(holders(300), [200, 100]);
    assert_eq!(holders(100), [200, 20], "another plateau");
}
