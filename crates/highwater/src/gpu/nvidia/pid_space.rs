//! Whose pids the driver's are.
//!
//! NVIDIA's driver knows no pid namespaces: it names processes by the host's pids. In a container nothing tells which
//! of ours they are, and a pid that exists here may be somebody else's there.

use crate::{Roots, gpu::PidSpace};

/// Which processes the driver's pids mean, for somebody who reads the procfs of `roots`.
#[cfg(target_os = "linux")]
pub(super) fn of(roots: &Roots) -> PidSpace {
    let own = roots.proc.join("self");
    let namespace = std::fs::read_link(own.join("ns/pid")).ok();
    let namespace = namespace.as_ref().and_then(|link| link.to_str());
    match classify("", namespace) {
        PidSpace::Own => PidSpace::Own,
        // Dearer to read, and seldom needed.
        PidSpace::Host => {
            classify(&std::fs::read_to_string(own.join("status")).unwrap_or_default(), namespace)
        }
    }
}

/// Elsewhere there are no such namespaces.
#[cfg(not(target_os = "linux"))]
pub(super) fn of(_: &Roots) -> PidSpace {
    PidSpace::Own
}

/// From `self/status` and the link `self/ns/pid` of a procfs.
#[cfg(any(target_os = "linux", test))]
fn classify(status: &str, namespace: Option<&str>) -> PidSpace {
    /// `PROC_PID_INIT_INO` of the kernel's `include/linux/proc_ns.h`: the first namespace has it on every machine.
    const FIRST: &str = "pid:[4026531836]";

    // Our pid in that procfs's namespace and in each below it down to ours: more than one where it is the procfs of a
    // namespace above, such as the host's.
    let levels = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .map_or(1, |pids| pids.split_whitespace().count());
    if levels > 1 || namespace == Some(FIRST) { PidSpace::Own } else { PidSpace::Host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_host() {
        assert_eq!(classify("Name:\tx\nNSpid:\t2125\n", Some("pid:[4026531836]")), PidSpace::Own);
        assert_eq!(classify("Name:\tbefore 4.1\n", Some("pid:[4026531836]")), PidSpace::Own);
    }

    #[test]
    fn in_a_container() {
        assert_eq!(classify("NSpid:\t7\n", Some("pid:[4026532201]")), PidSpace::Host);
        assert_eq!(classify("", None), PidSpace::Host, "nothing says that the pids are ours");
    }

    #[test]
    fn in_a_container_with_the_hosts_procfs() {
        assert_eq!(classify("NSpid:\t81234\t7\n", Some("pid:[4026532201]")), PidSpace::Own);
    }
}
