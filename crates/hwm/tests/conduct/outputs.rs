//! Outputs that fail cost a warning, never the job's code; outputs that work keep their promises.

use std::{fs, process::Stdio};

use crate::{hwm, output, stderr};

#[test]
fn a_closed_stdout_is_no_panic() {
    let mut child =
        hwm(&["--json"], "exit 3").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("hwm starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
}

#[test]
fn a_closed_stdout_reaches_the_job_as_without_us() {
    // `yes` dies by SIGPIPE: 141, as in `yes | head -1` with pipefail.
    let mut child = hwm(&["-q"], "exec yes").stdout(Stdio::piped()).spawn().expect("hwm starts");
    drop(child.stdout.take());
    assert_eq!(crate::wait(&mut child).code(), Some(141));
}

#[test]
fn a_full_disk_costs_a_warning() {
    for options in [&["--csv", "/dev/full"][..], &["--timeline", "/dev/full"], &["--json=/dev/full"]] {
        let output = output(&mut hwm(&[&["-q"], options].concat(), "sleep 0.2; exit 3"));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{options:?}: {said}");
        assert!(said.contains("/dev/full"), "{options:?}: no warning: {said}");
        assert!(!said.contains("panicked"), "{options:?}: {said}");
    }
}

#[test]
fn a_file_size_limit_costs_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("processes.csv");
    // One block of 512 bytes, and more than that in rows.
    let script = "i=0; while [ $i -lt 40 ]; do /bin/true; i=$((i+1)); done; exit 3";
    let mut hwm = hwm(&["-q", "--csv", csv.to_str().unwrap()], script);
    let limit = libc::rlimit { rlim_cur: 512, rlim_max: 512 };
    // SAFETY: a plain system call on values of ours.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut hwm, move || {
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
            Ok(())
        });
    }
    let output = output(&mut hwm);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("processes.csv"), "no warning: {}", stderr(&output));
}

#[test]
fn json_to_a_closed_stdout_is_refused_beforehand() {
    let mut hwm = hwm(&["--json"], "echo run >&2");
    // SAFETY: a plain system call.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut hwm, || {
            libc::close(1);
            Ok(())
        });
    }
    let output = output(&mut hwm);
    assert_eq!((output.status.code(), stderr(&output).contains("--json=FILE")), (Some(125), true));
    assert!(!stderr(&output).contains("run\n"));
}

#[test]
fn bare_json_parses_whatever_the_job_prints() {
    let output = output(&mut hwm(&["--json"], "echo noise; echo more >&2"));
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(record["complete"], true);
    assert!(stderr(&output).contains("noise"));
}

#[test]
fn the_columns_that_memwatch_scripts_read() {
    let dir = tempfile::tempdir().unwrap();
    let (csv, timeline) = (dir.path().join("processes.csv"), dir.path().join("timeline.csv"));
    let options = ["-q", "--csv", csv.to_str().unwrap(), "--timeline", timeline.to_str().unwrap()];
    assert!(output(&mut hwm(&options, "sleep 0.3")).status.success());
    let (csv, timeline) = (fs::read_to_string(csv).unwrap(), fs::read_to_string(timeline).unwrap());
    assert!(csv.starts_with("pid,ppid,command,max_rss_kib,max_rss_mib,first_seen,last_seen"), "{csv}");
    assert!(csv.lines().skip(1).any(|row| row.contains(",sh,")), "{csv}");
    let header = "timestamp,elapsed_seconds,total_rss_kib,total_rss_mib,process_count";
    assert!(timeline.starts_with(header), "{timeline}");
    assert!(timeline.lines().count() > 2, "{timeline}");
}

#[test]
fn the_same_command_in_quiet_says_nothing() {
    let output = output(&mut hwm(&["-q"], ":"));
    assert_eq!((stderr(&output).as_str(), output.stdout.as_slice()), ("", &b""[..]));
}
