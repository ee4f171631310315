//! Ctrl-C, TERM, and hwm's own violent end.

use std::{
    fs::{self, File},
    io::Read,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use crate::{hwm, lines, record, until, wait};

fn send(child: &Child, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: a child of this process, not yet waited for.
    unsafe { libc::kill(pid, signal) };
}

/// Returns a job that writes a line to `caught` for each `signal` and ends with 7 a while after the first.
fn catcher(signal: &str, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "trap 'echo caught >> {dir}/caught' {signal}; : > {dir}/ready
         while [ ! -e {dir}/caught ]; do sleep 0.02; done
         for n in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; done; exit 7"
    )
}

#[test]
fn ctrl_c_reaches_the_job_once_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keyboard, mut terminal) = (-1, -1);
    // SAFETY: room for two descriptors; name, termios and size are not wanted.
    let opened = unsafe {
        libc::openpty(
            &raw mut keyboard,
            &raw mut terminal,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: just opened, and nothing else owns them.
    let (mut keyboard, terminal) = unsafe { (File::from_raw_fd(keyboard), OwnedFd::from_raw_fd(terminal)) };
    let mut hwm = hwm(&[], &catcher("INT", dir.path()));
    hwm.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
    // SAFETY: system calls only. The terminal becomes that of a new session, as under a real one.
    unsafe {
        hwm.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        })
    };
    let mut child = hwm.spawn().unwrap();
    drop(hwm);
    until("the job is ready", || dir.path().join("ready").exists());
    std::io::Write::write_all(&mut keyboard, b"\x03").unwrap();
    let reader = thread::spawn(move || {
        let mut shown = Vec::new();
        // Ends with EIO when the last holder of the terminal has gone: pty(7).
        let _ = keyboard.read_to_end(&mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    });
    let status = wait(&mut child);
    let shown = reader.join().unwrap();
    assert_eq!(status.code(), Some(7), "{shown}");
    assert_eq!(lines(&dir.path().join("caught")), 1, "{shown}");
    assert!(shown.contains("Peak memory:"), "no report: {shown}");
}

#[test]
fn term_and_hup_are_forwarded_once_and_reported() {
    for (name, signal) in [("TERM", libc::SIGTERM), ("HUP", libc::SIGHUP)] {
        let dir = tempfile::tempdir().unwrap();
        let json = dir.path().join("record.json");
        let options = [format!("--json={}", json.display())];
        let mut hwm = hwm(&[&options[0]], &catcher(name, dir.path()));
        let mut child = hwm.stderr(Stdio::piped()).spawn().unwrap();
        until("the job is ready", || dir.path().join("ready").exists());
        send(&child, signal);
        let status = wait(&mut child);
        let mut printed = String::new();
        child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        assert_eq!(status.code(), Some(7), "{name}: {printed}");
        assert_eq!(lines(&dir.path().join("caught")), 1, "{name}: {printed}");
        assert!(printed.contains("Peak memory:"), "{name}: no report: {printed}");
        let record = record(&json);
        assert_eq!(record["complete"], true);
        assert_eq!(record["exit"]["code"], 7);
    }
}

#[test]
fn messages_to_hwm_are_passed_on() {
    for (name, signal) in [("USR1", libc::SIGUSR1), ("USR2", libc::SIGUSR2), ("ALRM", libc::SIGALRM)] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = hwm(&["-q"], &catcher(name, dir.path())).spawn().unwrap();
        until("the job is ready", || dir.path().join("ready").exists());
        send(&child, signal);
        assert_eq!(wait(&mut child).code(), Some(7), "{name}");
        assert_eq!(lines(&dir.path().join("caught")), 1, "{name}");
    }
}

#[test]
fn a_second_term_kills_children_of_children() {
    let dir = tempfile::tempdir().unwrap();
    let (pids, json) = (dir.path().join("pids"), dir.path().join("record.json"));
    let deaf = format!("trap '' TERM; echo $$ >> {}; while :; do sleep 0.1; done", pids.display());
    let middle = r#"trap '' TERM; sh -c "$DEAF" & sh -c "$DEAF""#;
    let mut hwm = hwm(&["-q", &format!("--json={}", json.display())], r#"sh -c "$MIDDLE" & eval "$DEAF""#);
    let mut child = hwm.env("DEAF", deaf).env("MIDDLE", middle).spawn().unwrap();
    until("all three live", || lines(&pids) == 3);
    send(&child, libc::SIGTERM);
    // All of them ignore the first signal; a second one counts from a second later.
    thread::sleep(Duration::from_millis(1300));
    assert!(child.try_wait().unwrap().is_none(), "the first TERM ended it");
    send(&child, libc::SIGTERM);
    let status = wait(&mut child);
    assert_eq!(status.code(), Some(137));
    for pid in fs::read_to_string(&pids).unwrap().lines() {
        let gone = || !Path::new("/proc").join(pid).exists();
        until("every member has gone", gone);
    }
    let record = record(&json);
    assert_eq!(record["complete"], true);
    assert_eq!(record["exit"]["cause"], "killed");
}

#[test]
fn when_hwm_is_killed_the_job_goes_on_and_the_files_hold() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (json, timeline) = (at("record.json"), at("timeline.csv"));
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; echo unharmed > {}",
        at("go").display(),
        at("result").display()
    );
    let options = [format!("--json={}", json.display()), "--timeline".into(), timeline.display().to_string()];
    let options = options.each_ref().map(String::as_str);
    let mut child = hwm(&options, &script).stderr(Stdio::null()).spawn().unwrap();
    until("a checkpoint, and rows in the timeline", || json.exists() && lines(&timeline) > 2);
    send(&child, libc::SIGKILL);
    wait(&mut child);
    let record = record(&json);
    assert_eq!(record["complete"], false);
    assert_eq!(record["schema"]["name"], "highwater.record");
    assert!(record["peak"]["rss"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{record}");
    let rows = fs::read_to_string(&timeline).unwrap();
    assert!(
        rows.starts_with("timestamp,elapsed_seconds,total_rss_kib,total_rss_mib,process_count"),
        "{rows}"
    );
    fs::write(at("go"), "").unwrap();
    until("the job ends by itself", || lines(&at("result")) == 1);
}
