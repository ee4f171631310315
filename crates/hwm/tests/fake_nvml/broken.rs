//! Drivers that end the program that asks them, or never answer.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{Fake, HWM, printed};

#[test]
fn a_crash_is_explained() {
    let fake = Fake::new();
    for args in [&[][..], &["ps"], &["fits", "1G"], &["run", "--gpu", "--", "/bin/true"]] {
        let output = fake.hwm("abort", args);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{args:?}");
        assert!(
            printed(&output).starts_with("hwm: crashed, most likely inside the library"),
            "{}",
            printed(&output)
        );
    }
}

#[test]
fn the_doctor_outlives_it() {
    let output = Fake::new().hwm("abort", &["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("resident memory of processes"), "{output:?}");
    assert_eq!(text.matches("asking the GPU drivers ended a process: signal: 6").count(), 2, "{text}");
}

#[test]
fn a_silent_driver_is_named() {
    let fake = Fake::new();
    let mut hwm = Command::new(HWM)
        .env("LD_LIBRARY_PATH", fake.0.path())
        .env("FAKE_NVML", "hang")
        .stderr(Stdio::piped())
        .spawn()
        .expect("hwm starts");
    let stderr = BufReader::new(hwm.stderr.take().expect("piped"));
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let line = lines.recv_timeout(Duration::from_secs(60));
    hwm.kill().and_then(|()| hwm.wait()).expect("it ends");
    assert_eq!(line.as_deref(), Ok("hwm: still waiting for a GPU driver; Ctrl-C ends that"));
}
