//! Files of procfs: each is read once, for this process, and must contain what the sampler needs.

use std::{io, path::Path};

use crate::{
    Roots,
    bounded::{self, MAX_MOUNTS_BYTES, MAX_PID_LIST_BYTES, MAX_PROCESS_FILE_BYTES, MAX_VALUE_BYTES},
    doctor::MechanismState,
};

const MOUNT_PROC: &str = "mount procfs: mount -t proc proc /proc";

/// Reads `/proc/PID/statm`, proc(5).
pub(super) fn rss(roots: &Roots) -> MechanismState {
    let path = roots.proc.join("self/statm");
    expect(&path, |text| {
        let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        (pages > 0).then(MechanismState::works)
    })
    .or(MOUNT_PROC)
}

/// Reads `VmHWM` in `/proc/PID/status`, proc(5).
pub(super) fn marks(roots: &Roots) -> MechanismState {
    let path = roots.proc.join("self/status");
    expect(&path, |text| {
        text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(MechanismState::works())
    })
    .or(MOUNT_PROC)
}

/// Reads `/proc/PID/smaps_rollup`, since Linux 4.14.
pub(super) fn pss(roots: &Roots) -> MechanismState {
    let path = roots.proc.join("self/smaps_rollup");
    expect(&path, |text| {
        text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        Some(MechanismState::works())
    })
    .or("needs Linux 4.14 with CONFIG_PROC_PAGE_MONITOR")
}

/// Reads `smaps_rollup` of pid 1, which stands for other users' processes. That needs `PTRACE_MODE_READ`
/// (ptrace(2)), and `hidepid` may hide the file. Yama guards attaching, not reading.
pub(super) fn others(roots: &Roots) -> MechanismState {
    let state = match bounded::read(&roots.proc.join("1/smaps_rollup"), MAX_PROCESS_FILE_BYTES) {
        Ok(_) => MechanismState::works(),
        Err(error) => MechanismState::missing(match hidepid(roots) {
            Some(option) => format!("cannot read pid 1: {error}; procfs is mounted with {option}"),
            None => format!("cannot read pid 1: {error}"),
        }),
    };
    state.or(
        "run as root (in a container with CAP_SYS_PTRACE), if the job changes its user; else nothing is lost",
    )
}

/// Returns the mount option that hides other users' processes, proc(5); `None` if it is off.
fn hidepid(roots: &Roots) -> Option<String> {
    let mounts = bounded::read_to_string(&roots.proc.join("self/mountinfo"), MAX_MOUNTS_BYTES).ok()?;
    let options = mounts.lines().find_map(|line| line.split_once(" - proc ").map(|(_, options)| options))?;
    let option = options.split([' ', ',']).find(|option| option.starts_with("hidepid="))?;
    (!matches!(option, "hidepid=0" | "hidepid=off")).then(|| option.to_owned())
}

/// Reads `/proc/PID/task/TID/children`, proc(5), which needs `CONFIG_PROC_CHILDREN`.
pub(super) fn children(roots: &Roots) -> MechanismState {
    let tid = rustix::thread::gettid().as_raw_nonzero();
    let path = roots.proc.join(format!("self/task/{tid}/children"));
    match bounded::read(&path, MAX_PID_LIST_BYTES) {
        Ok(_) => MechanismState::works(),
        Err(error) => MechanismState::missing(refusal(&path, &error)).or(
            "needs CONFIG_PROC_CHILDREN; a scan of /proc takes its place, at a cost that follows the machine",
        ),
    }
}

/// Reads the namespace's last pid, `kernel/pid_namespace.c`, or else the last field of `/proc/loadavg`.
pub(super) fn pid_cursor(roots: &Roots) -> MechanismState {
    let last = |name: &str| {
        let text = bounded::read_to_string(&roots.proc.join(name), MAX_VALUE_BYTES).ok()?;
        text.split_ascii_whitespace().last()?.parse::<u32>().ok()
    };
    if last("sys/kernel/ns_last_pid").is_some() {
        return MechanismState::works_with("ns_last_pid");
    }
    // lxcfs mounts its own file over /proc/loadavg, whose last field is something else.
    if last("loadavg").is_some() && on_procfs(&roots.proc.join("loadavg")) {
        return MechanismState::works_with("loadavg");
    }
    MechanismState::missing("neither sys/kernel/ns_last_pid nor the kernel's own loadavg can be read")
        .or("nothing is lost but a little CPU time: every sample searches")
}

fn on_procfs(path: &Path) -> bool {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0; // linux/magic.h
    rustix::fs::statfs(path).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(PROC_SUPER_MAGIC))
}

/// Reads a file that must contain what `find` looks for.
fn expect(path: &Path, find: impl FnOnce(&str) -> Option<MechanismState>) -> MechanismState {
    match bounded::read_to_string(path, MAX_PROCESS_FILE_BYTES) {
        Ok(text) => find(&text).unwrap_or_else(|| {
            MechanismState::missing(format!("{} has unexpected contents", path.display()))
        }),
        Err(error) => MechanismState::missing(refusal(path, &error)),
    }
}

fn refusal(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}
