//! Jobs that exceed a limit: ended as a whole, with a code and a message that give the reason.
#![cfg(target_os = "linux")]

mod held_exec;
mod procfs;
#[path = "../programs/mod.rs"]
mod programs;
#[path = "../programs/tiny.rs"]
mod tiny;

use std::{
    fs, io,
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
fn the_limit_counts_a_thread_that_execs() {
    for lineage in ["--lineage=auto", "--lineage=sampling"] {
        let run = run(&["--max-total-rss=100M", lineage], &["{workload}", "leaderless-exec", "300"]);
        assert_eq!(run.record["exit"]["cause"], "limit", "{lineage}: {}", run.printed());
    }
}

#[test]
fn the_limit_counts_a_map_that_outlives_its_owner() {
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

/// Each `status` of these takes the kernel some 20 ms to write: those of all would take longer than the job lives.
#[test]
fn processes_with_all_groups_delay_no_limit() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for lineage in ["--lineage=auto", "--lineage=sampling"] {
        let job = ["{workload}", "groups", "65536", "1000", "200", "4000"];
        let run = run(&["--max-per-proc-rss=100M", lineage], &job);
        assert_eq!(run.record["exit"]["cause"], "limit", "{lineage}: {}", run.printed());
    }
}

/// Eight workers share 400 MiB: the sum of RSS is 3.5 GiB.
const SHARED_WORKERS: [&str; 5] = ["{workload}", "shared-workers", "cow", "8", "400"];

#[test]
fn shared_pages_count_once_for_the_limit_on_memory() {
    for group in [&[][..], &["--no-cgroup"]] {
        let kept = run(&[group, &["--max-memory=600M"]].concat(), &SHARED_WORKERS);
        assert_eq!(kept.code(), Some(0), "{group:?}: {}", kept.printed());
        assert_eq!(kept.limit("memory")["exceeded"], Value::Null, "{group:?}");
        let ended = run(&[group, &["--max-memory=300M"]].concat(), &SHARED_WORKERS);
        assert_eq!(ended.code(), Some(10), "{group:?}: {}", ended.printed());
        assert_eq!(ended.record["exit"]["cause"], "limit", "{group:?}: {}", ended.printed());
        assert!(ended.printed().contains("peak memory is"), "{}", ended.printed());
    }
}

#[test]
fn page_cache_is_no_memory_of_the_job_for_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("written");
    let script = format!("for i in 1 2 3; do head -c 200M /dev/zero > {0}; rm {0}; done", file.display());
    let run = run(&["--max-memory=50M"], &["sh", "-c", &script]);
    assert_eq!((run.code(), run.printed().as_str()), (Some(0), ""), "{}", run.record["peak"]);
}

#[test]
fn a_job_that_leaves_its_cgroup_is_held_to_the_limit_on_memory() {
    let run_script = |script: &str| run(&["--max-memory=100M"], &["sh", "-c", script, "sh", "{workload}"]);
    // The root of the hierarchy; where the job may not write there, it stays in its group.
    let leave = "for tasks in /sys/fs/cgroup/memory/tasks /sys/fs/cgroup/cgroup.procs; do echo $$ > $tasks; done 2>/dev/null";
    let run = run_script(&format!("{leave}; exec $1 hold 200 20000"));
    assert_eq!(run.record["exit"]["cause"], "limit", "{}", run.printed());
}

#[test]
fn a_job_that_leaves_its_cgroup_leaves_a_doubt_about_the_limit_of_it() {
    let leave = "echo $$ > /sys/fs/cgroup/memory/cgroup.procs";
    let run = run(
        &["--max-cgroup=100M"],
        &["sh", "-c", &format!("{leave} && exec $1 hold 200 300"), "sh", "{workload}"],
    );
    if run.code() != Some(0) {
        return eprintln!("skipped: {}", run.printed());
    }
    let doubt = "cgroup charge may exceed the limit of 100 MiB unseen: at least ";
    assert!(run.printed().contains(doubt), "{}", run.printed());
}

#[test]
fn a_process_among_many_that_leaves_the_cgroup_is_held_to_the_limit_on_memory() {
    let leave =
        "for tasks in /sys/fs/cgroup/memory/tasks /sys/fs/cgroup/cgroup.procs; do echo 0 > $tasks; done";
    let many = "for i in $(seq 40); do sleep 30 & done";
    let script = format!("{many}; sh -c '{leave}; exec $0 hold 200 20000' $1 2>/dev/null");
    let run = run(&["--max-memory=100M"], &["sh", "-c", &script, "sh", "{workload}"]);
    assert_eq!(run.record["exit"]["cause"], "limit", "{}", run.printed());
}

#[test]
fn a_group_of_the_same_name_elsewhere_is_not_the_jobs() {
    let away = format!("/sys/fs/cgroup/memory/away-{}", std::process::id());
    // Without a group of the job, or if it may make no others, the program just runs.
    let script = r#"
        own=$(sed -n 's/^[0-9]*:memory:.*\/\(highwater-[0-9-]*\)$/\1/p' /proc/self/cgroup)
        test -n "$own" && mkdir -p "$2/$own" && echo 0 > "$2/$own/cgroup.procs"
        exec "$1" hold 200 20000"#;
    let run = run(&["--max-memory=100M"], &["sh", "-c", script, "sh", "{workload}", &away]);
    for group in fs::read_dir(&away).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        // The job was killed, and may hold the group until it has exited.
        while fs::remove_dir(group.path()).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy) {
            thread::yield_now();
        }
    }
    let _ = fs::remove_dir(&away);
    assert_eq!(run.record["exit"]["cause"], "limit", "{}", run.printed());
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
fn a_process_that_frees_memory_is_no_survivor() {
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
fn kernel_marks_show_an_unseen_excess() {
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
fn an_unseen_excess_keeps_the_exit_code() {
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

/// Returns whether this process may raise its priority. A thread tries, as the nice value is its own.
fn may_raise_priority() -> bool {
    let tried = thread::spawn(|| rustix::process::setpriority_process(None, -20).is_ok());
    tried.join().expect("it ends")
}

#[test]
fn hwm_raises_its_own_priority_and_not_that_of_the_job() {
    if !may_raise_priority() {
        return eprintln!("skipped: this user may not raise a priority");
    }
    // Field 19 of stat is the nice value. The shell waits until hwm has raised its own, and starts more processes then.
    let script = "nice() { cut -d' ' -f19 /proc/$1/stat; }
        before=$(nice self)
        for i in $(seq 3000); do [ $(nice $PPID) != -20 ] || break; sleep 0.01; done
        [ $(nice $PPID) = -20 ] && echo $before $(nice $$) $(nice self) $(setsid cut -d' ' -f19,40,41 /proc/self/stat)";
    let own = rustix::process::getpriority_process(None).expect("known");
    let options = [
        "run",
        "-q",
        "--max-total-rss=1G",
        "--repeat=2",
        "--post-run-cmd",
        "echo nice after: $(cut -d' ' -f19 /proc/self/stat) >&2",
    ];
    let mut hwm = Command::new(programs::HWM);
    let output = hwm.args(options).args(["--", "sh", "-c", script]).output().expect("hwm starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let unchanged = format!("{own} {own} {own} {own} 0 0\n").repeat(2);
    assert_eq!(String::from_utf8_lossy(&output.stdout), unchanged, "{said}");
    let restored = format!("nice after: {own}\n");
    assert_eq!(said.matches(&restored).count(), 2, "it is restored when the job is over: {said}");
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
fn a_full_stderr_does_not_delay_a_limit() {
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
