//! The namespace of the driver's pids.
//!
//! NVIDIA's driver knows no pid namespaces: it names processes by the host's pids. In a container they cannot
//! be mapped to local pids, and a local process with the same pid may be another one.

#[cfg(target_os = "linux")]
use crate::bounded::{self, MAX_PROCESS_FILE_BYTES};
#[cfg(any(target_os = "linux", test))]
use crate::process::INITIAL_PID_NAMESPACE;
use crate::{Roots, gpu::PidSpace};

/// Returns the namespace of the driver's pids, relative to the procfs of `roots`.
#[cfg(target_os = "linux")]
pub(super) fn of(roots: &Roots) -> PidSpace {
    let own = roots.proc.join("self");
    let namespace = std::fs::read_link(own.join("ns/pid")).ok();
    let namespace = namespace.as_ref().and_then(|link| link.to_str());
    match classify("", namespace, || false) {
        PidSpace::Own => PidSpace::Own,
        // This costs more to read, and is seldom needed.
        PidSpace::Host => {
            let read = |file: std::path::PathBuf| {
                bounded::read_to_string(&file, MAX_PROCESS_FILE_BYTES).unwrap_or_default()
            };
            // In a container process 2 may be any process, and reading this file may wait for it.
            let shows_kernel_threads = || is_kernel_thread(&read(roots.proc.join("2/stat")));
            classify(&read(own.join("status")), namespace, shows_kernel_threads)
        }
    }
}

/// Other systems have no such namespaces.
#[cfg(not(target_os = "linux"))]
pub(super) fn of(_: &Roots) -> PidSpace {
    PidSpace::Own
}

/// Classifies by `self/status` and the link `self/ns/pid` of a procfs, and by whether it shows kernel
/// threads. Those live in the first namespace, and only its procfs has them.
#[cfg(any(target_os = "linux", test))]
fn classify(status: &str, namespace: Option<&str>, shows_kernel_threads: impl FnOnce() -> bool) -> PidSpace {
    // The line holds this process's pid in that procfs's namespace and in each below it. There are more than
    // one if the procfs is of a namespace above, such as the host's.
    let levels = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .map_or(1, |pids| pids.split_whitespace().count());
    let is_hosts = levels > 1 && shows_kernel_threads();
    if is_hosts || namespace == Some(INITIAL_PID_NAMESPACE) { PidSpace::Own } else { PidSpace::Host }
}

/// Returns whether a text of `/proc/PID/stat` is a kernel thread's: `PF_KTHREAD` (`include/linux/sched.h`) in
/// its flags.
#[cfg(any(target_os = "linux", test))]
fn is_kernel_thread(stat: &str) -> bool {
    const KERNEL_THREAD: u32 = 0x0020_0000;
    // After the name: state, parent, group, session, terminal, its group, flags (proc_pid_stat(5)).
    let flags =
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6)?.parse::<u32>().ok());
    flags.is_some_and(|flags| flags & KERNEL_THREAD != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_host() {
        assert_eq!(classify("Name:\tx\nNSpid:\t2125\n", Some("pid:[4026531836]"), || true), PidSpace::Own);
        assert_eq!(classify("Name:\tbefore 4.1\n", Some("pid:[4026531836]"), || true), PidSpace::Own);
    }

    #[test]
    fn in_a_container() {
        assert_eq!(
            classify("NSpid:\t7\n", Some("pid:[4026532201]"), || panic!("process 2 is not read")),
            PidSpace::Host
        );
        assert_eq!(
            classify("", None, || false),
            PidSpace::Host,
            "nothing shows that the pids are of this namespace"
        );
    }

    #[test]
    fn in_a_container_with_the_hosts_procfs() {
        assert_eq!(classify("NSpid:\t81234\t7\n", Some("pid:[4026532201]"), || true), PidSpace::Own);
    }

    #[test]
    fn in_a_container_inside_a_container_whose_procfs_it_has() {
        assert_eq!(classify("NSpid:\t12\t7\n", Some("pid:[4026532201]"), || false), PidSpace::Host);
    }

    #[test]
    fn kernel_threads() {
        assert!(is_kernel_thread("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 135"));
        assert!(!is_kernel_thread("2 (a) b) S 1 2 2 0 -1 4194560 100 0 0 0"));
        assert!(!is_kernel_thread("2 (sh) S") && !is_kernel_thread(""));
    }
}
