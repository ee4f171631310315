//! perf side-band events, by opening those of this thread.

use std::io;

use crate::{
    Roots,
    bounded::{self, MAX_VALUE_BYTES},
    doctor::MechanismState,
    perf_event,
};

pub(super) fn examine(roots: &Roots) -> MechanismState {
    match perf_event::open(0, -1) {
        Ok(_) => MechanismState::works(),
        Err(error) => {
            let paranoid =
                bounded::read_to_string(&roots.proc.join("sys/kernel/perf_event_paranoid"), MAX_VALUE_BYTES)
                    .ok();
            explain(&error, paranoid.as_deref().map(str::trim))
        }
    }
}

/// Explains a failure. `paranoid` is the value of `/proc/sys/kernel/perf_event_paranoid`; up to 2 lets every
/// user watch own processes.
fn explain(error: &io::Error, paranoid: Option<&str>) -> MechanismState {
    let value = paranoid.unwrap_or("unknown");
    let strict = paranoid.and_then(|value| value.parse::<i32>().ok()).is_some_and(|value| value > 2);
    let state = MechanismState::missing(format!("perf_event_open: {error} (perf_event_paranoid is {value})"));
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) if strict => {
            state.or("sysctl kernel.perf_event_paranoid=2, as root")
        }
        Some(libc::EACCES | libc::EPERM) => {
            state.or("the container's seccomp profile refuses it: allow perf_event_open there")
        }
        Some(libc::ENOSYS) => state.or("needs a kernel with CONFIG_PERF_EVENTS"),
        _ => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(errno: i32, paranoid: Option<&str>) -> Option<String> {
        match explain(&io::Error::from_raw_os_error(errno), paranoid) {
            MechanismState::Missing { remedy, .. } => remedy,
            MechanismState::Works { .. } => None,
        }
    }

    #[test]
    fn tells_a_strict_kernel_from_a_strict_container() {
        assert!(remedy(libc::EACCES, Some("4")).unwrap().contains("sysctl"));
        assert!(remedy(libc::EPERM, Some("2")).unwrap().contains("seccomp"));
        assert!(remedy(libc::EPERM, None).unwrap().contains("seccomp"));
        assert_eq!(remedy(libc::EMFILE, Some("2")), None);
    }
}
