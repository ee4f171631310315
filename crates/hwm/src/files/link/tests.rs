use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, symlink},
};

use super::*;

#[test]
fn a_link_is_pinned_when_its_name_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    symlink("allowed", &first).unwrap();
    symlink("victim", &second).unwrap();
    let directory = File::open(dir.path()).unwrap().into();
    let link = Link::find(&directory, "first".as_ref()).unwrap().unwrap();
    let number = fs::symlink_metadata(&first).unwrap().ino();
    fs::rename(&second, &first).unwrap();
    assert_eq!(link.status().st_ino, number);
    assert!(link.check_name().is_err());
    // Other systems have no descriptor of a link, and refuse it.
    let target = link.target().ok();
    assert_eq!(target.as_deref(), cfg!(target_os = "linux").then_some("allowed".as_ref()));
}

#[test]
fn what_is_no_link_is_not_read_as_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let directory = File::open(dir.path()).unwrap().into();
    assert!(Link::find(&directory, "file".as_ref()).unwrap().is_none());
    assert!(Link::find(&directory, "none".as_ref()).is_err());
}

/// Another user exchanges a link of root and one of their own, over and over.
#[test]
#[cfg(target_os = "linux")]
fn root_follows_no_link_that_is_exchanged_during_the_check() {
    use std::{os::unix::fs::lchown, path::Path, thread};

    use rustix::fs::{CWD, RenameFlags, renameat_with};

    use crate::files::{Destination, NewFileMode};

    const OTHER_USER: Option<u32> = Some(54_321);
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give a link to another user");
        return;
    }
    let check = |path: &Path| Destination::check("--json", path, NewFileMode::Private);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for directory in ["allowed", "victim", "race"] {
        fs::create_dir(path(directory)).unwrap();
    }
    lchown(path("race"), OTHER_USER, OTHER_USER).unwrap();
    // As the last component and on the way.
    for (target, below) in [("x.json", ""), ("", "x.json")] {
        let (given, trap) = (path("race/given"), path("race/trap"));
        symlink(path("allowed").join(target), &given).unwrap();
        symlink(path("victim").join(target), &trap).unwrap();
        lchown(&trap, OTHER_USER, OTHER_USER).unwrap();
        let named = if below.is_empty() { given.clone() } else { given.join(below) };
        let allowed = check(&path("allowed/x.json")).unwrap().place();
        thread::scope(|scope| {
            let checker = scope.spawn(|| {
                let (mut followed, mut refused, mut strayed) = (0, 0, 0);
                while followed + refused < 20_000 || followed == 0 || refused == 0 {
                    match check(&named) {
                        Ok(destination) => {
                            followed += 1;
                            strayed += usize::from(destination.place() != allowed);
                        }
                        Err(_) => refused += 1,
                    }
                }
                assert_eq!(strayed, 0, "{named:?}: followed {followed}, refused {refused}");
            });
            while !checker.is_finished() {
                renameat_with(CWD, &given, CWD, &trap, RenameFlags::EXCHANGE).unwrap();
            }
        });
        fs::remove_file(given).unwrap();
        fs::remove_file(trap).unwrap();
    }
}
