//! Tests of reading records: golden ones of every version, and texts that are none. Golden files are never
//! edited.
#![cfg(feature = "record")]

use highwater::record::{
    Certainty, Confidence, ExitCause, Finding, GpuScope, GpuSource, GroupKey, Limited, Lineage, Metric,
    OomEvidence, PeakSource, PeaksFrom, PressureOf, ReadError, Record, Scope, UsageSource,
};
use serde_json::{Value, json};

const V1_0: &str = include_str!("records/1.0.json");
const V1_1: &str = include_str!("records/1.1.json");
const V1_2: &str = include_str!("records/1.2.json");
const V1_3: &str = include_str!("records/1.3.json");

fn document() -> Value {
    serde_json::from_str(V1_3).unwrap()
}

fn read(document: &Value) -> Result<Record, ReadError> {
    Record::from_json(document.to_string().as_bytes())
}

#[test]
fn reads_version_1_0() {
    let record = Record::from_json(V1_0.as_bytes()).unwrap();
    assert!(record.complete && !record.schema.is_newer_minor());
    assert_eq!(record.command, ["make", "-j2", "all"]);
    assert_eq!(record.end_time.unix_seconds() - record.start_time.unix_seconds(), 3);
    assert_eq!(record.exit.as_ref().map(|exit| (exit.code, exit.cause)), Some((Some(2), ExitCause::Exited)));
    assert_eq!((record.primary_metric, record.max_total_rss_kib), (Metric::Rss, Some(163_840)));

    let rss = record.peak.rss.unwrap();
    assert_eq!((rss.lower_bytes, rss.bytes, rss.upper_bytes), (128 << 20, 160 << 20, 180 << 20));
    assert_eq!((rss.lower_rigorous, rss.upper_rigorous), (true, false));
    assert_eq!((rss.at_seconds, rss.between_seconds), (None, Some([1.5, 1.75])));
    assert_eq!((rss.slack_bytes, record.capture.images_without_last_mark), (None, None), "not known to it");
    assert_eq!(record.peak.pss.map(|pss| pss.certainty), Some(Certainty::AtLeast));

    let [make, cc1, watcher] = &record.processes[..] else { panic!("three rows") };
    assert_eq!(make.peak.rss.map(|peak| peak.source), Some(PeakSource::MarkSampled));
    assert_eq!(cc1.pid, watcher.pid, "one pid, two processes");
    assert_eq!(cc1.exit.and_then(|exit| exit.signal), Some(9));
    assert_eq!((watcher.max_rss_kib, watcher.end_seconds), (None, None), "unknown stays unknown");
    let series = &record.timeline.as_ref().unwrap().series;
    assert_eq!((series[1].scope, series[1].id, series[1].bytes[0]), (Scope::Process, Some(1), None));
}

#[test]
fn reads_version_1_1() {
    let record = Record::from_json(V1_1.as_bytes()).unwrap();
    assert_eq!(
        (record.capture.lineage, record.capture.peaks),
        (Lineage::Perf, PeaksFrom::ExitNotifyAndTaskstats)
    );
    assert_eq!(record.capture.images_without_last_mark, Some(0));
    assert_eq!(record.peak.rss.unwrap().slack_bytes, Some(2_359_296));
    assert_eq!(record.peak.cgroup.unwrap().bytes, 192 << 20);
}

#[test]
fn reads_version_1_2() {
    let record = Record::from_json(V1_2.as_bytes()).unwrap();
    let [nvidia, amd] = &record.peak.gpu[..] else { panic!("two devices") };
    assert_eq!((nvidia.source, nvidia.vram.unwrap().scope), (GpuSource::Nvml, GpuScope::Job));
    assert_eq!((amd.vram, amd.processes_unknown), (None, 1), "unknown stays unknown");
    assert_eq!(record.processes[1].peak.vram.unwrap().bytes, 512 << 20);
    let [total, process] = &record.limits[..] else { panic!("two limits") };
    assert_eq!((total.of, total.exceeded.as_ref()), (Limited::TotalRss, None));
    assert_eq!(process.exceeded.as_ref().unwrap().highest_bytes, Some(128 << 20));
    let series = &record.timeline.as_ref().unwrap().series[1];
    assert_eq!((series.metric, series.scope, series.id), (Metric::Vram, Scope::Device, Some(0)));
}

#[test]
fn reads_version_1_3() {
    let record = Record::from_json(V1_3.as_bytes()).unwrap();
    let usage = record.usage;
    let (cpu, io, faults) = (usage.cpu.unwrap(), usage.io.unwrap(), usage.faults.unwrap());
    assert_eq!((cpu.user_seconds, cpu.mean_processors), (2.5, Some(1.0)));
    assert_eq!((cpu.source, cpu.certainty), (UsageSource::Waited, Certainty::AtLeast));
    assert_eq!((io.storage_written_bytes, io.source), (Some(65_536), UsageSource::Taskstats));
    assert_eq!((faults.minor, faults.major), (Some(40_000), Some(3)));
    let pressure = usage.pressure.unwrap();
    assert_eq!((pressure.of, pressure.full_seconds), (PressureOf::Machine, None), "unknown stays unknown");

    let oom = record.oom.unwrap();
    assert_eq!((oom.in_job, oom.around), (None, Some(1)));
    assert_eq!((oom.victims[0].pid, oom.victims[0].evidence), (8473, OomEvidence::Possible));
    assert_eq!(record.capture.attached.unwrap().ran_for_seconds, Some(60.5));
    assert_eq!((record.peak.commit, record.peak.swap.unwrap().bytes), (None, 4 << 20));

    let [make, cc1, _] = &record.processes[..] else { panic!("three rows") };
    assert_eq!((make.mark_before_bytes, make.usage), (Some(2 << 20), None));
    assert_eq!(cc1.usage.unwrap().io, None);
    let tree: Vec<_> = record.groups.iter().filter(|group| group.by == GroupKey::Tree).collect();
    assert_eq!((tree[1].id, tree[1].parent), (Some(1), Some(0)));
    let [Finding::Leak(leak)] = &record.findings[..] else { panic!("a leak") };
    assert_eq!((leak.bytes_per_minute, leak.sureness), (1 << 20, Confidence::Probable));
    assert!(record.leak_search.unwrap().total_judged);
    let counter = &record.timeline.as_ref().unwrap().counters[1];
    assert_eq!((counter.id, counter.first, &counter.values[..]), (Some(1), 1, &[None, Some(65_536)][..]));
}

#[test]
fn writes_what_it_read() {
    let record = Record::from_json(V1_3.as_bytes()).unwrap();
    kept(&document(), &serde_json::to_value(&record).unwrap(), "record");
    let text = serde_json::to_string(&record).unwrap();
    assert!(text.starts_with(r#"{"schema":{"name":"highwater.record","major":1,"minor":"#));
}

/// Checks that all is as it was read; fields of later versions are unknown or empty.
fn kept(read: &Value, written: &Value, at: &str) {
    match (read, written) {
        (Value::Object(read), Value::Object(written)) => {
            for (key, value) in written {
                match read.get(key) {
                    Some(before) => kept(before, value, &format!("{at}.{key}")),
                    None => assert!(says_nothing(value), "{at}.{key} was made up: {value}"),
                }
            }
            assert!(read.keys().all(|key| written.contains_key(key)), "{at} has lost a field");
        }
        (Value::Array(read), Value::Array(written)) => {
            assert_eq!(read.len(), written.len(), "{at}");
            read.iter().zip(written).for_each(|(read, written)| kept(read, written, at));
        }
        _ => assert_eq!(read, written, "{at}"),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
        _ => false,
    }
}

#[test]
fn passes_over_what_a_newer_minor_version_adds() {
    let mut newer = document();
    newer["schema"]["minor"] = json!(7);
    newer["weather"] = json!("mild");
    newer["processes"][0]["mood"] = json!({"good": true});
    newer["peak"]["phlogiston"] = json!(1);
    newer["capture"]["lineage"] = json!("clairvoyance");
    newer["processes"][0]["peak"]["rss"]["source"] = json!("oracle");
    let record = read(&newer).unwrap();
    assert_eq!(record.capture.lineage, Lineage::Other);
    assert_eq!(record.processes[0].peak.rss.unwrap().source, PeakSource::Other);
    assert!(record.schema.is_newer_minor());
    assert_eq!(record.processes.len(), 3);
}

#[test]
fn findings_of_newer_versions_are_passed_over() {
    let mut newer = document();
    let leak = json!({
        "kind": "leak", "scope": "process", "metric": "rss", "id": 1, "pid": 8473, "command": "cc1",
        "bytes_per_minute": 1_048_576, "began_seconds": 0.5, "until_seconds": 2.5, "from_bytes": 1_048_576,
        "to_bytes": 1_572_864, "sureness": "clear",
    });
    newer["findings"] = json!([leak, {"kind": "comet", "scope": "total", "tail": [1, 2]}]);
    newer["leak_search"] = json!({
        "min_growth_percent": 50.0, "min_duration_seconds": 60.0, "floor_bytes": 1_048_576, "judged": 3,
        "too_short": 1, "total_judged": true,
    });
    let record = read(&newer).unwrap();
    let [Finding::Leak(found), Finding::Other] = &record.findings[..] else {
        panic!("{:?}", record.findings)
    };
    assert_eq!((found.scope, found.pid, found.sureness), (Scope::Process, Some(8473), Confidence::Clear));
    assert_eq!(record.leak_search.map(|search| search.judged), Some(3));
    let written = serde_json::to_value(&record).unwrap();
    assert_eq!((&written["findings"][0], &written["leak_search"]), (&leak, &newer["leak_search"]));
    newer["findings"][0]["sureness"] = json!("absolute");
    let Finding::Leak(found) = &read(&newer).unwrap().findings[0] else { panic!("a leak") };
    assert_eq!(found.sureness, Confidence::Other);
    let earlier = Record::from_json(V1_2.as_bytes()).unwrap();
    assert_eq!(earlier.leak_search, None, "version 1.2 does not know it");
}

/// JSON has no order of fields: `jq -S` puts `kind` behind others.
#[test]
fn the_kind_of_a_finding_may_come_last() {
    let Finding::Leak(leak) = &read(&document()).unwrap().findings[0] else { panic!("a leak") };
    let fields = document()["findings"][0].as_object().unwrap().clone();
    let others = fields.iter().filter(|(name, _)| *name != "kind");
    let others: Vec<_> = others.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let finding = |fields: &str| {
        let mut record = document();
        record["findings"] = json!(["@"]);
        Record::from_json(record.to_string().replace("\"@\"", fields).as_bytes())
    };
    let record = finding(&format!("{{{},\"kind\":\"leak\"}}", others.join(","))).unwrap();
    assert_eq!(record.findings, [Finding::Leak(leak.clone())]);
    let odd = r#"{"scope":[1],"id":{"x":[]},"x":[[0],[0]],"kind":"comet"}"#;
    assert_eq!(finding(odd).unwrap().findings, [Finding::Other], "the fields of another kind are its own");
    for wrong in [r#"{"kind":"leak"}"#, r#"{"kind":"x","kind":"x"}"#, r#"{"kind":1}"#, "{}", "[\"leak\"]"] {
        assert!(matches!(finding(wrong), Err(ReadError::NotARecord(_))), "{wrong}");
    }
}

/// execve(2) takes fewer words than this, so no system has started such a command.
#[test]
fn a_command_has_so_many_words() {
    let with = |words: usize| {
        let mut long = document();
        long["command"] = json!(vec![""; words]);
        long["processes"][0]["args"] = json!(vec![""; words]);
        read(&long)
    };
    let record = with(1 << 20).unwrap();
    assert_eq!(
        (record.command.len(), record.processes[0].args.as_ref().map(Vec::len)),
        (1 << 20, Some(1 << 20))
    );
    let error = with((1 << 20) + 1).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 words"), "{error}");
}

#[test]
fn refuses_a_newer_major_version_and_names_it() {
    // Only the header has a known form.
    let newer =
        json!({"schema": {"name": "highwater.record", "major": 2, "minor": 3}, "processes": "elsewhere"});
    let error = read(&newer).unwrap_err();
    assert!(matches!(error, ReadError::TooNew { major: 2, minor: 3 }), "{error}");
    assert!(error.to_string().contains("2.3"), "{error}");
}

#[test]
fn a_text_cut_short_anywhere_is_no_record() {
    let text = document().to_string();
    for end in (0..text.len()).step_by(13).chain([text.len() - 1]) {
        let error = Record::from_json(&text.as_bytes()[..end]).unwrap_err();
        assert!(matches!(error, ReadError::Json(_)), "cut at {end}: {error}");
    }
}

#[test]
fn foreign_documents_are_no_records() {
    let mut wrong_type = document();
    wrong_type["samples"] = json!("many");
    let mut field_gone = document();
    field_gone.as_object_mut().unwrap().remove("capture");
    let foreign = [
        json!({"results": []}),
        json!({"schema": {"name": "another.program", "major": 1, "minor": 0}}),
        json!({"schema": "highwater.record"}),
        json!([]),
        json!(null),
        wrong_type,
        field_gone,
    ];
    for document in foreign {
        let error = read(&document).unwrap_err();
        assert!(matches!(error, ReadError::NotARecord(_)), "{document}: {error}");
    }
    for text in ["", "not json", "{\"schema\": nul"] {
        assert!(matches!(Record::from_json(text.as_bytes()), Err(ReadError::Json(_))), "{text}");
    }
}

/// Parts of a record must not contradict each other, so that no reader has to check again.
#[test]
fn a_record_that_contradicts_itself_is_refused() {
    let huge = u64::MAX;
    let node = |id: u64, parent: Value| json!({"key": "x", "by": "tree", "processes": 1, "peak_bytes": 1, "at_seconds": null, "id": id, "parent": parent});
    let cases = [
        ("/timeline/series/0/first", json!(1_u64 << 62), "timeline.series[0].first"),
        ("/timeline/series/0/first", json!(1_u64 << 30), "timeline.series[0].first"),
        ("/timeline/series/0/first", json!(huge), "timeline.series[0].first"),
        ("/timeline/series/1/bytes", json!([1, 2, 3, 4, 5, 6, 7, 8, 9]), "timeline.series[1].first"),
        ("/timeline/series/1/min", json!([]), "timeline.series[1].min"),
        ("/timeline/series/1/max", json!([1, 2, 3, 4]), "timeline.series[1].max"),
        ("/timeline/series/2/id", json!(3), "timeline.series[2].id"),
        ("/timeline/counters/1/first", json!(huge), "timeline.counters[1].first"),
        ("/timeline/counters/1/id", json!(huge), "timeline.counters[1].id"),
        ("/timeline/seconds", json!(vec![0.0; 100_001]), "timeline.seconds"),
        ("/timeline/seconds/0", json!(-1.0), "timeline.seconds[0]"),
        ("/timeline/seconds/0", json!(1e9), "timeline.seconds[1]"),
        ("/processes/1/start_seconds", json!(-0.5), "processes[1].start_seconds"),
        ("/processes/1/end_seconds", json!(-1e308), "processes[1].end_seconds"),
        ("/duration_seconds", json!(-1), "duration_seconds"),
        ("/peak/rss/between_seconds", json!([-1, 2]), "peak.rss.between_seconds"),
        ("/groups", json!([node(3, json!(null))]), "groups[0].id"),
        ("/groups", json!([node(0, json!(huge))]), "groups[0].parent"),
        ("/groups", json!([node(1, json!(null)), node(1, json!(0))]), "groups[1].id"),
        ("/groups", json!([node(0, json!(0))]), "groups[0].parent"),
        ("/groups", json!([node(2, json!(1)), node(0, json!(1)), node(1, json!(0))]), "groups[1].parent"),
        ("/findings/0/id", json!(3), "findings[0].id"),
        ("/max_total_rss_kib", json!(163_841), "max_total_rss_kib"),
        ("/max_total_rss_kib", json!(1), "max_total_rss_kib"),
        ("/processes/1/max_rss_kib", json!(huge), "processes[1].max_rss_kib"),
        ("/peak/rss/lower_bytes", json!(huge), "peak.rss.lower_bytes"),
        ("/peak/rss/upper_bytes", json!(1), "peak.rss.bytes"),
        ("/peak/gpu/1/gtt/lower_bytes", json!(huge), "peak.gpu[1].gtt.lower_bytes"),
        ("/findings/0/began_seconds", json!(-3.0), "findings[0].began_seconds"),
    ];
    for (path, value, field) in cases {
        let mut wrong = document();
        wrong["findings"][0]["scope"] = json!("process");
        wrong["findings"][0]["id"] = json!(1);
        assert!(read(&wrong).is_ok());
        *wrong.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        match read(&wrong) {
            Err(ReadError::Inconsistent { field: found, .. }) => assert_eq!(found, field, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    let mut twice = document();
    let line = twice["timeline"]["series"][0].clone();
    twice["timeline"]["series"].as_array_mut().unwrap().push(line);
    let error = read(&twice).unwrap_err().to_string();
    assert!(error.ends_with("is there twice"), "{error}");
}

#[test]
fn a_peak_of_memory_that_contradicts_itself_is_refused() {
    let memory = |[lower, best, upper]: [u64; 3], process: u64| {
        let mut document = document();
        document["peak"]["memory"] = json!({
            "bytes": best, "lower_bytes": lower, "upper_bytes": upper, "lower_rigorous": true,
            "upper_rigorous": true, "certainty": "bounded", "source": "cgroup", "at_seconds": null,
            "between_seconds": null,
            "parts": {"anon_bytes": null, "shmem_bytes": null, "file_bytes": null, "hugetlb_bytes": null},
            "holders": {
                "largest": [{"process": process, "bytes": 1}], "others": 0, "others_bytes": 0,
                "shared_counted_in_each": false,
            },
        });
        read(&document)
    };
    assert!(memory([1, 2, 3], 2).is_ok());
    let cases = [
        ([3, 2, 3], 2, "peak.memory.lower_bytes"),
        ([1, 4, 3], 2, "peak.memory.bytes"),
        ([1, 2, 3], 3, "peak.memory.holders.largest[0].process"),
    ];
    for (ends, process, field) in cases {
        match memory(ends, process) {
            Err(ReadError::Inconsistent { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}

/// If one of two figures is not known, nothing contradicts the other.
#[test]
fn a_figure_alone_contradicts_nothing() {
    for path in ["/max_total_rss_kib", "/peak/rss", "/processes/1/max_rss_kib", "/processes/1/peak/rss"] {
        let mut one = document();
        *one.pointer_mut(path).unwrap() = Value::Null;
        let record = read(&one).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(record.total_peak_bytes(), Some(160 << 20), "{path}");
    }
}

/// A branch of many processes is no cycle, and takes no time to walk.
#[test]
fn a_deep_tree_is_a_tree() {
    let mut deep = document();
    let row = deep["processes"][0].clone();
    let count = 2_000_u64;
    deep["processes"] = Value::from(vec![row; usize::try_from(count).unwrap()]);
    let group =
        |id: u64| json!({"key": "x", "by": "tree", "processes": 1, "id": id, "parent": id.checked_sub(1)});
    deep["groups"] = (0..count).map(group).collect();
    assert_eq!(read(&deep).unwrap().groups.len(), 2_000);
    deep["groups"][0]["parent"] = json!(count - 1);
    assert!(matches!(read(&deep), Err(ReadError::Inconsistent { .. })));
}

#[test]
fn a_mark_of_the_encoding_before_the_document_is_passed_over() {
    assert!(Record::from_json(format!("\u{feff}{V1_0}").as_bytes()).is_ok());
    let error = Record::from_json(b"[1]").unwrap_err().to_string();
    assert_eq!(error, "not a highwater record: it is no JSON object");
}

/// Scripts written for memwatch read these names.
#[test]
fn the_names_that_memwatch_scripts_use_stay() {
    let document = serde_json::to_value(Record::from_json(V1_0.as_bytes()).unwrap()).unwrap();
    for name in ["command", "start_time", "end_time", "duration_seconds", "interval_ms", "max_total_rss_kib"]
    {
        assert!(document.get(name).is_some(), "{name}");
    }
    for name in ["pid", "ppid", "command", "max_rss_kib", "first_seen", "last_seen"] {
        assert!(document["processes"][0].get(name).is_some(), "processes[].{name}");
    }
    assert_eq!(document["start_time"], "2025-11-20T18:02:34Z");
}
