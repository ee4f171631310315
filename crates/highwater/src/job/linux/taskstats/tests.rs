use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    thread,
};

use super::*;

fn listen() -> Option<Taskstats> {
    Taskstats::listen(&Roots::default()).map_err(|error| println!("skipped: {error}")).ok()
}

/// Returns the first record that `wanted` accepts; ends the test if it never comes.
fn record(taskstats: &mut Taskstats, wanted: impl Fn(&TaskEnd) -> bool) -> TaskEnd {
    let mut all = Vec::new();
    for _ in 0..5000 {
        taskstats.drain(|end| all.push(end));
        if let Some(end) = all.iter().find(|end| wanted(end)) {
            return end.clone();
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("never reported: {all:?}");
}

#[test]
fn reports_the_peak_of_a_known_size_in_bytes() {
    let Some(mut taskstats) = listen() else { return };
    let size = 64 << 20;
    let mut child = Command::new("dd")
        .args(["if=/dev/zero", "of=/dev/null", &format!("bs={size}"), "count=1"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    let end = record(&mut taskstats, |end| end.pid == child.id());
    assert_eq!((end.comm.as_str(), end.status), ("dd", 0));
    let peak = end.peak_bytes.unwrap();
    assert!((size..size + (8 << 20)).contains(&peak), "{peak}");
    assert_eq!(taskstats.lost(), 0);
}

#[test]
fn reports_a_killed_process() {
    let Some(mut taskstats) = listen() else { return };
    let mut child = Command::new("/bin/sh").args(["-c", "kill -9 $$"]).spawn().unwrap();
    let status = child.wait().unwrap();
    let end = record(&mut taskstats, |end| end.pid == child.id());
    assert_eq!((end.status, status.signal()), (status.into_raw(), Some(9)));
    assert!(end.peak_bytes.is_some());
}

#[test]
fn reports_each_thread() {
    let Some(mut taskstats) = listen() else { return };
    let tid =
        thread::spawn(|| rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()).join().unwrap();
    let end = record(&mut taskstats, |end| end.tid == tid);
    assert_eq!(end.pid, std::process::id());
}

#[test]
fn counts_what_it_could_not_keep() {
    let Some(mut taskstats) = listen() else { return };
    taskstats.inbox.socket().enlarge(4096);
    let children = 40;
    for _ in 0..children {
        Command::new("/bin/true").status().unwrap();
    }
    let mut all = Vec::new();
    taskstats.drain(|end| all.push(end));
    // Tasks of other processes exit, too, so there are no fewer. The kernel reports drops before or together with the
    // overrun.
    let lost = usize::try_from(taskstats.lost()).unwrap();
    assert!(all.len() < children && lost + all.len() >= children, "{lost} lost, {} kept", all.len());
}
