//! The ledger on literal events and samples, and on any.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::{ClosingFacts, FigureOrigin, JobHeader, Ledger, PssPass};
use crate::{
    job::{
        Rows,
        events::{JobEvent, LastMark, MemoryReading, Sample, TimedEvent},
        identity::{MemberId, ProgramName},
        moment::Moment,
        resource_use::UsageWanted,
    },
    record::{Certainty, Host, Lineage, Metric, PeakSource, PeaksFrom, Process, ProcessExit, Record, Tool},
};

mod group_memory;
mod own_memory;
mod usage;

const MIB: u64 = 1 << 20;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn ledger() -> Ledger {
    ledger_with(Lineage::Children)
}

fn ledger_with(lineage: Lineage) -> Ledger {
    Ledger::new(JobHeader {
        tool: Tool { version: "0".into(), target: "test".into() },
        host: Host {
            name: None,
            os: "linux".into(),
            kernel: None,
            cpus: None,
            memory_bytes: None,
            container_limit_bytes: None,
            rank: None,
        },
        arguments_left_out: false,
        command: vec!["job".into()],
        started: SystemTime::UNIX_EPOCH,
        interval: None,
        origin: FigureOrigin { metric: Metric::Rss, lineage, peaks: PeaksFrom::Marks, slack_bytes: None },
        usage: UsageWanted { cpu: true, io: true },
        group_by: Vec::new(),
        attached: None,
    })
}

fn members(count: u64) -> Vec<MemberId> {
    (0..count).map(|id| MemberId(u32::try_from(id).unwrap())).collect()
}

fn name(command: &str) -> Arc<ProgramName> {
    Arc::new(ProgramName {
        command: command.into(),
        comm: command.into(),
        exe: None,
        line: None,
        display: None,
    })
}

fn born(id: u32, pid: u32, parent: u32, command: &str, forked: bool) -> JobEvent {
    JobEvent::Started { id: MemberId(id), pid, ppid: parent, name: Some(name(command)), forked }
}

fn gone(id: u32, at: u64) -> JobEvent {
    JobEvent::Ended { id: MemberId(id), freed: ms(at) }
}

/// Applies an event from the last step, since the last sample.
fn event(ledger: &mut Ledger, at: Duration, event: JobEvent) {
    let before = at.saturating_sub(ms(10));
    ledger.event(TimedEvent { moment: Moment::between(before, at), event });
}

fn exactly(ledger: &mut Ledger, at: u64, event: JobEvent) {
    ledger.event(TimedEvent { moment: Moment::exactly(ms(at)), event });
}

fn reading(id: u32, rss: u64, mark: u64) -> MemoryReading {
    MemoryReading { mark: Some(mark * MIB), ..MemoryReading::of_rss(MemberId(id), rss * MIB) }
}

fn sample(ledger: &mut Ledger, at: u64, readings: &[MemoryReading]) {
    ledger.sample(&Sample {
        at: ms(at),
        readings,
        uses: &[],
        group: None,
        marks: true,
        complete_until: ms(at),
    });
}

fn finish(ledger: Ledger, at: u64) -> (Record<Rows>, Vec<Process>) {
    let record = ledger.finish(&ClosingFacts { elapsed: ms(at), ..ClosingFacts::default() });
    let rows = record.processes.iter().map(Result::unwrap).collect();
    (record, rows)
}

#[test]
fn memory_of_a_child_before_its_exec_is_not_its_own() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "server", false));
    sample(&mut ledger, 0, &[reading(0, 300, 300)]);
    event(&mut ledger, ms(10), born(1, 11, 10, "server", true));
    sample(&mut ledger, 10, &[reading(0, 300, 300), reading(1, 300, 300)]);
    event(&mut ledger, ms(20), JobEvent::Exec { id: MemberId(1), name: Some(name("true")) });
    sample(&mut ledger, 20, &[reading(0, 300, 300), reading(1, 1, 1)]);
    event(&mut ledger, ms(30), gone(1, 30));
    let (record, rows) = finish(ledger, 40);
    assert_eq!((rows[1].command.as_str(), rows[1].max_rss_kib), ("true", Some(1024)));
    assert!(rows[1].images.is_empty(), "the copy of its parent is no image of its own");
    assert_eq!(record.peak.rss.unwrap().bytes, 600 * MIB, "the RSS sum counts the copy: that is what RSS is");
}

#[test]
fn a_child_seen_only_before_its_exec_is_counted_without_a_row() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "server", false));
    event(&mut ledger, ms(0), born(1, 11, 10, "server", true));
    sample(&mut ledger, 0, &[reading(0, 300, 300), reading(1, 300, 300)]);
    event(&mut ledger, ms(5), gone(1, 5));
    let (record, rows) = finish(ledger, 10);
    assert_eq!((rows.len(), record.capture.processes_seen), (1, 2));
}

#[test]
fn a_forked_worker_has_a_row_of_its_own() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 11, 10, "python", true));
    sample(&mut ledger, 0, &[reading(0, 10, 10)]);
    sample(&mut ledger, 5, &[reading(0, 80, 80)]);
    event(&mut ledger, ms(6), gone(0, 6));
    assert_eq!(finish(ledger, 10).1[0].max_rss_kib, Some(80 * 1024));
}

#[test]
fn the_images_of_a_process_each_have_a_peak() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "large", false));
    sample(&mut ledger, 0, &[reading(0, 300, 310)]);
    event(&mut ledger, ms(10), JobEvent::Exec { id: MemberId(0), name: Some(name("small")) });
    sample(&mut ledger, 10, &[reading(0, 10, 10)]);
    let (_, rows) = finish(ledger, 20);
    let images: Vec<_> = rows[0]
        .images
        .iter()
        .map(|image| (image.command.as_str(), image.peak.unwrap().bytes / MIB))
        .collect();
    assert_eq!(images, [("large", 310), ("small", 10)]);
    assert_eq!(rows[0].max_rss_kib, Some(310 * 1024));
}

#[test]
fn images_beyond_the_bound_are_one() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "first", false));
    for number in 1..1_500 {
        let mark = if number == 1_400 { 310 } else { 10 };
        sample(&mut ledger, number, &[reading(0, 10, mark)]);
        event(&mut ledger, ms(number), JobEvent::Exec { id: MemberId(0), name: Some(name("next")) });
    }
    sample(&mut ledger, 1_500, &[reading(0, 20, 20)]);
    let (_, rows) = finish(ledger, 1_501);
    let images = &rows[0].images;
    assert_eq!(images.len(), 1_001);
    let peak = |image: &crate::record::Image| image.peak.unwrap().bytes / MIB;
    assert_eq!((images[999].command.as_str(), peak(&images[999])), ("(others)", 310));
    assert_eq!((images[1_000].command.as_str(), peak(&images[1_000])), ("next", 20));
    assert_eq!(rows[0].max_rss_kib, Some(310 * 1024));
}

#[test]
fn a_groups_peak_is_one_instants() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "cc", false));
    event(&mut ledger, ms(0), born(1, 11, 1, "cc", false));
    sample(&mut ledger, 0, &[reading(0, 100, 100), reading(1, 5, 5)]);
    sample(&mut ledger, 10, &[reading(0, 5, 100), reading(1, 100, 100)]);
    let group = finish(ledger, 20).0.groups.remove(0);
    assert_eq!((group.key.as_str(), group.processes, group.peak_bytes), ("cc", 2, Some(105 * MIB)));
}

#[test]
fn one_pid_twice_is_two_rows_and_a_survivor_is_named() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "first", false));
    sample(&mut ledger, 0, &[reading(0, 20, 20)]);
    event(&mut ledger, ms(10), gone(0, 10));
    event(&mut ledger, ms(10), born(1, 10, 1, "second", false));
    sample(&mut ledger, 10, &[reading(1, 40, 40)]);
    let (record, rows) = finish(ledger, 20);
    let seen: Vec<_> = rows.iter().map(|row| (row.pid, row.command.as_str(), row.end_seconds)).collect();
    assert_eq!(seen, [(10, "first", Some(0.01)), (10, "second", None)]);
    assert!(rows[1].still_running);
    assert_eq!(record.capture.processes_still_running, 1);
}

#[test]
fn an_unread_peak_is_capped_or_unknown_never_zero() {
    let exit = ProcessExit { code: Some(0), signal: None };
    let mut capped = ledger();
    event(&mut capped, ms(0), born(0, 10, 1, "true", false));
    event(&mut capped, ms(1), JobEvent::Exit { id: MemberId(0), exit });
    event(&mut capped, ms(1), JobEvent::MaxRss { id: MemberId(0), bytes: 2 * MIB });
    event(&mut capped, ms(1), JobEvent::ReapedMaxRss { bytes: 2 * MIB, may_be_inherited: true });
    event(&mut capped, ms(1), gone(0, 1));
    let (record, rows) = finish(capped, 1);
    let peak = rows[0].peak.rss.unwrap();
    assert_eq!((peak.bytes, peak.source, peak.certainty), (2 * MIB, PeakSource::Capped, Certainty::AtMost));
    assert_eq!(record.peak.rss.unwrap().certainty, Certainty::AtMost);

    let mut unread = ledger();
    event(&mut unread, ms(0), born(0, 10, 1, "true", false));
    event(&mut unread, ms(0), JobEvent::MissedProcess);
    sample(&mut unread, 0, &[]);
    let (record, rows) = finish(unread, 1);
    assert_eq!((rows[0].max_rss_kib, record.max_total_rss_kib, record.peak.rss), (None, None, None));
    assert_eq!((rows.len(), record.capture.processes_seen), (1, 2));
}

#[test]
fn complete_reports_give_exact_peaks_and_a_rigorous_bound() {
    let last = |id, bytes| JobEvent::FinalMark {
        id: MemberId(id),
        mark: LastMark { bytes: bytes * MIB, source: PeakSource::ExitNotify, is_final: true },
    };
    let unnamed = |id, pid| JobEvent::Started { id: MemberId(id), pid, ppid: 10, name: None, forked: true };
    let mut ledger = ledger_with(Lineage::ProcConnector);
    exactly(&mut ledger, 0, born(0, 10, 1, "sh", false));
    sample(&mut ledger, 0, &[reading(0, 2, 2)]);
    // Two children one after the other, both gone before a sample; the second one was started by vfork.
    exactly(&mut ledger, 1, unnamed(1, 11));
    exactly(&mut ledger, 2, last(1, 2));
    exactly(&mut ledger, 2, JobEvent::Exec { id: MemberId(1), name: Some(name("true")) });
    exactly(&mut ledger, 3, last(1, 100));
    exactly(&mut ledger, 4, gone(1, 4));
    exactly(&mut ledger, 5, unnamed(2, 12));
    exactly(&mut ledger, 6, JobEvent::SharesMemoryMap { id: MemberId(2), shares: true });
    exactly(&mut ledger, 6, JobEvent::Exec { id: MemberId(2), name: Some(name("true")) });
    exactly(&mut ledger, 7, last(2, 50));
    exactly(&mut ledger, 8, gone(2, 8));
    sample(&mut ledger, 10, &[reading(0, 2, 2)]);
    exactly(&mut ledger, 11, last(0, 2));
    exactly(&mut ledger, 11, gone(0, 11));
    let closing = ClosingFacts { elapsed: ms(12), all_reported: true, ..ClosingFacts::default() };
    let record = ledger.finish(&closing);
    let rows: Vec<Process> = record.processes.iter().map(Result::unwrap).collect();
    let peak = record.peak.rss.unwrap();
    assert_eq!((peak.lower_bytes, peak.bytes, peak.upper_bytes), (102 * MIB, 102 * MIB, 102 * MIB));
    assert!(peak.upper_rigorous);
    assert_eq!((record.capture.processes_seen, record.capture.processes_seen_is), (3, Certainty::Exact));
    assert_eq!(record.capture.processes_without_exact_peak, 0);
    assert_eq!(rows[1].peak.rss.unwrap().certainty, Certainty::Exact);
    assert_eq!((rows[1].start_seconds, rows[1].end_seconds), (0.001, Some(0.004)));
    assert_eq!((rows[2].command.as_str(), rows[2].max_rss_kib), ("true", Some(50 * 1024)));
}

#[test]
fn an_unknown_last_mark_makes_the_bound_not_rigorous() {
    let mut ledger = ledger_with(Lineage::ProcConnector);
    exactly(&mut ledger, 0, born(0, 10, 1, "sh", false));
    sample(&mut ledger, 0, &[reading(0, 2, 2)]);
    exactly(&mut ledger, 11, gone(0, 11));
    let closing = ClosingFacts { elapsed: ms(12), all_reported: true, ..ClosingFacts::default() };
    let record = ledger.finish(&closing);
    assert!(!record.peak.rss.unwrap().upper_rigorous);
    assert_eq!(
        (record.capture.images_without_last_mark, record.capture.processes_without_exact_peak),
        (Some(1), 1)
    );
}

#[test]
fn memory_being_freed_counts() {
    let mut ledger = ledger_with(Lineage::Perf);
    exactly(&mut ledger, 0, born(0, 10, 1, "a", false));
    sample(&mut ledger, 0, &[reading(0, 100, 100)]);
    let mark = LastMark { bytes: 100 * MIB, source: PeakSource::Taskstats, is_final: true };
    exactly(&mut ledger, 5, JobEvent::FinalMark { id: MemberId(0), mark });
    exactly(&mut ledger, 5, gone(0, 9));
    exactly(&mut ledger, 7, born(1, 11, 1, "b", false));
    sample(&mut ledger, 10, &[reading(1, 50, 50)]);
    let record =
        ledger.finish(&ClosingFacts { elapsed: ms(11), all_reported: true, ..ClosingFacts::default() });
    let peak = record.peak.rss.unwrap();
    assert_eq!((peak.upper_bytes, peak.upper_rigorous), (150 * MIB, false));
    assert_eq!(record.processes.iter().next().unwrap().unwrap().end_seconds, Some(0.005));
}

#[test]
fn a_window_waits_for_the_final_mark_of_an_exiting_member() {
    let mut ledger = ledger_with(Lineage::Perf);
    exactly(&mut ledger, 0, born(0, 10, 1, "a", false));
    exactly(&mut ledger, 0, born(1, 11, 1, "b", false));
    sample(&mut ledger, 0, &[reading(0, 100, 100), reading(1, 100, 100)]);
    // The second one was exiting: it had no memory, but its exit event comes later.
    sample(&mut ledger, 10, &[reading(0, 100, 100)]);
    let mark = LastMark { bytes: 150 * MIB, source: PeakSource::Taskstats, is_final: true };
    exactly(&mut ledger, 9, JobEvent::FinalMark { id: MemberId(1), mark });
    exactly(&mut ledger, 9, gone(1, 9));
    sample(&mut ledger, 20, &[reading(0, 100, 100)]);
    let (record, _) = finish(ledger, 21);
    assert_eq!(record.peak.rss.unwrap().upper_bytes, 250 * MIB);
}

#[test]
fn pss_keeps_the_highest_pass_or_says_why_there_is_none() {
    let mut best = ledger();
    for (at, bytes) in [(1, 10 * MIB), (2, 30 * MIB), (3, 20 * MIB)] {
        best.pss(PssPass { at: ms(at), bytes, ..PssPass::default() });
    }
    let pss = finish(best, 4).0.peak.pss.unwrap();
    assert_eq!((pss.bytes, pss.certainty, pss.at_seconds), (30 * MIB, Certainty::AtLeast, Some(0.002)));

    let mut disturbed = ledger();
    disturbed.pss_disturbed();
    let record = finish(disturbed, 1).0;
    assert_eq!(record.peak.pss, None);
    assert!(record.capture.downgrades.iter().any(|downgrade| downgrade.wanted.contains("PSS")));
}

#[test]
fn files_that_are_mapped_outside_the_job_count_in_full() {
    let pass = PssPass { bytes: 100, file_bytes: 20, largest_file_bytes: 50, ..PssPass::default() };
    assert_eq!(pass.memory_bytes(), 130);
    assert_eq!(PssPass { file_bytes: 60, ..pass }.memory_bytes(), 100);
}

#[test]
fn a_partial_pass_replaces_no_better_one() {
    let passes = |each: &[(u64, u64)]| {
        let mut ledger = ledger();
        for &(bytes, unread) in each {
            ledger.pss(PssPass {
                at: ms(1),
                bytes,
                unread: members(unread),
                unread_rss: unread * 4 * MIB,
                ..PssPass::default()
            });
        }
        let record = finish(ledger, 4).0;
        let downgrade =
            record.capture.downgrades.into_iter().find(|downgrade| downgrade.wanted.contains("PSS"));
        (record.peak.pss.map(|pss| (pss.bytes, pss.certainty)), downgrade.map(|downgrade| downgrade.reason))
    };
    assert_eq!(passes(&[(30 * MIB, 0), (0, 9)]), (Some((30 * MIB, Certainty::AtLeast)), None));
    let (pss, reason) = passes(&[(10 * MIB, 2)]);
    assert_eq!(pss, Some((10 * MIB, Certainty::AtLeast)));
    assert!(reason.is_some_and(|reason| reason.contains("2 processes could not be read")));
    let (pss, reason) = passes(&[(10 * MIB, 3)]);
    assert_eq!(pss, None, "most of it is unknown");
    assert!(reason.is_some_and(|reason| reason.contains("3 processes could not be read")));
    let (pss, reason) = passes(&[(0, 1)]);
    assert_eq!(pss, None, "nothing is known");
    assert!(reason.is_some_and(|reason| reason.contains("one process could not be read")));
}

#[test]
fn a_checkpoint_is_not_complete_and_reads_back() {
    let mut ledger = ledger();
    event(&mut ledger, ms(0), born(0, 10, 1, "job", false));
    sample(&mut ledger, 0, &[reading(0, 20, 20)]);
    let checkpoint = ledger.checkpoint(&ClosingFacts { elapsed: ms(5), ..ClosingFacts::default() });
    let back = Record::from_json(&serde_json::to_vec(&checkpoint).unwrap()).unwrap();
    assert!(!back.complete && back.timeline.is_none() && back.exit.is_none());
    assert_eq!(back.processes.len(), 1);
}

/// Generates anything that may happen, and things that never should.
fn happening() -> impl Strategy<Value = (u8, u32, u64, u64, bool)> {
    (0u8..11, 0u32..6, 0u64..500, 0u64..500, any::<bool>())
}

proptest! {
    #[test]
    fn any_order_of_events_keeps_the_ends_in_order(happenings in proptest::collection::vec(happening(), 0..120)) {
        let mut ledger = ledger();
        let mut next = 0;
        for (step, &(kind, id, rss, more, flag)) in happenings.iter().enumerate() {
            let at = ms(step as u64);
            let exit = ProcessExit { code: Some(0), signal: None };
            match kind {
                0 | 1 => {
                    event(&mut ledger, at, born(next, id, id / 2, "a", flag));
                    next += 1;
                }
                2 => event(&mut ledger, at, JobEvent::Exec { id: MemberId(id), name: Some(name("b")) }),
                3 => event(&mut ledger, at, JobEvent::Ended { id: MemberId(id), freed: at + ms(more % 3) }),
                4 => event(&mut ledger, at, JobEvent::MaxRss { id: MemberId(id), bytes: rss }),
                8 => event(&mut ledger, at, JobEvent::Exit { id: MemberId(id), exit }),
                9 => event(&mut ledger, at, JobEvent::SharesMemoryMap { id: MemberId(id), shares: flag }),
                10 => {
                    let mark = LastMark { bytes: rss, source: PeakSource::ExitNotify, is_final: flag };
                    event(&mut ledger, at, JobEvent::FinalMark { id: MemberId(id), mark });
                }
                5 => event(&mut ledger, at, JobEvent::ReapedMaxRss { bytes: rss, may_be_inherited: flag }),
                6 => ledger.pss(PssPass { at, bytes: rss, unread: members(more % 2), ..PssPass::default() }),
                7 | 11.. => {
                    let readings: Vec<MemoryReading> = (0..next)
                        .map(|id| MemoryReading { shares_map: flag && id % 2 == 1, ..reading(id, rss, rss + more) })
                        .collect();
                    let complete_until = at.saturating_sub(ms(more % 2));
                    ledger.sample(&Sample { at, readings: &readings, uses: &[], group: None, marks: flag, complete_until });
                }
            }
        }
        let (record, rows) = finish(ledger, happenings.len() as u64);
        if let Some(peak) = record.peak.rss {
            prop_assert!(peak.lower_bytes <= peak.bytes && peak.bytes <= peak.upper_bytes, "{peak:?}");
        }
        prop_assert!(rows.len() as u64 <= record.capture.processes_seen);
        let in_groups: u64 = record.groups.iter().map(|group| group.processes).sum();
        prop_assert_eq!(in_groups, rows.len() as u64);
    }
}
