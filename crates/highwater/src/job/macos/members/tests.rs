//! Tests on a made-up kernel: it has processes and zombies, adopts orphans, and reports nothing by itself.

use std::collections::BTreeMap;

use super::{ancestry::LAUNCHD, *};
use crate::{
    job::resource_use::{CpuUse, ResourceUse},
    process::macos::{rusage::RusageSpent, timebase::Timebase},
};

mod attach;

const MIB: u64 = 1 << 20;
const OWN_PID: u32 = 100;
const NOTHING: Scale = Scale { wanted: UsageWanted { cpu: false, io: false }, timebase: None };

#[derive(Debug, Default)]
struct MadeKernel {
    processes: BTreeMap<u32, (Kin, Rusage)>,
    refuses: HashSet<u32>,
    refuses_to_watch: bool,
    last_unique: u64,
}

impl MadeKernel {
    fn fork(&mut self, pid: u32, parent: u32) {
        self.last_unique += 1;
        let (unique, maker) =
            (self.last_unique, self.processes.get(&parent).map_or(1, |(kin, _)| kin.unique));
        let group = self.processes.get(&parent).map_or(7, |(kin, _)| kin.group);
        let kin =
            Kin { pid, unique, parent: maker, ppid: parent, group, has_execed: false, has_ended: false };
        self.processes.insert(pid, (kin, usage(1, 1)));
    }

    fn holds(&mut self, pid: u32, mib: u64, max_mib: u64) {
        self.processes.get_mut(&pid).unwrap().1 = usage(mib, max_mib);
    }

    fn ends(&mut self, pid: u32) {
        let (kin, usage) = self.processes.get_mut(&pid).unwrap();
        (kin.has_ended, usage.has_ended) = (true, true);
        for (kin, _) in self.processes.values_mut().filter(|(kin, _)| kin.ppid == pid) {
            kin.ppid = LAUNCHD;
        }
    }

    fn waited_for(&mut self, pid: u32) {
        self.processes.remove(&pid);
    }
}

fn usage(mib: u64, max_mib: u64) -> Rusage {
    Rusage {
        resident_bytes: 0,
        footprint_bytes: mib * MIB,
        max_footprint_bytes: max_mib * MIB,
        own: RusageSpent::default(),
        waited: RusageSpent::default(),
        storage_read_bytes: 0,
        storage_written_bytes: 0,
        has_ended: false,
    }
}

impl Kernel for MadeKernel {
    fn all(&mut self) -> Vec<u32> {
        self.processes.keys().copied().collect()
    }

    fn children(&mut self, pid: u32) -> Vec<u32> {
        self.processes.values().filter(|(kin, _)| kin.ppid == pid).map(|(kin, _)| kin.pid).collect()
    }

    fn kin(&mut self, pid: u32) -> Option<Kin> {
        self.processes.get(&pid).map(|(kin, _)| *kin)
    }

    fn usage(&mut self, pid: u32) -> Result<Rusage, Unavailable> {
        if self.refuses.contains(&pid) {
            return Err(Unavailable::PermissionDenied);
        }
        self.processes.get(&pid).map(|(_, usage)| *usage).ok_or(Unavailable::Vanished)
    }

    fn faults(&mut self, pid: u32) -> Option<TaskFaults> {
        let (kin, usage) = self.processes.get(&pid)?;
        let pageins = i32::try_from(usage.own.pageins).ok()?;
        (!kin.has_ended).then_some(TaskFaults { all: pageins + 100, pageins })
    }

    fn name(&mut self, pid: u32) -> Option<Arc<ProgramName>> {
        let name = format!("program{pid}");
        Some(Arc::new(ProgramName {
            command: name.clone(),
            comm: name,
            exe: None,
            line: None,
            display: None,
        }))
    }

    fn watch(&mut self, _: u32, _: MemberId) -> bool {
        !self.refuses_to_watch
    }
}

/// Makes a job with the command 200, polled once.
fn job() -> (MacMembers<MadeKernel>, EventBatch) {
    job_with(NOTHING)
}

/// Returns ticks of a nanosecond.
fn of_intel() -> Option<Timebase> {
    Timebase::of(Some(1_000_000_000), false, None)
}

fn job_with(scale: Scale) -> (MacMembers<MadeKernel>, EventBatch) {
    let mut made = MadeKernel { last_unique: 10, ..MadeKernel::default() };
    made.fork(200, OWN_PID);
    let (mut members, mut batch) = (MacMembers::new(made, scale), EventBatch::default());
    members.start(200, OWN_PID, &mut batch);
    (members, batch)
}

fn poll(
    members: &mut MacMembers<MadeKernel>,
    reports: &[KqueueReport],
    batch: &mut EventBatch,
) -> Vec<JobEvent> {
    let at = members.at + Duration::from_millis(1);
    members.poll(at, false, reports, batch);
    batch.drain().map(|timed| timed.event).collect()
}

fn reports(id: u32) -> KqueueReport {
    KqueueReport { id: MemberId(id), forked: false, execed: false, ended: false, exit: None }
}

fn forked(id: u32) -> KqueueReport {
    KqueueReport { forked: true, ..reports(id) }
}

fn ended(id: u32) -> KqueueReport {
    KqueueReport { ended: true, exit: Some(ProcessExit { code: Some(3), signal: None }), ..reports(id) }
}

fn births(events: &[JobEvent]) -> Vec<(u32, u32)> {
    let birth = |event: &JobEvent| match event {
        JobEvent::Started { pid, ppid, .. } => Some((*pid, *ppid)),
        _ => None,
    };
    events.iter().filter_map(birth).collect()
}

fn last_marks(events: &[JobEvent]) -> Vec<(u32, u64)> {
    let mark = |event: &JobEvent| match event {
        JobEvent::FinalMark { id, mark } if mark.is_final => Some((id.0, mark.bytes / MIB)),
        _ => None,
    };
    events.iter().filter_map(mark).collect()
}

#[test]
fn a_reported_fork_is_followed_and_read_at_once() {
    let (mut members, mut batch) = job();
    poll(&mut members, &[], &mut batch);
    members.kernel.fork(201, 200);
    members.kernel.fork(202, 201);
    members.kernel.holds(202, 5, 8);
    let events = poll(&mut members, &[forked(0)], &mut batch);
    assert_eq!(births(&events), [(201, 200), (202, 201)], "grandchildren from before the watch, too");
    let rss_mib: Vec<u64> = members.readings().iter().map(|reading| reading.rss / MIB).collect();
    assert_eq!(rss_mib, [1, 1, 5]);
    assert_eq!(members.readings()[2].mark, Some(8 * MIB));
}

#[test]
fn orphans_that_launchd_adopts_stay_in_the_job() {
    let (mut members, mut batch) = job();
    members.kernel.fork(201, 200);
    poll(&mut members, &[forked(0)], &mut batch);
    // It becomes a daemon: it forks once more and exits.
    members.kernel.fork(202, 201);
    members.kernel.ends(201);
    let events = poll(&mut members, &[KqueueReport { forked: true, ..ended(1) }], &mut batch);
    assert_eq!(births(&events), [(202, LAUNCHD)]);
    assert!(!events.contains(&JobEvent::MissedProcess));
    // The daemon forks later, too.
    members.kernel.fork(203, 202);
    assert_eq!(births(&poll(&mut members, &[forked(2)], &mut batch)), [(203, 202)]);
}

#[test]
fn the_final_mark_is_read_before_the_zombie_is_gone() {
    let (mut members, mut batch) = job();
    members.kernel.fork(201, 200);
    poll(&mut members, &[forked(0)], &mut batch);
    members.kernel.holds(201, 1, 90);
    members.kernel.ends(201);
    let events = poll(&mut members, &[ended(1)], &mut batch);
    assert_eq!(last_marks(&events), [(1, 90)]);
    let order = events.iter().position(|event| matches!(event, JobEvent::Exit { .. }));
    assert!(order < events.iter().position(|event| matches!(event, JobEvent::Ended { .. })));
    assert!(!events.iter().any(|event| matches!(event, JobEvent::Ended { id: MemberId(0), .. })));
}

#[test]
fn a_zombie_seen_before_its_event_waits_for_it() {
    let (mut members, mut batch) = job();
    members.kernel.fork(201, 200);
    poll(&mut members, &[forked(0)], &mut batch);
    members.kernel.holds(201, 1, 60);
    members.kernel.ends(201);
    assert_eq!(poll(&mut members, &[], &mut batch), []);
    assert!(members.expects_events());
    // Its parent waits for it meanwhile.
    members.kernel.waited_for(201);
    let events = poll(&mut members, &[ended(1)], &mut batch);
    assert_eq!(last_marks(&events), [(1, 60)]);
    assert!(events.iter().any(|event| matches!(event, JobEvent::Exit { .. })));
    assert!(!members.expects_events());
}

#[test]
fn an_event_that_never_comes_keeps_no_member() {
    let (mut members, mut batch) = job();
    members.kernel.ends(200);
    poll(&mut members, &[], &mut batch);
    let events = poll(&mut members, &[], &mut batch);
    assert!(matches!(events.last(), Some(JobEvent::Ended { .. })) && members.is_empty());
}

#[test]
fn one_that_is_waited_for_too_soon_has_no_final_mark() {
    let (mut members, mut batch) = job();
    members.kernel.fork(201, 200);
    poll(&mut members, &[forked(0)], &mut batch);
    members.kernel.waited_for(201);
    let events = poll(&mut members, &[ended(1)], &mut batch);
    assert_eq!(last_marks(&events), []);
    assert!(events.iter().any(|event| matches!(event, JobEvent::Ended { id: MemberId(1), .. })));
}

#[test]
fn a_fork_whose_child_is_gone_is_counted() {
    let (mut members, mut batch) = job();
    let events = poll(&mut members, &[forked(0)], &mut batch);
    assert_eq!(events.iter().filter(|event| **event == JobEvent::MissedProcess).count(), 1);
    // It is found by a poll before its event, which reports no other one.
    members.kernel.fork(201, 200);
    members.poll(Duration::from_millis(9), true, &[], &mut batch);
    let events = poll(&mut members, &[forked(0)], &mut batch);
    assert!(!events.contains(&JobEvent::MissedProcess));
}

#[test]
fn a_zombie_alone_shows_the_peak_of_a_short_process() {
    let (mut members, mut batch) = job();
    poll(&mut members, &[], &mut batch);
    members.kernel.fork(201, 200);
    members.kernel.holds(201, 2, 40);
    members.kernel.ends(201);
    let events = poll(&mut members, &[forked(0)], &mut batch);
    assert_eq!(births(&events), [(201, 200)]);
    assert_eq!(last_marks(&events), [(1, 40)]);
}

#[test]
fn foreign_processes_and_this_one_are_left_alone() {
    let (mut members, mut batch) = job();
    members.kernel.fork(OWN_PID, LAUNCHD);
    members.kernel.fork(300, LAUNCHD);
    members.kernel.fork(301, OWN_PID);
    let at = Duration::from_millis(5);
    members.poll(at, true, &[], &mut batch);
    let events: Vec<JobEvent> = batch.drain().map(|timed| timed.event).collect();
    assert_eq!(births(&events), [(200, OWN_PID)], "the command alone");
}

#[test]
fn an_orphan_of_an_unseen_parent_needs_its_group() {
    let (mut members, mut batch) = job();
    members.kernel.fork(201, 200);
    members.kernel.processes.get_mut(&201).unwrap().0.group = 201;
    poll(&mut members, &[forked(0)], &mut batch);
    for (pid, group) in [(210, 201), (211, 7)] {
        // Its original parent started and exited between two polls.
        members.kernel.fork(209, 201);
        members.kernel.fork(pid, 209);
        members.kernel.processes.get_mut(&pid).unwrap().0.group = group;
        members.kernel.ends(209);
        members.kernel.waited_for(209);
    }
    members.poll(Duration::from_millis(9), true, &[], &mut batch);
    let events: Vec<JobEvent> = batch.drain().map(|timed| timed.event).collect();
    assert_eq!(births(&events), [(210, LAUNCHD)]);
}

#[test]
fn a_pid_given_to_another_process_is_an_end() {
    let (mut members, mut batch) = job();
    members.kernel.fork(201, 200);
    poll(&mut members, &[forked(0)], &mut batch);
    members.kernel.waited_for(201);
    members.kernel.fork(201, LAUNCHD);
    members.kernel.holds(201, 900, 900);
    let events = poll(&mut members, &[], &mut batch);
    assert!(events.iter().any(|event| matches!(event, JobEvent::Ended { id: MemberId(1), .. })));
    assert_eq!(members.readings().len(), 1);
    assert_eq!(members.verified_pids().collect::<Vec<_>>(), [200]);
}

#[test]
fn refused_readings_are_reported_and_not_read_as_0() {
    let (mut members, mut batch) = job();
    members.kernel.fork(201, 200);
    members.kernel.refuses.insert(201);
    poll(&mut members, &[forked(0)], &mut batch);
    assert_eq!((members.refused(), members.readings().len()), (Some(1), 1));
    members.kernel.ends(201);
    let events = poll(&mut members, &[ended(1)], &mut batch);
    assert!(events.iter().any(|event| matches!(event, JobEvent::Ended { id: MemberId(1), .. })));
    assert_eq!(last_marks(&events), []);
}

#[test]
fn exits_without_events_are_seen_by_polling() {
    let (mut members, mut batch) = job();
    members.kernel.refuses_to_watch = true;
    members.kernel.fork(201, 200);
    poll(&mut members, &[forked(0)], &mut batch);
    members.kernel.holds(201, 1, 30);
    members.kernel.ends(201);
    assert_eq!(last_marks(&poll(&mut members, &[], &mut batch)), [(1, 30)]);
}

#[test]
fn an_exec_begins_a_new_image() {
    let (mut members, mut batch) = job();
    members.kernel.holds(200, 2, 3);
    let events = poll(&mut members, &[KqueueReport { execed: true, ..reports(0) }], &mut batch);
    let named = |event: &JobEvent| matches!(event, JobEvent::Exec { name: Some(name), .. } if name.command == "program200");
    assert!(events.iter().any(named), "{events:?}");
    assert_eq!(members.readings()[0].mark, Some(3 * MIB));
}

#[test]
fn a_zombie_shows_its_usage_until_it_is_waited_for() {
    let wanted = UsageWanted { cpu: true, io: true };
    let (mut members, mut batch) = job_with(Scale { wanted, timebase: of_intel() });
    members.kernel.fork(201, 200);
    members.read_usage(true);
    poll(&mut members, &[forked(0)], &mut batch);
    assert_eq!(members.uses().iter().map(|used| used.id.0).collect::<Vec<_>>(), [0, 1]);
    let faults = |used: &UsedBy| used.own.cpu.unwrap().faults();
    assert_eq!(members.uses().iter().map(faults).collect::<Vec<_>>(), [Some(100), Some(100)]);
    let usage = &mut members.kernel.processes.get_mut(&201).unwrap().1;
    usage.own = RusageSpent { user_ticks: 7_000_000, system_ticks: 1_000_000, pageins: 2 };
    usage.storage_read_bytes = 4096;
    members.kernel.ends(201);
    members.read_usage(false);
    let in_all = |events: &[JobEvent]| -> Vec<(u32, ResourceUse, Completeness)> {
        let reports = |event: &JobEvent| match event {
            JobEvent::FinalUsage { id, used, whole, source: UsageSource::AtExit } => {
                Some((id.0, **used, *whole))
            }
            _ => None,
        };
        events.iter().filter_map(reports).collect()
    };
    // It was seen before its event; the usage is reported once.
    let events = poll(&mut members, &[], &mut batch);
    let cpu = CpuUse {
        user: Duration::from_millis(7),
        system: Duration::from_millis(1),
        major_faults: Some(2),
        ..CpuUse::default()
    };
    let [(1, used, whole)] = in_all(&events)[..] else { panic!("{events:?}") };
    assert_eq!((used.cpu, used.io.unwrap().amounts()), (Some(cpu), [None, None, Some(4096), Some(0)]));
    assert_eq!(whole, Completeness { cpu: true, faults: false, io: true });
    assert_eq!(members.uses(), [], "not wanted in this poll");
    assert_eq!(in_all(&poll(&mut members, &[ended(1)], &mut batch)), []);
}

#[test]
fn ticks_of_unknown_length_give_no_final_time() {
    let wanted = UsageWanted { cpu: true, io: true };
    let (mut members, mut batch) = job_with(Scale { wanted, timebase: None });
    members.kernel.fork(201, 200);
    poll(&mut members, &[forked(0)], &mut batch);
    members.kernel.ends(201);
    let events = poll(&mut members, &[ended(1)], &mut batch);
    let reports = |event: &JobEvent| match event {
        JobEvent::FinalUsage { used, whole, .. } => Some((used.cpu, used.io.is_some(), *whole)),
        _ => None,
    };
    let reports: Vec<_> = events.iter().filter_map(reports).collect();
    assert_eq!(reports, [(None, true, Completeness { cpu: false, faults: false, io: true })], "{events:?}");
}

#[test]
fn a_process_waited_for_too_soon_has_no_final_usage() {
    let wanted = UsageWanted { cpu: true, io: false };
    let (mut members, mut batch) = job_with(Scale { wanted, timebase: of_intel() });
    members.kernel.fork(201, 200);
    poll(&mut members, &[forked(0)], &mut batch);
    members.kernel.waited_for(201);
    let events = poll(&mut members, &[ended(1)], &mut batch);
    assert!(!events.iter().any(|event| matches!(event, JobEvent::FinalUsage { .. })), "{events:?}");
}
