//! `cgroup.procs`: the processes of a group, and moving them there. cgroups(7)

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use crate::bounded::{self, MAX_PID_LIST_BYTES};

/// Returns the processes directly in `group`. 0 is one outside this pid namespace.
pub(super) fn list(group: &Path) -> io::Result<Vec<u32>> {
    Ok(parse(&bounded::read(&group.join("cgroup.procs"), MAX_PID_LIST_BYTES)?))
}

fn parse(text: &[u8]) -> Vec<u32> {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(|line| str::from_utf8(line).ok()?.parse().ok()).collect()
}

/// Moves process `pid` into `group`. The kernel takes 0 for the writer, so no other process has this number.
pub(super) fn move_to(group: &Path, pid: u32) -> io::Result<()> {
    if pid == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a process outside this pid namespace"));
    }
    write(group, "cgroup.procs", &pid.to_string())
}

/// Moves this process into `group`.
pub(super) fn move_self_to(group: &Path) -> io::Result<()> {
    write(group, "cgroup.procs", "0")
}

/// Moves all processes directly in `from` that still live.
pub(super) fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    for pid in list(from)? {
        match move_to(to, pid) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Writes to an existing file of the group, in one write(2) as cgroupfs requires.
pub(super) fn write(group: &Path, file: &str, text: &str) -> io::Result<()> {
    File::options().write(true).open(group.join(file))?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids() {
        assert_eq!(parse(b"1\n0\n4194304\n"), [1, 0, 4_194_304]);
        assert_eq!(parse(b"\n-1\nx\n99999999999\n\xff\n7\n"), [7]);
    }

    #[test]
    fn zero_is_no_process() {
        let refused = move_to(Path::new("/nonexistent"), 0).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            proptest::prop_assert!(parse(&text).len() <= text.len());
        }
    }
}
