//! Tests on the real hierarchy; they say why not if it may not be written to.

use std::{
    io::{BufRead, BufReader, Write},
    os::{
        fd::AsRawFd,
        unix::{fs::MetadataExt, process::CommandExt},
    },
    process::{Child, ChildStdout, Command, Stdio},
};

use super::*;

const MIB: u64 = 1 << 20;

fn make() -> Option<JobGroup> {
    JobGroup::make(&Roots::default()).map_err(|why| eprintln!("skipped: {why}")).ok()
}

/// A shell that runs `rest` on command; killed when dropped.
struct WaitingShell(Child, BufReader<ChildStdout>);

impl WaitingShell {
    fn new(rest: &str) -> Self {
        Self::from(Command::new("sh").args(["-c", &format!("read go; {rest}")]))
    }

    fn from(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self(child, stdout)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn go(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// Returns its next line.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn finish(&mut self) {
        self.go();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for WaitingShell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn members(group: &Path) -> Vec<u32> {
    OpenGroup::open(group).unwrap().processes().unwrap()
}

/// Command in which dd fills its buffer of 64 MiB.
const HOLD_64_MIB: &str = "exec dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null";

fn assert_holds_64_mib(group: &JobGroup) {
    let peak = group.peak_bytes().unwrap();
    // Beside it: dd and sh themselves, page tables, their page cache, and 64 pages a CPU in advance.
    let own = 8 * MIB + 64 * 4096 * std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    assert!((64 * MIB..64 * MIB + own).contains(&peak), "{peak} bytes");
}

#[test]
fn the_peak_of_a_job_of_known_size() {
    let Some(group) = make() else { return };
    let empty = group.peak_bytes().unwrap();
    assert!(empty < MIB, "{empty} bytes before any process was in it");
    let mut shell = WaitingShell::new(HOLD_64_MIB);
    group.admit(shell.pid()).unwrap();
    assert_eq!(members(group.path()), [shell.pid()]);
    shell.finish();
    assert_holds_64_mib(&group);
    let path = group.path().to_owned();
    group.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_child_enters_by_itself() {
    let Some(group) = make() else { return };
    let CgroupEntry::Write(tasks) = group.entry() else { return eprintln!("skipped: v2 has no tasks file") };
    let tasks = tasks.try_clone_to_owned().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("read go; {HOLD_64_MIB}")]);
    // SAFETY: one write(2), in a child right after fork.
    unsafe { command.pre_exec(move || enter(tasks.as_fd())) };
    let mut shell = WaitingShell::from(&mut command);
    assert_eq!(members(group.path()), [shell.pid()]);
    shell.finish();
    assert_holds_64_mib(&group);
}

fn enter(tasks: BorrowedFd<'_>) -> io::Result<()> {
    entry::enter(tasks).map_err(io::Error::from_raw_os_error)
}

/// It works in any v2 group, as it needs no memory controller.
#[test]
fn a_child_starts_inside() {
    let Some(own) = crate::cgroup::OwnGroup::find(&Roots::default(), Version::V2) else {
        return eprintln!("skipped: no v2 hierarchy is mounted");
    };
    let path = own.group().join(format!("highwater-test-born-{}", std::process::id()));
    if let Err(error) = fs::create_dir(&path) {
        return eprintln!("skipped: {}: {error}", path.display());
    }
    let directory = File::open(&path).unwrap();
    // SAFETY: the child only sleeps, until it is killed.
    let born = unsafe {
        let born = entry::clone_into(directory.as_fd());
        if matches!(born, Ok(0)) {
            loop {
                libc::pause();
            }
        }
        born
    };
    let inside = members(&path);
    if let Ok(pid) = born {
        // SAFETY: an own child, not yet waited for; no status is asked for.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
    let home = OpenGroup::open(own.group()).unwrap();
    left_over::end(&OpenGroup::open(&path).unwrap(), path.file_name().unwrap(), &home).unwrap();
    match born {
        Ok(pid) => assert_eq!(inside, [pid.unsigned_abs()]),
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => eprintln!("skipped: {error}"),
        Err(error) => panic!("clone3: {error}"),
    }
}

#[test]
fn survivors_go_back_and_so_do_groups_the_job_left() {
    let Some(group) = make() else { return };
    let mut shell = WaitingShell::new("exit 0");
    group.admit(shell.pid()).unwrap();
    fs::create_dir_all(group.path().join("of-the-job/deeper")).unwrap();
    let home = fs::read_link(format!("/proc/self/fd/{}", group.home.as_fd().as_raw_fd())).unwrap();
    let path = group.path().to_owned();
    group.remove().unwrap();
    assert!(!path.exists());
    // If this process was in a leaf, home is removed with it, and everything is back where it was.
    let home = if home.exists() { home } else { home.parent().unwrap().to_owned() };
    assert!(members(&home).contains(&shell.pid()));
    shell.finish();
}

/// The owner of the group above may rename a group of version 1, and make another one of that name.
#[test]
fn a_group_that_was_renamed_is_still_measured_and_removed() {
    let Some(group) = make() else { return };
    let path = group.path().to_owned();
    let moved = path.with_file_name(format!("highwater-test-renamed-{}", std::process::id()));
    if let Err(error) = fs::rename(&path, &moved) {
        return eprintln!("skipped: {error}");
    }
    // A sweep of another test removes it unless it is locked.
    let Ok(Some(_lock)) = make_directory(&path).and_then(|()| lock_new(&path)) else {
        return eprintln!("skipped: another test has taken the name");
    };
    let mut shell = WaitingShell::new(HOLD_64_MIB);
    group.admit(shell.pid()).unwrap();
    assert_eq!((members(&moved), members(&path)), (vec![shell.pid()], vec![]));
    shell.finish();
    assert_holds_64_mib(&group);
    group.remove().unwrap();
    assert!(!moved.exists() && path.exists());
    fs::remove_dir(&path).unwrap();
}

#[test]
fn groups_that_the_job_nests_deeper_than_a_path_are_removed() {
    let Some(group) = make() else { return };
    group_removal::tests::nest(group.path(), 3_000);
    let path = group.path().to_owned();
    group.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_group_of_the_jobs_own_that_lives_on_is_left_alone() {
    let Some(group) = make() else { return };
    let mut shell = WaitingShell::new("exit 0");
    let nested = group.path().join("of-the-job");
    fs::create_dir(&nested).unwrap();
    OpenGroup::open(&nested).unwrap().admit(shell.pid()).unwrap();
    let (path, parent) = (group.path().to_owned(), group.path().parent().unwrap().to_owned());
    assert_eq!(group.remove().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(members(&nested), [shell.pid()]);
    shell.finish();
    // The next owner finds it empty.
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while path.exists() && std::time::Instant::now() < patience {
        left_over::sweep(&parent);
    }
    assert!(!path.exists());
}

/// Checks that the lock of a group keeps it from being used, and later from being removed.
#[test]
fn another_user_cannot_lock_a_group() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can become another user");
    }
    let Some(group) = make() else { return };
    assert_eq!(fs::metadata(group.path()).unwrap().mode() & 0o7777, 0o711);
    // flock(1) exits with 1 if the lock is taken, and with 66 if the directory cannot be opened.
    let lock = |uid: u32| {
        let mut flock = Command::new("flock");
        flock
            .args(["--nonblock", "--exclusive"])
            .arg(group.path())
            .arg("true")
            .uid(uid)
            .stderr(Stdio::null());
        flock.status().unwrap().code()
    };
    assert_eq!((lock(0), lock(65_534)), (Some(1), Some(66)));
    // Programs of the job that change their user find their limits.
    let limit = if group.version == Version::V1 { "memory.limit_in_bytes" } else { "memory.max" };
    let read = Command::new("cat").arg(group.path().join(limit)).uid(65_534).stdout(Stdio::null()).status();
    assert!(read.unwrap().success());
}

#[test]
fn a_group_that_another_process_has_locked_is_not_left_behind() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("highwater-1");
    make_directory(&path).unwrap();
    let other = File::open(&path).unwrap();
    flock(&other, FlockOperation::LockExclusive).unwrap();
    assert!(lock_new(&path).unwrap().is_none() && !path.exists());
    assert_eq!(lock_new(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    make_directory(&path).unwrap();
    assert!(lock_new(&path).unwrap().is_some() && path.exists());
}

/// The owner of the group above may remove an empty group and make one of the same name.
#[test]
fn a_group_that_another_user_has_put_in_its_place_is_not_taken() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("highwater-1");
    make_directory(&path).unwrap();
    let other = rustix::process::geteuid().as_raw() + 1;
    if std::os::unix::fs::chown(&path, Some(other), None).is_err() {
        return eprintln!("skipped: only root can act as another user");
    }
    assert!(lock_new(&path).unwrap().is_none() && !path.exists());
}

#[test]
fn a_group_that_was_removed_lets_no_command_start_that_is_limited_by_it() {
    let Some(group) = make() else { return };
    let mut shell = WaitingShell::new("exit 0");
    fs::remove_dir(group.path()).unwrap();
    assert!(group.let_in(shell.pid(), true).is_err());
    shell.finish();
}

#[test]
fn a_command_that_is_limited_by_the_group_is_in_it_before_it_starts() {
    let Some(group) = make() else { return };
    let mut shell = WaitingShell::new("exit 0");
    group.let_in(shell.pid(), true).unwrap();
    assert_eq!(members(group.path()), [shell.pid()]);
    shell.finish();
}

/// The owner that another test kills: makes a group, prints its path, and waits.
#[test]
#[ignore = "run by another test, as a process of its own"]
fn owner() {
    let Some(group) = make() else { return };
    println!("\ngroup {}", group.path().display());
    let _ = io::stdin().read_line(&mut String::new());
}

#[test]
fn a_killed_owners_group_is_removed_by_the_next() {
    let Some(_ours) = make() else { return };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "job::linux::cgroup::tests::owner"]);
    let mut owner = WaitingShell::from(&mut command);
    let left = (0..20).find_map(|_| owner.line().strip_prefix("group ").map(PathBuf::from)).unwrap();
    drop(make());
    assert!(left.exists(), "its owner lives");
    drop(owner);
    assert!(left.exists(), "no sweep has run yet");
    drop(make());
    assert!(!left.exists());
}

#[test]
fn a_group_can_be_passed_through_with_any_umask() {
    let Some(_ours) = make() else { return };
    for umask in ["0077", "0777"] {
        let script = "umask $1; exec \"$2\" --ignored --exact --nocapture job::linux::cgroup::tests::owner";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", umask]).arg(std::env::current_exe().unwrap());
        let mut owner = WaitingShell::from(&mut command);
        let group = (0..20).find_map(|_| owner.line().strip_prefix("group ").map(PathBuf::from)).unwrap();
        assert_eq!(fs::metadata(&group).unwrap().mode() & 0o777, 0o711, "{umask}");
        owner.finish();
    }
}

#[test]
fn a_group_without_owner_is_removed_unless_a_process_is_in_it() {
    let Some(group) = make() else { return };
    // A killed owner leaves a group whose lock is free.
    let left = |name: &str| {
        let path = group.path().parent().unwrap().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let pid = std::process::id();
    let (empty, in_use) = (left(&format!("highwater-{pid}-900")), left(&format!("highwater-{pid}-901")));
    let mut shell = WaitingShell::new("exit 0");
    OpenGroup::open(&in_use).unwrap().admit(shell.pid()).unwrap();
    drop(make());
    assert!(!empty.exists() && in_use.exists() && group.path().exists());
    assert_eq!(members(&in_use), [shell.pid()]);
    shell.finish();
    left_over::end(&OpenGroup::open(&in_use).unwrap(), in_use.file_name().unwrap(), &group.home).unwrap();
}

#[test]
fn two_groups_of_one_process() {
    let (Some(one), Some(two)) = (make(), make()) else { return };
    assert_ne!(one.path(), two.path());
    let path = two.path().to_owned();
    one.remove().unwrap();
    assert!(two.peak_bytes().is_some());
    drop(two);
    assert!(!path.exists());
}
