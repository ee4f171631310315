//! `hwm ci-check` on made-up records, and what it writes for each CI.

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::made::{MIB, Place, leaky, record, unknown};

fn place() -> Place {
    let mut wide = record(500);
    wide["peak"]["rss"]["lower_bytes"] = json!(390 * MIB);
    let mut shared = record(500);
    shared["peak"]["pss"] = json!({"bytes": 300 * MIB, "certainty": "at_least", "at_seconds": 1.0});
    Place::with(&[
        ("base.json", record(400)),
        ("same.json", record(400)),
        ("new.json", record(500)),
        ("wide.json", wide),
        ("shared.json", shared),
        ("unknown.json", unknown()),
        ("leaky.json", leaky()),
    ])
}

/// Returns the contents of the CI's files, and standard output.
fn on_github(place: &Place, code: i32, args: &[&str]) -> (String, String, String) {
    let output = place
        .command(&[&["ci-check"], args].concat())
        .envs([("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "summary"), ("GITHUB_OUTPUT", "output")])
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).expect("text");
    let commands: Vec<_> = stdout.lines().filter(|line| line.starts_with("::")).collect();
    (commands.join("\n") + "\n", place.text("summary"), place.text("output"))
}

#[test]
fn a_regression_on_github() {
    let place = place();
    place.put("summary", "before\n");
    let (commands, summary, output) =
        on_github(&place, 1, &["--record", "new.json", "--baseline", "base.json", "--name", "a: b, 100%"]);
    assert_data_eq!(
        commands,
        str![[r#"
::error title=Memory regression (a%3A b%2C 100%25)::Regression: Peak RSS grew by 100 MiB (+25 %25); allowed are 5 %25 and 10.0 MiB.

"#]]
    );
    assert_data_eq!(
        summary,
        str![[r#"
before
### Memory: a: b, 100% (regression)

Peak RSS: 500 MiB of the container's 512 MiB (98 %).

Regression: Peak RSS grew by 100 MiB (+25 %); allowed are 5 % and 10.0 MiB.

|  | base | candidate | change | verdict |
|---|---:|---:|---:|---|
| Peak RSS | 400 MiB | 500 MiB | +100 MiB (+25 %) | **regression** |

<details><summary>Groups by command</summary>

| group | base | candidate | change | verdict |
|---|---:|---:|---:|---|
| cc1 | 200 MiB | 250 MiB | +50.0 MiB (+25 %) | grew |
| make | 2.00 MiB | 2.00 MiB | 0 | fine |

</details>

- Warning: single run on each side: how far runs differ by themselves is not known


"#]]
    );
    assert_data_eq!(
        output,
        str![[r#"
verdict=regression
peak_bytes=524288000
peak_lower_bytes=524288000
peak_upper_bytes=524288000
peak=500 MiB
container_limit_bytes=536870912
baseline_bytes=419430400
increase_bytes=104857600
increase_percent=25.00
leaks=unknown

"#]]
    );
}

#[test]
fn the_first_run_on_github() {
    let place = place();
    let (commands, summary, output) =
        on_github(&place, 0, &["--record", "shared.json", "--baseline", "no.json"]);
    assert_data_eq!(
        commands,
        str![[r#"
::notice title=Memory baseline (make)::There is no baseline no.json yet, so this passes. To keep this run as one: cp shared.json no.json (or use --update-baseline).

"#]]
    );
    assert_data_eq!(
        summary,
        str![[r#"
### Memory: make (no baseline)

There is no baseline no.json yet, so this passes. To keep this run as one: cp shared.json no.json (or use --update-baseline).

Peak RSS: 500 MiB of the container's 512 MiB (98 %).

| | this run |
|---|---:|
| Peak RSS | 500 MiB |
| Peak PSS | ≥ 300 MiB |


"#]]
    );
    assert_data_eq!(
        output,
        str![[r#"
verdict=no_baseline
peak_bytes=524288000
peak_lower_bytes=524288000
peak_upper_bytes=524288000
peak=500 MiB
container_limit_bytes=536870912
baseline_bytes=unknown
increase_bytes=unknown
increase_percent=unknown
leaks=unknown

"#]]
    );
    assert!(!place.path().join("no.json").exists());
}

#[test]
fn what_is_not_proven_or_not_known_on_github() {
    let place = place();
    let (commands, ..) = on_github(&place, 0, &["--record", "wide.json", "--baseline", "base.json"]);
    assert_data_eq!(
        commands,
        str![[r#"
::warning title=Memory (make)::No evidence: Peak RSS grew by 100 MiB (+25 %25), from up to 400 MiB to 390 MiB or more, and what was measured does not prove it; hwm run --exact narrows the intervals.

"#]]
    );
    let (commands, _, output) =
        on_github(&place, 2, &["--record", "unknown.json", "--baseline", "base.json"]);
    assert_data_eq!(
        commands,
        str![[r#"
::error title=Memory cannot be compared (make)::Cannot tell: Peak RSS (unknown in candidate).

"#]]
    );
    assert!(
        output.contains("\npeak_bytes=unknown\n") && output.contains("\nincrease_bytes=unknown\n"),
        "{output}"
    );
    let (commands, _, output) =
        on_github(&place, 1, &["--record", "leaky.json", "--baseline", "base.json", "--detect-leaks"]);
    assert_data_eq!(
        commands,
        str![[r#"
::error title=Memory leak (make)::Leak: the job's total: 60.0 MiB a minute, from 128 MiB at 28.00 s to 296 MiB at 00:03:16 (grew all along; floor of its RSS)

"#]]
    );
    assert!(output.contains("\nleaks=1\n"), "{output}");
}

#[test]
fn on_a_terminal() {
    let place = place();
    assert_data_eq!(
        place.prints(0, &["ci-check", "--record", "same.json", "--baseline", "base.json"]),
        str![[r#"
Base:      base.json (make all)
Candidate: same.json (make all)

              base  candidate  change
Peak RSS   400 MiB    400 MiB       0  fine

Groups by command (those that changed most; they explain, the totals decide)
cc1        200 MiB    200 MiB       0  fine
make      2.00 MiB   2.00 MiB       0  fine

Warning: single run on each side: how far runs differ by themselves is not known

Fine: nothing that decides grew beyond what is allowed (allowed are 5 % and 10.0 MiB).
Peak RSS: 400 MiB of the container's 512 MiB (78 %).

"#]]
    );
    assert_data_eq!(
        place.prints(0, &["ci-check", "--record", "new.json"]),
        str![[r#"
Peak RSS: 500 MiB
Peak RSS: 500 MiB of the container's 512 MiB (98 %).
Nothing to compare with: no --baseline was given.

"#]]
    );
}

#[test]
fn files() {
    let place = place();
    let args = ["ci-check", "--record", "shared.json", "--baseline", "base.json", "--groups"];
    let outputs = [
        "--markdown",
        "report.md",
        "--env-file",
        "report.env",
        "--junit",
        "report.xml",
        "--benchmark-json",
        "bench.json",
        "--bencher-json",
        "bencher.json",
    ];
    place.prints(1, &[&args[..], &outputs].concat());
    assert!(place.text("report.md").starts_with("### Memory: make (regression)\n"));
    assert!(place.text("report.env").starts_with("verdict=regression\npeak_bytes=524288000\n"));
    assert_data_eq!(
        place.text("report.xml"),
        str![[r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="hwm">
  <testsuite name="memory of make" tests="5" failures="2" errors="0" skipped="1" time="3.250">
    <testcase classname="hwm.make" name="job"><system-out>It ended well.</system-out></testcase>
    <testcase classname="hwm.make" name="Peak RSS"><failure message="Peak RSS grew by 100 MiB (+25 %) (400 MiB in the base, 500 MiB now: regression)"/></testcase>
    <testcase classname="hwm.make" name="Peak PSS"><skipped message="unknown in the base, ≥ 300 MiB now: cannot tell: unknown in base"/></testcase>
    <testcase classname="hwm.make" name="cc1"><failure message="group cc1 grew by 50.0 MiB (+25 %) (200 MiB in the base, 250 MiB now: regression)"/></testcase>
    <testcase classname="hwm.make" name="make"><system-out>2.00 MiB in the base, 2.00 MiB now: fine</system-out></testcase>
  </testsuite>
</testsuites>

"#]]
    );
    assert_data_eq!(
        place.text("bench.json"),
        str![[r#"
[
  {
    "extra": "make",
    "name": "make: Peak RSS",
    "unit": "MiB",
    "value": 500.0
  },
  {
    "extra": "make",
    "name": "make: Peak PSS",
    "range": "at least",
    "unit": "MiB",
    "value": 300.0
  }
]

"#]]
    );
    assert_data_eq!(
        place.text("bencher.json"),
        str![[r#"
{
  "make": {
    "peak-memory": {
      "lower_value": 524288000,
      "upper_value": 524288000,
      "value": 524288000
    },
    "peak-pss": {
      "lower_value": 314572800,
      "value": 314572800
    }
  }
}

"#]]
    );
}

#[test]
fn nothing_known_is_nothing_written() {
    let place = place();
    place.prints(
        0,
        &[
            "ci-check",
            "--record",
            "unknown.json",
            "--benchmark-json",
            "a",
            "--bencher-json",
            "b",
            "--junit",
            "c",
        ],
    );
    let document = |name: &str| serde_json::from_str::<Value>(&place.text(name)).unwrap();
    assert_eq!((document("a"), document("b")), (json!([]), json!({"make": {}})));
    assert!(place.text("c").contains("<skipped message=\"unknown. "), "{}", place.text("c"));
}

#[test]
fn baselines_are_kept_unless_it_grew() {
    let place = place();
    let check = |code, record: &str, base: &str| {
        place.prints(code, &["ci-check", "--record", record, "--baseline", base, "--update-baseline"])
    };
    assert!(check(0, "same.json", "kept.json").contains("This record is the baseline now."));
    assert_eq!(place.text("kept.json"), place.text("same.json"));
    check(1, "new.json", "kept.json");
    check(0, "wide.json", "kept.json");
    check(2, "unknown.json", "kept.json");
    assert_eq!(place.text("kept.json"), place.text("same.json"));
    check(0, "unknown.json", "none.json");
    assert!(!place.path().join("none.json").exists(), "nothing to compare with");
}

#[test]
fn faults_are_reported_before_the_command_starts() {
    let place = place();
    place.put("short.json", "{\"schema\":");
    let complaint = |options: &[&str]| {
        place.complains(2, &[&["ci-check"], options, &["--", "sh", "-c", "echo started"]].concat())
    };
    assert_data_eq!(
        complaint(&["--baseline", "short.json"]),
        str![[r#"
hwm: --baseline short.json: not a complete JSON document: EOF while parsing a value at line 1 column 10; was it cut short, or is it no output of hwm run --json?

"#]]
    );
    assert_data_eq!(
        complaint(&["--baseline", "no/such/base.json", "--update-baseline"]),
        str![[r#"
hwm: --baseline no/such/base.json: the directory no/such cannot be used; create it first: No such file or directory (os error 2)

"#]]
    );
    assert_data_eq!(
        complaint(&["--update-baseline"]),
        str![[r#"
hwm: the following required arguments were not provided: --baseline <FILE> (see hwm ci-check --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["--junit", "no/such/file"]),
        str![[r#"
hwm: --junit no/such/file: the directory no/such cannot be used; create it first: No such file or directory (os error 2)

"#]]
    );
    assert_data_eq!(
        complaint(&["--junit", "x", "--markdown", "x"]),
        str![[r#"
hwm: two outputs both write to x; give them different files

"#]]
    );
    assert_data_eq!(
        complaint(&["--junit", "-"]),
        str![[r#"
hwm: --junit needs a file; standard output is --junit /dev/stdout

"#]]
    );
    assert_data_eq!(
        complaint(&["--run-option=--exat"]),
        str![[r#"
hwm: --run-option: unexpected argument '--exat' found; a similar argument exists: '--exact'; to pass '--exat' as a value, use '-- --exat' (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["--record", "new.json"]),
        str![[r#"
hwm: the argument '--record <FILE>' cannot be used with '[CMD] [ARGS]...' (see hwm ci-check --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["--max-increase", "much"]),
        str![[r#"
hwm: invalid value 'much' for '--max-increase <PERCENT>': give a percentage of 0 or more, such as 5% or 0.5% (see hwm ci-check --help)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["ci-check"]),
        str![[r#"
hwm: nothing to check; name a record (--record mem.json) or a command (-- cargo test)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["ci-check", "--record", "no.json"]),
        str![[r#"
hwm: --record no.json: No such file or directory (os error 2)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["ci-check", "--record", "new.json", "--json", "x"]),
        str![[r#"
hwm: the argument '--record <FILE>' cannot be used with '--json <FILE>' (see hwm ci-check --help)

"#]]
    );
    let summary =
        place.command(&["ci-check", "--record", "new.json"]).env("GITHUB_STEP_SUMMARY", "no/such").output();
    assert_data_eq!(
        String::from_utf8(summary.unwrap().stderr).unwrap(),
        str![[r#"
hwm: GITHUB_STEP_SUMMARY no/such: the directory no cannot be used; create it first: No such file or directory (os error 2)

"#]]
    );
}
