//! Usage beside memory.

use super::*;
use crate::{
    job::{
        resource_use::Completeness,
        resource_use::{CpuUse, IoBytes, ResourceUse, UsedBy},
    },
    record::UsageSource,
};

fn cpu(millis: u64, faults: u64) -> ResourceUse {
    ResourceUse {
        cpu: Some(CpuUse {
            user: ms(millis),
            minor_faults: Some(faults),
            major_faults: Some(0),
            ..CpuUse::default()
        }),
        io: None,
    }
}

fn uses(ledger: &mut Ledger, at: u64, uses: &[(u32, u64, u64)]) {
    let uses: Vec<UsedBy> = uses
        .iter()
        .map(|&(id, own, with_waited)| UsedBy {
            id: MemberId(id),
            own: cpu(own, own),
            with_waited: cpu(with_waited, with_waited),
        })
        .collect();
    ledger.sample(&Sample {
        at: ms(at),
        readings: &[],
        uses: &uses,
        group: None,
        marks: false,
        complete_until: ms(at),
    });
}

fn total_cpu(record: &Record<Rows>) -> (f64, Certainty) {
    let cpu = record.usage.cpu.unwrap();
    (cpu.user_seconds, cpu.certainty)
}

#[test]
fn a_child_stays_in_the_figures_of_its_waiting_parent() {
    let mut ledger = ledger();
    event(&mut ledger, ms(1), born(0, 100, 1, "sh", false));
    event(&mut ledger, ms(1), born(1, 101, 100, "cc", false));
    uses(&mut ledger, 10, &[(0, 100, 100), (1, 50, 50)]);
    // It used 30 more before its exit; its parent has waited for it.
    exactly(&mut ledger, 15, gone(1, 15));
    assert_eq!(ledger.last_used().unwrap().cpu.unwrap().user, ms(150));
    uses(&mut ledger, 20, &[(0, 100, 100)]);
    assert_eq!(ledger.last_used().unwrap().cpu.unwrap().user, ms(150), "in no figure for a moment");
    uses(&mut ledger, 30, &[(0, 110, 190)]);
    exactly(&mut ledger, 40, JobEvent::Reaped { id: Some(MemberId(0)), used: Box::new(cpu(200, 200)) });
    exactly(&mut ledger, 40, gone(0, 40));
    let (record, rows) = finish(ledger, 40);
    assert_eq!(total_cpu(&record), (0.2, Certainty::AtLeast));
    let own = |row: &Process| row.usage.unwrap().cpu.unwrap().user_seconds;
    assert_eq!((own(&rows[0]), own(&rows[1])), (0.11, 0.05));
}

#[test]
fn a_child_that_is_found_gone_together_with_its_parent_counts_once() {
    for order in [[0, 1], [1, 0]] {
        let mut ledger = ledger();
        event(&mut ledger, ms(1), born(0, 100, 1, "sh", false));
        event(&mut ledger, ms(1), born(1, 101, 100, "cc", false));
        uses(&mut ledger, 10, &[(0, 100, 100), (1, 50, 50)]);
        // The parent has waited for it between two polls, and exited: one poll finds both gone.
        let reaped = JobEvent::Reaped { id: Some(MemberId(0)), used: Box::new(cpu(180, 180)) };
        exactly(&mut ledger, 40, reaped);
        for id in order {
            let between = Moment::between(ms(10), ms(40));
            ledger.event(TimedEvent { moment: between, event: gone(id, 40) });
        }
        assert_eq!(total_cpu(&finish(ledger, 40).0), (0.18, Certainty::AtLeast), "{order:?}");
    }
}

#[test]
fn an_orphan_of_a_parent_that_ended_before_it_is_not_lost() {
    let mut ledger = ledger();
    event(&mut ledger, ms(1), born(0, 100, 1, "sh", false));
    event(&mut ledger, ms(1), born(1, 101, 100, "cc", false));
    uses(&mut ledger, 10, &[(0, 100, 100), (1, 50, 50)]);
    exactly(&mut ledger, 20, JobEvent::Reaped { id: Some(MemberId(0)), used: Box::new(cpu(100, 100)) });
    exactly(&mut ledger, 20, gone(0, 20));
    exactly(&mut ledger, 30, gone(1, 30));
    assert_eq!(total_cpu(&finish(ledger, 40).0), (0.15, Certainty::AtLeast));
}

#[test]
fn a_child_that_no_process_waited_for_is_not_lost() {
    let mut ledger = ledger();
    event(&mut ledger, ms(1), born(0, 100, 1, "sh", false));
    event(&mut ledger, ms(1), born(1, 101, 100, "cc", false));
    uses(&mut ledger, 10, &[(0, 10, 10), (1, 500, 500)]);
    exactly(&mut ledger, 15, gone(1, 15));
    exactly(&mut ledger, 40, JobEvent::Reaped { id: Some(MemberId(0)), used: Box::new(cpu(20, 20)) });
    exactly(&mut ledger, 40, gone(0, 40));
    // SIGCHLD was ignored: the wait for the command does not include the child.
    assert_eq!(total_cpu(&finish(ledger, 40).0), (0.51, Certainty::AtLeast));
}

#[test]
fn all_faults_accounted_for_means_that_nothing_is_missing() {
    for (faults, certainty) in [(30, Certainty::Exact), (31, Certainty::AtLeast)] {
        let mut ledger = ledger_with(Lineage::Perf);
        exactly(&mut ledger, 1, born(0, 100, 1, "sh", false));
        exactly(&mut ledger, 2, born(1, 101, 100, "cc", false));
        let whole = Completeness { cpu: false, faults: true, io: false };
        for (id, own) in [(1, 10), (0, 20)] {
            let (id, source) = (MemberId(id), UsageSource::Taskstats);
            exactly(&mut ledger, 30, JobEvent::FinalUsage { id, used: Box::new(cpu(0, own)), source, whole });
            if id.0 == 0 {
                exactly(&mut ledger, 30, JobEvent::Reaped { id: Some(id), used: Box::new(cpu(7, faults)) });
            }
            exactly(&mut ledger, 30, gone(id.0, 30));
        }
        let closing = ClosingFacts { elapsed: ms(40), all_reported: true, ..ClosingFacts::default() };
        assert_eq!(total_cpu(&ledger.finish(&closing)), (0.007, certainty));
    }
}

#[test]
fn bytes_that_no_parent_inherits_stay_in_the_total() {
    let mut ledger = ledger();
    event(&mut ledger, ms(1), born(0, 100, 1, "sh", false));
    event(&mut ledger, ms(1), born(1, 101, 100, "cc", false));
    let storage = |bytes| IoBytes { storage_read: Some(bytes), ..IoBytes::default() };
    let moved = |bytes| ResourceUse { cpu: None, io: Some(storage(bytes)) };
    let sample = |ledger: &mut Ledger, at, uses: &[(u32, u64)]| {
        let by = |&(id, bytes)| UsedBy { id: MemberId(id), own: moved(bytes), with_waited: moved(bytes) };
        let uses: Vec<UsedBy> = uses.iter().map(by).collect();
        ledger.sample(&Sample {
            at: ms(at),
            readings: &[],
            uses: &uses,
            group: None,
            marks: false,
            complete_until: ms(at),
        });
        ledger.last_used().unwrap().io.unwrap().amounts()
    };
    assert_eq!(sample(&mut ledger, 10, &[(0, 5), (1, 7)]), [None, None, Some(12), None]);
    let (id, whole) = (MemberId(1), Completeness { cpu: true, faults: false, io: true });
    exactly(
        &mut ledger,
        15,
        JobEvent::FinalUsage { id, used: Box::new(moved(30)), source: UsageSource::AtExit, whole },
    );
    exactly(&mut ledger, 15, gone(1, 15));
    assert_eq!(sample(&mut ledger, 20, &[(0, 6)]), [None, None, Some(36), None]);
    let (record, rows) = finish(ledger, 40);
    let io = record.usage.io.unwrap();
    assert_eq!((io.storage_read_bytes, io.read_bytes, io.certainty), (Some(36), None, Certainty::AtLeast));
    let io = rows.iter().find(|row| row.pid == 101).unwrap().usage.unwrap().io.unwrap();
    assert_eq!(
        (io.storage_read_bytes, io.source, io.certainty),
        (Some(30), UsageSource::AtExit, Certainty::Exact)
    );
}

#[test]
fn usage_before_an_attachment_is_not_counted() {
    for was_read in [false, true] {
        let mut ledger = ledger();
        event(&mut ledger, ms(1), born(0, 100, 1, "sh", false));
        exactly(&mut ledger, 1, JobEvent::AttachedTo { id: MemberId(0), mark: None });
        if was_read {
            uses(&mut ledger, 2, &[(0, 5000, 5000)]);
        }
        let (id, whole) = (MemberId(0), Completeness { cpu: true, faults: true, io: false });
        exactly(
            &mut ledger,
            30,
            JobEvent::FinalUsage { id, used: Box::new(cpu(5020, 0)), source: UsageSource::Taskstats, whole },
        );
        exactly(&mut ledger, 30, gone(0, 30));
        let row = finish(ledger, 40).1.remove(0).usage.unwrap();
        let seconds = row.cpu.map(|cpu| cpu.user_seconds + cpu.system_seconds);
        assert_eq!(seconds, was_read.then_some(0.02), "known only if the usage before is known");
    }
}

#[test]
fn usage_unknown_at_an_attachment_stays_unknown() {
    let mut ledger = ledger();
    for id in [0, 1] {
        event(&mut ledger, ms(1), born(id, 100 + id, 1, "sh", false));
        exactly(&mut ledger, 1, JobEvent::AttachedTo { id: MemberId(id), mark: None });
    }
    let moved = |bytes: Option<u64>| ResourceUse {
        cpu: None,
        io: bytes.map(|bytes| IoBytes { read: Some(bytes), ..IoBytes::default() }),
    };
    let read = |ledger: &mut Ledger, at, each: [Option<u64>; 2]| {
        let by = |(id, bytes)| UsedBy { id: MemberId(id), own: moved(bytes), with_waited: moved(bytes) };
        let uses: Vec<UsedBy> = (0..).zip(each).map(by).collect();
        ledger.sample(&Sample {
            at: ms(at),
            readings: &[],
            uses: &uses,
            group: None,
            marks: false,
            complete_until: ms(at),
        });
    };
    read(&mut ledger, 10, [Some(500), None]);
    read(&mut ledger, 20, [Some(507), Some(9000)]);
    assert_eq!(ledger.last_used().unwrap().io.and_then(|io| io.read), Some(7));
    let (record, rows) = finish(ledger, 40);
    assert_eq!(record.usage.io.unwrap().read_bytes, Some(7));
    let of = |pid| rows.iter().find(|row| row.pid == pid).unwrap().usage.unwrap().io;
    assert_eq!(of(100).unwrap().read_bytes, Some(7));
    assert!(of(101).is_none(), "{:?}", of(101));
}

/// Makes a ledger as on Windows: faults are not counted apart, and no parent inherits its children's time.
fn of_windows() -> Ledger {
    let mut ledger = ledger_with(Lineage::JobObject);
    ledger.header.origin.metric = Metric::WorkingSet;
    ledger
}

fn used(millis: u64, faults: u64, written: u64) -> ResourceUse {
    let moved = IoBytes { read: Some(0), written: Some(written), ..IoBytes::default() };
    ResourceUse {
        cpu: Some(CpuUse { user: ms(millis), mixed_faults: Some(faults), ..CpuUse::default() }),
        io: Some(moved),
    }
}

#[test]
fn a_job_object_counts_processes_that_could_not_be_opened() {
    for is_final in [true, false] {
        let mut ledger = of_windows();
        event(&mut ledger, ms(1), born(0, 100, 1, "cmd.exe", false));
        event(&mut ledger, ms(2), born(1, 104, 100, "?", false));
        exactly(&mut ledger, 10, gone(1, 10));
        let (id, whole) = (MemberId(0), Completeness { cpu: true, faults: true, io: true });
        let last =
            JobEvent::FinalUsage { id, used: Box::new(used(31, 900, 7)), source: UsageSource::AtExit, whole };
        exactly(&mut ledger, 30, last);
        exactly(&mut ledger, 30, gone(0, 30));
        exactly(&mut ledger, 31, JobEvent::UsedByJob { used: Box::new(used(78, 2000, 50)), is_final });
        let (record, rows) = finish(ledger, 40);
        let (cpu, io) = (record.usage.cpu.unwrap(), record.usage.io.unwrap());
        let wanted = if is_final { Certainty::Exact } else { Certainty::AtLeast };
        assert_eq!((cpu.user_seconds, cpu.source, cpu.certainty), (0.078, UsageSource::JobObject, wanted));
        assert_eq!((io.written_bytes, io.storage_written_bytes, io.certainty), (Some(50), None, wanted));
        let faults = record.usage.faults.unwrap();
        assert_eq!((faults.minor, faults.major, faults.total), (None, None, Some(2000)));
        let own = rows[0].usage.unwrap();
        assert_eq!((own.cpu.unwrap().user_seconds, own.cpu.unwrap().certainty), (0.031, Certainty::Exact));
        // Of the other nothing is known, and nothing is reported.
        assert_eq!(rows[1].usage.map(|usage| (usage.cpu, usage.io, usage.faults)), Some((None, None, None)));
    }
}

#[test]
fn without_a_job_object_a_child_is_not_lost_in_its_parent() {
    let mut ledger = of_windows();
    event(&mut ledger, ms(1), born(0, 100, 1, "cmd.exe", false));
    event(&mut ledger, ms(1), born(1, 104, 100, "cl.exe", false));
    let (id, whole) = (MemberId(1), Completeness { cpu: true, faults: true, io: true });
    exactly(
        &mut ledger,
        10,
        JobEvent::FinalUsage { id, used: Box::new(used(500, 900, 7)), source: UsageSource::AtExit, whole },
    );
    exactly(&mut ledger, 10, gone(1, 10));
    let own = [UsedBy { id: MemberId(0), own: used(10, 50, 1), with_waited: used(10, 50, 1) }];
    ledger.sample(&Sample {
        at: ms(20),
        readings: &[],
        uses: &own,
        group: None,
        marks: false,
        complete_until: ms(20),
    });
    assert_eq!(ledger.last_used().unwrap().cpu.unwrap().user, ms(510));
    let (record, _) = finish(ledger, 40);
    assert_eq!(total_cpu(&record), (0.51, Certainty::AtLeast), "the first lives on");
    assert_eq!(record.usage.io.unwrap().written_bytes, Some(8));
}

#[test]
fn a_system_that_keeps_no_account_is_named() {
    let mut ledger = of_windows();
    event(&mut ledger, ms(1), born(0, 100, 1, "cmd.exe", false));
    exactly(&mut ledger, 30, gone(0, 30));
    exactly(&mut ledger, 31, JobEvent::UsedByJob { used: Box::new(ResourceUse::default()), is_final: true });
    let (record, _) = finish(ledger, 40);
    assert_eq!((record.usage.cpu, record.usage.io, record.usage.faults), (None, None, None));
    for wanted in ["CPU time", "bytes read"] {
        let said = record.capture.downgrades.iter().any(|downgrade| downgrade.wanted.contains(wanted));
        assert!(said, "{wanted}: {:?}", record.capture.downgrades);
    }
}

#[test]
fn a_survivor_is_in_the_total_and_leaves_it_open() {
    let mut ledger = ledger_with(Lineage::Perf);
    exactly(&mut ledger, 1, born(0, 100, 1, "sh", false));
    exactly(&mut ledger, 2, born(1, 101, 100, "daemon", false));
    uses(&mut ledger, 10, &[(0, 20, 20), (1, 500, 500)]);
    exactly(&mut ledger, 30, JobEvent::Reaped { id: Some(MemberId(0)), used: Box::new(cpu(20, 20)) });
    exactly(&mut ledger, 30, gone(0, 30));
    let closing = ClosingFacts { elapsed: ms(40), all_reported: true, ..ClosingFacts::default() };
    assert_eq!(total_cpu(&ledger.finish(&closing)), (0.52, Certainty::AtLeast));
}
