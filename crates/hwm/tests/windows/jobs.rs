//! Jobs in a Job Object.

use std::path::{Path, PathBuf};

use highwater::record::{Certainty, ExitCause, Lineage, Metric, PeakSource, PeaksFrom};

use super::{MIB, hwm, run, text, workload};

/// Returns the job's peak in bytes.
fn peak(command: &[&str]) -> u64 {
    let (_, record) = run(&[], command);
    record.peak.rss.expect("its working set is read").bytes
}

#[test]
fn working_set_of_200_mib() {
    // The memory of a program by itself, its libraries and Wine's, is no part of the amount that it holds by request.
    // It differs a little from run to run.
    let mut bases: [u64; 3] = std::array::from_fn(|_| peak(&[&workload(), "hold", "0", "400"]));
    bases.sort_unstable();
    let base = bases[1];
    let (output, record) = run(&[], &[&workload(), "hold", "200", "1000"]);
    let peak = record.peak.rss.expect("its working set is read");
    let (measured, wanted) = ((peak.bytes - base) as f64, (200 * MIB) as f64);
    assert!((measured / wanted - 1.0).abs() < 0.03, "{measured} bytes above {base}");
    println!("200 MiB used: {:.2} % off, above the median of {bases:?}", (measured / wanted - 1.0) * 100.0);
    assert_eq!(record.primary_metric, Metric::WorkingSet);
    assert_eq!(record.max_total_rss_kib, Some(peak.bytes / 1024));
    let process = &record.processes[0];
    let of_process = process.peak.rss.expect("a peak");
    assert!(of_process.bytes >= peak.lower_bytes.min(peak.bytes));
    // The kernel's last word, or, where none is kept of what has ended, no exact one.
    let is_exact = of_process.certainty == Certainty::Exact;
    assert_eq!(is_exact, of_process.source == PeakSource::AfterEnd, "{of_process:?}");
    assert_eq!(process.command, "workload.exe");
    let printed = text(&output.stderr);
    assert!(printed.contains("Peak memory:") && printed.contains("working set"), "{printed}");
    assert!(!printed.contains("RSS"), "{printed}");
}

#[test]
fn what_the_kernel_does_not_keep_is_unknown() {
    // Long enough for a busy machine to look at it: where no mark outlives the process, only a look shows it.
    let (output, record) = run(&[], &[&workload(), "hold", "50", "1500"]);
    if let Some(commit) = record.peak.commit {
        assert!(commit.bytes > 50 * MIB && commit.certainty == Certainty::Exact, "{commit:?}");
    } else {
        let printed =
            record.capture.downgrades.iter().any(|downgrade| downgrade.wanted.contains("committed"));
        assert!(printed, "{}", text(&output.stderr));
    }
    let commit = record.processes[0].peak.commit.expect("its mark is read while it lives");
    assert!(commit.bytes > 50 * MIB, "{commit:?}");
    assert!(record.peak.pss.is_none() && !text(&output.stderr).contains("PSS"));
}

#[test]
fn three_generations_below_cmd() {
    let (output, record) = run(&[], &["cmd", "/c", &workload(), "generations"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let names: Vec<_> = record.processes.iter().map(|process| process.command.as_str()).collect();
    assert_eq!(names, ["cmd.exe", "workload.exe", "workload.exe", "workload.exe"]);
    // Each was started by the one before it.
    for pair in record.processes.windows(2) {
        assert_eq!(pair[1].ppid, pair[0].pid, "{names:?}");
    }
    let bytes = record.peak.rss.expect("read").bytes;
    let peaks = record.processes.iter().map(|process| process.peak.rss.expect("read").bytes);
    // 50, 100 and 70 at once, in three programs beside cmd. What each is by itself, with Wine's libraries, differs by
    // how much of them the page cache maps at once.
    let by_themselves =
        peaks.clone().zip([0, 50, 100, 70]).map(|(peak, built)| peak.checked_sub(built * MIB));
    let by_themselves: Vec<u64> = by_themselves.map(|own| own.expect("it used that much")).collect();
    assert!(by_themselves.iter().all(|own| (2 * MIB..20 * MIB).contains(own)), "{by_themselves:?}");
    let (least, most) = (220 * MIB + by_themselves[1..].iter().sum::<u64>() * 3 / 4, peaks.sum());
    assert!((least..=most).contains(&bytes), "{bytes} bytes, of programs of {by_themselves:?} by themselves");
    println!("220 MiB used: {} MiB, of programs of {by_themselves:?} by themselves", bytes / MIB);
}

#[test]
fn each_of_300_short_processes() {
    let (output, record) = run(&[], &[&workload(), "storm", "300", "5", "4", "10"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let capture = &record.capture;
    assert_eq!((capture.lineage, capture.peaks), (Lineage::JobObject, PeaksFrom::AfterEnd));
    println!("{} processes seen of 301, {} lost", capture.processes_seen, capture.lost_events);
    assert_eq!((capture.processes_seen, capture.processes_seen_is), (301, Certainty::Exact));
    assert_eq!((capture.lost_events, capture.processes_still_running), (0, 0));
    // Of one that had gone before its handle could be opened it is not known how it ended. On a busy machine that
    // happens.
    let ends: Vec<_> = record.processes.iter().filter_map(|process| process.exit?.code).collect();
    assert!(ends.iter().all(|&code| code == 0), "a code that no process had: {ends:?}");
    assert!(ends.len() >= 270, "only of {} it is known how they ended", ends.len());
}

#[test]
fn exit_codes_are_passed_on() {
    for code in ["0", "7", "37", "255", "259", "70000"] {
        let (output, record) = run(&["--quiet"], &["cmd", "/c", "exit", code]);
        let wanted = code.parse::<i32>().ok();
        assert_eq!(output.status.code(), wanted, "{}", text(&output.stderr));
        let exit = record.exit.expect("it has ended");
        assert_eq!((exit.code, exit.cause), (wanted, ExitCause::Exited));
    }
    let missing = hwm(&["run", "--", "no-such-program"]);
    assert_eq!(missing.status.code(), Some(127), "{}", text(&missing.stderr));
}

#[test]
fn a_tree_over_its_limit_is_killed() {
    let (output, record) = run(&["--max-total-rss=150M"], &[&workload(), "tree", "50"]);
    assert_eq!(output.status.code(), Some(10), "{}", text(&output.stderr));
    assert_eq!(record.exit.map(|exit| exit.cause), Some(ExitCause::Limit));
    assert_eq!(record.capture.processes_still_running, 0);
    assert!(record.processes.iter().all(|process| !process.still_running && process.exit.is_some()));
}

#[test]
fn a_limit_that_windows_does_not_have() {
    let output = hwm(&["run", "--max-total-pss=1G", "--", "cmd", "/c", "exit", "0"]);
    let printed = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{printed}");
    assert!(
        printed.contains("counts shared memory in each process") && !printed.contains("cgroup"),
        "{printed}"
    );
}

#[test]
fn grandchildren_outlive_the_command_or_are_waited_for() {
    // The output is not a pipe: a process that outlives the command would hold it open.
    let dir = tempfile::tempdir().expect("a directory");
    let (json, printed) = (dir.path().join("record.json"), dir.path().join("printed"));
    let mut hwm = std::process::Command::new(super::HWM);
    hwm.arg("run").arg(format!("--json={}", json.display())).args([
        "--",
        &workload(),
        "orphan",
        "30",
        "4000",
    ]);
    hwm.stdout(std::process::Stdio::null()).stderr(std::fs::File::create(&printed).expect("a file"));
    assert_eq!(hwm.status().expect("hwm starts").code(), Some(3));
    let record = std::fs::read(&json).expect("a record");
    let record = highwater::record::Record::from_json(&record).expect("a record");
    let printed = std::fs::read_to_string(&printed).expect("what it printed");
    let running: Vec<_> = record.processes.iter().filter(|process| process.still_running).collect();
    assert_eq!(running.len(), 1, "{printed}");
    assert_eq!(running[0].command, "workload.exe");
    assert!(printed.contains(&running[0].pid.to_string()), "named: {printed}");
    // It lives: it was not ended with the job, nor with hwm.
    let memory = highwater::ProcessMemory::of(running[0].pid).expect("it lives");
    assert!(memory.working_set_bytes.is_ok_and(|bytes| bytes > 30 * MIB));

    let (output, record) = run(&["--wait"], &[&workload(), "orphan", "30", "800"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(record.capture.processes_still_running, 0);
    assert!(record.peak.rss.expect("read").bytes > 30 * MIB);
}

/// Returns a program in a directory whose name has letters of many scripts.
fn program_in(mut place: PathBuf, letters: usize) -> PathBuf {
    for _ in 0..3 {
        place.push("\u{6e2c}\u{5b9a}-m\u{e4}\u{df}ig".repeat(letters));
    }
    std::fs::create_dir_all(&place).expect("a deep directory");
    let program = place.join("gr\u{f6}\u{df}e-\u{1f4be}.exe");
    std::fs::copy(workload(), &program).expect("a copy");
    program
}

#[test]
fn names_of_any_letters() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = program_in(dir.path().to_owned(), 4);
    let (output, record) = run(&["-v"], &[program.to_str().expect("Unicode"), "hold", "5", "300"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(record.processes[0].command, "gr\u{f6}\u{df}e-\u{1f4be}.exe");
    assert!(text(&output.stderr).contains("gr\u{f6}\u{df}e-\u{1f4be}.exe"));
}

#[test]
fn paths_over_260() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = program_in(dir.path().to_owned(), 10);
    // In the units that MAX_PATH counts.
    let length = |path: &Path| path.to_str().expect("Unicode").encode_utf16().count();
    assert!(length(&program) > 260, "{} is a short path", length(&program));
    let json = program.with_file_name("record.json");
    assert!(length(&json) > 260, "{} is a short path", length(&json));
    let record = |command: &[&str]| {
        let output = hwm(&[&["run", &format!("--json={}", json.display()), "--"], command].concat());
        let record = std::fs::read(&json).ok();
        (output, record.map(|record| highwater::record::Record::from_json(&record).expect("a record")))
    };
    let (output, kept) = record(&[&workload(), "hold", "5", "300"]);
    assert!(output.status.success() && kept.is_some(), "{}", text(&output.stderr));
    std::fs::remove_file(&json).expect("the record");

    // Wine cuts the path of a program at 260 (`create_process_params`, dlls/kernelbase/process.c), so no program can
    // start this one there. If any program can, hwm must.
    let starts = std::process::Command::new(&program).args(["hold", "0", "1"]).status();
    let (output, kept) = record(&[program.to_str().expect("Unicode"), "hold", "5", "300"]);
    match starts {
        Ok(_) => {
            assert!(output.status.success(), "{}", text(&output.stderr));
            assert_eq!(kept.expect("a record").processes[0].command, "gr\u{f6}\u{df}e-\u{1f4be}.exe");
        }
        Err(error) => {
            println!("no program starts from a path of {}: {error}", length(&program));
            assert!(matches!(output.status.code(), Some(126 | 127)), "{}", text(&output.stderr));
            assert!(text(&output.stderr).contains("cannot run"), "{}", text(&output.stderr));
        }
    }
}

#[test]
fn standard_output_is_the_jobs() {
    let output = hwm(&["run", "--", "cmd", "/c", "echo", "one two"]);
    assert_eq!(text(&output.stdout).trim(), "\"one two\"");
    let record = hwm(&["run", "--json=-", "--quiet", "--", "cmd", "/c", "echo", "hello"]);
    assert!(text(&record.stderr).contains("hello"), "the job's goes there then");
    assert!(highwater::record::Record::from_json(&record.stdout).is_ok());
}
