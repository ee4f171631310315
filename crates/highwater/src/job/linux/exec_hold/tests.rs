//! The keeper with real processes.

use std::{
    env,
    ffi::OsString,
    fs,
    path::Path,
    process::Command as Process,
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::job::{
    InheritedState,
    linux::{launch, subreaper::Subreaper},
};

mod second_process;

/// Longest wait; a job that hangs must fail its test.
const DEADLINE: Duration = Duration::from_secs(60);

/// A job whose tasks are held.
struct HeldJob {
    keeper: ExecHold,
    pid: libc::pid_t,
    holds: Vec<HeldTask>,
}

impl HeldJob {
    /// Starts it; `None`, with the reason printed, if notification is refused.
    fn start(argv: &[&str], env: &[(&str, &str)]) -> Option<Self> {
        Self::start_with(ExecHold::start(&ProcDir::of_this_machine()).unwrap(), argv, env)
    }

    fn start_with(mut keeper: ExecHold, argv: &[&str], env: &[(&str, &str)]) -> Option<Self> {
        let pid = start(&keeper, argv, env);
        if let Err(refused) = keeper.handed_over() {
            println!("skipped: {refused}");
            wait(pid);
            return None;
        }
        Some(Self { keeper, pid, holds: Vec::new() })
    }

    fn shell(script: &str) -> Option<Self> {
        Self::start(&["/bin/sh", "-c", script], &[])
    }

    /// Waits for its first process, then for the keeper's final notice; the status is that of wait4(2).
    fn finish(&mut self) -> i32 {
        let status = wait(self.pid);
        until("the keeper's final notice", || {
            self.keeper.drain(&mut self.holds);
            self.keeper.over || self.keeper.gone
        });
        status
    }

    fn codes(&self) -> Vec<i32> {
        let mut codes: Vec<i32> = self.holds.iter().filter_map(code).collect();
        codes.sort_unstable();
        codes
    }

    fn of_first(&self) -> Vec<&HeldTask> {
        self.holds.iter().filter(|held| held.pid == self.pid.unsigned_abs()).collect()
    }
}

fn code(held: &HeldTask) -> Option<i32> {
    match held.point {
        HoldPoint::ExitGroup { code } => Some(code),
        HoldPoint::Exec => None,
    }
}

fn start(keeper: &ExecHold, words: &[&str], env: &[(&str, &str)]) -> libc::pid_t {
    let args: Vec<OsString> = words[1..].iter().map(OsString::from).collect();
    let env: Vec<_> = env.iter().map(|(name, value)| (name.into(), Some(value.into()))).collect();
    let command = launch::Command {
        program: words[0].as_ref(),
        args: &args,
        env: &env,
        current_dir: None,
        stdout: None,
        inherited_state: &InheritedState::default(),
        group: None,
        hand_over: keeper.hand_over(),
    };
    let (child, ()) = launch::launch(command, |_| Ok(())).unwrap();
    child.pid.try_into().unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < DEADLINE, "waited too long for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits for a child with a deadline: a task without an answer could not even be seen to hang otherwise.
fn wait(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    until("the job", || {
        // SAFETY: a live place for the status of an own child.
        unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) == pid }
    });
    status
}

fn exits_with(status: i32, code: i32) -> bool {
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == code
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: integers only; the process is an own child and not reaped yet.
    unsafe { libc::kill(pid.try_into().unwrap(), signal) };
}

/// Runs one of the ignored tests of `second_process` in a process of its own, by the test binary itself.
fn own_process(test: &str) -> [String; 5] {
    let program = env::current_exe().unwrap().into_os_string().into_string().unwrap();
    [
        program,
        format!("job::linux::exec_hold::tests::second_process::{test}"),
        "--exact".into(),
        "--ignored".into(),
        "-q".into(),
    ]
}

fn have_python() -> bool {
    let found = Process::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: no python3");
    }
    found
}

#[test]
fn every_exit_is_reported_with_its_code_and_mark() {
    let script = "(exit 3); /bin/sh -c 'exit 260' ; /bin/true | (exit 4) | /bin/cat; exit 255";
    let Some(mut job) = HeldJob::shell(script) else { return };
    assert!(exits_with(job.finish(), 255));
    assert_eq!(job.codes(), [0, 0, 3, 4, 4, 255]);
    for held in job.holds.iter().filter(|held| code(held).is_some()) {
        assert!(held.mark.is_some_and(|bytes| bytes > 0), "{held:?}");
    }
    assert!(job.holds.is_sorted_by_key(|held| held.at));
    assert!(job.holds.iter().all(|held| held.threads == Some(1)));
    assert_eq!((job.keeper.lost(), job.keeper.was_killed()), (0, false));
}

#[test]
fn storm() {
    let script = "i=0; while [ $i -lt 200 ]; do \
        for j in 1 2 3 4 5 6 7 8; do /bin/sh -c \"exit $i\" & i=$((i+1)); done; wait; done";
    let Some(mut job) = HeldJob::shell(script) else { return };
    assert!(exits_with(job.finish(), 0));
    let mut expected: Vec<i32> = (0..200).chain([0]).collect();
    expected.sort_unstable();
    assert_eq!(job.codes(), expected);
    assert!(job.holds.iter().all(|held| held.mark.is_some_and(|bytes| bytes > 0)));
}

#[test]
fn a_failed_exec_leaves_the_image() {
    let path = [("PATH", "/nonexistent:/proc:/bin:/usr/bin")];
    let Some(mut job) = HeldJob::start(&["true"], &path) else { return };
    assert!(exits_with(job.finish(), 0));
    let (exit, execs) = job.holds.split_last().unwrap();
    assert_eq!((execs.len(), code(exit)), (3, Some(0)), "{:?}", job.holds);
    assert!(execs.iter().all(|held| held.image.is_some() && held.image == execs[0].image && held.forked));
    assert!(execs.iter().all(|held| held.shares_map != Some(true)), "a fork has a map of its own");
    assert!(exit.image.is_some_and(|image| Some(image) != execs[0].image) && !exit.forked);
}

#[test]
fn an_exec_chain_is_reported_image_by_image() {
    let script = "exec /bin/sh -c 'exec /bin/sh -c \"exit 9\"'";
    let Some(mut job) = HeldJob::shell(script) else { return };
    assert!(exits_with(job.finish(), 9));
    let images: Vec<_> = job.of_first().iter().map(|held| held.image.unwrap()).collect();
    assert_eq!(images.len(), 4, "three execs and an exit: {:?}", job.holds);
    assert!(images.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(job.holds.windows(2).all(|pair| pair[0].start_ticks == pair[1].start_ticks));
}

#[test]
fn a_killed_process_sends_no_notice() {
    let Some(mut job) = HeldJob::shell("/bin/sh -c 'kill -9 $$'; exit 6") else { return };
    assert!(exits_with(job.finish(), 6));
    assert_eq!(job.codes(), [6]);
}

#[test]
fn a_peak_that_is_over_is_in_the_mark() {
    if !have_python() {
        return;
    }
    let script = "import os; x = b'1' * (64 << 20); del x; os._exit(7)";
    let Some(mut job) = HeldJob::start(&["python3", "-c", script], &[]) else { return };
    assert!(exits_with(job.finish(), 7));
    let exit = job.holds.iter().find(|held| code(held) == Some(7)).unwrap();
    assert!(exit.mark.unwrap() >= 64 << 20, "{exit:?}");
}

#[test]
fn a_mark_behind_many_groups_is_read() {
    if !have_python() || !rustix::process::geteuid().is_root() {
        return;
    }
    for groups in [3000, 65_536] {
        let script = format!("import os; os.setgroups(range(1000000, 1000000 + {groups})); os._exit(7)");
        let Some(mut job) = HeldJob::start(&["python3", "-c", &script], &[]) else { return };
        assert!(exits_with(job.finish(), 7));
        let exit = job.holds.iter().find(|held| code(held) == Some(7)).unwrap();
        assert!(exit.mark.is_some_and(|bytes| bytes > 1 << 20) && exit.threads == Some(1), "{exit:?}");
    }
}

#[test]
fn a_thread_that_execs_or_exits_counts_for_its_process() {
    if !have_python() {
        return;
    }
    let exec = "import os, threading, time\n\
        threading.Thread(target=lambda: os.execv('/bin/sh', ['sh', '-c', 'exit 8'])).start()\n\
        time.sleep(60)";
    let Some(mut job) = HeldJob::start(&["python3", "-c", exec], &[]) else { return };
    assert!(exits_with(job.finish(), 8));
    let own = job.of_first();
    let [.., at_exec, exit] = own.as_slice() else { panic!("{:?}", job.holds) };
    assert_eq!((at_exec.point, at_exec.threads, code(exit)), (HoldPoint::Exec, Some(2), Some(8)));
    assert!(at_exec.image != exit.image && !at_exec.forked);

    // The leader leaves by pthread_exit; a thread continues and ends the process.
    let leaderless = "import ctypes, os, threading, time\n\
        threading.Thread(target=lambda: (time.sleep(0.1), os._exit(9))).start()\n\
        ctypes.CDLL(None).pthread_exit(None)";
    let Some(mut job) = HeldJob::start(&["python3", "-c", leaderless], &[]) else { return };
    assert!(exits_with(job.finish(), 9));
    let exit = *job.of_first().last().unwrap();
    assert_eq!(code(exit), Some(9));
    assert!(exit.mark.is_some_and(|bytes| bytes > 1 << 20) && exit.image.is_some(), "{exit:?}");
}

#[test]
fn an_absent_reader_blocks_no_task() {
    let keeper = ExecHold::start(&ProcDir::of_this_machine()).unwrap();
    fcntl_setpipe_size(&keeper.notice_pipe, 4096).unwrap();
    let script = "i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done";
    let Some(mut job) = HeldJob::start_with(keeper, &["/bin/sh", "-c", script], &[]) else { return };
    let status = wait(job.pid);
    assert!(exits_with(status, 0));
    until("the keeper's final notice", || {
        job.keeper.drain(&mut job.holds);
        job.keeper.over || job.keeper.gone
    });
    assert!(job.keeper.lost() > 0);
    assert_eq!(job.holds.len() as u64 + job.keeper.lost(), 2 * 101, "an exec and an exit of each");
    assert!(!job.keeper.was_killed());
}

#[test]
fn only_marks_where_no_more_is_wanted() {
    let keeper = ExecHold::start(&ProcDir::of_this_machine()).unwrap();
    keeper.want_marks_only();
    let Some(mut job) = HeldJob::start_with(keeper, &["/bin/sh", "-c", "/bin/true; exit 2"], &[]) else {
        return;
    };
    assert!(exits_with(job.finish(), 2));
    assert_eq!(job.codes(), [0, 2]);
    assert!(job.holds.iter().all(|held| held.mark.is_some() && held.image.is_none()));
}

#[test]
fn stopped_and_continued_it_goes_on() {
    // Eight run at a time, so that the keeper and the tasks often want the same lock. A stop while it waits for that
    // can make its poll return POLLERR (seccomp_notify_poll, kernel/seccomp.c).
    let one =
        "i=0; while [ $i -lt 100 ]; do /bin/sh -c \"exit $i\"; [ $? = $i ] || exit 200; i=$((i+1)); done";
    let script = format!("for j in 1 2 3 4 5 6 7 8; do ({one}) & done; wait");
    let Some(mut job) = HeldJob::shell(&script) else { return };
    let mut status = 0;
    until("the job", || {
        kill(job.keeper.pid(), libc::SIGSTOP);
        kill(job.keeper.pid(), libc::SIGCONT);
        // Signals that a terminal or a kill of a group may send.
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGTSTP, libc::SIGPIPE]
        {
            kill(job.keeper.pid(), signal);
        }
        // SAFETY: a live place for the status of an own child.
        unsafe { libc::waitpid(job.pid, &raw mut status, libc::WNOHANG) == job.pid }
    });
    assert!(exits_with(status, 0), "{status:#x}");
    until("the keeper's final notice", || {
        job.keeper.drain(&mut job.holds);
        job.keeper.over
    });
    assert_eq!(job.codes().len(), 8 * 101 + 1);
    assert!(!job.codes().contains(&200), "an exit code that is not its own");
}

#[test]
fn the_keeper_has_no_descriptor_of_this_process() {
    // A loop inside the shell execs nothing.
    let Some(mut job) = HeldJob::shell("while :; do :; done") else { return };
    let proc = format!("/proc/{}", job.keeper.pid());
    assert_eq!(fs::read_to_string(format!("{proc}/comm")).unwrap(), "memory-keeper\n");
    // It is not dumpable, so only root sees its descriptors.
    let listed = fs::read_dir(format!("{proc}/fd"));
    if !rustix::process::geteuid().is_root() {
        assert_eq!(listed.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        kill(job.pid.unsigned_abs(), libc::SIGKILL);
        job.finish();
        return;
    }
    let mut names: Vec<String> = listed
        .unwrap()
        .map(|entry| fs::read_link(entry.unwrap().path()).unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    assert!(names.iter().filter(|name| *name == "/dev/null").count() >= 3, "{names:?}");
    let own: Vec<&String> = names.iter().filter(|name| *name != "/dev/null").collect();
    assert!(
        matches!(own.as_slice(), [proc, listener, pipe] if proc.starts_with('/') && listener.contains("seccomp") && pipe.starts_with("pipe:")),
        "{own:?}"
    );
    let stat = crate::process::linux::stat::Stat::parse(&fs::read(format!("{proc}/stat")).unwrap()).unwrap();
    assert_eq!((stat.group, stat.session), (Some(job.keeper.pid()), Some(job.keeper.pid())));
    assert_eq!(fs::read_link(format!("{proc}/cwd")).unwrap(), Path::new("/"));
    // No task of the job has the listener open, or the keeper would never see the last exit.
    let of_job = fs::read_dir(format!("/proc/{}/fd", job.pid)).unwrap();
    let names = of_job.map(|entry| fs::read_link(entry.unwrap().path()).unwrap_or_default());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("seccomp")));

    kill(job.pid.unsigned_abs(), libc::SIGKILL);
    assert_eq!(libc::WTERMSIG(job.finish()), libc::SIGKILL);
    drop(job);
    assert!(!Path::new(&proc).exists(), "reaped");
}

#[test]
fn without_a_keeper_the_job_runs_without_holds() {
    for was_ready in [false, true] {
        let mut keeper = ExecHold::start(&ProcDir::of_this_machine()).unwrap();
        if was_ready {
            let hand_over = keeper.hand_over().unwrap();
            until("the keeper", || hand_over.has_input());
        }
        kill(keeper.pid(), libc::SIGKILL);
        let mut notice_pipe = [PollFd::new(&keeper.notice_pipe, PollFlags::empty())];
        poll(&mut notice_pipe, None).unwrap();
        let pid = start(&keeper, &["/bin/sh", "-c", "/bin/true && exit 5"], &[]);
        assert!(matches!(keeper.handed_over(), Err(Refused::ExecHold)));
        assert!(exits_with(wait(pid), 5));
    }
}

/// A job whose keeper is killed gets ENOSYS, which cannot be helped. The record reports it.
#[test]
fn a_keeper_that_is_killed_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let script = format!("while [ ! -e {} ]; do :; done; /bin/true || kill -9 $$", go.display());
    let Some(mut job) = HeldJob::shell(&script) else { return };
    kill(job.keeper.pid(), libc::SIGKILL);
    until("its end", || {
        job.keeper.drain(&mut job.holds);
        job.keeper.gone
    });
    fs::write(go, "").unwrap();
    assert!(!exits_with(job.finish(), 0), "no exec works any more");
    assert!(job.keeper.was_killed());
}
