//! Making this process the parent of the job's orphans (`PR_SET_CHILD_SUBREAPER`, prctl(2)).

use std::sync::Mutex;

use rustix::process::{child_subreaper, getpid, set_child_subreaper};

/// Number of jobs that need it now, and true if it was set before the first of them. The attribute belongs to the whole
/// process, so this is a static.
static USERS: Mutex<(usize, bool)> = Mutex::new((0, false));

/// A guard: orphaned descendants become children of this process while one lives, and the last one restores the former
/// setting.
#[derive(Debug)]
pub(crate) struct Subreaper(());

impl Subreaper {
    pub(crate) fn set() -> Result<Self, rustix::io::Errno> {
        let mut users = USERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if users.0 == 0 {
            users.1 = child_subreaper()?.is_some();
            set_child_subreaper(Some(getpid()))?;
        }
        users.0 += 1;
        Ok(Self(()))
    }
}

impl Drop for Subreaper {
    fn drop(&mut self) {
        let mut users = USERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        users.0 -= 1;
        if users.0 == 0 && !users.1 {
            // A failure cannot be handled here, and setting it has worked.
            let _ = set_child_subreaper(None);
        }
    }
}
