//! Making room for groups below the group of this process (v2). A group that holds processes cannot delegate
//! controllers (cgroups(7), "no internal processes"). So a process that is alone in its group moves into a leaf below
//! it, and back in the end.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{left_over, open_group::OpenGroup};

/// The leaf in which this process is, and the number of groups that need it there. The cgroup is a property of the
/// whole process, so this is a static.
static OWN_LEAF: Mutex<Option<Leaf>> = Mutex::new(None);

#[derive(Debug)]
pub(super) struct Leaf {
    group: PathBuf,
    path: PathBuf,
    stays: usize,
}

/// A guard: this process stays in the leaf while one of them lives, and the last one moves it back.
#[derive(Debug)]
pub(super) struct Stay {
    /// The group that can have groups below it now.
    pub(super) group: PathBuf,
    /// The leaf.
    pub(super) path: PathBuf,
}

/// Locks the state: the cgroup of this process does not change while the guard lives.
pub(super) fn lock() -> MutexGuard<'static, Option<Leaf>> {
    OWN_LEAF.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds one more stay if `own`, the group of this process, is the leaf already.
pub(super) fn again(own_leaf: &mut Option<Leaf>, own: &Path) -> Option<Stay> {
    let leaf = own_leaf.as_mut().filter(|leaf| leaf.path == own)?;
    leaf.stays += 1;
    Some(Stay { group: leaf.group.clone(), path: leaf.path.clone() })
}

/// Moves this process, which is alone in `group`, below it, and lets the group delegate the memory controller.
pub(super) fn enter(own_leaf: &mut Option<Leaf>, group: &Path) -> io::Result<Stay> {
    let leaf = Leaf { group: group.to_owned(), path: group.join(left_over::leaf_name()), stays: 1 };
    super::make_directory(&leaf.path)?;
    let entered = OpenGroup::open(&leaf.path).and_then(|leaf| leaf.admit_self()).and_then(|()| {
        let group = OpenGroup::open(group)?;
        // A thread of this process that is just exiting stays behind for a moment.
        let hand_down = || group.write("cgroup.subtree_control", "+memory");
        left_over::while_busy(Duration::from_millis(20), hand_down)
    });
    if let Err(error) = entered {
        // Undoes the steps that were made.
        let _ = leaf.leave();
        return Err(error);
    }
    let stay = Stay { group: leaf.group.clone(), path: leaf.path.clone() };
    *own_leaf = Some(leaf);
    Ok(stay)
}

impl Leaf {
    /// Moves this process back, with the processes that it has forked meanwhile and the survivors of the job.
    fn leave(&self) -> io::Result<()> {
        let group = OpenGroup::open(&self.group)?;
        group.write("cgroup.subtree_control", "-memory")?;
        let name = self.path.file_name().unwrap_or_default();
        left_over::end(&OpenGroup::open(&self.path)?, name, &group)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut own_leaf = lock();
        if let Some(leaf) = own_leaf.as_mut() {
            leaf.stays -= 1;
            if leaf.stays == 0 {
                // It is refused if a group that the job made still needs the controller: this process then stays in the
                // leaf.
                let _ = leaf.leave();
                *own_leaf = None;
            }
        }
    }
}
