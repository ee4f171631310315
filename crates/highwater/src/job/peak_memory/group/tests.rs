//! Sequences of readings and the peak that they show.

use super::*;
use crate::job::identity::ProgramName;

const MIB: u64 = 1 << 20;

fn reading(anon: u64, cache: u64, mark: u64, faulted_in: u64) -> GroupReading {
    GroupReading {
        anon: anon * MIB,
        cache: cache * MIB,
        faulted_in: faulted_in * MIB,
        mark: Some(ChargeMark::SinceLastReading(mark * MIB)),
        ..GroupReading::default()
    }
}

/// Returns lower end, best estimate and upper end in MiB, after readings 100 ms apart.
fn peak(readings: &[GroupReading], files: &MappedFiles) -> [u64; 3] {
    let mut peak = GroupPeak::default();
    for (at, &reading) in (1..).zip(readings) {
        peak.add(
            Duration::from_millis(100 * at),
            reading,
            Some(files.clone()),
            Arc::default(),
            HugetlbPages::default(),
        );
    }
    let peak = peak.peak(0, None, None).unwrap();
    [peak.lower_bytes, peak.bytes, peak.upper_bytes].map(|bytes| bytes / MIB)
}

fn no_files() -> MappedFiles {
    MappedFiles::default()
}

/// Returns the files of programs: the name of each, and what it maps in MiB. `members` run each.
fn files(programs: &[(&str, u64)], members: u64) -> MappedFiles {
    let mapping = |(id, &(name, mib)): (u32, &(&str, u64))| ProgramMapping {
        id: MemberId(id),
        name: ProgramName::new(name.into(), name.into(), None, None),
        bytes: mib * MIB,
    };
    let programs: Arc<[ProgramMapping]> = (0..).zip(programs).map(mapping).collect();
    let upper = members * programs.iter().map(|program| program.bytes).sum::<u64>();
    MappedFiles { lower: largest(&programs), upper, programs }
}

#[test]
fn a_spike_between_two_readings_is_in_the_mark() {
    let readings = [reading(10, 0, 10, 10), reading(10, 0, 210, 210)];
    assert_eq!(peak(&readings, &no_files()), [10, 210, 210]);
}

#[test]
fn a_spike_between_samples_may_have_what_the_next_sample_shows() {
    let hugetlb = |mib: u64| HugetlbPages { lower: mib * MIB, bytes: mib * MIB, upper: mib * MIB, unread: 0 };
    let mut peak = GroupPeak::default();
    let at = Duration::from_millis;
    peak.add(at(100), reading(10, 0, 10, 10), Some(no_files()), Arc::default(), hugetlb(0));
    peak.add_between_samples(at(150), reading(10, 0, 310, 310));
    peak.add_between_samples(at(200), reading(10, 0, 10, 310));
    let ends = |peak: &GroupPeak| {
        let peak = peak.peak(0, None, None).unwrap();
        [peak.lower_bytes, peak.bytes, peak.upper_bytes].map(|bytes| bytes / MIB)
    };
    assert_eq!(ends(&peak), [10, 310, 310]);
    peak.add(at(300), reading(10, 0, 10, 310), Some(files(&[("java", 100)], 1)), Arc::default(), hugetlb(20));
    assert_eq!(ends(&peak), [130, 430, 430]);
    peak.add(at(400), reading(10, 0, 10, 310), Some(files(&[("java", 500)], 1)), Arc::default(), hugetlb(20));
    assert_eq!(ends(&peak), [530, 530, 530], "only the next one was near");
}

#[test]
fn pages_of_members_that_may_be_gone_are_in_no_lower_end() {
    let huge = HugetlbPages { lower: 800 * MIB, bytes: 800 * MIB, upper: 800 * MIB, unread: 0 };
    let mut peak = GroupPeak::default();
    peak.add(Duration::from_millis(100), reading(10, 0, 10, 10), Some(no_files()), Arc::default(), huge);
    peak.add_between_samples(Duration::from_millis(150), reading(800, 0, 800, 800));
    assert_eq!(peak.peak(0, None, None).unwrap().lower_bytes / MIB, 810);
}

#[test]
fn page_cache_that_comes_and_goes_is_no_memory_of_processes() {
    let readings = [reading(4, 0, 4, 4), reading(4, 0, 104, 4), reading(4, 100, 104, 5)];
    assert_eq!(peak(&readings, &no_files()), [4, 5, 104]);
}

#[test]
fn counts_of_page_faults_may_be_late() {
    let late = GroupReading { faulted_in_late: 2 * MIB, ..reading(4, 0, 104, 5) };
    assert_eq!(peak(&[reading(4, 0, 4, 4), late], &no_files()), [4, 7, 104]);
}

#[test]
fn a_spike_beside_a_full_cache_is_told_from_it() {
    let readings = [reading(10, 300, 310, 10), reading(10, 300, 460, 160)];
    assert_eq!(peak(&readings, &no_files()), [10, 160, 460]);
}

/// Returns the peak after readings of a group with a limit of 300 MiB, full of page cache at first. Each has anonymous
/// memory, page cache and what was touched, in MiB; memory was reclaimed in each window after the first.
fn peak_below_a_limit(readings: &[[u64; 3]]) -> PeakMemory {
    let mut peak = GroupPeak::default();
    for (at, &[anon, cache, touched]) in (1..).zip(readings) {
        let reading = GroupReading { reclaims: at - 1, ..reading(anon, cache, 300, touched) };
        peak.add(
            Duration::from_millis(250 * at),
            reading,
            Some(no_files()),
            Arc::default(),
            HugetlbPages::default(),
        );
    }
    peak.peak(0, None, None).unwrap()
}

#[test]
fn processes_that_touch_memory_in_turn_look_like_processes_that_do_together() {
    // Four processes touch 38 MiB each between two readings: 39 MiB in turn, 153 MiB together.
    let peak = peak_below_a_limit(&[[2, 298, 2], [2, 148, 154]]);
    assert_eq!([peak.lower_bytes, peak.bytes, peak.upper_bytes].map(|bytes| bytes / MIB), [2, 2, 300]);
    assert_eq!(peak.certainty, Certainty::AtLeast);
}

#[test]
fn a_reading_of_all_that_was_touched_is_sure_in_spite_of_a_limit() {
    let peak = peak_below_a_limit(&[[2, 298, 2], [151, 149, 151], [151, 149, 152], [2, 149, 153]]);
    assert_eq!((peak.bytes / MIB, peak.certainty), (151, Certainty::Bounded));
}

#[test]
fn a_window_without_reclaim_keeps_its_estimate_below_a_limit() {
    let readings = [reading(2, 298, 300, 2), reading(2, 148, 150, 2), reading(2, 148, 250, 102)];
    assert_eq!(peak(&readings, &no_files()), [2, 102, 300]);
    let reclaimed = readings.map(|reading| GroupReading { reclaims: 3, ..reading });
    assert_eq!(peak(&reclaimed, &no_files()), [2, 102, 300], "it was reclaimed before");
}

#[test]
fn the_mark_of_one_process_makes_up_for_reclaimed_memory() {
    let mut peak = GroupPeak::default();
    peak.add(
        Duration::ZERO,
        reading(2, 298, 300, 2),
        Some(no_files()),
        Arc::default(),
        HugetlbPages::default(),
    );
    let reclaimed = GroupReading { reclaims: 1, ..reading(2, 148, 300, 152) };
    peak.add(
        Duration::from_millis(250),
        reclaimed,
        Some(no_files()),
        Arc::default(),
        HugetlbPages::default(),
    );
    assert_eq!(peak.peak(149 * MIB, None, None).unwrap().certainty, Certainty::Bounded);
    assert_eq!(peak.peak(100 * MIB, None, None).unwrap().certainty, Certainty::AtLeast);
}

#[test]
fn mapped_files_come_on_top() {
    let files = files(&[("sh", 1), ("cc", 2)], 3);
    assert_eq!(peak(&[reading(200, 0, 201, 300)], &files), [202, 204, 210]);
}

#[test]
fn files_of_another_time_are_in_no_lower_end() {
    let mut peak = GroupPeak::default();
    peak.add(
        ms(100),
        reading(10, 0, 10, 10),
        Some(files(&[("cc", 150)], 1)),
        Arc::default(),
        HugetlbPages::default(),
    );
    // The files may have been unmapped meanwhile.
    peak.add(ms(200), reading(100, 0, 100, 100), None, Arc::default(), HugetlbPages::default());
    let peak = peak.peak(0, None, None).unwrap();
    assert_eq!((peak.lower_bytes / MIB, peak.bytes / MIB), (160, 250));
}

#[test]
fn what_programs_share_is_taken_away_once_it_is_known() {
    let mut peak = GroupPeak::default();
    let both = files(&[("sh", 40), ("dd", 40)], 1);
    peak.add(ms(100), reading(10, 0, 10, 10), Some(both), Arc::default(), HugetlbPages::default());
    assert_eq!(peak.peak(0, None, None).unwrap().bytes / MIB, 90);
    for id in 0..2 {
        assert_eq!(peak.next_files_to_read(|_| true), Some(MemberId(1 - id)));
        peak.add_files(MemberId(1 - id), Some(vec![MappedFile { key: (1, 1), bytes: 40 * MIB }]));
    }
    assert_eq!(peak.next_files_to_read(|_| true), None);
    let shared = peak.peak(0, None, None).unwrap();
    assert_eq!((shared.bytes / MIB, shared.parts.file_bytes), (50, Some(40 * MIB)));
}

#[test]
fn a_window_that_was_passed_over_is_the_highest_once_more_is_known() {
    let mut peak = GroupPeak::default();
    peak.add(
        ms(100),
        reading(30, 0, 70, 70),
        Some(files(&[("sh", 1)], 1)),
        Arc::default(),
        HugetlbPages::default(),
    );
    peak.add(
        ms(200),
        reading(30, 0, 30, 70),
        Some(files(&[("sh", 40), ("dd", 40)], 1)),
        Arc::default(),
        HugetlbPages::default(),
    );
    assert_eq!(peak.peak(0, None, None).unwrap().bytes / MIB, 110);
    for id in 0..2 {
        peak.add_files(MemberId(id), Some(vec![MappedFile { key: (1, 1), bytes: MIB }]));
    }
    peak.add(
        ms(300),
        reading(20, 0, 20, 70),
        Some(files(&[("sh", 1)], 1)),
        Arc::default(),
        HugetlbPages::default(),
    );
    let peak = peak.peak(0, None, None).unwrap();
    assert_eq!((peak.bytes / MIB, peak.between_seconds), (71, Some([0.0, 0.1])));
}

#[test]
fn files_that_cannot_matter_are_not_read() {
    let next = |anon, programs: &[(&str, u64)]| {
        let mut peak = GroupPeak::default();
        peak.add(
            ms(100),
            reading(anon, 0, anon, anon),
            Some(files(programs, 4)),
            Arc::default(),
            HugetlbPages::default(),
        );
        peak.next_files_to_read(|_| true)
    };
    assert_eq!(next(1, &[("cc", 90)]), None, "one program");
    assert_eq!(next(100, &[("sh", 3), ("cc", 20)]), None, "no three percent");
    assert_eq!(next(100, &[("sh", 4), ("cc", 20)]), Some(MemberId(1)));
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_mark_of_the_whole_life_counts_when_it_rises() {
    let mut peak = GroupPeak::default();
    let since_start = |anon, mark| GroupReading {
        mark: Some(ChargeMark::SinceStart(mark * MIB)),
        ..reading(anon, 0, 0, 1000 * anon)
    };
    for (at, reading) in (1..).zip([since_start(10, 100), since_start(50, 100), since_start(60, 100)]) {
        peak.add(
            Duration::from_millis(100 * at),
            reading,
            Some(no_files()),
            Arc::default(),
            HugetlbPages::default(),
        );
    }
    let peak = peak.peak(0, None, None).unwrap();
    assert_eq!((peak.bytes / MIB, peak.between_seconds), (100, Some([0.0, 0.1])));
}

#[test]
fn the_highest_mark_of_one_process_is_a_lower_end() {
    let mut group = GroupPeak::default();
    group.add(
        Duration::ZERO,
        reading(10, 0, 10, 10),
        Some(no_files()),
        Arc::default(),
        HugetlbPages::default(),
    );
    let peak = group.peak(20 * MIB, None, None).unwrap();
    assert_eq!((peak.lower_bytes, peak.bytes, peak.upper_bytes), (20 * MIB, 20 * MIB, 20 * MIB));
    assert!(peak.lower_rigorous && !peak.upper_rigorous);
}

#[test]
fn without_a_reading_it_is_unknown() {
    assert!(GroupPeak::default().peak(MIB, None, None).is_none());
}

#[test]
fn huge_pages_are_no_part_of_the_charge() {
    let mut peak = GroupPeak::default();
    let files = MappedFiles::default;
    let huge = HugetlbPages { lower: 30 * MIB, bytes: 40 * MIB, upper: 80 * MIB, unread: 0 };
    peak.add(Duration::ZERO, reading(10, 0, 10, 10), Some(files()), Arc::default(), HugetlbPages::default());
    let now =
        peak.add(Duration::from_millis(250), reading(11, 0, 11, 11), Some(files()), Arc::default(), huge);
    assert_eq!((now.now, now.highest), (51 * MIB, 51 * MIB));
    let memory = peak.peak(0, None, None).unwrap();
    assert_eq!((memory.lower_bytes, memory.upper_bytes), (41 * MIB, 91 * MIB));
    assert_eq!(memory.parts.hugetlb_bytes, Some(40 * MIB));
}

#[test]
fn a_mark_beyond_the_group_is_no_proof() {
    let mut peak = GroupPeak::default();
    let at = Duration::from_millis(100);
    // A process of 100 MiB that maps its memory four times.
    peak.add(at, reading(100, 0, 108, 100), Some(no_files()), Arc::default(), HugetlbPages::default());
    let of_files = peak.peak(400 * MIB, Some(102 * MIB), None).unwrap();
    assert_eq!((of_files.lower_bytes / MIB, of_files.lower_rigorous), (400, true), "files of another group");
    peak.compare_with_member(400 * MIB);
    let ends =
        |memory: &PeakMemory| [memory.lower_bytes, memory.bytes, memory.upper_bytes].map(|bytes| bytes / MIB);
    let mapped_again = peak.peak(400 * MIB, Some(102 * MIB), None).unwrap();
    assert_eq!((ends(&mapped_again), mapped_again.lower_rigorous), ([102, 102, 400], false));
    // Shared memory that is charged to another group.
    let of_another_group = peak.peak(400 * MIB, Some(401 * MIB), None).unwrap();
    assert_eq!((ends(&of_another_group), of_another_group.lower_rigorous), ([400, 400, 400], false));
    let without_pass = peak.peak(400 * MIB, None, None).unwrap();
    assert_eq!((ends(&without_pass), without_pass.lower_rigorous), ([400, 400, 400], false));
    let within = peak.peak(105 * MIB, Some(90 * MIB), None).unwrap();
    assert_eq!((ends(&within), within.lower_rigorous), ([105, 105, 108], true));
}

#[test]
fn huge_pages_that_were_not_read_are_unknown() {
    let part = |unread| {
        let mut peak = GroupPeak::default();
        let pages = HugetlbPages { unread, ..HugetlbPages::default() };
        let at = Duration::from_millis(100);
        peak.add(at, reading(10, 0, 10, 10), Some(no_files()), Arc::default(), pages);
        peak.peak(0, None, None).unwrap().parts.hugetlb_bytes
    };
    assert_eq!((part(0), part(1)), (Some(0), None));
}

#[test]
fn a_window_holds_no_more_than_the_marks_of_all_processes() {
    let mut peak = GroupPeak::default();
    let none = || (None, Arc::default(), HugetlbPages::default());
    for (at, mark) in [(0, 10), (10, 200)] {
        let (files, holders, hugetlb) = none();
        let mark = Some(ChargeMark::SinceLastReading(mark * MIB));
        let reading = GroupReading {
            anon: 50 * MIB,
            shmem: 5 * MIB,
            faulted_in: at * 100 * MIB,
            mark,
            ..GroupReading::default()
        };
        peak.add(Duration::from_millis(at), reading, files, holders, hugetlb);
    }
    let bytes = |rss_upper| peak.peak(54 * MIB, None, rss_upper).unwrap().bytes / MIB;
    assert_eq!(bytes(None), 200, "pages that were given back, and not freed");
    assert_eq!(bytes(Some(60 * MIB)), 65, "a file in memory may be mapped by none");
    assert_eq!(bytes(Some(300 * MIB)), 200);
    assert_eq!(bytes(Some(20 * MIB)), 55, "what was read counts in any case");
}
