//! hwm itself is small while the job runs.

use super::{hwm, output};

#[test]
fn what_reading_arguments_took_is_given_back() {
    // The job's parent is hwm, which was larger before than it is now.
    let printed = output(&mut hwm(&["-q"], "sleep 0.1; grep -E '^(VmHWM|VmRSS):' /proc/$PPID/status"));
    let printed = String::from_utf8(printed.stdout).expect("text");
    let kib = |name: &str| -> u64 {
        let line = printed.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    let (mark, now) = (kib("VmHWM:"), kib("VmRSS:"));
    assert!(now + 512 < mark, "{now} KiB of {mark}");
}
