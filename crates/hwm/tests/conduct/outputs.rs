//! Outputs that fail cost a warning, never the job's code; outputs that work keep their promises.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{hwm, output, stderr, with_default_signals};

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
fn a_closed_stdout_reaches_the_job_as_without_hwm() {
    // `yes` dies by SIGPIPE: 141, as in `yes | head -1` with pipefail.
    let mut child = hwm(&["-q"], "exec yes").stdout(Stdio::piped()).spawn().expect("hwm starts");
    drop(child.stdout.take());
    assert_eq!(crate::wait(&mut child).code(), Some(141));
}

#[test]
fn a_full_disk_costs_a_warning() {
    for options in [&["--csv", "/dev/full"][..], &["--timeline", "/dev/full"], &["--json=/dev/full"]] {
        let output = output(&mut hwm(&[&["-q"], options].concat(), "sleep 0.2; exit 3"));
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{options:?}: {printed}");
        assert!(printed.contains("/dev/full"), "{options:?}: no warning: {printed}");
        assert!(!printed.contains("panicked"), "{options:?}: {printed}");
    }
}

#[test]
fn a_file_size_limit_costs_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("processes.csv");
    // One block of 512 bytes, and more than that in rows.
    let script = "i=0; while [ $i -lt 40 ]; do /bin/true; i=$((i+1)); done; exit 3";
    let mut hwm = hwm(&["-q", "--csv", csv.to_str().unwrap()], script);
    limit(&mut hwm, libc::RLIMIT_FSIZE, 512);
    let output = output(&mut hwm);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("processes.csv"), "no warning: {}", stderr(&output));
}

#[test]
fn a_file_size_limit_is_an_error_where_no_job_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut hwm = Command::new(env!("CARGO_BIN_EXE_hwm"));
    hwm.args(["man", "--dir"]).arg(dir.path());
    limit(&mut hwm, libc::RLIMIT_FSIZE, 512);
    let output = output(with_default_signals(&mut hwm));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("File too large"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_file_size_limit_applies_to_the_hook() {
    let options = ["-q", "--post-run-cmd", "grep SigIgn /proc/self/status"];
    let output = output(&mut hwm(&options, "true"));
    let ignored = String::from_utf8(output.stdout).unwrap();
    let ignored = u64::from_str_radix(ignored.trim_start_matches("SigIgn:").trim(), 16).unwrap();
    assert_eq!(ignored >> (libc::SIGXFSZ - 1) & 1, 0, "{ignored:x}");
}

#[test]
fn too_few_open_files_are_reported_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.json");
    let json = format!("--json={}", file.display());
    let mut refused = 0;
    // With fewer the dynamic linker cannot load hwm.
    for files in 4..16 {
        let mut hwm = hwm(&["-q", &json], "true");
        limit(&mut hwm, libc::RLIMIT_NOFILE, files);
        let output = output(&mut hwm);
        if output.status.code() == Some(0) {
            fs::remove_file(&file).unwrap();
        } else {
            assert!(stderr(&output).contains("`ulimit -n`"), "{files}: {output:?}");
            refused += 1;
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{files}");
    }
    assert!(refused > 3, "{refused}");
}

/// Starts a command with a resource limit.
fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, most: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: a plain system call on values of the test.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(command, move || {
            libc::setrlimit(resource, &raw const limit);
            Ok(())
        });
    }
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
fn the_same_command_in_quiet_prints_nothing() {
    let output = output(&mut hwm(&["-q"], ":"));
    assert_eq!((stderr(&output).as_str(), output.stdout.as_slice()), ("", &b""[..]));
}
