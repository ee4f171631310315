//! A run as it is measured, in each format.

use serde_json::Value;

use crate::made::{Place, export};

#[test]
fn every_format_has_the_highest_sample() {
    let place = Place::with("unused.json", &Value::Null);
    let script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 0.3; : $x";
    let run = ["run", "-q", "--json=mem.json", "-i", "20", "--", "bash", "-c", script];
    assert_eq!(place.command(&run).output().expect("runs").status.code(), Some(0));
    let text = std::fs::read_to_string(place.path().join("mem.json")).expect("written");
    let record: Value = serde_json::from_str(&text).expect("JSON");
    let total = &record["timeline"]["series"][0];
    assert_eq!(total["scope"], "total");
    let highest = total["bytes"].as_array().expect("values").iter().filter_map(Value::as_u64).max();
    let highest = highest.expect("sampled");
    assert!(highest > 20_000_000, "{highest}");

    let trace: Value = serde_json::from_str(&export(&record, "chrome-trace")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let counted = events.iter().filter(|event| event["ph"] == "C" && event["name"] == "RSS");
    assert_eq!(counted.filter_map(|event| event["args"]["bytes"].as_u64()).max(), Some(highest));

    let csv = export(&record, "csv");
    let rows = csv.lines().filter(|line| line.contains(",rss,bytes,total,"));
    let values = rows.filter_map(|line| line.split(',').nth(8)?.parse::<u64>().ok());
    assert_eq!(values.max(), Some(highest));

    let profile: Value = serde_json::from_str(&export(&record, "firefox-profiler")).expect("JSON");
    let deltas = profile["counters"][0]["samples"]["count"].as_array().expect("a column");
    let (_, drawn) = deltas.iter().filter_map(Value::as_f64).fold((0.0, 0.0), |(sum, most), delta| {
        let sum: f64 = sum + delta;
        (sum, sum.max(most))
    });
    assert!((drawn - highest as f64).abs() < 0.5, "{drawn} {highest}");
}
