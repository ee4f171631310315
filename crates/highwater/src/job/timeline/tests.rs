//! The bounded timeline on made-up samples.

use proptest::prelude::*;

use super::*;
use crate::job::events::MemoryReading;

fn fold(samples: &[Vec<(u32, u64)>]) -> TimelineFold {
    let mut fold = TimelineFold::default();
    for (index, sample) in samples.iter().enumerate() {
        let readings: Vec<MemoryReading> =
            sample.iter().map(|&(id, kib)| MemoryReading::of_rss(MemberId(id), kib * 1024)).collect();
        let total = readings.iter().map(|reading| reading.rss).sum();
        let at = Duration::from_millis(index as u64 * 10);
        fold.add(
            &Sample { at, readings: &readings, uses: &[], group: None, marks: false, complete_until: at },
            total,
            BesideTotal::default(),
        );
    }
    fold
}

#[test]
fn memory_never_exceeds_its_peak_and_keeps_its_spikes() {
    let mut fold = TimelineFold::default();
    for index in 0..(MAX_COLUMNS as u64 * 3) {
        let at = Duration::from_millis(index * 10);
        let sample = Sample { at, readings: &[], uses: &[], group: None, marks: false, complete_until: at };
        let (now, highest) = match index {
            0 => (900, 900),
            777 => (100, 200),
            _ => (100, 100),
        };
        let memory = Some(MemoryNow { now, highest });
        fold.add(&sample, 1000, BesideTotal { memory, ..BesideTotal::default() });
    }
    let timeline = fold.finish(Some(200), |_| 0, |_| None);
    let memory = timeline.series.iter().find(|series| series.metric == record::Metric::Memory).unwrap();
    let above = |values: &[Option<u64>]| values.iter().filter(|value| value.unwrap() > 100).count();
    assert_eq!(above(&memory.max), 2, "the first estimate, and the spike");
    assert_eq!(memory.max.iter().max().unwrap(), &Some(200));
    let none = fold.finish(None, |_| 0, |_| None);
    assert!(none.series.iter().all(|series| series.metric != record::Metric::Memory), "no such figure");
}

#[test]
fn memory_between_samples_belongs_to_the_sample_before() {
    let mut fold = TimelineFold::default();
    fold.memory_between_samples(MemoryNow { now: 5, highest: 5 });
    let at = Duration::ZERO;
    let sample = Sample { at, readings: &[], uses: &[], group: None, marks: false, complete_until: at };
    let memory = |now, highest| MemoryNow { now, highest };
    fold.add(&sample, 1000, BesideTotal { memory: Some(memory(100, 110)), ..BesideTotal::default() });
    fold.memory_between_samples(memory(90, 100));
    fold.memory_between_samples(memory(120, 300));
    let timeline = fold.finish(Some(300), |_| 0, |_| None);
    assert_eq!(timeline.seconds, [0.0], "no column of its own");
    let memory = timeline.series.iter().find(|series| series.metric == record::Metric::Memory).unwrap();
    assert_eq!(
        (&memory.bytes[..], &memory.min[..], &memory.max[..]),
        (&[Some(100)][..], &[Some(90)][..], &[Some(300)][..])
    );
}

#[test]
fn the_peak_and_troughs_survive_merging() {
    let mut samples = vec![vec![(0, 100), (1, 50)]; 30_000];
    samples[17_001] = vec![(0, 900), (1, 50)];
    samples[23_000] = vec![(0, 3), (1, 50)];
    let timeline = fold(&samples).finish(None, |_| 0, |id| Some(u64::from(id.0)));
    assert!(timeline.seconds.len() <= MAX_COLUMNS, "{}", timeline.seconds.len());
    let total = &timeline.series[0];
    let peak = total.bytes.iter().max().unwrap().unwrap();
    assert_eq!(peak, 950 * 1024);
    let column = total.bytes.iter().position(|&bytes| bytes == Some(peak)).unwrap();
    assert!((timeline.seconds[column] - 170.01).abs() < 1e-6, "{}", timeline.seconds[column]);
    assert_eq!(timeline.series[1].bytes[column], Some(900 * 1024));
    assert_eq!(timeline.series[1].min.iter().min().unwrap(), &Some(3 * 1024));
    assert_eq!(total.min.iter().min().unwrap(), &Some(53 * 1024));
}

#[test]
fn a_process_has_values_only_while_it_lives() {
    let samples = vec![vec![(0, 10)], vec![(0, 10), (1, 5)], vec![(0, 10), (1, 6)], vec![(0, 10)]];
    let timeline = fold(&samples).finish(None, |_| 0, |id| Some(u64::from(id.0)));
    let child = timeline.series.iter().find(|series| series.id == Some(1)).unwrap();
    assert_eq!((child.first, child.bytes.as_slice()), (1, [Some(5 * 1024), Some(6 * 1024)].as_slice()));
}

#[test]
fn very_many_processes_stay_within_the_budget() {
    let samples: Vec<_> = (0..50_000u32).map(|index| vec![(0, 7), (index + 1, 3)]).collect();
    let fold = fold(&samples);
    let timeline = fold.finish(None, |id| u64::from(id.0 == 0), |id| Some(u64::from(id.0)));
    assert!(timeline.series.len() <= MAX_PROCESS_SERIES + 2, "{}", timeline.series.len());
    assert_eq!(timeline.series.last().unwrap().scope, record::Scope::Other);
    assert_eq!(timeline.series[1].id, Some(0));
}

#[test]
fn the_largest_members_absent_at_a_columns_moment_stay() {
    // One more each time, and a sample with a member that is seen once is never the highest.
    let mut samples: Vec<_> =
        (0..60_000u32).map(|index| vec![(0, 1_000), (index + 1, u64::from(index % 7))]).collect();
    samples[31_111] = vec![(70_000, 900)];
    let fold = fold(&samples);
    assert!(fold.columns.iter().all(|column| column.cells.len() <= MAX_ABSENT_CELLS + 2));
    let timeline = fold.finish(None, |id| u64::from(id.0), |id| Some(u64::from(id.0)));
    let once = timeline.series.iter().find(|series| series.id == Some(70_000)).expect("the largest");
    assert_eq!(
        (once.bytes.as_slice(), once.max.as_slice()),
        ([None].as_slice(), [Some(900 * 1024)].as_slice())
    );
}

proptest! {
    #[test]
    fn stacks_add_up_in_every_column(samples in proptest::collection::vec(
        proptest::collection::btree_map(0u32..6, 0u64..1000, 0..6), 1..60)) {
        let samples: Vec<Vec<_>> = samples.into_iter().map(|sample| sample.into_iter().collect()).collect();
        let mut fold = fold(&samples);
        fold.halve();
        let timeline = fold.finish(None, |_| 0, |id| Some(u64::from(id.0)));
        let total = &timeline.series[0];
        for column in 0..timeline.seconds.len() {
            let stack: u64 = timeline.series[1..].iter()
                .filter_map(|series| series.bytes.get(column.checked_sub(series.first)?).copied().flatten())
                .sum();
            prop_assert_eq!(Some(stack), total.bytes[column]);
            prop_assert!(total.min[column] <= total.bytes[column] && total.bytes[column] <= total.max[column]);
        }
    }
}
