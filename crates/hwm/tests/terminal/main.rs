//! `hwm view` in the terminal: made-up records, as a pipe gets them.
#![allow(clippy::needless_raw_string_hashes)] // snapbox writes its snapshots with them

#[path = "../export/made.rs"]
#[allow(dead_code)]
mod made;

use made::{MIB, Place, checkpoint, crowd, nothing, record};
use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

/// Returns the output of hwm view for a record, at this width and in this locale.
fn view(record: &Value, columns: u32, locale: &str, args: &[&str]) -> String {
    let place = Place::with("mem.json", record);
    let mut command = place.command(&["view", "mem.json"]);
    let output = command.args(args).env("COLUMNS", columns.to_string()).env("LC_ALL", locale).output();
    let output = output.expect("runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns a job that grows, of two groups, with a limit in sight.
fn growing() -> Value {
    let mut record = record();
    let seconds: Vec<f64> = (0..200).map(f64::from).collect();
    let line = |scope: &str, id: Option<u64>, of: &dyn Fn(u64) -> u64| {
        let bytes: Vec<u64> = (0..200).map(|second| of(second) * MIB).collect();
        json!({
            "metric": "rss", "scope": scope, "id": id, "first": 0, "bytes": bytes, "min": bytes, "max": bytes,
        })
    };
    let leak = |second: u64| 20 + second;
    let wave = |second: u64| if second % 50 < 25 { 60 } else { 10 };
    record["duration_seconds"] = json!(200.0);
    record["command"] = json!(["./serve", "--port", "8080"]);
    record["processes"] = json!([
        made::process(100, 1, "serve", Some(219), 0.0, None),
        made::process(101, 100, "worker", Some(60), 0.0, Some(150.0)),
    ]);
    record["groups"] = json!([
        {"key": "serve", "by": "command", "processes": 1, "peak_bytes": 219 * MIB, "at_seconds": 199.0},
        {"key": "worker", "by": "command", "processes": 1, "peak_bytes": 60 * MIB, "at_seconds": 0.0},
    ]);
    record["max_total_rss_kib"] = json!(254 * MIB / 1024);
    record["peak"]["rss"] = json!({
        "bytes": 254 * MIB, "lower_bytes": 254 * MIB, "upper_bytes": 260 * MIB, "lower_rigorous": true,
        "upper_rigorous": true, "slack_bytes": null, "certainty": "bounded", "at_seconds": 174.0,
        "between_seconds": null,
    });
    record["limits"] = json!([
        {"of": "total_rss", "limit_bytes": 300 * MIB, "action": "warn", "exceeded": null},
    ]);
    record["findings"] = json!([{
        "kind": "leak", "scope": "process", "metric": "rss", "id": 0, "pid": 100, "command": "serve",
        "bytes_per_minute": 60 * MIB, "began_seconds": 10.0, "until_seconds": 199.0, "from_bytes": 30 * MIB,
        "to_bytes": 219 * MIB, "sureness": "clear",
    }]);
    record["timeline"] = json!({"seconds": seconds, "series": [
        line("total", None, &|second| leak(second) + if second < 150 { wave(second) } else { 0 } + if second == 174 { 60 } else { 0 }),
        line("process", Some(0), &leak),
        line("process", Some(1), &wave),
    ]});
    record
}

#[test]
fn a_record_at_a_glance() {
    assert_data_eq!(
        view(&growing(), 80, "C.UTF-8", &[]),
        str![[r#"
Job:              ./serve --port 8080
Duration:         00:03:20
Samples:          4 (every 1000 ms)
Host:             build-7, linux 6.18.44, 2 processors, 23.5 GiB of RAM; started
                  2025-11-20T18:02:34Z
Ended:            exit code 0
Max total RSS:    254 MiB (estimate; between 254 MiB and 260 MiB)
Max total PSS:    unknown
cgroup peak:      290 MiB (with page cache and kernel memory; shared pages once)
Max per process:  ≥ 219 MiB (pid 100, serve)
Limit:            total RSS at most 300 MiB: kept, as far as was seen
Leak:             pid 100, serve: 60.0 MiB a minute, from 30.0 MiB at 10.00 s to
                  219 MiB at 00:03:19 (grew all along; floor of its RSS)

Total RSS over time
  300 MiB ┤╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌
          │                                                            ▄
          │                                                            █     ▁▂▂
          │                                   ▁▂▃▃▄▅▆▆            ▁▁▂▃▃█▅▆▇▇████
          │                        ▁▁        █████████▂▃▃▄▅▆▆▇█▆▇███████████████
  150 MiB ┤                 ▃▄▅▅▆▇███     ▁▁▂███████████████████████████████████
          │    ▁▂▃▃▄        █████████▅▆▆▇███████████████████████████████████████
          │▆▇▇██████  ▁▂▃▃▄▅████████████████████████████████████████████████████
          │█████████▇███████████████████████████████████████████████████████████
          │█████████████████████████████████████████████████████████████████████
        0 ┼──────────────────────────────────┬─────────────────────────────────┬
           0 s                           100.00 s                       200.00 s
                                              peak 254 MiB at 174.00 s ▲

Largest processes (peak; course on its own scale)
   ≥ 219 MiB  ▁▁▁▂▂▂▂▃▃▃▃▃▄▄▄▄▅▅▅▅▆▆▆▆▆▇▇▇▇███  serve (pid 100)
  ≥ 60.0 MiB  ████▁▁▁▁████▁▁▁▁████▁▁▁▁████▁▁▁▁  worker (pid 101)
  (1 of the smallest were not kept; totals and groups count them)

Groups by command (peak at one instant; course on its own scale)
   219 MiB  ▁▁▁▂▂▂▂▃▃▃▃▃▄▄▄▄▅▅▅▅▆▆▆▆▆▇▇▇▇███  serve (1 process)
  60.0 MiB  ████▁▁▁▁████▁▁▁▁████▁▁▁▁████▁▁▁▁  worker (1 process)

Still running:    serve (pid 100); --wait waits for them

Measured:         births and deaths from the kernel's perf events; peaks from
                  the kernel's marks; 4 processes; 3 without an exact peak; the
                  upper end is not rigorous: 3 programs ended without a last
                  mark (--exact reads them); missing: PSS (smaps_rollup cannot
                  be read)

"#]]
    );
}

#[test]
fn groups_as_they_were_asked_for() {
    let mut record = growing();
    record["processes"][0]["exe"] = json!("/opt/serve");
    let group = |key: &str, by: &str, peak: u64, id: Option<u64>, parent: Option<u64>| {
        json!({
            "key": key, "by": by, "processes": 1, "peak_bytes": peak * MIB, "at_seconds": 1.0, "id": id,
            "parent": parent,
        })
    };
    record["groups"] = json!([
        group("serve", "command", 219, None, None),
        group("/opt/serve", "exe", 219, None, None),
        group("worker", "exe", 60, None, None),
        group("serve", "tree", 254, Some(0), None),
        group("worker", "tree", 60, Some(1), Some(0)),
    ]);
    let text = view(&record, 80, "C", &[]);
    let start = text.find("Groups by").expect("groups");
    let end = text.find("Still running").expect("the end of them");
    assert_data_eq!(
        &text[start..end],
        str![[r#"
Groups by executable (peak at one instant; course on its own scale)
   219 MiB  ..............::::::::::::######  /opt/serve (1 process)
  60.0 MiB  ####....####....####....####....  worker (1 process)

Process tree (each with all that descends from it, at one instant)
  serve (1 process)   254 MiB
    worker           60.0 MiB


"#]]
    );
}

#[test]
fn plain_ascii_where_the_locale_knows_no_more() {
    let text = view(&record(), 60, "C", &["--top", "2"]);
    assert!(text.is_ascii(), "{text}");
    assert_data_eq!(
        text,
        str![[r#"
Job:              make -j2 '<script>alert("1")</script>/x...
Duration:         4.00 s
Samples:          4 (every 1000 ms)
Host:             build-7, linux 6.18.44, 2 processors, 23.5
                  GiB of RAM; started 2025-11-20T18:02:34Z
Ended:            exit code 0
Max total RSS:    310 MiB (estimate; at least 300 MiB,
                  probably at most 315 MiB; from the
                  kernel's marks, between 1.50 s and 2.00 s)
Max total PSS:    unknown
cgroup peak:      290 MiB (with page cache and kernel
                  memory; shared pages once)
Max per process:  >= 280 MiB (pid 101,
                  <script>alert("1")</script>/x1b[31m,=1+1/u{202e})
Limit:            total RSS exceeded 250 MiB: 300 MiB at
                  1.00 s; most had pid 101,
                  <script>alert("1")</script>/x1b[31m,=1+1/u{202e};
                  overshoot 50.0 MiB (20 %); the job was
                  left alone

Total RSS over time
  310 MiB +            ::::::::::::::::::
  250 MiB +------------##################-------------------
          |            ##################
          |            ##################
          |            ##################
  155 MiB +            ##################
          |            ##################
          |            ##################
          |            ##################
          |............##################??????:::::::::::::
        0 +------------------------+-----------------------+
           0 s                  2.00 s                4.00 s
                             ^^^^^^^
           peak 310 MiB between 1.50 s and 2.00 s (samples saw 300 MiB)

Largest processes (peak; course on its own scale)
   >= 280 MiB        #######             <script>alert("1...
  >= 20.0 MiB  ::::::#########???####    make (pid 100)
  ... and 2 more (--top N lists more)
  (1 of the smallest were not kept; totals and groups count them)

Still running:    daemon (pid 0); --wait waits for them

Measured:         births and deaths from the kernel's perf
                  events; peaks from the kernel's marks; 4
                  processes; 3 without an exact peak; the
                  upper end is not rigorous: 3 programs
                  ended without a last mark (--exact reads
                  them); missing: PSS (smaps_rollup cannot
                  be read)

"#]]
    );
}

#[test]
fn odd_records() {
    let [nothing, checkpoint] =
        [nothing(), checkpoint()].map(|record| view(&record, 80, "C.UTF-8", &["--top", "1"]));
    assert_data_eq!(
        nothing,
        str![[r#"
Job:              make -j2 '<script>alert("1")</script>/x1b[31m,=1+1/u{202e}'
Duration:         0.0 ms
Samples:          4 (every 1000 ms)
Host:             build-7, linux 6.18.44, 2 processors, 23.5 GiB of RAM; started
                  2025-11-20T18:02:34Z
Ended:            exit code 0
Max total RSS:    unknown
Max total PSS:    unknown
Max per process:  unknown

Total RSS over time
  not known: the record has no samples of it

Still running:    1 more; --wait waits for them

Measured:         births and deaths from the kernel's perf events; peaks from
                  the kernel's marks; 4 processes; 3 without an exact peak; the
                  upper end is not rigorous: 3 programs ended without a last
                  mark (--exact reads them); missing: PSS (smaps_rollup cannot
                  be read)

"#]]
    );
    assert_data_eq!(
        checkpoint,
        str![[r#"
Job:              make -j2 '<script>alert("1")</script>/x1b[31m,=1+1/u{202e}'
Duration:         4.00 s
Samples:          4 (every 1000 ms)
Host:             build-7, linux 6.18.44, 2 processors, 23.5 GiB of RAM; started
                  2025-11-20T18:02:34Z
Checkpoint:       the job had not ended when this was written
Max total RSS:    310 MiB (estimate; at least 300 MiB, probably at most 315 MiB;
                  from the kernel's marks, between 1.50 s and 2.00 s)
Max total PSS:    unknown
cgroup peak:      290 MiB (with page cache and kernel memory; shared pages once)
Max per process:  ≥ 280 MiB (pid 101,
                  <script>alert("1")</script>/x1b[31m,=1+1/u{202e})
Limit:            total RSS exceeded 250 MiB: 300 MiB at 1.00 s; most had pid
                  101, <script>alert("1")</script>/x1b[31m,=1+1/u{202e};
                  overshoot 50.0 MiB (20 %); the job was left alone

Total RSS over time
  not known: the record has no samples of it

Largest processes (peak)
  ≥ 280 MiB  <script>alert("1")</script>/x1b[31m,=1+1/u{202e} (pid 101)
  ... and 3 more (--top N lists more)
  (1 of the smallest were not kept; totals and groups count them)

Still running:    daemon (pid 0); --wait waits for them

Measured:         births and deaths from the kernel's perf events; peaks from
                  the kernel's marks; 4 processes; 3 without an exact peak; the
                  upper end is not rigorous: 3 programs ended without a last
                  mark (--exact reads them); missing: PSS (smaps_rollup cannot
                  be read)

"#]]
    );
    let crowd = view(&crowd(), 80, "C.UTF-8", &[]);
    assert!(crowd.contains("... and 9990 more"), "{crowd}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for columns in [40, 60, 80, 200] {
        for locale in ["C", "C.UTF-8"] {
            for record in [record(), growing(), nothing(), checkpoint()] {
                let text = view(&record, columns, locale, &[]);
                // A word that is longer, such as the foreign name of the record, stands alone.
                let wide =
                    |line: &&str| line.chars().count() > columns as usize && line.trim().contains("  ");
                assert_eq!(text.lines().find(wide), None, "{columns} {locale}");
            }
        }
    }
}

#[test]
fn colour_is_for_terminals_and_on_request() {
    let place = Place::with("mem.json", &growing());
    let run = |name: &str, value: &str| {
        let output = place.command(&["view", "mem.json"]).env(name, value).output().expect("runs");
        String::from_utf8_lossy(&output.stdout).contains('\u{1b}')
    };
    assert!(!run("NOTHING", ""));
    assert!(run("CLICOLOR_FORCE", "1"));
    let mut command = place.command(&["view", "mem.json"]);
    let output = command.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "0").output().expect("runs");
    assert!(!output.stdout.contains(&0x1b));
}

#[test]
fn standard_input_is_read() {
    let place = Place::with("mem.json", &growing());
    let mut command = place.command(&["view", "-"]);
    let output = command.write_stdin(growing().to_string()).output().expect("runs");
    let of_file = place.command(&["view", "mem.json"]).output().expect("runs");
    assert_eq!(output.stdout, of_file.stdout);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_users_get_wrong() {
    let place = Place::with("mem.json", &record());
    let text = record().to_string();
    place.put("short.json", &text[..900]);
    place.put("other.json", "[1, 2]");
    let newer = json!({"schema": {"name": "highwater.record", "major": 2, "minor": 0}});
    place.put("newer.json", &newer.to_string());
    let all: Vec<String> = [
        &["view", "short.json"][..],
        &["view", "other.json"],
        &["view", "newer.json"],
        &["view", "none.json"],
        &["view"],
        &["view", "mem.json", "--top", "many"],
        &["view", "mem.json", "--top", "3", "--html", "mem.html"],
    ]
    .iter()
    .map(|args| {
        let output = place.command(args).output().expect("runs");
        let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
        format!("{}exit code {code}\n", String::from_utf8_lossy(&output.stderr))
    })
    .collect();
    assert_data_eq!(
        all.concat(),
        str![[r#"
hwm: short.json: not a complete JSON document: EOF while parsing an object at line 1 column 900; was it cut short, or is it no output of hwm run --json?
exit code 1
hwm: other.json: not a highwater record: it is no JSON object
exit code 1
hwm: newer.json: the record has schema version 2.0; this highwater reads up to major 1: use a newer one
exit code 1
hwm: none.json: No such file or directory (os error 2)
exit code 1
hwm: the following required arguments were not provided: <RECORD> (see hwm view --help)
exit code 2
hwm: invalid value 'many' for '--top <N>': invalid digit found in string (see hwm view --help)
exit code 2
hwm: the argument '--top <N>' cannot be used with '--html <FILE>' (see hwm view --help)
exit code 2

"#]]
    );
}
