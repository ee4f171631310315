//! `hwm run --repeat`.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::Place;

#[test]
fn each_run_has_a_record_and_the_median_is_printed() {
    let place = Place::new();
    let (stdout, printed) = place
        .prints(0, &["run", "--repeat", "3", "--json=mem-{n}.json", "--csv=p{n}.csv", "--", "echo", "hello"]);
    assert_eq!(stdout, "hello\nhello\nhello\n");
    assert_eq!(place.names(), ["mem-1.json", "mem-2.json", "mem-3.json", "p1.csv", "p2.csv", "p3.csv"]);
    for number in 1..=3 {
        let record = place.json(&format!("mem-{number}.json"));
        assert_eq!((&record["complete"], &record["command"]), (&json!(true), &json!(["echo", "hello"])));
        // A program of a millisecond may have no figure, and then the sum of its processes is shown.
        assert!(printed.contains(&format!("Run {number} of 3:       ")), "{printed}");
    }
    assert!(printed.contains("\nRuns:             3 (median ± spread, and range)\n"), "{printed}");
    let figures = ["\nPeak memory:      ", "\nMax total RSS:    "];
    assert!(figures.iter().any(|figure| printed.contains(figure)), "{printed}");
    assert!(printed.contains("\nDuration:         "), "{printed}");
    // Several candidates are what compare takes.
    let (table, _) = place.prints(0, &["compare", "mem-1.json", "mem-2.json", "mem-3.json"]);
    assert!(table.contains("Candidate: mem-2.json, mem-3.json (echo hello)"), "{table}");
}

#[test]
fn a_failure_ends_it_unless_it_shall_go_on() {
    let place = Place::new();
    // Fails from the second run on, with another code each time.
    let script = "echo x >> runs; n=$(wc -l < runs); [ $n = 1 ] || exit $n";
    let (_, printed) = place.prints(2, &["run", "--repeat=4", "--", "sh", "-c", script]);
    assert_eq!(place.text("runs").lines().count(), 2);
    assert!(
        printed.contains("hwm: run 2 of 4 failed with exit code 2, and no more were made (--keep-going"),
        "{printed}"
    );
    assert!(
        printed.contains("Runs:             2 (median ± spread, and range, of 1; 1 failed)"),
        "{printed}"
    );

    let place = Place::new();
    let args = ["run", "--repeat=4", "--keep-going", "--json={n}.json", "--", "sh", "-c", script];
    let (_, printed) = place.prints(2, &args);
    assert_eq!(place.text("runs").lines().count(), 4);
    assert!(printed.contains("of 1; 3 failed)"), "{printed}");
    assert_eq!(place.json("4.json")["exit"]["code"], 4);
}

#[test]
fn quiet_prints_only_that_it_stopped() {
    let place = Place::new();
    assert_eq!(place.prints(0, &["run", "-q", "--repeat=2", "--", "true"]).1, "");
    assert_data_eq!(
        place.complains(1, &["run", "-q", "--repeat=2", "--", "false"]),
        str![[r#"
hwm: run 1 of 2 failed with exit code 1, and no more were made (--keep-going makes them all)

"#]]
    );
}

#[test]
fn a_limit_and_a_command_that_is_not_there_end_it() {
    let place = Place::new();
    assert_data_eq!(
        place.complains(127, &["run", "--repeat=3", "--", "no-such-program"]),
        str![[r#"
hwm: cannot run "no-such-program": No such file or directory (os error 2)

"#]]
    );
    let (_, printed) = place.prints(10, &["run", "--repeat=3", "--max-total-rss=1B", "--", "sleep", "1"]);
    assert!(printed.contains("run 1 of 3 failed with exit code 10"), "{printed}");
}

#[test]
fn every_run_finds_the_same_limits_and_signals() {
    let place = Place::new();
    let script = "ulimit -Sn; grep Sig /proc/self/status";
    let (printed, _) = place.prints(0, &["run", "-q", "--repeat=2", "--", "sh", "-c", script]);
    let lines: Vec<_> = printed.lines().filter(|line| !line.starts_with("SigQ")).collect();
    let (one, two) = lines.split_at(lines.len() / 2);
    assert_eq!(one, two);
}

#[test]
fn without_repeat_the_number_is_1() {
    let place = Place::new();
    place.prints(0, &["run", "-q", "--json=mem-{n}.json", "--", "true"]);
    assert_eq!(place.names(), ["mem-1.json"]);
}

#[test]
fn mistakes() {
    let place = Place::new();
    let complains =
        |options: &[&str]| place.complains(125, &[&["run"], options, &["--", "touch", "ran"]].concat());
    assert_data_eq!(
        complains(&["--repeat", "0"]),
        str![[r#"
hwm: invalid value '0' for '--repeat <N>': give a whole number from 1 to 1000 (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complains(&["--repeat", "often"]),
        str![[r#"
hwm: invalid value 'often' for '--repeat <N>': give a whole number from 1 to 1000 (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complains(&["--repeat", "1001"]),
        str![[r#"
hwm: invalid value '1001' for '--repeat <N>': give a whole number from 1 to 1000 (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complains(&["--keep-going"]),
        str![[r#"
hwm: the following required arguments were not provided: --repeat <N> (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complains(&["--repeat=2", "--json=mem.json"]),
        str![[r#"
hwm: each run would overwrite --json mem.json; put {n}, the number of the run, into its name: 'mem-{n}.json'

"#]]
    );
    assert_data_eq!(
        complains(&["--repeat=2", "--csv", "rows"]),
        str![[r#"
hwm: each run would overwrite --csv rows; put {n}, the number of the run, into its name: 'rows-{n}'

"#]]
    );
    assert_data_eq!(
        complains(&["--repeat=2", "--json={n}", "--timeline", "a.csv"]),
        str![[r#"
hwm: each run would overwrite --timeline a.csv; put {n}, the number of the run, into its name: 'a-{n}.csv'

"#]]
    );
    assert_data_eq!(
        complains(&["--repeat=2", "--json={n}", "--csv", "{n}"]),
        str![[r#"
hwm: --json and --csv both write to 1; give them different files

"#]]
    );
    assert_data_eq!(
        complains(&["--repeat=2", "--json"]),
        str![[r#"
hwm: --repeat writes a record for each run; name files for them, as in --json='mem-{n}.json'

"#]]
    );
    assert_data_eq!(
        complains(&["--repeat=2", "--json={m}.json"]),
        str![[r#"
hwm: --json {m}.json: {m} is unknown in a file name; there are {pid}, {host}, {rank}, and of hwm run {n}

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["ci-check", "--run-option=--repeat=2", "--", "touch", "ran"]),
        str![[r#"
hwm: --run-option=--repeat: a check judges one run; use hwm run --repeat and hwm compare

"#]]
    );
    assert_eq!(place.names(), [""; 0], "nothing was run, nothing is left");
}

#[test]
fn devices_take_the_output_of_all_runs() {
    Place::new()
        .prints(0, &["run", "-q", "--repeat=2", "--json=/dev/null", "--timeline=/dev/null", "--", "true"]);
}

fn wait(child: &mut Child) -> Option<i32> {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code();
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("killed");
    panic!("it did not end");
}

/// A job that takes TERM for a reason to end well: the next run would not be what was asked for.
#[test]
fn after_a_request_to_end_no_other_run_is_made() {
    let place = Place::new();
    let script =
        "echo x >> runs; trap 'exit 0' TERM; : > ready; for i in $(seq 100); do sleep 0.05; done; exit 1";
    let mut child = Command::new(env!("CARGO_BIN_EXE_hwm"))
        .current_dir(place.path())
        .args(["run", "-q", "--repeat=5", "--keep-going", "--", "sh", "-c", script])
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let until = Instant::now() + Duration::from_secs(30);
    while !place.path().join("ready").exists() && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    let pid = libc::pid_t::try_from(child.id()).expect("a pid");
    // SAFETY: a child of this process, not yet waited for.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    assert_eq!(wait(&mut child), Some(0));
    assert_eq!(place.text("runs").lines().count(), 1);
}
