use std::cell::Cell;

use super::*;

#[test]
fn names_of_directories() {
    let parts = |dir| parts(dir).map(|(time, name)| (time.to_owned(), name.map(str::to_owned)));
    let moment = "2026-11-21T14-09-00.123".to_owned();
    assert_eq!(parts("2026-11-21T14-09-00.123Z-4321"), Some((moment.clone(), None)));
    assert_eq!(parts("2026-11-21T14-09-00.123Z-4321-2@a.b"), Some((moment, Some("a.b".to_owned()))));
    for foreign in
        ["", "index.json", "Z-1", "2026Z-1", "2026-11-21T14-09-00.123Z", "2026-11-21T14-09-00.123Z-x"]
    {
        assert_eq!(parts(foreign), None, "{foreign}");
    }
}

#[test]
fn a_record_is_kept_although_its_directory_is_emptied_meanwhile() {
    let place = tempfile::tempdir().unwrap();
    let kept = Kept { root: place.path().join("records") };
    let mut keeper = Keeper { place: kept.clone(), name: None, set: None };
    keeper.keep(1, |out| out.write_all(b"{}")).unwrap();
    let set = kept.sets().unwrap().remove(0);
    let is_removed = Cell::new(false);
    let second = keeper.keep(2, |out| {
        // As far as another hwm comes before it removes the directory.
        if !is_removed.replace(true) {
            for file in fs::read_dir(&set.dir)? {
                fs::remove_file(file?.path())?;
            }
        }
        out.write_all(b"{}")
    });
    assert!(second.unwrap().is_file());
}
