//! Properties of the analysis that hold for any records.

use highwater::{
    analysis::{LeakRules, Rules, Verdict, compare, find_leaks},
    record::Record,
};
use proptest::prelude::*;
use serde_json::json;

use crate::made::{MIB, record};

/// Generates a record with a total of any size in any interval, or none, and any groups.
fn any_record() -> impl Strategy<Value = Record> {
    let sizes = || prop_oneof![0..2000 * MIB, any::<u64>(), Just(0), Just(u64::MAX)];
    let groups = prop::collection::vec(("[ab]{1,2}", prop::option::of(sizes())), 0..6);
    let certainty = prop_oneof![Just("at_least"), Just("exact"), Just("at_most"), Just("sampled")];
    let pss = prop::option::of((sizes(), certainty));
    (prop::option::of([sizes(), sizes(), sizes()]), pss, groups, any::<bool>()).prop_map(
        |(total, pss, groups, complete)| {
            let mut made = record(1, &[]);
            made.complete = complete;
            made.max_total_rss_kib = total.map(|[bytes, ..]| bytes / 1024);
            made.peak.rss = made.peak.rss.zip(total).map(|(mut rss, [bytes, lower, upper])| {
                (rss.bytes, rss.lower_bytes, rss.upper_bytes) = (bytes, lower, upper);
                rss
            });
            made.peak.pss = pss.map(|(bytes, certainty)| {
                let figure = json!({"bytes": bytes, "certainty": certainty, "at_seconds": null});
                serde_json::from_value(figure).unwrap()
            });
            made.groups = groups
                .into_iter()
                .map(|(key, peak)| {
                    let group = json!({
                        "key": key, "by": "command", "processes": 1, "peak_bytes": peak, "at_seconds": null,
                    });
                    serde_json::from_value(group).unwrap()
                })
                .collect();
            made
        },
    )
}

fn some_records() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(any_record(), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_regression_without_growth(base in some_records(), candidate in some_records(), percent in -5.0..100.0_f64, floor in 0..50 * MIB) {
        let mut rules = Rules::default();
        (rules.max_increase_percent, rules.floor_bytes) = (percent, floor);
        let result = compare(&base, &candidate, rules);
        for row in result.totals.iter().chain(&result.groups).filter(|row| row.verdict == Verdict::Regression) {
            let (before, after) = (row.base.bytes.unwrap_or(0), row.candidate.bytes.unwrap_or(0));
            prop_assert!(after > before && after - before > floor, "{row:?}");
            prop_assert!(row.candidate.lower_bytes > row.base.upper_bytes || row.base.bytes.is_none(), "{row:?}");
        }
        // A record compared with itself is never a regression.
        prop_assert_ne!(compare(&base, &base, rules).verdict, Verdict::Regression);
    }

    #[test]
    fn no_silence_on_a_doubling(base in some_records(), candidate in some_records()) {
        let result = compare(&base, &candidate, Rules::default());
        for row in result.totals.iter().chain(&result.groups) {
            let doubled = row.base.bytes.zip(row.candidate.bytes).is_some_and(|(before, after)| {
                after / 2 >= before && after - before > Rules::default().floor_bytes
            });
            prop_assert!(!doubled || row.verdict != Verdict::Fine, "{row:?}");
            // An unknown quantity is fine only if a side has no such group at all.
            let absent = [row.base, row.candidate].iter().any(|side| side.runs > 0 && side.absent == side.runs);
            let known = row.base.bytes.is_some() && row.candidate.bytes.is_some();
            prop_assert!(known || absent || row.verdict == Verdict::Unknown, "{row:?}");
        }
        let primary = result.primary().unwrap();
        prop_assert!(primary.verdict == Verdict::Fine || result.verdict != Verdict::Fine);
    }

    #[test]
    fn a_doubling_that_is_certain_is_a_regression(mib in 11..100_000_u64) {
        let result = compare(&[record(mib, &[("a", mib)])], &[record(mib * 2, &[("a", mib * 2)])], Rules::default());
        prop_assert_eq!(result.verdict, Verdict::Regression);
        prop_assert_eq!(result.groups[0].verdict, Verdict::Regression);
    }

    #[test]
    fn no_timeline_makes_it_panic(
        seconds in prop::collection::vec(prop_oneof![0.0..1000.0_f64, any::<f64>()], 0..80),
        sorted in any::<bool>(),
        first in prop_oneof![0..90_usize, Just(usize::MAX)],
        values in prop::collection::vec(prop::option::of(prop_oneof![any::<u64>(), 0..1000 * MIB]), 0..90),
        minima in prop::collection::vec(prop::option::of(any::<u64>()), 0..90),
        scope in prop_oneof![Just("total"), Just("process"), Just("device"), Just("other")],
        id in prop::option::of(any::<u64>()),
        growth in -10.0..100.0_f64,
        duration in prop_oneof![Just(0.0), -1.0..10.0_f64, Just(f64::NAN)],
    ) {
        let mut made = record(1, &[]);
        let series = json!({
            "metric": "rss", "scope": scope, "id": id, "first": first, "bytes": values, "min": minima, "max": [],
        });
        let timeline = made.timeline.as_mut().unwrap();
        timeline.seconds = seconds;
        if sorted {
            timeline.seconds.sort_by(f64::total_cmp);
        }
        timeline.series.push(serde_json::from_value(series).unwrap());
        let mut rules = LeakRules::default();
        (rules.min_growth_percent, rules.min_duration_seconds) = (growth, duration);
        for leak in find_leaks(&made, rules).leaks {
            prop_assert!(leak.to_bytes > leak.from_bytes && leak.until_seconds > leak.began_seconds, "{leak:?}");
        }
    }

    #[test]
    fn no_leak_where_the_floor_does_not_rise(
        lows in prop::collection::vec(100.0..140.0_f64, 2..20),
        highs in prop::collection::vec(150.0..2000.0_f64, 400),
    ) {
        // The heights are arbitrary, but every so often the series returns nearly to the same. At the end it returns to
        // its lowest.
        let mib: Vec<f64> = highs.iter().enumerate().map(|(second, high)| {
            if second % 20 == 19 { lows[second % lows.len()] } else { *high }
        }).collect();
        let report = find_leaks(&crate::made::course(1.0, &mib), LeakRules::default());
        prop_assert_eq!(report.leaks, []);
    }
}
