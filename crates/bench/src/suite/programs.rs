//! The jobs: this program, called as `bench job NAME ...`. They are small and of known shape.

use std::{
    io::{self, BufRead, Write},
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, waitpid};

use super::{measure::monotonic, naive, snapshots};

/// First argument of this program when it plays a job.
pub(super) const JOB_ARGUMENT: &str = "job";

/// Plays the job that the arguments name; `None` when they name none.
pub(super) fn main() -> Option<ExitCode> {
    // This comes first: `stamp` reports when it began to run.
    let started = monotonic();
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() != Some(JOB_ARGUMENT) {
        return None;
    }
    let args: Vec<String> = args.collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Some(match play(&args, started) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench job {args:?}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn play(args: &[&str], started: Duration) -> Result<ExitCode> {
    match *args {
        ["spin", turns] => spin(turns.parse()?),
        ["trues", count] => trues(count.parse()?)?,
        ["rest", count, millis] => rest(count.parse()?, Duration::from_millis(millis.parse()?))?,
        ["crowd", count] => crowd(count.parse()?)?,
        ["churn", count, alive, millis] => {
            churn(count.parse()?, alive.parse()?, Duration::from_millis(millis.parse()?))?;
        }
        ["stamp", millis] => stamp(started, Duration::from_millis(millis.parse()?))?,
        ["snapshots"] => snapshots::play()?,
        ["naive", way, program, ref args @ ..] => return naive::wrap(way.parse()?, program, args),
        _ => bail!("no such job"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Computes and does nothing else.
pub(super) fn spin(turns: u64) {
    let mut state = 1_u64;
    for turn in 0..turns {
        state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(turn));
    }
}

/// Runs `/bin/true` one after the other.
fn trues(count: usize) -> Result<()> {
    for _ in 0..count {
        if !Command::new("/bin/true").status().context("/bin/true")?.success() {
            bail!("/bin/true failed");
        }
    }
    Ok(())
}

/// Runs `count` processes, this one included, all alive and idle for `time`.
fn rest(count: usize, time: Duration) -> Result<()> {
    let idle = fork_many(count.saturating_sub(1), idle)?;
    thread::sleep(time);
    kill_all(&idle);
    Ok(())
}

/// Runs `count` idle processes until standard input ends, and prints their pids.
fn crowd(count: usize) -> Result<()> {
    let idle = fork_many(count, idle)?;
    let mut out = io::stdout().lock();
    for pid in &idle {
        writeln!(out, "{}", pid.as_raw_pid())?;
    }
    out.flush()?;
    io::stdin().lock().read_until(0, &mut Vec::new())?;
    kill_all(&idle);
    Ok(())
}

/// Runs `count` processes in all that live for `life` each, at most `alive` of them at a time.
fn churn(count: usize, alive: usize, life: Duration) -> Result<()> {
    let mut living = std::collections::VecDeque::with_capacity(alive);
    for _ in 0..count {
        if living.len() == alive
            && let Some(oldest) = living.pop_front()
        {
            waitpid(Some(oldest), rustix::process::WaitOptions::empty())?;
        }
        living.push_back(fork(|| thread::sleep(life))?);
    }
    for pid in living {
        waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
    }
    Ok(())
}

/// Prints when it began and when it ended, on the clock that all processes share.
fn stamp(started: Duration, time: Duration) -> Result<()> {
    thread::sleep(time);
    let mut out = io::stdout().lock();
    writeln!(out, "{} {}", started.as_nanos(), monotonic().as_nanos())?;
    out.flush()?;
    // SAFETY: nothing is left to be flushed or dropped; the exit must follow the stamp at once.
    unsafe { libc::_exit(0) }
}

/// Waits to be killed.
fn idle() {
    loop {
        thread::park();
    }
}

fn fork_many(count: usize, body: fn()) -> Result<Vec<Pid>> {
    let mut pids = Vec::with_capacity(count);
    for _ in 0..count {
        match fork(body) {
            Ok(pid) => pids.push(pid),
            Err(error) => {
                kill_all(&pids);
                return Err(error).with_context(|| format!("process {} of {count}", pids.len() + 1));
            }
        }
    }
    Ok(pids)
}

/// Forks a child that runs `body` and exits, and that dies with this process in any case.
fn fork(body: impl FnOnce()) -> io::Result<Pid> {
    let own_pid = rustix::process::getpid();
    // SAFETY: the jobs have one thread, so the child finds every lock free.
    match unsafe { libc::fork() } {
        0 => {
            let tied = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            // The parent may have died before the line above.
            if tied.is_ok() && rustix::process::getppid() == Some(own_pid) {
                body();
            }
            // SAFETY: this ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        pid => Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error),
    }
}

/// Kills and reaps the children.
fn kill_all(pids: &[Pid]) {
    for &pid in pids {
        // A process that is gone already needs no signal.
        let _ = kill_process(pid, Signal::KILL);
    }
    for &pid in pids {
        let _ = waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
}
