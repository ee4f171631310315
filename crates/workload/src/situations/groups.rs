//! Processes with more supplementary groups than a `status` file usually shows.

use std::time::Duration;

use super::{
    memory::Block,
    process::{exit_now, raw_fork, sleep},
};

/// Holds `size` beside idle children that have as many supplementary groups. Only root may set them; with none, all keep
/// theirs.
pub(crate) fn hold(groups: usize, children: usize, size: usize, time: Duration) {
    let groups: Vec<libc::gid_t> = (1_000_000..).take(groups).collect();
    if !groups.is_empty() {
        // SAFETY: the pointer and the length are those of one vector.
        let set = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
        assert!(set == 0, "setgroups: {}", std::io::Error::last_os_error());
    }
    let own = std::process::id();
    for _ in 0..children {
        if raw_fork() == 0 {
            // SAFETY: a plain system call. The child ends with its parent.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            // SAFETY: plain system calls.
            while unsafe { libc::getppid() }.unsigned_abs() == own {
                sleep(Duration::from_secs(60));
            }
            exit_now(0);
        }
    }
    let block = Block::new(size);
    sleep(time);
    drop(block);
}
