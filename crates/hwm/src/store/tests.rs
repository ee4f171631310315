use std::cell::Cell;

use super::*;

#[test]
fn a_record_survives_the_emptying_of_its_directory() {
    let place = tempfile::tempdir().unwrap();
    let kept = RecordStore { root: place.path().join("records") };
    let mut saver = RecordSaver { place: kept.clone(), name: None, set: None };
    saver.keep(1, |out| out.write_all(b"{}")).unwrap();
    let set = kept.sets().unwrap().remove(0);
    let is_removed = Cell::new(false);
    let second = saver.keep(2, |out| {
        // This is the state in which another hwm stops before it removes the directory.
        if !is_removed.replace(true) {
            for file in fs::read_dir(&set.dir)? {
                fs::remove_file(file?.path())?;
            }
        }
        out.write_all(b"{}")
    });
    assert!(second.unwrap().is_file());
}
