//! Being the one to whom orphans of the job fall (`PR_SET_CHILD_SUBREAPER`, prctl(2)).

use std::sync::Mutex;

use rustix::process::{child_subreaper, getpid, set_child_subreaper};

/// Jobs that need it at this moment, and whether it was set before the first of them. The attribute belongs to
/// the whole process, so it cannot be held anywhere else.
static USERS: Mutex<(usize, bool)> = Mutex::new((0, false));

/// While one of these lives, orphaned descendants become our children; the last one restores what was before.
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
            // Nothing can be done about a failure here, and setting it has worked.
            let _ = set_child_subreaper(None);
        }
    }
}
