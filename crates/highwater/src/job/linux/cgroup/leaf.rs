//! Making room for groups below our own (v2): a group that holds processes cannot hand controllers down (cgroups(7),
//! "no internal processes"), so where we are alone in ours we move into a leaf below it, and back in the end.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{left_over, procs};

/// The leaf this process lives in, and how many groups need it to. Where a process is belongs to all of it, so this
/// cannot be held anywhere else.
static OURS: Mutex<Option<Leaf>> = Mutex::new(None);

#[derive(Debug)]
pub(super) struct Leaf {
    group: PathBuf,
    path: PathBuf,
    stays: usize,
}

/// While one of these lives, we stay in the leaf; the last one brings us back.
#[derive(Debug)]
pub(super) struct Stay {
    /// The group that now can have groups below it.
    pub(super) group: PathBuf,
    /// The leaf.
    pub(super) path: PathBuf,
}

/// Where we are does not change while this is held.
pub(super) fn lock() -> MutexGuard<'static, Option<Leaf>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One more stay, if `own`, the group we are in, is our leaf already.
pub(super) fn again(ours: &mut Option<Leaf>, own: &Path) -> Option<Stay> {
    let leaf = ours.as_mut().filter(|leaf| leaf.path == own)?;
    leaf.stays += 1;
    Some(Stay { group: leaf.group.clone(), path: leaf.path.clone() })
}

/// Moves us, who are alone in `group`, below it, and lets it hand the memory controller down.
pub(super) fn enter(ours: &mut Option<Leaf>, group: &Path) -> io::Result<Stay> {
    let leaf = Leaf {
        group: group.to_owned(),
        path: group.join(format!("highwater-leaf-{}", std::process::id())),
        stays: 1,
    };
    super::make_directory(&leaf.path)?;
    let entered = procs::move_self_to(&leaf.path).and_then(|()| {
        // A thread of ours that is just ending stays behind for a moment.
        let hand_down = || procs::write(group, "cgroup.subtree_control", "+memory");
        left_over::while_busy(Duration::from_millis(20), hand_down)
    });
    if let Err(error) = entered {
        // Back as far as we came.
        let _ = leaf.leave();
        return Err(error);
    }
    let stay = Stay { group: leaf.group.clone(), path: leaf.path.clone() };
    *ours = Some(leaf);
    Ok(stay)
}

impl Leaf {
    /// What we had forked meanwhile, and what survived of the job, is here too and comes with us.
    fn leave(&self) -> io::Result<()> {
        procs::write(&self.group, "cgroup.subtree_control", "-memory")?;
        left_over::end(&self.path, &self.group)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut ours = lock();
        if let Some(leaf) = ours.as_mut() {
            leaf.stays -= 1;
            if leaf.stays == 0 {
                // Refused where a group of the job's own still needs the controller: then here is where we stay.
                let _ = leaf.leave();
                *ours = None;
            }
        }
    }
}
