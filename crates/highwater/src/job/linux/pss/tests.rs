use std::{
    io,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

use super::*;

fn no_members() -> std::iter::Empty<&'static Member> {
    std::iter::empty()
}

#[test]
fn waits_for_the_top_of_a_rise() {
    let mut passes = PssPasses::of_files(&ProcDir::of_this_machine(), Path::new("/sys"), true);
    let ms = Duration::from_millis;
    let gib = 1 << 30;
    assert!(!passes.due(ms(10), gib, no_members()));
    assert!(!passes.due(ms(20), 2 * gib, no_members()));
    assert!(!passes.due(ms(30), 2 * gib, no_members()), "a pass takes 18 ms");
    assert!(passes.due(ms(40), 2 * gib, no_members()));
    passes.counted(ms(40), 2 * gib);
    assert!(!passes.due(ms(50), 2 * gib, no_members()));
}

#[test]
fn unread_processes_are_not_evidence_against_a_job() {
    let mut passes = PssPasses::of_files(&ProcDir::of_this_machine(), Path::new("/sys"), true);
    let map = |pid: u32, rss| MapToRead {
        id: MemberId(pid),
        image: 0,
        path: ProcPath::of(pid, "smaps_rollup"),
        rss,
        page_tables: Duration::ZERO,
    };
    let mut reader = MapReader::default();
    let maps = || [map(std::process::id(), 1 << 40), map(u32::MAX, 1 << 30)].into_iter();
    let quick = passes.read(Duration::ZERO, maps(), &mut reader, MAX_PROCESS_READ_TIME, MAP_LOCK_TIMEOUT);
    assert_eq!((quick.bytes, quick.unread.len(), quick.unread_rss), (0, 2, (1 << 40) + (1 << 30)));
    let all = passes.read(Duration::ZERO, maps(), &mut reader, Duration::MAX, Duration::from_secs(60));
    assert_eq!(all.unread.len(), 1, "the second process does not exist");
    assert!((1..1 << 40).contains(&all.bytes), "{all:?}");
}

/// Time for which each process of the next test holds its memory map locked.
const HELD: Duration = Duration::from_millis(20);
static HELD_READS: AtomicU32 = AtomicU32::new(0);

fn read_held(_: &ProcDir, _: ProcPath, _: usize, _: &mut Vec<u8>) -> io::Result<Extent> {
    HELD_READS.fetch_add(1, Relaxed);
    thread::sleep(HELD);
    Err(io::ErrorKind::NotFound.into())
}

#[test]
fn processes_that_answer_just_in_time_do_not_add_up() {
    const COUNT: u32 = 100;
    let mut passes = PssPasses::of_files(&ProcDir::of_this_machine(), Path::new("/sys"), true);
    let maps = (1..=COUNT).map(|pid| MapToRead {
        id: MemberId(pid),
        image: 0,
        path: ProcPath::of(pid, "smaps_rollup"),
        rss: 1 << 20,
        page_tables: Duration::ZERO,
    });
    let pass = passes.read(Duration::ZERO, maps, &mut MapReader::with(read_held), Duration::MAX, HELD * 2);
    // All of them would take 2 s, and none of them is late.
    assert!(HELD_READS.load(Relaxed) <= COUNT / 2, "{} were waited for", HELD_READS.load(Relaxed));
    assert!(pass.waited >= HELD * 2 * MAX_TIMEOUTS_PER_PASS && passes.spent >= pass.waited, "{pass:?}");
    assert_eq!(pass.unread.len(), 100);
}

/// A process with a page in each 2 MiB, or with zero pages alone, has large page tables and a small RSS.
#[test]
fn large_page_tables_are_left_out_unless_a_limit_needs_them() {
    const LONG: Duration = Duration::from_secs(60);
    let mut passes = PssPasses::of_files(&ProcDir::of_this_machine(), Path::new("/sys"), true);
    let map = |page_table_bytes| MapToRead {
        id: MemberId(0),
        image: 0,
        path: ProcPath::of(std::process::id(), "smaps_rollup"),
        rss: 1 << 20,
        page_tables: page_table_time(page_table_bytes),
    };
    let mut reader = MapReader::default();
    for (page_table_bytes, unread) in [(Some(2 << 30), 1), (Some(1 << 20), 0), (None, 0)] {
        let maps = [map(page_table_bytes)].into_iter();
        let pass = passes.read(Duration::ZERO, maps, &mut reader, MAX_PROCESS_READ_TIME, LONG);
        assert_eq!(pass.unread.len(), unread, "{page_table_bytes:?}");
    }
    let maps = [map(Some(2 << 30))].into_iter();
    let all = passes.read(Duration::ZERO, maps, &mut reader, Duration::MAX, LONG);
    assert!(all.unread.is_empty() && all.bytes > 0, "{all:?}");
}

#[test]
fn pages_that_ksm_has_merged_are_known() {
    let sys = tempfile::tempdir().unwrap();
    let passes = PssPasses::of_files(&ProcDir::absent(), sys.path(), true);
    assert_eq!(passes.merged_bytes(), 0, "a kernel without KSM");
    let ksm = sys.path().join("kernel/mm/ksm");
    std::fs::create_dir_all(&ksm).unwrap();
    std::fs::write(ksm.join("pages_sharing"), "25\n").unwrap();
    assert_eq!(passes.merged_bytes(), 25 * rustix::param::page_size() as u64);
}

#[test]
fn a_job_that_stands_still_gets_one_pass_beyond_the_budget() {
    let mut passes = PssPasses::of_files(&ProcDir::of_this_machine(), Path::new("/sys"), true);
    let bytes = 4 << 30;
    // Passes over the growing job were void.
    passes.in_vain = Duration::from_secs(1);
    passes.spent = Duration::from_secs(1);
    let ms = Duration::from_millis;
    assert!(!passes.due(ms(1_000), bytes, no_members()));
    assert!(!passes.due(ms(1_300), bytes, no_members()), "a pass takes 37 ms");
    assert!(passes.due(ms(1_400), bytes, no_members()));
    assert!(!passes.due(ms(3_000), bytes, no_members()), "one such pass, also if it was void");
    passes.counted(ms(1_400), bytes);
    assert!(!passes.due(ms(4_000), 2 * bytes, no_members()));
    assert!(passes.due(ms(5_000), 2 * bytes, no_members()), "it has doubled");
}

#[test]
fn a_fall_is_followed_where_members_may_share() {
    use crate::job::linux::image::{ImageOrigin, ProcessImage};
    let member =
        |id| Member::new(MemberId(id), u32::MAX, ProcessImage::new(ImageOrigin::Executed), Duration::ZERO);
    let two = [member(0), member(1)];
    let mut passes = PssPasses::of_files(&ProcDir::of_this_machine(), Path::new("/sys"), true);
    let (s, mib) = (Duration::from_secs, 1 << 20);
    passes.counted(s(1), 800 * mib);
    assert!(!passes.due(s(10), 400 * mib, two.iter()), "it has not stood still");
    assert!(!passes.due(s(11), 400 * mib, no_members()), "the group counts each page once");
    assert!(!passes.due(s(11), 400 * mib, two[..1].iter()), "one process shares nothing");
    assert!(passes.due(s(11), 400 * mib, two.iter()));
    passes.counted(s(11), 400 * mib);
    assert!(!passes.due(s(20), 400 * mib, two.iter()));
    let read = |id, pss| MemberPss { id: MemberId(id), image: 0, rss_before: pss, rss: pss, pss };
    passes.members = vec![read(0, 300 * mib), read(1, mib)];
    assert!(!passes.due(s(21), 400 * mib, two.iter()));
    passes.members.push(read(2, 90 * mib));
    assert!(passes.due(s(22), 400 * mib, two.iter()), "one has gone, and others have grown");
    passes.spent = s(1);
    assert!(!passes.due(s(30), 100 * mib, two.iter()) && !passes.due(s(31), 100 * mib, two.iter()));
}

#[test]
fn keeps_to_its_budget() {
    let mut passes = PssPasses::of_files(&ProcDir::of_this_machine(), Path::new("/sys"), true);
    let gib = 4 << 30;
    passes.counted(Duration::ZERO, 3 << 30);
    passes.spent = Duration::from_millis(10);
    passes.due(Duration::from_millis(200), gib, no_members());
    assert!(
        !passes.due(Duration::from_millis(300), gib, no_members()),
        "one pass takes 37 ms, the share is 18 ms"
    );
    assert!(passes.due(Duration::from_secs(4), gib, no_members()));
}
