//! `hwm run --gpu` on a job that holds GPU memory.

use std::{fs, process::Command};

use highwater::record::{Certainty, GpuScope, GpuSource, Metric, Record, Scope};

use crate::{Fake, HWM, are_pids_of_this_namespace, printed};

const MIB: u64 = 1 << 20;

/// Two processes of the job and a stranger; the job's sum is highest in the middle.
const STORY: &str = r#"
    echo "1 5000" > $ROWS; sleep 0.3
    sh -c 'sleep 1' & child=$!
    printf '%s\n' "1 5000" "$$ 1000" "$child 200" > $ROWS.new; mv $ROWS.new $ROWS; sleep 0.3
    printf '%s\n' "1 5000" "$$ 100" "$child 900" > $ROWS.new; mv $ROWS.new $ROWS; sleep 0.3
    kill $child; exit 3
"#;

#[test]
fn the_jobs_own_part_over_time_and_at_its_peak() {
    if !are_pids_of_this_namespace() {
        return;
    }
    let fake = Fake::new();
    fs::write(fake.file("rows"), "1 5000\n").unwrap();
    let (csv, timeline) = (fake.file("a.csv"), fake.file("a.time"));
    let options = ["--csv", csv.to_str().unwrap(), "--timeline", timeline.to_str().unwrap()];
    let (output, record) = fake.run("rows", &options, STORY);
    assert_eq!(output.status.code(), Some(3), "{}", printed(&output));

    let [first, second] = &record.peak.gpu[..] else { panic!("{:?}", record.peak.gpu) };
    let vram = first.vram.expect("the driver reports it");
    assert_eq!((vram.bytes, vram.scope, vram.certainty), (1200 * MIB, GpuScope::Job, Certainty::Sampled));
    assert_eq!((first.source, first.processes, first.other_users), (GpuSource::Nvml, 2, 1));
    assert_eq!((second.vram, second.processes), (None, 0), "of the other card the job holds nothing");

    let peak = |command: &str| {
        let rows = record.processes.iter().filter(|process| process.command == command);
        rows.filter_map(|process| process.peak.vram).map(|peak| peak.bytes / MIB).max()
    };
    assert_eq!(peak("sh"), Some(1000), "{:?}", record.processes);
    assert_eq!(record.processes.iter().filter_map(|process| process.peak.vram).count(), 2);

    let series = record.timeline.as_ref().unwrap().series.iter();
    let series: Vec<_> = series.filter(|series| series.metric == Metric::Vram).collect();
    assert_eq!((series[0].scope, series[0].id), (Scope::Device, Some(0)));
    assert_eq!(series[0].max.iter().flatten().max(), Some(&(1200 * MIB)));

    let csv = fs::read_to_string(csv).unwrap();
    assert!(column(&csv, "max_vram_kib").contains(&(1000 * 1024).to_string()), "{csv}");
    let timeline = fs::read_to_string(timeline).unwrap();
    assert!(column(&timeline, "total_vram_kib").contains(&(1200 * 1024).to_string()), "{timeline}");
    let summary = printed(&output);
    assert!(summary.contains("GPU 0:            1.17 GiB"), "{summary}");
    assert!(summary.contains("GPU 1:            no use by the job was seen"), "{summary}");
}

/// Returns the cells of one column.
fn column(csv: &str, name: &str) -> Vec<String> {
    let mut lines = csv.lines().map(|line| line.split(','));
    let place =
        lines.next().and_then(|mut names| names.position(|column| column == name)).expect("the column");
    lines.filter_map(|mut cells| cells.nth(place).map(str::to_owned)).collect()
}

#[test]
fn unknown_is_reported_and_never_0() {
    let fake = Fake::new();
    if are_pids_of_this_namespace() {
        // The driver's rows are those of processes outside the job; none of them is known.
        let (output, record) = fake.run("not_available", &[], "sleep 0.1");
        assert!(output.status.success());
        assert!(record.peak.gpu.iter().all(|device| device.vram.is_none()), "{:?}", record.peak.gpu);
    }
    let (_, broken) = fake.run("mismatch", &[], "sleep 0.1");
    assert!(broken.peak.gpu.is_empty());
    let reasons: Vec<_> = broken.capture.downgrades.iter().map(|why| why.reason.as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("code 18")), "{reasons:?}");
}

#[test]
fn a_list_that_cannot_be_read_is_not_an_empty_one() {
    if !are_pids_of_this_namespace() {
        return;
    }
    let fake = Fake::new();
    let (output, record) = fake.run("graphics_refused", &[], "sleep 0.1");
    let words = printed(&output).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("permission denied"), "{words}");
    let timeline = record.timeline.expect("a timeline");
    let of_first =
        |series: &&highwater::record::Series| (series.metric, series.id) == (Metric::Vram, Some(0));
    let known = timeline.series.iter().filter(of_first).flat_map(|series| &series.bytes).flatten().count();
    assert_eq!(known, 0, "it is unknown if the job held memory: {:?}", timeline.series);
}

#[test]
fn in_a_container_the_devices_rise() {
    let fake = Fake::new();
    let made =
        Command::new("unshare").args(["--map-root-user", "--pid", "--fork", "--mount-proc", "true"]).output();
    if !made.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no pid namespace can be made here");
    }
    let json = fake.file("record.json");
    let mut hwm = Command::new("unshare");
    hwm.args(["--map-root-user", "--pid", "--fork", "--mount-proc", HWM, "run", "--gpu", "--no-cgroup"]);
    hwm.args([&format!("--json={}", json.display()), "--", "sleep", "0.3"]);
    hwm.env("LD_LIBRARY_PATH", fake.0.path()).env("FAKE_NVML", "host_pid");
    let output = hwm.output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    let record = Record::from_json(&fs::read(json).unwrap()).unwrap();
    let vram = record.peak.gpu[0].vram.expect("the rise of the device");
    assert_eq!((vram.scope, vram.certainty, vram.bytes), (GpuScope::Device, Certainty::AtMost, 0));
    assert_eq!(record.peak.gpu[0].processes, 0);
    assert!(record.processes.iter().all(|process| process.peak.vram.is_none()));
    assert!(printed(&output).contains("the device's rise"), "{}", printed(&output));
}

#[test]
fn a_slow_driver_delays_the_start_and_nothing_else() {
    let fake = Fake::new();
    let (output, record) = fake.run("slow_init", &[], "exit 4");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(record.peak.gpu.len(), 2);
}

#[test]
fn descriptors_of_the_driver_do_not_reach_the_job() {
    let fake = Fake::new();
    let script = "ls -l /proc/self/fd";
    let list = |gpu: &[&str]| {
        let mut hwm = Command::new(HWM);
        hwm.args(["run", "-q"]).args(gpu).args(["--", "sh", "-c", script]);
        hwm.env("LD_LIBRARY_PATH", fake.0.path()).env("FAKE_NVML", "normal");
        String::from_utf8(hwm.output().unwrap().stdout).unwrap().lines().count()
    };
    assert_eq!(list(&["--gpu"]), list(&[]));
}
