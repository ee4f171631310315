//! Records made for these tests, from a golden one.

use highwater::record::Record;
use serde_json::{Value, json};

pub(crate) const MIB: u64 = 1 << 20;

/// Makes a record whose total is exact, with these groups and no series.
pub(crate) fn record(total_mib: u64, groups: &[(&str, u64)]) -> Record {
    let mut document: Value = serde_json::from_str(include_str!("../records/1.2.json")).unwrap();
    let bytes = total_mib * MIB;
    document["exit"] = json!({"code": 0, "signal": null, "signal_name": null, "cause": "exited"});
    document["max_total_rss_kib"] = json!(bytes / 1024);
    document["peak"] = json!({
        "rss": {
            "bytes": bytes, "lower_bytes": bytes, "upper_bytes": bytes, "lower_rigorous": true,
            "upper_rigorous": true, "certainty": "exact", "at_seconds": 1.0, "between_seconds": null,
        },
        "pss": null, "cgroup": null, "gpu": [],
    });
    document["groups"] = groups
        .iter()
        .map(|(key, mib)| {
            json!({
                "key": key, "by": "command", "processes": 1, "peak_bytes": mib * MIB, "at_seconds": 1.0,
            })
        })
        .collect();
    document["timeline"] = json!({"seconds": [], "series": []});
    read(&document)
}

pub(crate) fn read(document: &Value) -> Record {
    Record::from_json(document.to_string().as_bytes()).unwrap()
}

/// Makes a record with a total of these MiB at each whole `step` seconds.
pub(crate) fn course(step: f64, mib: &[f64]) -> Record {
    let mut record = record(1, &[]);
    add_series(&mut record, step, "total", None, mib);
    record
}

/// Adds a series.
pub(crate) fn add_series(record: &mut Record, step: f64, scope: &str, id: Option<u64>, mib: &[f64]) {
    let timeline = record.timeline.as_mut().unwrap();
    while timeline.seconds.len() < mib.len() {
        timeline.seconds.push(timeline.seconds.len() as f64 * step);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bytes: Vec<u64> = mib.iter().map(|mib| (mib * MIB as f64) as u64).collect();
    let series = json!({
        "metric": "rss", "scope": scope, "id": id, "first": 0, "bytes": bytes, "min": bytes, "max": bytes,
    });
    timeline.series.push(serde_json::from_value(series).unwrap());
}
