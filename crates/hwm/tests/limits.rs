//! Jobs that exceed a limit: ended as a whole, with a code and a message that give the reason.
#![cfg(target_os = "linux")]

mod programs;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::Value;

struct Run {
    output: Output,
    record: Value,
}

impl Run {
    fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    fn printed(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Returns the limit of this kind.
    fn limit(&self, of: &str) -> &Value {
        let limits = self.record["limits"].as_array().expect("limits");
        limits.iter().find(|limit| limit["of"] == of).expect("the limit that was set")
    }
}

/// Runs `hwm run OPTIONS -- COMMAND`, where `{workload}` stands for the programs of known size.
fn run(options: &[&str], command: &[&str]) -> Run {
    let dir = tempfile::tempdir().expect("a directory");
    let json = dir.path().join("record.json");
    let workload = programs::workload().expect("built").to_str().expect("text");
    let mut hwm = Command::new(programs::HWM);
    hwm.args(["run", "-q", &format!("--json={}", json.display())]).args(options).arg("--");
    hwm.args(command.iter().map(|word| word.replace("{workload}", workload)));
    let output = hwm.output().expect("hwm starts");
    let record = fs::read(&json).map_or(Value::Null, |text| serde_json::from_slice(&text).expect("a record"));
    Run { output, record }
}

/// 1 GiB a second, in steps of 10 ms.
const FAST_LEAK: [&str; 3] = ["{workload}", "leak", "2000"];

#[test]
fn each_limit_ends_the_job_and_has_its_code() {
    for (option, of, code) in [
        ("--max-total-rss=100M", "total_rss", 10),
        ("--max-per-proc-rss=100M", "process_rss", 11),
        ("--max-total-pss=100M", "total_pss", 10),
    ] {
        let run = run(&[option], &["{workload}", "leak", "300", "30"]);
        assert_eq!(run.code(), Some(code), "{option}: {}", run.printed());
        assert_eq!(run.record["exit"]["cause"], "limit");
        let exceeded = &run.limit(of)["exceeded"];
        assert!(exceeded["bytes"].as_u64().unwrap() > 100 << 20, "{exceeded}");
        assert!(exceeded["at_seconds"].is_f64() && exceeded["pid"].is_u64(), "{exceeded}");
        assert_eq!((&exceeded["command"], &exceeded["ended_by"]), (&"workload".into(), &"term".into()));
        assert_eq!(run.printed().matches("over the limit of 100 MiB").count(), 1, "{}", run.printed());
    }
}

#[test]
fn a_thread_that_execs_after_its_leader_has_left_is_held_to_the_limit() {
    for lineage in ["--lineage=auto", "--lineage=sampling"] {
        let run = run(&["--max-total-rss=100M", lineage], &["{workload}", "leaderless-exec", "300"]);
        assert_eq!(run.record["exit"]["cause"], "limit", "{lineage}: {}", run.printed());
    }
}

#[test]
fn a_child_that_outlives_the_owner_of_its_memory_map_is_held_to_the_limit() {
    for lineage in ["--lineage=auto", "--lineage=sampling"] {
        let options = ["--wait", "--max-total-rss=100M", lineage];
        let run_guest = |program: &[&str]| {
            let run = run(&options, &[&["{workload}", "guest", "300", "10000"], program].concat());
            assert_eq!(run.record["exit"]["cause"], "limit", "{lineage}, {program:?}: {}", run.printed());
        };
        run_guest(&[]);
        run_guest(&["true"]);
    }
}

#[test]
fn codes_can_be_changed() {
    let job = ["{workload}", "leak", "300", "30"];
    assert_eq!(run(&["--max-total-rss=100M", "--total-limit-code=77"], &job).code(), Some(77));
    assert_eq!(run(&["--max-per-proc-rss=100M", "--per-proc-limit-code=78"], &job).code(), Some(78));
}

#[test]
fn a_job_that_keeps_its_limits_is_left_alone() {
    let run = run(&["--max-total-rss=1G", "--max-per-proc-rss=1G"], &["sh", "-c", "exit 3"]);
    assert_eq!((run.code(), run.printed().as_str()), (Some(3), ""));
    assert_eq!(run.limit("total_rss")["exceeded"], Value::Null);
    assert_eq!(run.record["exit"]["cause"], "exited");
}

#[test]
fn warned_of_and_left_alone() {
    let run = run(&["--max-total-rss=100M", "--on-limit=warn"], &["{workload}", "leak", "200", "20"]);
    assert_eq!(run.code(), Some(0), "{}", run.printed());
    assert_eq!(run.printed().matches("near the limit").count(), 1, "{}", run.printed());
    let exceeded = &run.limit("total_rss")["exceeded"];
    assert_eq!(exceeded["ended_by"], Value::Null);
    assert!(exceeded["highest_bytes"].as_u64().unwrap() > 180 << 20, "{exceeded}");
}

#[test]
fn fast_growth_is_caught_early() {
    let run = run(&["--max-total-rss=500M"], &[&FAST_LEAK[..], &["100"]].concat());
    assert_eq!(run.code(), Some(10), "{}", run.printed());
    // The peak is the memory at its end, by the kernel's mark and not by a sample of hwm.
    let peak = run.record["peak"]["rss"]["bytes"].as_u64().unwrap();
    assert!(peak <= 600 << 20, "{} MiB", peak >> 20);
}

#[test]
fn deaf_and_growing_is_killed_at_once() {
    let script = "trap '' TERM; exec {workload} leak 2000 100";
    let run = run(&["--max-total-rss=500M", "--grace=60s"], &["sh", "-c", script]);
    assert_eq!(run.code(), Some(10), "{}", run.printed());
    assert_eq!(run.limit("total_rss")["exceeded"]["ended_by"], "kill");
    assert!(run.record["peak"]["rss"]["bytes"].as_u64().unwrap() < 700 << 20);
}

#[test]
fn a_process_that_still_frees_its_memory_is_waited_for_and_no_survivor() {
    for _ in 0..3 {
        let script = "trap '' TERM; {workload} leak 300 30; sleep 9";
        let run = run(&["--max-per-proc-rss=50M", "--grace=60s"], &["sh", "-c", script]);
        assert_eq!(run.code(), Some(11), "{}", run.printed());
        assert_eq!(run.record["capture"]["processes_still_running"], 0, "{}", run.printed());
        assert!(!run.printed().contains("Still running"), "{}", run.printed());
    }
}

/// An interval so long that no sample falls into the job's life.
const UNSEEN_INTERVAL: &str = "--interval=60000";

#[test]
fn what_the_kernel_kept_shows_that_a_limit_was_exceeded_unseen() {
    for (option, of, code) in
        [("--max-total-rss=50M", "total_rss", 10), ("--max-per-proc-rss=50M", "process_rss", 11)]
    {
        // The first sample sees the shell, however late it comes.
        let run = run(&[option, UNSEEN_INTERVAL], &["sh", "-c", "sleep 0.3; exec {workload} hold 150 100"]);
        assert_eq!(run.code(), Some(code), "{option}: {}", run.printed());
        let exceeded = &run.limit(of)["exceeded"];
        assert!(exceeded["bytes"].as_u64().unwrap() > 150 << 20, "{exceeded}");
        assert_eq!(exceeded["ended_by"], Value::Null);
        assert_eq!(run.record["exit"]["cause"], "exited");
        assert_eq!(run.printed().matches("noticed at the job's end only").count(), 1, "{}", run.printed());
    }
}

#[test]
fn a_limit_exceeded_unseen_changes_no_failures_code_and_none_where_only_a_warning_was_asked_for() {
    let failed = run(
        &["--max-total-rss=50M", UNSEEN_INTERVAL],
        &["sh", "-c", "sleep 0.3; {workload} hold 100 50; exit 3"],
    );
    assert_eq!(failed.code(), Some(3), "{}", failed.printed());
    assert!(failed.limit("total_rss")["exceeded"].is_object());
    let warned = run(
        &["--max-total-rss=50M", "--on-limit=warn", UNSEEN_INTERVAL],
        &["sh", "-c", "sleep 0.3; exec {workload} hold 100 50"],
    );
    assert_eq!(warned.code(), Some(0), "{}", warned.printed());
    assert!(warned.limit("total_rss")["exceeded"].is_object());
}

#[test]
fn the_overshoot_reaches_up_to_what_the_kernel_kept() {
    let run =
        run(&["--max-per-proc-rss=50M", "--on-limit=warn"], &["{workload}", "spike", "300", "1", "100"]);
    let highest = run.limit("process_rss")["exceeded"]["highest_bytes"].as_u64().expect("exceeded");
    let rows = run.record["processes"].as_array().expect("rows");
    let peak = rows.iter().filter_map(|row| row["peak"]["rss"]["bytes"].as_u64()).max().expect("a peak");
    assert!(highest >= peak && peak > 50 << 20, "{highest} {peak}");
}

/// Returns whether any process has this word in its arguments.
fn lives(word: &str) -> bool {
    fs::read_dir("/proc").expect("procfs").flatten().any(|process| {
        let has_word = |text: Vec<u8>| text.windows(word.len()).any(|part| part == word.as_bytes());
        let is_zombie = |path: &Path| {
            let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
        };
        fs::read(process.path().join("cmdline")).is_ok_and(has_word) && !is_zombie(&process.path())
    })
}

#[test]
fn nothing_survives() {
    for time in 0..20 {
        let word = format!("survivor-{}-{time}", std::process::id());
        // A daemon in a session of its own, a deaf one, a child of a child; then too much memory.
        let deaf = format!("trap '' TERM; while :; do sleep 0.05; done # {word}");
        let script = format!(
            "setsid sh -c \"{deaf}\" & (sh -c \"sleep 60 # {word}\" &); sh -c \"{deaf}\" & exec {{workload}} leak 300 30"
        );
        let run = run(&["--max-total-rss=100M", "--grace=300ms"], &["sh", "-c", &script]);
        assert_eq!(run.code(), Some(10), "{}", run.printed());
        // A process that still had to free its memory was not taken for a survivor.
        assert_eq!(run.record["capture"]["processes_still_running"], 0, "{}", run.printed());
        for _ in 0..50 {
            if !lives(&word) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!lives(&word), "run {time} left a process: {}", run.record["capture"]);
    }
}

#[test]
fn shared_memory_is_no_reason_to_end_a_job_by_its_pss() {
    let job = ["{workload}", "shared-workers", "cow", "8", "100"];
    let kept = run(&["--max-total-pss=250M"], &job);
    assert_eq!(kept.code(), Some(0), "{}", kept.printed());
    assert!(kept.record["peak"]["rss"]["bytes"].as_u64().unwrap() > 800 << 20);
    assert_eq!(run(&["--max-total-rss=250M"], &job).code(), Some(10));
}

/// Returns the output of `hwm run OPTIONS -- COMMAND` where `hide` was done to `/proc`, or `None` where a user may not.
fn run_without_procfs(hide: &str, options: &[&str], command: &str) -> Option<Output> {
    let in_shell = |script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", script]);
        unshare.output()
    };
    let hidden = in_shell(&format!("{hide} && ! test -e /proc/self"));
    if !hidden.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no mount namespace without procfs ({hide}): {hidden:?}");
        return None;
    }
    let options = options.join(" ");
    Some(in_shell(&format!("{hide} && exec {} run {options} -- {command}", programs::HWM)).expect("starts"))
}

#[test]
fn no_job_starts_under_a_limit_on_samples_where_no_process_can_be_read() {
    for hide in ["umount -l /proc", "mount -t tmpfs none /proc"] {
        for option in ["--max-total-rss=200M", "--max-per-proc-rss=200M", "--max-total-pss=200M"] {
            let Some(output) = run_without_procfs(hide, &["-q", option], "echo started") else { continue };
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), &*output.stdout), (Some(125), &b""[..]), "{option}: {said}");
            assert!(
                said.contains("the limit cannot be enforced: no process can be read"),
                "{option}: {said}"
            );
        }
        // Without a limit the job runs.
        let Some(output) = run_without_procfs(hide, &["-q"], "echo started") else { continue };
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"started\n"[..]));
    }
}

#[test]
fn a_limit_on_pss_that_cannot_be_read_is_not_said_to_be_kept() {
    // The main thread of a process has ended, so the kernel shows no memory map of it.
    let job = ["sh", "-c", "{workload} leaderless 4 40 & {workload} hold 60 600; wait"];
    let quiet = run(&["--max-total-pss=100M"], &job);
    assert_eq!(quiet.code(), Some(0), "what is not read is no evidence: {}", quiet.printed());
    let warning = "total PSS may exceed the limit of 100 MiB unseen: the PSS of";
    assert_eq!(quiet.printed().matches(warning).count(), 1, "{}", quiet.printed());
    assert!(quiet.printed().contains("--max-total-rss"), "{}", quiet.printed());
    let downgrades = quiet.record["capture"]["downgrades"].as_array().expect("a list");
    assert!(downgrades.iter().any(|downgrade| downgrade["wanted"] == "the limit on total PSS"));
}

#[test]
fn the_kernel_keeps_the_limit_of_a_cgroup() {
    let run = run(&["--max-cgroup=100M"], &["{workload}", "leak", "300", "30"]);
    if run.code() == Some(125) {
        assert!(
            run.printed()
                .contains("the limit cannot be enforced: the job could not get a cgroup of its own: "),
            "{}",
            run.printed()
        );
        return eprintln!("skipped: {}", run.printed());
    }
    assert_eq!(run.code(), Some(10), "{}", run.printed());
    assert_eq!(run.limit("cgroup")["exceeded"]["ended_by"], "oom");
}

#[test]
fn a_fixed_interval_is_reported_as_the_only_check() {
    let run = run(&["--max-total-rss=1G", "-i", "500"], &["true"]);
    assert!(run.printed().contains("every 500 ms only"), "{}", run.printed());
}

#[test]
fn what_is_no_limit() {
    for (options, what) in [
        (&["--max-total-rss=8X"][..], "give a size such as 8G"),
        (&["--max-total-rss=0"], "a limit of 0 ends every job"),
        (&["--max-per-proc-rss="], "give a size"),
        (&["--on-limit=ignore"], "[possible values: kill, warn]"),
        (&["--grace=-1s"], "give a time"),
        (&["--max-cgroup=1G", "--no-cgroup"], "cannot be used with"),
        (&["--total-limit-code=300"], "300 is not in 0..=255"),
    ] {
        let run = run(options, &["true"]);
        assert_eq!(run.code(), Some(125), "{options:?}");
        assert!(run.printed().contains(what), "{options:?}: {}", run.printed());
    }
}

#[test]
fn a_standard_error_that_is_full_does_not_keep_a_job_from_its_limit() {
    use std::{io::ErrorKind::WouldBlock, io::Write, process::Stdio};

    let (read, write) = std::io::pipe().expect("a pipe");
    let mut full = fs::File::from(std::os::fd::OwnedFd::from(write));
    rustix::io::ioctl_fionbio(&full, true).expect("set");
    while full.write(&[b'x'; 4096]).is_ok() {}
    assert_eq!(full.write(b"x").map_err(|error| error.kind()), Err(WouldBlock));
    rustix::io::ioctl_fionbio(&full, false).expect("set");
    // `tail` keeps the last 200 MiB of an endless stream.
    let job = ["run", "-q", "--max-total-rss", "50M", "--", "sh", "-c", "cat /dev/zero | tail -c 200M"];
    let status = Command::new(env!("CARGO_BIN_EXE_hwm")).args(job).stderr(Stdio::from(full)).status();
    assert_eq!(status.expect("runs").code(), Some(10));
    drop(read);
}
