//! Holds docs/platforms.md to the code: which figure exists on which system.

use std::collections::BTreeSet;

use highwater::{
    ProcessMemory, Unavailable,
    process::{PRIMARY, Primary},
};

type Of = fn(&ProcessMemory) -> &Result<u64, Unavailable>;

/// Names in [`ProcessMemory`], and whether Linux, Windows and macOS have it.
const FIGURES: &[(&str, [bool; 3], Of)] = &[
    ("rss_bytes", [true, false, true], |memory| &memory.rss_bytes),
    ("peak_rss_bytes", [true, false, false], |memory| &memory.peak_rss_bytes),
    ("pss_bytes", [true, false, false], |memory| &memory.pss_bytes),
    ("uss_bytes", [true, false, false], |memory| &memory.uss_bytes),
    ("swap_bytes", [true, false, false], |memory| &memory.swap_bytes),
    ("swap_pss_bytes", [true, false, false], |memory| &memory.swap_pss_bytes),
    ("working_set_bytes", [false, true, false], |memory| &memory.working_set_bytes),
    ("peak_working_set_bytes", [false, true, false], |memory| &memory.peak_working_set_bytes),
    ("private_bytes", [false, true, false], |memory| &memory.private_bytes),
    ("commit_bytes", [false, true, false], |memory| &memory.commit_bytes),
    ("peak_commit_bytes", [false, true, false], |memory| &memory.peak_commit_bytes),
    ("phys_footprint_bytes", [false, false, true], |memory| &memory.phys_footprint_bytes),
    ("peak_phys_footprint_bytes", [false, false, true], |memory| &memory.peak_phys_footprint_bytes),
];

const COLUMN_OF_THIS_SYSTEM: usize = if cfg!(target_os = "linux") {
    0
} else if cfg!(windows) {
    1
} else {
    2
};

#[test]
fn figures_of_other_systems_are_unknown() {
    let own = ProcessMemory::of_self().unwrap();
    for (name, exists, of) in FIGURES {
        let figure = of(&own);
        if exists[COLUMN_OF_THIS_SYSTEM] {
            // The figure may be refused or invalid (under Wine); it is never called missing.
            assert_ne!(figure, &Err(Unavailable::NotProvided), "{name}");
        } else {
            assert_eq!(figure, &Err(Unavailable::NotProvided), "{name}");
        }
    }
}

#[test]
fn the_primary_figure_is_this_systems() {
    let own = ProcessMemory::of_self().unwrap();
    let (expected, figure) = [
        (Primary::Rss, &own.rss_bytes),
        (Primary::WorkingSet, &own.working_set_bytes),
        (Primary::PhysFootprint, &own.phys_footprint_bytes),
    ][COLUMN_OF_THIS_SYSTEM];
    assert_eq!(PRIMARY, expected);
    let bytes = *figure.as_ref().unwrap();
    assert!(bytes > 64 << 10, "a test that runs holds more than {bytes} bytes");
    let again = highwater::process_rss().unwrap();
    assert!(bytes.abs_diff(again) < 64 << 20, "{bytes} and {again} are the same figure");
}

#[cfg(feature = "job")]
#[test]
fn a_job_says_which_figure_it_holds() {
    use highwater::{
        Job,
        record::{Lineage, Metric},
    };

    let nowhere = std::fs::File::create(if cfg!(windows) { "NUL" } else { "/dev/null" }).unwrap();
    let this_test = std::env::current_exe().unwrap();
    let record = Job::new(this_test).arg("--list").stdout(nowhere).run().unwrap();
    assert_eq!(record.exit.as_ref().and_then(|exit| exit.code), Some(0));
    assert_eq!(
        record.primary_metric,
        [Metric::Rss, Metric::WorkingSet, Metric::PhysFootprint][COLUMN_OF_THIS_SYSTEM]
    );
    let lineage = record.capture.lineage;
    assert_eq!(lineage == Lineage::JobObject, cfg!(windows), "{lineage:?}");
    assert_eq!(lineage == Lineage::Kqueue, cfg!(target_os = "macos"), "{lineage:?}");
    assert!(record.max_total_rss_kib.is_some_and(|kib| kib > 0), "{record:?}");
    if !cfg!(target_os = "linux") {
        assert!(record.peak.pss.is_none() && record.peak.cgroup.is_none());
    }
    if !cfg!(windows) {
        assert!(record.peak.commit.is_none());
    }
}

/// The page's table has a row for each figure, with the same answers.
#[test]
fn the_page_says_the_same() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/platforms.md")).unwrap();
    for (name, exists, _) in FIGURES {
        let start = format!("| `{name}` |");
        let row =
            page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row {name}"));
        let cells: Vec<&str> = row.split('|').map(str::trim).skip(3).take(3).collect();
        let expected = exists.map(|exists| if exists { "yes" } else { "no" });
        assert_eq!(cells, expected, "{row}");
    }
}

/// `tests/README.md` of each crate has a row for each test program, and for no other.
#[test]
fn every_test_program_is_described() {
    for tests in
        [concat!(env!("CARGO_MANIFEST_DIR"), "/tests"), concat!(env!("CARGO_MANIFEST_DIR"), "/../hwm/tests")]
    {
        let programs: BTreeSet<String> = std::fs::read_dir(tests)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension().is_some_and(|ending| ending == "rs") || path.join("main.rs").exists()
            })
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let page = std::fs::read_to_string(format!("{tests}/README.md")).unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let described: BTreeSet<String> = rows.map(|(name, _)| name.to_owned()).collect();
        assert_eq!(described, programs, "{tests}");
    }
}
