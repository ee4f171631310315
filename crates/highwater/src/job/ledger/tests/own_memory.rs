//! The memory of one process among others: copies before an exec, groups, and marks from before an attachment.

use super::*;

/// A server whose child grows by `rise` MiB before its exec.
fn server_and_child(rise: u64) -> (Record<Rows>, Vec<Process>) {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "server", false));
    sample(&mut ledger, 0, &[reading(0, 300, 300)]);
    event(&mut ledger, ms(10), born(1, 11, 10, "server", true));
    sample(&mut ledger, 10, &[reading(0, 300, 300), reading(1, 300, 300)]);
    sample(&mut ledger, 15, &[reading(0, 300, 300), reading(1, 300 + rise, 300 + rise)]);
    sample(&mut ledger, 20, &[reading(0, 300, 300), reading(1, 300 + rise, 300 + rise)]);
    event(&mut ledger, ms(30), JobEvent::Exec { id: MemberId(1), name: Some(name("true")) });
    sample(&mut ledger, 30, &[reading(0, 300, 300), reading(1, 1, 1)]);
    event(&mut ledger, ms(40), gone(1, 40));
    event(&mut ledger, ms(50), gone(0, 50));
    finish(ledger, 60)
}

fn group(record: &Record<Rows>, key: &str) -> Option<u64> {
    let group = record.groups.iter().find(|group| group.key == key)?;
    Some(group.peak_bytes? / MIB)
}

#[test]
fn a_copy_that_grows_has_its_rise_as_its_peak() {
    let (record, rows) = server_and_child(200);
    let peak = rows[1].peak.rss.unwrap();
    assert_eq!((peak.bytes / MIB, peak.certainty), (200, Certainty::AtLeast));
    let images: Vec<_> = rows[1].images.iter().map(|image| image.command.as_str()).collect();
    assert_eq!(images, ["server", "true"]);
    assert_eq!(group(&record, "server"), Some(500), "the server, and what the child grew by");
}

#[test]
fn files_that_a_copy_maps_again_are_no_growth() {
    let images = |later: MemoryReading| {
        let mut ledger = ledger();
        let parent = MemoryReading { shared: 4 * MIB, ..reading(0, 6, 6) };
        event(&mut ledger, ms(0), born(0, 10, 1, "shell", false));
        sample(&mut ledger, 0, &[parent]);
        event(&mut ledger, ms(10), born(1, 11, 10, "shell", true));
        sample(&mut ledger, 10, &[parent, reading(1, 2, 2)]);
        sample(&mut ledger, 15, &[parent, later]);
        sample(&mut ledger, 20, &[parent, later]);
        event(&mut ledger, ms(30), JobEvent::Exec { id: MemberId(1), name: Some(name("tiny")) });
        let mark = LastMark { bytes: 8 * MIB, source: PeakSource::ExitNotify, is_final: true };
        exactly(&mut ledger, 35, JobEvent::FinalMark { id: MemberId(1), mark });
        event(&mut ledger, ms(40), gone(1, 40));
        event(&mut ledger, ms(50), gone(0, 50));
        let (_, rows) = finish(ledger, 60);
        (rows[1].images.len(), rows[1].peak.rss.unwrap().certainty)
    };
    // The first reading has the copied pages alone.
    let with_files = MemoryReading { shared: 3 * MIB, ..reading(1, 5, 5) };
    assert_eq!(images(with_files), (0, Certainty::Exact));
    let grown = MemoryReading { shared: MIB, ..reading(1, 5, 5) };
    assert_eq!(images(grown), (2, Certainty::AtLeast), "2 MiB of its own");
    assert_eq!(images(reading(1, 2, 9)), (2, Certainty::AtLeast), "more in between than it can have mapped");
}

#[test]
fn memory_that_a_parent_has_freed_is_not_taken_for_its_files() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "shell", false));
    sample(&mut ledger, 0, &[reading(0, 500, 500)]);
    let parent = MemoryReading { shared: 4 * MIB, ..reading(0, 6, 500) };
    event(&mut ledger, ms(10), born(1, 11, 10, "shell", true));
    sample(&mut ledger, 10, &[parent, reading(1, 2, 2)]);
    for at in [15, 20] {
        sample(&mut ledger, at, &[parent, reading(1, 2, 200)]);
    }
    event(&mut ledger, ms(30), JobEvent::Exec { id: MemberId(1), name: Some(name("tiny")) });
    event(&mut ledger, ms(40), gone(1, 40));
    event(&mut ledger, ms(50), gone(0, 50));
    assert_eq!(finish(ledger, 60).1[1].images.len(), 2, "it rose to 200 MiB before its exec");
}

#[test]
fn a_late_exec_leaves_its_readings_to_the_next_image() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "server", false));
    sample(&mut ledger, 0, &[reading(0, 2, 2)]);
    event(&mut ledger, ms(10), born(1, 11, 10, "server", true));
    sample(&mut ledger, 11, &[reading(0, 2, 2), reading(1, 2, 2)]);
    // It has exec'ed at 12 ms, which is reported later.
    for at in [13, 14] {
        sample(&mut ledger, at, &[reading(0, 2, 2), reading(1, 8, 8)]);
    }
    event(&mut ledger, ms(12), JobEvent::Exec { id: MemberId(1), name: Some(name("tiny")) });
    exactly(&mut ledger, 15, JobEvent::MaxRss { id: MemberId(1), bytes: 8 * MIB });
    event(&mut ledger, ms(15), gone(1, 15));
    event(&mut ledger, ms(20), gone(0, 20));
    let (_, rows) = finish(ledger, 21);
    assert!(rows[1].images.is_empty(), "{:?}", rows[1].images);
}

#[test]
fn a_group_holds_no_more_than_its_processes() {
    let (record, rows) = server_and_child(0);
    assert_eq!(rows[1].peak.rss.unwrap().bytes, MIB);
    assert_eq!((group(&record, "server"), group(&record, "true")), (Some(300), Some(1)));
    assert_eq!(record.peak.rss.unwrap().bytes, 600 * MIB, "the RSS sum counts the copy");
}

#[test]
fn a_mark_from_before_the_attachment_is_no_mark_that_is_missing() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "sleep", false));
    event(&mut ledger, ms(0), JobEvent::AttachedTo { id: MemberId(0), mark: Some(2 * MIB) });
    // Nothing has risen since, so the mark says nothing of the time since.
    let still = MemoryReading { mark: None, swap: Some(0), ..reading(0, 2, 2) };
    for second in 0..20 {
        sample(&mut ledger, second * 1000, &[still]);
    }
    exactly(&mut ledger, 20_000, JobEvent::MaxRss { id: MemberId(0), bytes: 2 * MIB });
    exactly(&mut ledger, 20_000, gone(0, 20_000));
    assert_eq!(finish(ledger, 20_001).0.capture.images_without_last_mark, Some(0));
}

#[test]
fn swap_that_copies_share_counts_once() {
    let mut ledger = ledger();
    let swapped = |id, mib: u64| MemoryReading { swap: Some(mib * MIB), ..reading(id, 40, 90) };
    event(&mut ledger, ms(0), born(0, 10, 1, "server", false));
    for id in 1..4 {
        event(&mut ledger, ms(5), born(id, 10 + id, 10, "server", true));
    }
    // The last one is a copy of a copy, and the first has exec'ed.
    event(&mut ledger, ms(6), born(4, 14, 13, "server", true));
    event(&mut ledger, ms(7), JobEvent::Exec { id: MemberId(1), name: Some(name("other")) });
    sample(&mut ledger, 10, &[(0, 50), (1, 7), (2, 50), (3, 51), (4, 50)].map(|(id, mib)| swapped(id, mib)));
    let swap = finish(ledger, 20).0.peak.swap.unwrap();
    assert_eq!((swap.bytes / MIB, swap.certainty), (58, Certainty::AtLeast));
}
