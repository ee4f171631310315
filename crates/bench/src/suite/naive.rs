//! Naive ways to sample a job, for comparison with `hwm`. Files are opened, read and closed each time. Members are
//! found either through `children` files or by a scan of all of `/proc`.

use std::{
    collections::{HashMap, HashSet},
    fs,
    process::{Command, ExitCode},
    str::FromStr,
};

use anyhow::{Context, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// The sampling interval of the naive wrapper.
pub(super) const INTERVAL_MS: u32 = 100;

/// The way in which a naive wrapper finds the members of its job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// From parent to children: the cost follows the job.
    Children,
    /// All processes of the machine, each one's parent read: the cost follows the machine.
    Scan,
}

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Children => "children",
            Self::Scan => "scan",
        }
    }
}

impl FromStr for Way {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "children" => Ok(Self::Children),
            "scan" => Ok(Self::Scan),
            _ => bail!("no such way: {text}"),
        }
    }
}

/// Runs a command and samples it and its descendants, as a simple tool would.
pub(super) fn wrap(way: Way, program: &str, args: &[&str]) -> Result<ExitCode> {
    let mut child = Command::new(program).args(args).spawn().context("the command")?;
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let interval = Timespec { tv_sec: 0, tv_nsec: i64::from(INTERVAL_MS) * 1_000_000 };
    let mut peak = 0;
    loop {
        let members = match way {
            Way::Children => by_children(child.id()),
            Way::Scan => by_scan(child.id()),
        };
        peak = peak.max(members.iter().filter_map(|&pid| resident_pages(pid)).sum::<u64>());
        if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&interval))? > 0 {
            break;
        }
    }
    std::hint::black_box(peak);
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
    Ok(ExitCode::from(code))
}

/// `root` and its descendants, from parent to children (`proc_pid_task_children(5)`).
pub(super) fn by_children(root: u32) -> Vec<u32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(&pid) = members.get(next) {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            members.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    members
}

/// `root` and its descendants, out of all processes of the machine.
pub(super) fn by_scan(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // proc_pid_stat(5): the name in parentheses may contain anything, then come the state and the parent.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut members, mut seen) = (vec![root], HashSet::from([root]));
    let mut next = 0;
    while let Some(pid) = members.get(next) {
        next += 1;
        members.extend(children.get(pid).into_iter().flatten().filter(|&&child| seen.insert(child)));
    }
    members
}

/// The second field of statm (`proc_pid_statm(5)`), the file opened, read and closed.
pub(super) fn resident_pages(pid: u32) -> Option<u64> {
    resident(&fs::read(format!("/proc/{pid}/statm")).ok()?)
}

/// The second field of a statm file.
pub(super) fn resident(statm: &[u8]) -> Option<u64> {
    std::str::from_utf8(statm).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_a_grandchild() {
        let mut shell = Command::new("/bin/sh");
        let shell = shell.args(["-c", "sleep 60 & echo; wait"]).stdout(std::process::Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        // The empty line means that the grandchild exists.
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let own_pid = std::process::id();
        let (children, scan) = (by_children(own_pid), by_scan(own_pid));
        let grandchild = *by_children(shell.id()).get(1).unwrap();
        assert!(children.contains(&shell.id()) && children.contains(&grandchild), "{children:?}");
        assert!(scan.contains(&shell.id()) && scan.contains(&grandchild), "{scan:?}");
        assert!(resident_pages(grandchild).unwrap() > 0);

        let pid = Pid::from_raw(grandchild.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn resident_is_the_second_field() {
        assert_eq!(resident(b"5678 1234 900 1 0 300 0\n"), Some(1234));
        assert_eq!(resident(b""), None);
        assert_eq!(resident(b"5678\n"), None);
    }
}
