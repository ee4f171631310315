//! Ending groups: those of this process, and those of owners that were killed.
//!
//! An owner holds a lock (flock(2)) on its group's directory for as long as it lives. A pid in the name would not do:
//! the owner may live in another pid namespace, and pids are reused.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use super::{group_removal, open_group::OpenGroup};

const GROUP_NAME_PREFIX: &str = "highwater-";
/// Longest time for the removal of one job's groups. It delays the end of hwm after a job that made very many.
const MAX_REMOVAL_TIME: Duration = Duration::from_secs(5);
/// Longest time for the removal of what killed owners left. It delays the start of the next job.
const MAX_SWEEP_TIME: Duration = Duration::from_secs(1);

/// Iterates over names for a group of this process, as one may be taken: `highwater-PID`, `highwater-PID-1` and so on.
pub(super) fn names() -> impl Iterator<Item = String> {
    let first = format!("{GROUP_NAME_PREFIX}{}", std::process::id());
    let more = first.clone();
    std::iter::once(first).chain((1..).map(move |n: u32| format!("{more}-{n}")))
}

/// Returns the name of a group for processes that are in no job and must not be beside the groups of jobs.
pub(super) fn leaf_name() -> String {
    format!("{GROUP_NAME_PREFIX}leaf-{}", std::process::id())
}

/// Returns whether a group of that name is a job's.
pub(super) fn is_job_group(group: &Path) -> bool {
    let name = group.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix(GROUP_NAME_PREFIX)).is_some_and(|numbers| {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        numbers.splitn(2, '-').all(is_number)
    })
}

/// Removes the groups in `parent` that have no owner and no process. A killed owner's job may live on; its group stays
/// until it ends.
pub(super) fn sweep(parent: &Path) {
    sweep_until(parent, Instant::now() + MAX_SWEEP_TIME);
}

/// Sweeps until the deadline: any number of empty groups may have been left.
fn sweep_until(parent: &Path, deadline: Instant) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| is_job_group(Path::new(&entry.file_name()))) {
        if Instant::now() >= deadline {
            return;
        }
        let Ok(directory) = File::open(entry.path()) else { continue };
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // It is refused, rightly, while a process is in the group.
            let _ = group_removal::remove(&directory.into(), &entry.file_name(), deadline);
        }
    }
}

/// Moves the remaining processes of `group`, which was made as `name`, to `home`, and removes it.
pub(super) fn end(group: &OpenGroup, name: &OsStr, home: &OpenGroup) -> io::Result<()> {
    let deadline = Instant::now() + MAX_REMOVAL_TIME;
    while_busy(Duration::from_millis(500), || {
        let moved = group.move_all(home);
        match group_removal::remove(group, name, deadline) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // A process that could not be moved is in the way.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => moved.and(Err(error)),
            result => result,
        }
    })
}

/// Retries for some time while the kernel returns `EBUSY`: processes in a group may fork. A process or thread that is
/// exiting is no longer listed and cannot be moved, but stays in its group a little longer (`cgroup_exit`).
pub(super) fn while_busy(patience: Duration, attempt: impl Fn() -> io::Result<()>) -> io::Result<()> {
    // A long attempt, such as the removal of thousands of groups, does not use the time up.
    let (mut busy_since, mut pause) = (None, Duration::from_micros(100));
    loop {
        match attempt() {
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy
                    && busy_since.get_or_insert_with(Instant::now).elapsed() < patience =>
            {
                thread::sleep(pause);
                pause *= 2;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_again_and_no_others() {
        for name in names().take(12) {
            assert!(is_job_group(&Path::new("/sys/fs/cgroup").join(&name)), "{name}");
        }
        for name in
            ["highwater", "highwater-", "highwater-1-", "highwater-1-2-3", "highwater-leaf-1", "x-1", "1"]
        {
            assert!(!is_job_group(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn sweeps_groups_without_an_owner() {
        let parent = tempfile::tempdir().unwrap();
        let group = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let (killed, owned, foreign) = (group("highwater-1"), group("highwater-2"), group("user.slice"));
        let nested = group("highwater-3/docker/abc");
        let lock = File::open(&owned).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        sweep(parent.path());
        assert!(!killed.exists() && !nested.exists() && !parent.path().join("highwater-3").exists());
        assert!(owned.exists() && foreign.exists());
        drop(lock);
        sweep(parent.path());
        assert!(!owned.exists());
    }

    #[test]
    fn groups_that_a_sweep_has_no_time_for_stay() {
        let parent = tempfile::tempdir().unwrap();
        let group = parent.path().join("highwater-1");
        fs::create_dir(&group).unwrap();
        sweep_until(parent.path(), Instant::now());
        assert!(group.exists());
    }

    #[test]
    fn tries_again_only_while_busy() {
        let tried = std::cell::Cell::new(0);
        let after = |first: io::ErrorKind, busy: u32| {
            tried.set(0);
            while_busy(Duration::from_secs(60), || {
                tried.set(tried.get() + 1);
                if tried.get() <= busy { Err(first.into()) } else { Ok(()) }
            })
        };
        assert!(after(io::ErrorKind::ResourceBusy, 3).is_ok());
        assert_eq!(tried.get(), 4);
        assert!(after(io::ErrorKind::PermissionDenied, 1).is_err());
        let busy = while_busy(Duration::ZERO, || Err(io::ErrorKind::ResourceBusy.into()));
        assert_eq!(busy.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    }
}
