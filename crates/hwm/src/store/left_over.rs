//! The remains of an hwm that was killed while it kept a record: an empty directory, or one with half a file.

use std::{ffi::OsStr, time::Duration};

use super::directory_name::parts;
use crate::files::{Directory, TEMPORARY_PREFIX, TEMPORARY_SUFFIX};

/// The age after which a temporary file that does not grow is abandoned: writing a record takes seconds.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// Removes what was left behind. Another hwm that is about to fill an empty directory makes itself a new one. What cannot
/// be removed stays, and harms nothing.
pub(super) fn sweep(root: &Directory) {
    let names = root.names().unwrap_or_default();
    for name in names.iter().filter(|name| name.to_str().is_some_and(|name| parts(name).is_some())) {
        let Ok(dir) = root.open_child(name) else { continue };
        for file in dir.names().unwrap_or_default() {
            if is_abandoned(&dir, &file) {
                let _ = dir.remove(&file);
            }
        }
        // The call fails if the directory is not empty (rmdir(2)).
        let _ = root.remove_directory(name);
    }
}

fn is_abandoned(dir: &Directory, file: &OsStr) -> bool {
    let name = file.to_str().unwrap_or_default();
    let is_temporary = name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX);
    let age = || dir.modified(file).ok()?.elapsed().ok();
    is_temporary && age().is_some_and(|age| age > ABANDONED_AFTER)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use super::*;

    #[test]
    fn only_abandoned_directories_go() {
        let root = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let dir = root.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir
        };
        let empty = dir("2026-11-21T14-09-00.123Z-4321");
        let half = dir("2026-11-21T14-09-00.124Z-4321@base");
        let half_file = fs::File::create(half.join(".hwm-abc.tmp")).unwrap();
        half_file.set_modified(SystemTime::now() - ABANDONED_AFTER * 2).unwrap();
        // On Windows a file that a process has open cannot be removed.
        drop(half_file);
        let writing = dir("2026-11-21T14-09-00.125Z-4321");
        fs::write(writing.join(".hwm-abc.tmp"), "{").unwrap();
        let whole = dir("2026-11-21T14-09-00.126Z-4321");
        fs::write(whole.join("1.json"), "{}").unwrap();
        let foreign = dir("foreign");
        sweep(&Directory::open_private(root.path()).unwrap());
        assert_eq!(
            [empty, half, writing, whole, foreign].map(|dir| dir.exists()),
            [false, false, true, true, true]
        );
    }
}
