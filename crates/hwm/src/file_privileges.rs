//! Privileges that the file of hwm gives to every user that may execute it: setuid, setgid, file capabilities.
//!
//! hwm runs commands and writes files that its caller names, so a setuid hwm is a root shell for every user: it
//! refuses to run. With file capabilities it keeps two, out of the effective set, which the library raises for single
//! system calls. `CAP_SYS_PTRACE` is not among them: it opens figures and names that the kernel hides from the caller.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use crate::exit;

/// Gives up the privileges that the file of hwm gave to its caller; returns the exit code if that fails.
pub(crate) fn give_up() -> Option<ExitCode> {
    let why = refusal()?;
    // Plain text: how a terminal is to be written to would be read from the environment.
    let _ = writeln!(io::stderr(), "hwm: {why}");
    Some(exit::of_usage(env::args_os().nth(1).as_deref().and_then(|verb| verb.to_str())))
}

#[cfg(unix)]
fn refusal() -> Option<String> {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    if (getuid(), getgid()) != (geteuid(), getegid()) {
        return Some(
            "not made to be installed setuid or setgid, since it runs commands and writes files that its caller \
             names: take the bit off (chmod u-s,g-s) and use sudo where root is needed"
                .to_owned(),
        );
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = linux::keep_few_capabilities() {
        return Some(format!(
            "the capabilities of its file cannot be given up ({error}): take them off (setcap -r)"
        ));
    }
    None
}

#[cfg(not(unix))]
fn refusal() -> Option<String> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::{
        io,
        process::getuid,
        thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities},
    };

    /// The capabilities that are kept. Taskstats, and the proc connector before Linux 6.6, take the first. Perf events
    /// where `perf_event_paranoid` is above 2, and memory queries of i915 and xe, take the second.
    pub(super) const KEPT_CAPABILITIES: CapabilitySet =
        CapabilitySet::NET_ADMIN.union(CapabilitySet::PERFMON);

    /// Keeps a few capabilities of those that came with the file, none of them in effect.
    pub(super) fn keep_few_capabilities() -> io::Result<()> {
        // SAFETY: a question that changes nothing. Not by way of a file: /proc/self/auxv is root's in such a program.
        let is_secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        // Root's capabilities are its own, whatever else made this a secure execution (an LSM). Ambient capabilities
        // do not make one: they are the caller's own, and the job's too.
        if !is_secure || getuid().is_root() {
            return Ok(());
        }
        let permitted = capabilities(None)?.permitted & KEPT_CAPABILITIES;
        // Ambient capabilities that are no longer permitted go with the rest (capabilities(7)).
        let (effective, inheritable) = (CapabilitySet::empty(), CapabilitySet::empty());
        set_capabilities(None, CapabilitySets { effective, permitted, inheritable })
    }
}
