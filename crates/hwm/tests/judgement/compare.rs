//! `hwm compare` on made-up records.

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::made::{MIB, Place, leaky, record, unknown};

#[test]
fn a_regression() {
    let place = Place::with(&[("base.json", record(400)), ("new.json", record(500))]);
    assert_data_eq!(
        place.prints(1, &["compare", "base.json", "new.json"]),
        str![[r#"
Base:      base.json (make all)
Candidate: new.json (make all)

              base  candidate             change
Peak RSS   400 MiB    500 MiB   +100 MiB (+25 %)  regression

Groups by command (those that changed most; they explain, the totals decide)
cc1        200 MiB    250 MiB  +50.0 MiB (+25 %)  grew
make      2.00 MiB   2.00 MiB                  0  fine

Warning: single run on each side: how far runs differ by themselves is not known

Regression: Peak RSS grew by 100 MiB (+25 %); allowed are 5 % and 10.0 MiB.

"#]]
    );
}

#[test]
fn as_markdown() {
    let mut new = record(500);
    new["groups"][0]["key"] = json!("a|b <b>\n");
    let place = Place::with(&[("base.json", record(400)), ("new.json", new)]);
    assert_data_eq!(
        place.prints(1, &["compare", "base.json", "new.json", "--markdown"]),
        str![[r#"
Regression: Peak RSS grew by 100 MiB (+25 %); allowed are 5 % and 10.0 MiB.

|  | base | candidate | change | verdict |
|---|---:|---:|---:|---|
| Peak RSS | 400 MiB | 500 MiB | +100 MiB (+25 %) | **regression** |

<details><summary>Groups by command</summary>

| group | base | candidate | change | verdict |
|---|---:|---:|---:|---|
| a/|b &lt;b&gt;//n | - | 250 MiB |  | new |
| cc1 | 200 MiB | - |  | gone |
| make | 2.00 MiB | 2.00 MiB | 0 | fine |

</details>

- Warning: single run on each side: how far runs differ by themselves is not known

"#]]
    );
}

#[test]
fn as_json() {
    let place = Place::with(&[("base.json", record(400)), ("new.json", unknown())]);
    let document: Value =
        serde_json::from_str(&place.prints(2, &["compare", "--json", "base.json", "new.json"])).unwrap();
    assert_eq!((&document["verdict"], &document["leaks"]), (&json!("unknown"), &Value::Null));
    let total = &document["comparison"]["totals"][0];
    assert_eq!(total["candidate"]["bytes"], Value::Null);
    assert_eq!(total["base"]["bytes"], json!(400 * MIB));
    assert_eq!(total["reason"], json!("unknown_in_candidate"));
}

#[test]
fn unknown_is_not_fine() {
    let place = Place::with(&[("base.json", record(400)), ("new.json", unknown())]);
    assert_data_eq!(
        place.prints(2, &["compare", "base.json", "new.json", "--top", "0"]),
        str![[r#"
Base:      base.json (make all)
Candidate: new.json (make all)

             base  candidate  change
Peak RSS  400 MiB    unknown          cannot tell: unknown in candidate

Warning: single run on each side: how far runs differ by themselves is not known

Cannot tell: Peak RSS (unknown in candidate).

"#]]
    );
    place.prints(2, &["compare", "new.json", "base.json"]);
}

#[test]
fn intervals_that_overlap() {
    let (mut base, mut new) = (record(400), record(500));
    base["peak"]["rss"]["upper_bytes"] = json!(490 * MIB);
    new["peak"]["rss"]["lower_bytes"] = json!(480 * MIB);
    let place = Place::with(&[("base.json", base), ("new.json", new)]);
    assert_data_eq!(
        place.prints(0, &["compare", "base.json", "new.json", "--top", "0"]),
        str![[r#"
Base:      base.json (make all)
Candidate: new.json (make all)

               base  candidate            change
Peak RSS  ≥ 400 MiB    500 MiB  +100 MiB (+25 %)  no evidence: intervals overlap

Warning: single run on each side: how far runs differ by themselves is not known

No evidence: Peak RSS grew by 100 MiB (+25 %), from up to 490 MiB to 480 MiB or more, and what was measured does not prove it; hwm run --exact narrows the intervals.

"#]]
    );
}

#[test]
fn several_runs() {
    let runs = [("b1", 400), ("b2", 460), ("b3", 380), ("n1", 470), ("n2", 410), ("n3", 455), ("far", 800)];
    let place = Place::with(&runs.map(|(name, mib)| (name, record(mib))));
    let base = ["compare", "b1", "--base", "b2", "--base", "b3"];
    assert_data_eq!(
        place.prints(0, &[&base[..], &["n1", "n2", "n3", "--top=0"]].concat()),
        str![[r#"
Base:      b1, b2, b3 (make all)
Candidate: n1, n2, n3 (make all)

                        base           candidate             change
Peak RSS  400 MiB ± 29.7 MiB  455 MiB ± 22.2 MiB  +55.0 MiB (+14 %)  no evidence: within the spread

No evidence: Peak RSS grew by 55.0 MiB (+14 %), and what was measured does not prove it; more runs would show it.

"#]]
    );
    place.prints(1, &[&base[..], &["far"]].concat());
}

#[test]
fn thresholds() {
    let place =
        Place::with(&[("base.json", record(400)), ("new.json", record(500)), ("near.json", record(401))]);
    let with = |code, options: &[&str]| {
        place.prints(code, &[&["compare", "base.json", "new.json"], options].concat());
    };
    with(1, &["--max-increase", "24%"]);
    with(0, &["--max-increase", "25%"]);
    with(0, &["--floor", "100M"]);
    with(1, &["--floor", "100MB"]);
    with(0, &["--max-increase=0", "--floor=1G"]);
    // Without any allowance every growth counts.
    let none = ["--max-increase", "0%", "--floor", "0", "--top", "0"];
    assert_data_eq!(
        place.prints(1, &[&["compare", "base.json", "near.json"], &none[..]].concat()),
        str![[r#"
Base:      base.json (make all)
Candidate: near.json (make all)

             base  candidate              change
Peak RSS  400 MiB    401 MiB  +1.00 MiB (+0.2 %)  regression

Warning: single run on each side: how far runs differ by themselves is not known

Regression: Peak RSS grew by 1.00 MiB (+0.2 %); allowed are 0 % and 0 B.

"#]]
    );
    place.prints(0, &[&["compare", "base.json", "base.json"], &none[..]].concat());
}

#[test]
fn groups() {
    let (base, mut new) = (record(400), record(400));
    new["groups"][0]["peak_bytes"] = json!(300 * MIB);
    new["groups"][1]["key"] = json!("ninja");
    let place = Place::with(&[("base.json", base), ("new.json", new)]);
    assert_data_eq!(
        place.prints(0, &["compare", "base.json", "new.json"]),
        str![[r#"
Base:      base.json (make all)
Candidate: new.json (make all)

              base  candidate            change
Peak RSS   400 MiB    400 MiB                 0  fine

Groups by command (those that changed most; they explain, the totals decide)
cc1        200 MiB    300 MiB  +100 MiB (+50 %)  grew
make      2.00 MiB          -                    gone
ninja            -   2.00 MiB                    new

Warning: single run on each side: how far runs differ by themselves is not known

Fine: nothing that decides grew beyond what is allowed (allowed are 5 % and 10.0 MiB).

"#]]
    );
    place.prints(1, &["compare", "base.json", "new.json", "--groups"]);
    let short = place.prints(0, &["compare", "base.json", "new.json", "--top", "1"]);
    assert!(short.contains("... and 2 more (see --top)"), "{short}");
}

#[test]
fn what_makes_it_weaker() {
    let mut new = record(400);
    new["command"] = json!(["make", "check"]);
    new["schema"]["minor"] = json!(9);
    new["exit"]["code"] = json!(2);
    let place = Place::with(&[("base.json", record(400)), ("new.json", new)]);
    assert_data_eq!(
        place.prints(0, &["compare", "base.json", "new.json", "--top", "0"]),
        str![[r#"
Base:      base.json (make all)
Candidate: new.json (make check)

             base  candidate  change
Peak RSS  400 MiB    400 MiB       0  fine

Warning: not the same command: "make all" and "make check"
Warning: records of versions 1.2 and 1.9: what one of them lacks cannot be compared
Warning: a newer highwater wrote one of the records: what it measured beyond this version is passed over
Warning: the job of candidate exited with code 2: it may not have reached its usual peak
Warning: single run on each side: how far runs differ by themselves is not known

Fine: nothing that decides grew beyond what is allowed (allowed are 5 % and 10.0 MiB).

"#]]
    );
}

#[test]
fn leaks() {
    let place = Place::with(&[("base.json", record(300)), ("new.json", leaky())]);
    place.prints(0, &["compare", "base.json", "new.json"]);
    let args = ["compare", "base.json", "new.json", "--top", "0", "--detect-leaks"];
    assert_data_eq!(
        place.prints(1, &args),
        str![[r#"
Base:      base.json (make all)
Candidate: new.json (make all)

             base  candidate  change
Peak RSS  300 MiB    300 MiB       0  fine

Warning: single run on each side: how far runs differ by themselves is not known

Leak: the job's total: 60.0 MiB a minute, from 128 MiB at 28.00 s to 296 MiB at 00:03:16 (grew all along; floor of its RSS)
Leak: 1 found. Beside that nothing that decides grew beyond what is allowed (allowed are 5 % and 10.0 MiB).

"#]]
    );
    let none = place.prints(0, &[&args[..], &["--leak-min-growth", "500%"]].concat());
    assert!(none.contains("Leaks: none found in 1 series"), "{none}");
    let short = place.prints(0, &[&args[..], &["--leak-min-duration", "10m"]].concat());
    assert!(short.contains("Leaks: cannot tell; "), "{short}");
}

#[test]
fn no_colour_outside_terminals() {
    let place = Place::with(&[("base.json", record(400)), ("new.json", record(500))]);
    assert!(!place.prints(1, &["compare", "base.json", "new.json"]).contains('\x1b'));
    let always = place.command(&["compare", "base.json", "new.json"]).env("CLICOLOR_FORCE", "1").output();
    assert!(String::from_utf8_lossy(&always.unwrap().stdout).contains("\x1b[1m"));
    let none = place.command(&["compare", "base.json", "new.json"]).env("NO_COLOR", "1").output();
    assert!(!String::from_utf8_lossy(&none.unwrap().stdout).contains('\x1b'));
}

#[test]
fn files_that_cannot_be_compared() {
    let mut newer = record(400);
    newer["schema"]["major"] = json!(2);
    let mut checkpoint = record(400);
    checkpoint["complete"] = json!(false);
    let place = Place::with(&[
        ("base.json", record(400)),
        ("newer.json", newer),
        ("checkpoint.json", checkpoint),
        ("foreign.json", json!({"results": []})),
    ]);
    place.put("short.json", &record(400).to_string()[..900]);
    place.put("empty.json", "");
    let complaint = |file: &str| place.complains(2, &["compare", "base.json", file]);
    assert_data_eq!(
        complaint("no.json"),
        str![[r#"
hwm: no.json: No such file or directory (os error 2)

"#]]
    );
    assert_data_eq!(
        complaint("short.json"),
        str![[r#"
hwm: short.json: not a complete JSON document: EOF while parsing a string at line 1 column 900; was it cut short, or is it no output of hwm run --json?

"#]]
    );
    assert_data_eq!(
        complaint("empty.json"),
        str![[r#"
hwm: empty.json: not a complete JSON document: EOF while parsing a value at line 1 column 0; was it cut short, or is it no output of hwm run --json?

"#]]
    );
    assert_data_eq!(
        complaint("foreign.json"),
        str![[r#"
hwm: foreign.json: not a highwater record: it has no field `schema`

"#]]
    );
    assert_data_eq!(
        complaint("newer.json"),
        str![[r#"
hwm: newer.json: the record has schema version 2.2; this highwater reads up to major 1: use a newer one

"#]]
    );
    assert_data_eq!(
        complaint("checkpoint.json"),
        str![[r#"
hwm: checkpoint.json: a checkpoint, its job had not ended; compare the record of a run that ended

"#]]
    );
    assert_data_eq!(
        complaint("."),
        str![[r#"
hwm: .: Is a directory (os error 21)

"#]]
    );
    // The side does not matter.
    assert_eq!(place.complains(2, &["compare", "no.json", "base.json"]), complaint("no.json"));
}

#[test]
fn bad_usage() {
    let place = Place::with(&[("a", record(400)), ("b", record(400))]);
    let complaint = |options: &[&str]| place.complains(2, &[&["compare"], options].concat());
    assert_data_eq!(
        complaint(&[]),
        str![[r#"
hwm: the following required arguments were not provided: <BASE>; <CANDIDATE>... (see hwm compare --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["a"]),
        str![[r#"
hwm: the following required arguments were not provided: <CANDIDATE>... (see hwm compare --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["a", "b", "--max-increase", "-5%"]),
        str![[r#"
hwm: invalid value '-5%' for '--max-increase <PERCENT>': give a percentage of 0 or more, such as 5% or 0.5% (see hwm compare --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["a", "b", "--max-increase", "five"]),
        str![[r#"
hwm: invalid value 'five' for '--max-increase <PERCENT>': give a percentage of 0 or more, such as 5% or 0.5% (see hwm compare --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["a", "b", "--floor", "10X"]),
        str![[r#"
hwm: invalid value '10X' for '--floor <SIZE>': give a size such as 8G, 512M or 1.5GiB (1024-based), 8GB (1000-based), or bytes (see hwm compare --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["a", "b", "--floor", "-1"]),
        str![[r#"
hwm: invalid value '-1' for '--floor <SIZE>': give a size such as 8G, 512M or 1.5GiB (1024-based), 8GB (1000-based), or bytes (see hwm compare --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["a", "b", "--json", "--markdown"]),
        str![[r#"
hwm: the argument '--json' cannot be used with '--markdown' (see hwm compare --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["a", "b", "--leak-min-growth", "10%"]),
        str![[r#"
hwm: the following required arguments were not provided: --detect-leaks (see hwm compare --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["a", "b", "--detect-leaks", "--leak-min-duration", "0"]),
        str![[r#"
hwm: invalid value '0' for '--leak-min-duration <TIME>': give a time above zero and below a year (see hwm compare --help)

"#]]
    );
    assert_data_eq!(
        complaint(&["a", "b", "--top", "many"]),
        str![[r#"
hwm: invalid value 'many' for '--top <N>': invalid digit found in string (see hwm compare --help)

"#]]
    );
}
