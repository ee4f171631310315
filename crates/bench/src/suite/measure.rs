//! Runs a command and reads exactly what it used.
//!
//! The CPU time of hwm must be separated from that of the job that it has waited for. `wait4` gives the sum
//! of both, `/proc/PID/stat` has ticks of 10 ms, and the record's `capture.overhead` is hwm's own statement.
//! The process's CPU clock (`clock_getcpuclockid(3)`) has none of these faults: nanoseconds, all threads,
//! ended ones too, and no children. It can be read until the process is reaped. So this program waits for the
//! exit with `WNOWAIT`, reads the zombie's clock, and then reaps it.

use std::{
    io, mem,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// The cost of one run of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunUsage {
    /// The time from before the spawn to the moment the exit was seen.
    pub(super) wall: Duration,
    /// CPU time of the process itself, all its threads, without children.
    pub(super) own_cpu: Duration,
    /// CPU time of the process and of all descendants that were waited for.
    pub(super) tree_cpu: Duration,
    /// `CLOCK_MONOTONIC` when its exit was seen.
    pub(super) ended: Duration,
}

/// Runs a command to its end. A failure is an error, as its cost would mean nothing.
pub(super) fn run(command: &mut Command) -> Result<RunUsage> {
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("{} did not start", program(command)))?;
    finish(child, start).with_context(|| format!("under {}", program(command)))
}

/// Waits for a child's exit and reads its usage.
#[expect(clippy::needless_pass_by_value, reason = "the child is reaped and must not be waited for again")]
pub(super) fn finish(child: Child, start: Instant) -> Result<RunUsage> {
    let pid = child.id().cast_signed();
    let id = Pid::from_raw(pid).context("pid 0")?;
    while let Err(error) = waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if error != rustix::io::Errno::INTR {
            return Err(error).context("waiting");
        }
    }
    let (wall, ended) = (start.elapsed(), monotonic());
    let own_cpu = cpu_clock(pid).context("reading the CPU clock")?;
    let (status, tree_cpu) = reap(pid).context("reaping")?;
    if !status.success() {
        bail!("the job ended with {status}");
    }
    Ok(RunUsage { wall, own_cpu, tree_cpu, ended })
}

/// `CLOCK_MONOTONIC`: one clock for all processes.
pub(super) fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// CPU time of a process, all its threads, without its children.
fn cpu_clock(pid: i32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is writable for the call.
    let error = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable for the call; a clock that is gone is an error, not undefined.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
    Ok(Duration::new(time.tv_sec.try_into().map_err(invalid)?, time.tv_nsec.try_into().map_err(invalid)?))
}

/// Reaps a zombie child: its exit status, and the CPU time of itself and all it had waited for.
fn reap(pid: i32) -> io::Result<(ExitStatus, Duration)> {
    let mut status = 0;
    // SAFETY: all zeros is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: both places are writable for the call.
    if unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } != pid {
        return Err(io::Error::last_os_error());
    }
    Ok((ExitStatus::from_raw(status), of(usage.ru_utime) + of(usage.ru_stime)))
}

fn of(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shell burns CPU time in a child: the sum includes it, the shell's own clock does not.
    #[test]
    fn own_time_leaves_children_out() {
        let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let mut in_child = Command::new("/bin/sh");
        in_child.args(["-c", &format!("({burn}); true")]);
        let child = run(&mut in_child).unwrap();
        assert!(child.own_cpu * 4 < child.tree_cpu, "{child:?}");

        let mut by_itself = Command::new("/bin/sh");
        by_itself.args(["-c", burn]);
        let itself = run(&mut by_itself).unwrap();
        assert!(itself.own_cpu * 2 > itself.tree_cpu, "{itself:?}");
    }

    #[test]
    fn a_failed_job_is_no_figure() {
        assert!(run(&mut Command::new("/bin/false")).is_err());
        assert!(run(&mut Command::new("/nonexistent")).is_err());
    }
}
