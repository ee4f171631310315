//! Tests of what is a leak and what is not.

use highwater::{
    analysis::{LeakReport, LeakRules, find_leaks},
    record::Confidence,
};

use crate::made::{add_series, course};

/// The length of a series: 400 samples of one second.
const SERIES_LENGTH: usize = 400;

fn shape(of: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..SERIES_LENGTH).map(|second| of(second as f64)).collect()
}

fn judged(mib: &[f64]) -> LeakReport {
    let report = find_leaks(&course(1.0, mib), LeakRules::default());
    assert!(report.search.total_judged);
    report
}

/// On a busy machine the readings are few, and the last good one is far from the end.
#[test]
fn a_leak_whose_end_was_hardly_seen() {
    let mut record = course(1.0, &shape(|s| if s < 398.0 { 100.0 + s } else { 400.0 - s }));
    let timeline = record.timeline.as_mut().unwrap();
    let kept = |second: &usize| !(376..398).contains(second);
    timeline.seconds = (0..SERIES_LENGTH).filter(kept).map(|second| second as f64).collect();
    let series = &mut timeline.series[0];
    for values in [&mut series.bytes, &mut series.min, &mut series.max] {
        *values = (0..SERIES_LENGTH).filter(kept).map(|second| values[second]).collect();
    }
    assert_eq!(find_leaks(&record, LeakRules::default()).leaks.len(), 1);
}

/// Returns a scatter of +-1, always the same.
fn scatter(second: f64) -> f64 {
    (second * 12.9898).sin() * 43_758.545 % 1.0
}

#[test]
fn a_steady_leak() {
    let report = judged(&shape(|s| 100.0 + s));
    let [leak] = &report.leaks[..] else { panic!("{report:?}") };
    assert_eq!((leak.sureness, leak.bytes_per_minute >> 20), (Confidence::Clear, 60));
    assert!(leak.began_seconds < 60.0, "{leak:?}");
    assert_eq!(judged(&shape(|s| 100.0 + s + 5.0 * scatter(s))).leaks.len(), 1, "with noise");
    assert_eq!(judged(&shape(|s| 100.0 + (s / 10.0).floor() * 10.0)).leaks.len(), 1, "in steps");
}

#[test]
fn a_leak_that_begins_late() {
    let report = judged(&shape(|s| 100.0 + (s - 160.0).max(0.0)));
    let [leak] = &report.leaks[..] else { panic!("{report:?}") };
    assert!((150.0..200.0).contains(&leak.began_seconds), "{leak:?}");
}

#[test]
fn a_leak_after_a_large_start() {
    assert_eq!(judged(&shape(|s| if s < 30.0 { s * 30.0 } else { 900.0 + (s - 30.0) * 2.0 })).leaks.len(), 1);
    assert_eq!(judged(&shape(|s| if s < 20.0 { 2000.0 } else { 100.0 + s })).leaks.len(), 1);
}

#[test]
fn a_leak_and_then_the_end_of_the_job() {
    assert_eq!(judged(&shape(|s| if s < 395.0 { 100.0 + s } else { 0.0 })).leaks.len(), 1);
    // The sample is taken while memory is freed, with and without a sample after it.
    for half_freed in [395.0, 399.0] {
        for part in [0.9, 0.7, 0.5, 0.2] {
            let report = judged(&shape(|s| match s - half_freed {
                ..0.0 => 100.0 + s,
                0.0 => (100.0 + s) * part,
                _ => 0.0,
            }));
            assert_eq!(report.leaks.len(), 1, "{half_freed} s, {part}");
        }
    }
}

#[test]
fn one_worker_of_many() {
    let mut record = course(1.0, &shape(|s| 5000.0 + s));
    for worker in 0..50 {
        let leaks = worker == 1;
        add_series(
            &mut record,
            1.0,
            "process",
            Some(worker),
            &shape(|s| 100.0 + 3.0 * scatter(s) + if leaks { s } else { 0.0 }),
        );
    }
    let report = find_leaks(&record, LeakRules::default());
    let [leak] = &report.leaks[..] else { panic!("{report:?}") };
    assert_eq!((leak.id, leak.command.as_deref(), leak.pid), (Some(1), Some("cc1"), Some(8473)));
    assert_eq!((report.search.judged, report.search.too_short), (51, 0));
}

/// Returns the height of a tooth of this many seconds.
fn tooth(second: f64, length: f64) -> f64 {
    second % length / length
}

#[test]
fn a_sawtooth_with_a_rising_floor() {
    for length in [7.0, 15.0, 30.0, 50.0, 61.0] {
        for height in [20.0, 200.0, 800.0] {
            let report =
                judged(&shape(|s| 100.0 + (s / length).floor() * length + height * tooth(s, length)));
            assert_eq!(report.leaks.len(), 1, "{length} s, {height} MiB");
        }
    }
}

#[test]
fn a_sawtooth_with_a_flat_floor() {
    for length in [7.0, 15.0, 30.0, 50.0, 61.0, 90.0, 130.0, 170.0] {
        for height in [20.0, 200.0, 800.0] {
            let report = judged(&shape(|s| 100.0 + height * tooth(s, length)));
            assert_eq!(report.leaks, [], "{length} s, {height} MiB");
            let rough = judged(&shape(|s| 100.0 + height * tooth(s, length) + 4.0 * scatter(s)));
            assert_eq!(rough.leaks, [], "{length} s, {height} MiB, rough");
        }
    }
}

#[test]
fn warm_up_and_then_flat() {
    for end in [10.0, 40.0, 80.0, 120.0, 160.0, 200.0, 300.0] {
        let report = judged(&shape(|s| 50.0 + 1000.0 * (s / end).min(1.0) + 2.0 * scatter(s)));
        assert_eq!(report.leaks, [], "{end} s");
    }
}

#[test]
fn a_cache_that_fills_up() {
    for part in [10.0, 8.0, 5.0, 4.0, 3.0, 2.5] {
        let rate = SERIES_LENGTH as f64 / part;
        let report = judged(&shape(|s| 50.0 + 1000.0 * (1.0 - (-s / rate).exp()) + 2.0 * scatter(s)));
        assert_eq!(report.leaks, [], "1/{part} of the time");
    }
}

#[test]
fn one_large_late_allocation() {
    for begin in [50.0, 150.0, 250.0, 350.0, 380.0, 390.0] {
        for length in [1.0, 5.0, 20.0] {
            let report =
                judged(&shape(|s| 100.0 + 900.0 * ((s - begin) / length).clamp(0.0, 1.0) + scatter(s)));
            assert_eq!(report.leaks, [], "at {begin} s, in {length} s");
        }
    }
    // The memory is used only for a while, and some of it stays.
    let report = judged(&shape(|s| match s {
        ..100.0 => 100.0,
        ..360.0 => 3000.0,
        _ => 300.0,
    }));
    assert_eq!(report.leaks, []);
}

#[test]
fn memory_that_falls_or_rests() {
    assert_eq!(judged(&shape(|_| 100.0)).leaks, []);
    assert_eq!(judged(&shape(|s| 500.0 - s)).leaks, []);
    assert_eq!(judged(&shape(|s| 500.0 + 200.0 * scatter(s))).leaks, []);
    assert_eq!(judged(&shape(|s| 500.0 + 200.0 * (s / 40.0).sin())).leaks, []);
    assert_eq!(judged(&shape(|s| 500.0 + 0.1 * s)).leaks, [], "too little");
    assert_eq!(judged(&shape(|_| 0.0)).leaks, []);
}

#[test]
fn what_is_too_short_is_not_called_free_of_leaks() {
    let report = find_leaks(&course(0.1, &shape(|s| 100.0 + s)), LeakRules::default());
    assert_eq!((report.search.total_judged, report.search.too_short, report.leaks.len()), (false, 1, 0));
    let few = find_leaks(&course(60.0, &[1.0, 2.0, 3.0]), LeakRules::default());
    assert!(!few.search.total_judged);
    let mut none = course(1.0, &[]);
    none.timeline = None;
    assert!(!find_leaks(&none, LeakRules::default()).search.total_judged);
}

/// Returns a value of 0 to 1 that looks random.
fn chance(seed: u32, second: f64) -> f64 {
    let value = (second * 12.9898 + f64::from(seed) * 78.233).sin() * 43_758.545;
    value - value.floor()
}

/// The lowest points of noise seem to rise now and then: that must not happen more often than this.
#[test]
fn noise() {
    let flagged = |of: &dyn Fn(u32, f64) -> f64| {
        (0..200).filter(|&seed| !judged(&shape(|s| of(seed, s))).leaks.is_empty()).count()
    };
    let any = flagged(&|seed, s| 1000.0 * chance(seed, s));
    let dips =
        flagged(&|seed, s| if chance(seed, s) < 0.1 { 3.0 + 30.0 * chance(seed + 1, s) } else { 100.0 });
    let levels = flagged(&|seed, s| 20.0 + 500.0 * chance(seed, (s / 30.0).floor()));
    let build = flagged(&|seed, s| {
        200.0 + 1000.0 * chance(seed, (s / 15.0).floor()) * chance(seed + 3, (s / 4.0).floor())
    });
    assert!(any <= 2 && dips <= 1 && levels <= 6 && build <= 2, "{any} {dips} {levels} {build}");
}

#[test]
fn spikes_hide_no_leak() {
    for spikes in 1..=3 {
        let near = |s: f64, k: u32| (s - 400.0 * f64::from(k) / f64::from(spikes + 1)).abs() < 20.0;
        let spike = |s: f64| if (1..=spikes).any(|k| near(s, k)) { 900.0 } else { 0.0 };
        assert_eq!(judged(&shape(|s| 100.0 + s + spike(s))).leaks.len(), 1, "{spikes}");
    }
}
