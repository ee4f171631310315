//! The job finds everything as it would without hwm.

use std::{fs, io, os::unix::process::CommandExt, path::Path, process::Command, process::Stdio};

/// A script that prints the state of a shell at its start. A program of its own writes each line, so that the shell's
/// descriptors stay as they were.
const STATE_SCRIPT: &str = r#"
for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    echo "fd $n" >> "$STATE"
    readlink /proc/$$/fd/$n >> "$STATE"
done
cat /proc/self/limits >> "$STATE"
cut -d' ' -f5-8,18,19,40,41 /proc/$$/stat >> "$STATE"
cat /proc/$$/autogroup >> "$STATE"
cat /proc/$$/oom_score_adj /proc/$$/timerslack_ns /proc/$$/cgroup >> "$STATE"
umask >> "$STATE"
pwd -P >> "$STATE"
env | sort >> "$STATE"
"#;

/// Signals as a plain C program finds them: a shell clears its mask, and Rust's runtime ignores SIGPIPE.
const SIGNAL_STATE_COMMAND: [&str; 4] =
    ["grep", "-E", "^(SigBlk|SigIgn|SigPnd|ShdPnd|NoNewPrivs|Seccomp):", "/proc/self/status"];

/// A function that changes a process just before it becomes hwm or the job.
type Prepare = fn() -> io::Result<()>;

fn found_by(command: &mut Command, dir: &Path, prepare: Prepare) -> String {
    let (state, printed) = (dir.join("state"), dir.join("printed"));
    let _ = fs::remove_file(&state);
    command.env("STATE", &state).current_dir(dir).stdin(Stdio::null());
    command.stdout(fs::File::create(&printed).unwrap()).stderr(Stdio::null());
    // SAFETY: the functions below make only system calls. With a hook Rust forks and execs, and leaves the
    // signals 32 and 33 alone, as posix_spawn would not.
    unsafe { command.pre_exec(prepare) };
    let status = command.status().expect("it starts");
    assert!(status.success(), "{status}");
    fs::read_to_string(&state).unwrap_or_default() + &fs::read_to_string(&printed).unwrap()
}

/// Runs `job` without hwm and with it, and compares what it prints.
fn compare(options: &[&str], job: &[&str], prepare: Prepare) {
    compare_in(&["--no-cgroup"], options, job, prepare, str::to_owned);
    // A cgroup of its own and a filter change only two things: the cgroup's name, and the filter itself.
    compare_in(&["--exact"], options, job, prepare, |found| {
        let kept =
            found.lines().filter(|line| !line.starts_with("NoNewPrivs:") && !line.starts_with("Seccomp:"));
        kept.map(|line| line.split("/highwater-").next().unwrap_or_default().to_owned() + "\n").collect()
    });
}

fn compare_in(
    mode: &[&str],
    options: &[&str],
    job: &[&str],
    prepare: Prepare,
    apart_from_what_must_differ: fn(&str) -> String,
) {
    let dir = tempfile::tempdir().unwrap();
    let without = found_by(Command::new(job[0]).args(&job[1..]), dir.path(), prepare);
    let mut hwm = Command::new(env!("CARGO_BIN_EXE_hwm"));
    hwm.arg("run").args(mode).args(options).arg("--").args(job);
    let with = found_by(&mut hwm, dir.path(), prepare);
    let [without, with] = [without, with].map(|found| apart_from_what_must_differ(&found));
    assert!(without.contains("SigBlk") || without.contains("Max open files"), "the job printed nothing");
    // Only the lines that differ are shown: the environment may hold secrets.
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (without, with) = (lines(&without), lines(&with));
    let lost: Vec<_> = without.iter().filter(|line| !with.contains(line)).collect();
    let new: Vec<_> = with.iter().filter(|line| !without.contains(line)).collect();
    assert!(without == with, "{mode:?} only without hwm: {lost:#?}, only with it: {new:#?}");
}

fn same(options: &[&str], prepare: Prepare) {
    compare(options, &["sh", "-c", STATE_SCRIPT], prepare);
}

fn same_signals(prepare: Prepare) {
    compare(&["-q"], &SIGNAL_STATE_COMMAND, prepare);
}

/// Calls sigaction(2) itself: glibc keeps 32 and 33 from its callers.
fn set_action(signal: libc::c_int, action: libc::sighandler_t) {
    let kernel_sigaction: [usize; 4] = [action, 0, 0, 0];
    // SAFETY: handler, flags, restorer and mask, as the kernel lays them out; no old action wanted.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            kernel_sigaction.as_ptr(),
            std::ptr::null_mut::<usize>(),
            size_of::<u64>(),
        )
    };
}

fn block(signals: &[libc::c_int]) {
    // SAFETY: the set is local.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

#[test]
fn plain() {
    same(&["-q"], || Ok(()));
    same(&[], || Ok(()));
    same_signals(|| Ok(()));
}

#[test]
fn with_outputs_open() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("a.csv");
    let timeline = dir.path().join("a.timeline");
    let json = format!("--json={}", dir.path().join("a.json").display());
    let options = ["-q", "--csv", csv.to_str().unwrap(), "--timeline", timeline.to_str().unwrap(), &json];
    same(&options, || Ok(()));
}

#[test]
fn sigpipe_default_and_ignored() {
    same_signals(|| {
        set_action(libc::SIGPIPE, libc::SIG_DFL);
        Ok(())
    });
    same_signals(|| {
        set_action(libc::SIGPIPE, libc::SIG_IGN);
        Ok(())
    });
}

#[test]
fn ignored_signals() {
    same_signals(|| {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM, libc::SIGUSR1, 32, 33, 64] {
            set_action(signal, libc::SIG_IGN);
        }
        Ok(())
    });
}

#[test]
fn blocked_signals() {
    same_signals(|| {
        block(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR2, libc::SIGCHLD, libc::SIGWINCH, 40]);
        Ok(())
    });
}

#[test]
fn closed_descriptors() {
    same(&["-q"], || {
        // SAFETY: a descriptor of this process, which is about to exec.
        unsafe { libc::close(0) };
        Ok(())
    });
    same(&["-q"], || {
        // SAFETY: as above.
        unsafe {
            libc::close(0);
            libc::close(1);
            libc::close(2);
        }
        Ok(())
    });
    same(&["-q"], || {
        // SAFETY: as above.
        unsafe { libc::close(1) };
        Ok(())
    });
}

#[test]
fn open_descriptors() {
    same(&["-q"], || {
        // SAFETY: dup2 makes descriptors without close-on-exec.
        unsafe {
            libc::dup2(1, 7);
            libc::dup2(0, 12);
        }
        Ok(())
    });
}

/// As root, hwm raises its own priority for these.
#[test]
fn limits_that_are_sampled() {
    let options = ["-q", "--max-total-rss=1G", "--max-memory=1G"];
    same(&options, || Ok(()));
    same(&options, || {
        // SAFETY: a plain call.
        unsafe { libc::nice(3) };
        Ok(())
    });
}

#[test]
fn limits_nice_and_umask() {
    same(&["-q"], || {
        let files = libc::rlimit { rlim_cur: 64, rlim_max: 512 };
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: plain calls on local values.
        unsafe {
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files);
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            libc::nice(5);
            libc::umask(0o027);
        }
        Ok(())
    });
}
