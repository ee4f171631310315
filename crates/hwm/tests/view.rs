//! `hwm view` and `hwm run --html`: the page that is written, and the message if none can be.

use std::{fs, path::Path, process::Output};

use assert_cmd::Command;
use serde_json::{Value, json};

const RECORD: &str = include_str!("fixtures/record.json");

fn hwm(args: &[&str]) -> Output {
    Command::cargo_bin("hwm").expect("built").args(args).output().expect("runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the page that `hwm view` makes of a record, or the complaint and the exit code.
fn view(dir: &Path, record: &str) -> Result<String, (Option<i32>, String)> {
    let (file, page) = (dir.join("record.json"), dir.join("page.html"));
    fs::write(&file, record).expect("written");
    let output = hwm(&["view", file.to_str().expect("text"), "--html", page.to_str().expect("text")]);
    match output.status.code() {
        Some(0) => Ok(fs::read_to_string(&page).expect("a page")),
        code => {
            assert!(!page.exists(), "half a page is left behind");
            Err((code, stderr(&output)))
        }
    }
}

fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut record: Value = serde_json::from_str(RECORD).expect("JSON");
    change(&mut record);
    record.to_string()
}

#[test]
#[cfg(not(page))]
fn without_the_page_it_prints_how_to_get_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let (code, words) = view(dir.path(), RECORD).expect_err("there is none");
    assert_eq!(code, Some(1));
    assert!(words.contains("HWM_PAGE=build") && words.contains("npm run build"), "{words}");
}

#[test]
#[cfg_attr(not(page), ignore = "hwm was built without its page: .ci/page makes it, or HWM_PAGE=build")]
fn a_page_holds_nothing_of_the_job_outside_its_data() {
    let dir = tempfile::tempdir().expect("a directory");
    let evil = "<script>alert(1)</script>";
    let record = changed(|record| {
        record["command"] = json!(["sh", "-c", format!("</script>{evil}")]);
        record["processes"][0]["command"] = json!(evil);
        record["processes"][0]["args"] = json!([evil]);
    });
    let page = view(dir.path(), &record).expect("a page");
    assert!(!page.contains("alert("));
    assert_eq!(page.matches("<script").count(), 2, "the viewer and the data");
    let data = page.split_once("text/plain\">").expect("data").1.split_once('<').expect("an end").0;
    assert!(
        data.len() > 200 && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    );
}

type Change = fn(&mut Value);

#[test]
#[cfg_attr(not(page), ignore = "hwm was built without its page: .ci/page makes it, or HWM_PAGE=build")]
fn records_that_are_odd_give_a_page() {
    let dir = tempfile::tempdir().expect("a directory");
    let odd: [(&str, Change); 6] = [
        ("one process", |record| {
            let one = record["processes"][0].clone();
            record["processes"] = json!([one]);
        }),
        ("none", |record| {
            record["processes"] = json!([]);
            record["timeline"] = json!({"seconds": [], "series": []});
        }),
        ("no duration", |record| record["duration_seconds"] = json!(0.0)),
        ("ten thousand processes", |record| {
            let one = record["processes"][0].clone();
            record["processes"] = Value::Array(vec![one; 10_000]);
        }),
        ("a checkpoint", |record| {
            record["complete"] = json!(false);
            record["exit"] = Value::Null;
            record["timeline"] = Value::Null;
        }),
        ("a newer minor", |record| {
            record["schema"]["minor"] = json!(999);
            record["what is this"] = json!([1, 2, 3]);
        }),
    ];
    for (name, change) in odd {
        let page = view(dir.path(), &changed(change)).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(page.contains("</html>"), "{name}");
        fs::remove_file(dir.path().join("page.html")).expect("removed");
    }
}

#[test]
#[cfg_attr(not(page), ignore = "hwm was built without its page: .ci/page makes it, or HWM_PAGE=build")]
fn what_is_no_record_gives_one_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let cases = [
        (RECORD[..RECORD.len() / 2].to_owned(), "was it cut short"),
        (String::new(), "was it cut short"),
        ("[1, 2]".to_owned(), "not a highwater record"),
        (r#"{"schema": {"name": "highwater.record", "major": 9, "minor": 0}}"#.to_owned(), "use a newer one"),
    ];
    for (text, expected) in cases {
        let (code, words) = view(dir.path(), &text).expect_err("no record");
        assert_eq!(code, Some(1));
        assert!(words.contains(expected) && words.lines().count() == 1, "{words}");
    }
    let output = hwm(&["view", "/nowhere/at-all.json", "--html", "/dev/null"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let output = hwm(&["view", "/dev/null", "--html", "/nowhere/at-all.html"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
#[cfg_attr(not(page), ignore = "hwm was built without its page: .ci/page makes it, or HWM_PAGE=build")]
fn two_records_and_standard_output() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("record.json");
    fs::write(&file, RECORD).expect("written");
    let file = file.to_str().expect("text");
    let one = hwm(&["view", file, "--html", "-"]);
    let two = hwm(&["view", file, file, "--html", "-"]);
    for output in [&one, &two] {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
        assert!(output.stdout.ends_with(b"</html>\n"));
    }
    assert_ne!(one.stdout.len(), two.stdout.len());
    let shown = hwm(&["view", file, "--html", "-", "--open"]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(stderr(&shown).contains("--open needs a file"), "{}", stderr(&shown));
}

#[test]
#[cfg_attr(not(page), ignore = "hwm was built without its page: .ci/page makes it, or HWM_PAGE=build")]
#[cfg(target_os = "linux")]
fn a_run_writes_its_page_and_keeps_the_jobs_code() {
    let dir = tempfile::tempdir().expect("a directory");
    let page = dir.path().join("run.html");
    let output = hwm(&["run", "-q", "--html", page.to_str().expect("text"), "--", "sh", "-c", "exit 7"]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(fs::read_to_string(&page).expect("a page").contains("</html>"));
    let output = hwm(&["run", "-q", "--html", "/dev/full", "--", "sh", "-c", "exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(stderr(&output).contains("warning: cannot write /dev/full"), "{}", stderr(&output));
}

#[test]
#[cfg_attr(not(page), ignore = "hwm was built without its page: .ci/page makes it, or HWM_PAGE=build")]
#[cfg(target_os = "linux")]
fn a_failing_xdg_open_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let (file, opener, argument_file) =
        (dir.path().join("record.json"), dir.path().join("xdg-open"), dir.path().join("argument_file"));
    fs::write(&file, RECORD).expect("written");
    let open = |script: String| {
        fs::write(&opener, script).expect("written");
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("set");
        let mut command = Command::cargo_bin("hwm").expect("built");
        command.env("HWM_XDG_OPEN", &opener).env("TMPDIR", dir.path());
        command.args(["view", file.to_str().expect("text"), "--open"]).output().expect("runs")
    };
    let output = open(format!("#!/bin/sh\necho \"$1\" > {}\n", argument_file.display()));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = fs::read_to_string(&argument_file).expect("the page that was opened");
    assert!(fs::read_to_string(page.trim()).expect("a page").contains("</html>"));
    let output = open("#!/bin/sh\nexit 4\n".to_owned());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("in a browser"), "{}", stderr(&output));
}
