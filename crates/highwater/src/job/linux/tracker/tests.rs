//! Each rule of order, over a made-up kernel.

mod exits;
mod holds;

use std::collections::{HashMap, HashSet};

use super::*;
use crate::{
    job::{
        events::{LastMark, TimedEvent},
        identity::MemberId,
        linux::{
            coverage::{LifetimeScope, Mechanisms},
            event_queue::Round,
            exec_hold::{HeldTask, HoldPoint},
            member::MemberNameState,
            proc_view::ProcessArguments,
            roster::{OwnChildren, UnknownChildren},
            taskstats::TaskEnd,
        },
        resource_use::{CpuUse, IoBytes},
    },
    process::linux::stat::{Spent, Stat},
    record::PeakSource,
};

const OWN: u32 = 1;
const ROOT: u32 = 10;
const CHILD: u32 = 11;
/// A child of this process from before the job.
const FOREIGN: u32 = 9;
const MIB: u64 = 1 << 20;
const PF_FORKNOEXEC: u64 = 0x40;

/// The answers of a made-up kernel.
#[derive(Default)]
struct MadeUpKernel {
    now: Duration,
    stats: HashMap<u32, Stat>,
    with_memory: HashSet<u32>,
    shares_map: Option<bool>,
}

impl MadeUpKernel {
    /// Shows a process with one thread that has exec'ed.
    fn show(&mut self, pid: u32, parent: u32) -> &mut Stat {
        self.with_memory.insert(pid);
        self.stats.entry(pid).insert_entry(stat(pid, parent)).into_mut()
    }
}

impl ProcView for MadeUpKernel {
    fn now(&self) -> Duration {
        self.now
    }

    fn stat(&mut self, pid: u32) -> Option<Stat> {
        self.stats.get(&pid).cloned()
    }

    fn has_memory(&mut self, pid: u32) -> bool {
        self.with_memory.contains(&pid)
    }

    fn high_water_mark(&mut self, pid: u32) -> Option<u64> {
        self.with_memory.contains(&pid).then_some(MIB)
    }

    fn same_memory_map(&mut self, _: u32, _: u32) -> Option<bool> {
        self.shares_map
    }

    fn arguments(&mut self, pid: u32) -> ProcessArguments {
        let command = self.stats.get(&pid).map(|stat| format!("{} of {pid}", stat.comm));
        ProcessArguments { command, ..ProcessArguments::default() }
    }
}

fn stat(pid: u32, parent: u32) -> Stat {
    Stat {
        pid,
        comm: "program".to_owned(),
        state: b'S',
        ppid: parent,
        group: Some(pid),
        session: Some(pid),
        flags: 0,
        own: Spent::default(),
        waited: Spent::default(),
        threads: 1,
        start_ticks: 7,
        image: Some(1),
    }
}

fn at(us: u64) -> Duration {
    Duration::from_micros(us)
}

/// A tracker over a made-up kernel, with the command as its first member.
struct Scene {
    tracker: Tracker,
    kernel: MadeUpKernel,
    batch: EventBatch,
}

impl Scene {
    fn new(mechanisms: Mechanisms) -> Self {
        Self::with_children(mechanisms, UnknownChildren::JobOrphans)
    }

    fn with_children(mechanisms: Mechanisms, unknown: UnknownChildren) -> Self {
        let own = OwnChildren { own_pid: OWN, unknown, foreign: HashSet::from([FOREIGN]) };
        let mut scene = Self {
            tracker: Tracker::new(Roster::new(own)),
            kernel: MadeUpKernel::default(),
            batch: EventBatch::default(),
        };
        scene.tracker.coverage.begin(mechanisms);
        scene.tracker.roster.set_root(ROOT);
        scene.kernel.now = at(100);
        scene.kernel.show(ROOT, OWN);
        assert_eq!(scene.adopt(ROOT), Adoption::Added);
        scene.take();
        scene
    }

    /// Perf events: only processes of the job are reported.
    fn of_job() -> Self {
        Self::new(Mechanisms { lifetimes: Some(LifetimeScope::Job), holds_tasks: false })
    }

    /// Proc connector: all processes of the machine are reported.
    fn of_machine() -> Self {
        Self::new(Mechanisms { lifetimes: Some(LifetimeScope::Machine), holds_tasks: false })
    }

    /// Holds alone.
    fn of_holds() -> Self {
        let mut scene = Self::new(Mechanisms::default());
        scene.tracker.coverage.begin(Mechanisms { lifetimes: None, holds_tasks: true });
        scene
    }

    fn adopt(&mut self, pid: u32) -> Adoption {
        let (kernel, batch) = (&mut self.kernel, &mut self.batch);
        self.tracker.adopt(pid, FoundIn::MemberChildren, SearchReason::Poll, kernel, batch)
    }

    fn apply(&mut self, us: u64, event: KernelEvent) -> Vec<JobEvent> {
        self.tracker.apply(at(us), event, &mut self.kernel, &mut self.batch);
        self.take()
    }

    fn take(&mut self) -> Vec<JobEvent> {
        self.batch.drain().map(|timed| timed.event).collect()
    }

    fn member(&self, pid: u32) -> &Member {
        self.tracker.roster.get(pid).expect("a member")
    }

    fn index(&self, pid: u32) -> usize {
        self.tracker.roster.id_of(pid).and_then(|id| self.tracker.roster.index_of(id)).expect("a member")
    }

    fn departed(&mut self) -> Vec<u32> {
        self.tracker.take_departed().iter().map(|departed| departed.pid).collect()
    }

    /// Lets a poll of 10 ms pass in which `/proc` shows the exit of `pid`.
    fn see_exit(&mut self, pid: u32) -> ExitShown {
        let next = self.tracker.window.current + Duration::from_millis(10);
        self.tracker.window.advance(next);
        self.tracker.see_exit(self.index(pid), Round::Regular)
    }
}

fn fork(pid: u32, parent: u32) -> KernelEvent {
    KernelEvent::Fork { pid, parent }
}

fn exec(pid: u32, comm: &str) -> KernelEvent {
    KernelEvent::Exec { pid, comm: Some(comm.to_owned()) }
}

fn exit_with(pid: u32, tid: u32, status: i32, peak_mib: u64) -> KernelEvent {
    let record = TaskEnd {
        pid,
        tid,
        comm: "task".to_owned(),
        peak_bytes: Some(peak_mib * MIB),
        status,
        cpu: CpuUse::default(),
        io: IoBytes::default(),
    };
    KernelEvent::TaskExited { pid, tid, status: Some(status), record: Some(Box::new(record)) }
}

fn held(pid: u32, point: HoldPoint, mib: u64) -> HeldTask {
    HeldTask {
        at: Duration::ZERO,
        pid,
        ppid: ROOT,
        point,
        mark: Some(mib * MIB),
        threads: Some(1),
        comm: "held".to_owned(),
        image: Some(1),
        start_ticks: 7,
        shares_map: None,
        forked: false,
    }
}

fn names(events: &[JobEvent]) -> Vec<&str> {
    let name = |event: &JobEvent| -> &'static str {
        match event {
            JobEvent::Started { .. } => "started",
            JobEvent::Named { .. } => "named",
            JobEvent::SharesMemoryMap { .. } => "shares",
            JobEvent::Exec { .. } => "exec",
            JobEvent::FinalMark { .. } => "mark",
            JobEvent::Ended { .. } => "ended",
            JobEvent::Exit { .. } => "exit",
            JobEvent::MaxRss { .. } => "max rss",
            JobEvent::FinalUsage { .. } => "usage",
            JobEvent::MissedProcess => "missed",
            _ => "other",
        }
    };
    events.iter().map(name).collect()
}

fn final_mark(events: &[JobEvent]) -> Option<LastMark> {
    events.iter().find_map(|event| match event {
        JobEvent::FinalMark { mark, .. } => Some(*mark),
        _ => None,
    })
}

#[test]
fn only_forks_of_members_are_members() {
    let mut scene = Scene::of_machine();
    assert_eq!(names(&scene.apply(200, fork(CHILD, ROOT))), ["started"]);
    assert_eq!(scene.member(CHILD).parent, Some(MemberId(0)));
    assert!(scene.apply(201, fork(900, 800)).is_empty());
    assert!(scene.tracker.coverage.is_complete());
}

#[test]
fn a_fork_of_an_unknown_parent_in_job_scope() {
    let mut scene = Scene::of_job();
    assert_eq!(names(&scene.apply(200, fork(900, 800))), ["started"]);
}

#[test]
fn a_child_that_a_member_gives_to_this_process_is_a_member() {
    // CLONE_PARENT.
    let mut scene = Scene::of_machine();
    assert_eq!(names(&scene.apply(200, fork(CHILD, OWN))), ["started"]);
    let lifetimes = Some(LifetimeScope::Machine);
    let mechanisms = Mechanisms { lifetimes, holds_tasks: false };
    let mut shared = Scene::with_children(mechanisms, UnknownChildren::AnyOrigin);
    assert!(shared.apply(200, fork(CHILD, OWN)).is_empty());
    assert!(!shared.tracker.coverage.is_complete());
    assert!(shared.tracker.coverage.take_walk_request(), "a walk shows its parent");
}

#[test]
fn an_exited_orphan_of_unknown_origin_is_reaped_if_no_other_code_waits_for_it() {
    let adopt_exited = |mechanisms, unknown, pid| {
        let mut scene = Scene::with_children(Mechanisms::default(), unknown);
        scene.tracker.coverage.begin(mechanisms);
        scene.kernel.show(pid, OWN).state = b'Z';
        let (kernel, batch) = (&mut scene.kernel, &mut scene.batch);
        let adoption = scene.tracker.adopt(pid, FoundIn::Elsewhere, SearchReason::Poll, kernel, batch);
        assert!(scene.take().is_empty(), "no figure of the job");
        adoption
    };
    let sampled = Mechanisms::default();
    let beside_foreign = UnknownChildren::OrphansBesideForeign;
    assert_eq!(adopt_exited(sampled, beside_foreign, CHILD), Adoption::Unclaimed);
    assert_eq!(adopt_exited(sampled, beside_foreign, FOREIGN), Adoption::Refused);
    assert_eq!(adopt_exited(sampled, UnknownChildren::AnyOrigin, CHILD), Adoption::Refused);
    assert!(matches!(adopt_exited(sampled, UnknownChildren::JobOrphans, CHILD), Adoption::Exited(_)));
    // The event of its fork may be outstanding.
    for mechanisms in [
        Mechanisms { lifetimes: Some(LifetimeScope::Machine), holds_tasks: false },
        Mechanisms { lifetimes: None, holds_tasks: true },
    ] {
        assert_eq!(adopt_exited(mechanisms, beside_foreign, CHILD), Adoption::Refused);
    }
    let mut living = Scene::with_children(sampled, beside_foreign);
    living.kernel.show(CHILD, OWN);
    let (kernel, batch) = (&mut living.kernel, &mut living.batch);
    let adoption = living.tracker.adopt(CHILD, FoundIn::Elsewhere, SearchReason::Poll, kernel, batch);
    assert_eq!(adoption, Adoption::Refused);
}

#[test]
fn the_fork_of_an_adopted_process_makes_it_reported() {
    let mut scene = Scene::of_machine();
    scene.kernel.show(CHILD, ROOT);
    scene.adopt(CHILD);
    assert!(!scene.member(CHILD).is_reported());
    assert!(!scene.tracker.coverage.is_complete(), "its fork should have been reported before");
    scene.take();
    assert!(scene.apply(50, fork(CHILD, ROOT)).is_empty());
    assert!(scene.member(CHILD).is_reported());
}

#[test]
fn a_pid_that_is_forked_again_ends_the_member_that_had_it() {
    let mut scene = Scene::of_job();
    scene.apply(200, fork(CHILD, ROOT));
    scene.apply(300, fork(CHILD, ROOT));
    assert_eq!(scene.departed(), [CHILD]);
    assert_eq!(scene.member(CHILD).id, MemberId(2));
    assert!(!scene.tracker.coverage.is_complete(), "its exit was not reported");
}

#[test]
fn an_exec_older_than_the_adoption_counts_once() {
    let mut scene = Scene::of_machine();
    scene.kernel.show(CHILD, ROOT);
    scene.adopt(CHILD);
    scene.take();
    assert!(scene.apply(100, exec(CHILD, "old")).is_empty());
    assert_eq!(names(&scene.apply(101, exec(CHILD, "new"))), ["exec"]);
}

#[test]
fn early_execs_of_the_command_are_replayed_after_the_first() {
    let mut scene = Scene::of_job();
    assert!(scene.apply(50, exec(ROOT, "first")).is_empty(), "it is what the command was started for");
    let events = scene.apply(60, exec(ROOT, "second"));
    assert_eq!(names(&events), ["named", "exec"]);
    let JobEvent::Named { name, .. } = &events[0] else { panic!() };
    assert_eq!(name.comm, "first");
    assert_eq!(scene.member(ROOT).name, MemberNameState::UNREAD);
}

#[test]
fn threads_created_before_the_adoption_are_counted_by_proc() {
    let mut scene = Scene::of_job();
    scene.apply(50, KernelEvent::ThreadCreated { pid: ROOT, tid: 20 });
    assert_eq!(scene.member(ROOT).threads, 1);
    scene.apply(150, KernelEvent::ThreadCreated { pid: ROOT, tid: 21 });
    assert_eq!(scene.member(ROOT).threads, 2);
}

#[test]
fn an_exec_that_only_proc_shows_is_one_at_once() {
    let mut scene = Scene::new(Mechanisms::default());
    scene.kernel.show(ROOT, OWN).image = Some(2);
    let index = scene.index(ROOT);
    let shown = scene.tracker.ask_for_exec(index, true, &mut scene.kernel, &mut scene.batch);
    assert_eq!(shown, ExecShown::Replaced);
    let again = scene.tracker.ask_for_exec(index, true, &mut scene.kernel, &mut scene.batch);
    assert_eq!(again, ExecShown::Same, "the same memory map is the same program");
}

#[test]
fn a_member_is_not_read_while_its_exec_is_outstanding() {
    let mut scene = Scene::of_job();
    scene.apply(200, fork(CHILD, ROOT));
    scene.kernel.show(CHILD, ROOT);
    let index = scene.index(CHILD);
    let first = scene.tracker.prepare_first_reading(index, &mut scene.kernel, &mut scene.batch);
    assert_eq!(first, FirstReading::AwaitsExec);
    scene.apply(300, exec(CHILD, "program"));
    let first = scene.tracker.prepare_first_reading(index, &mut scene.kernel, &mut scene.batch);
    assert_eq!(first, FirstReading::Ready);
    assert_eq!(scene.member(CHILD).start_ticks, Some(7));
}

#[test]
fn a_forked_child_is_asked_for_the_map_that_it_runs_in() {
    let mut scene = Scene::of_job();
    scene.apply(200, fork(CHILD, ROOT));
    scene.kernel.show(CHILD, ROOT).flags = PF_FORKNOEXEC;
    scene.kernel.shares_map = Some(true);
    let index = scene.index(CHILD);
    let first = scene.tracker.prepare_first_reading(index, &mut scene.kernel, &mut scene.batch);
    assert_eq!(first, FirstReading::Ready);
    assert!(scene.member(CHILD).image.shares_map());
    assert_eq!(names(&scene.take()), ["shares"]);
    scene.apply(300, exec(CHILD, "program"));
    assert!(!scene.member(CHILD).image.shares_map());
}

#[test]
fn a_name_that_differs_from_the_exec_is_read_at_the_next_poll() {
    let mut scene = Scene::of_job();
    scene.apply(200, exec(ROOT, "reported"));
    let index = scene.index(ROOT);
    scene.tracker.read_name(index, &mut scene.kernel, &mut scene.batch);
    assert!(scene.take().is_empty());
    scene.tracker.read_name(index, &mut scene.kernel, &mut scene.batch);
    assert_eq!(names(&scene.take()), ["named"]);
    assert!(scene.member(ROOT).name.is_known());
}

#[test]
fn a_shared_owner_claims_orphans_by_group() {
    let mut scene = Scene::with_children(Mechanisms::default(), UnknownChildren::AnyOrigin);
    scene.kernel.show(OWN, 0);
    scene.kernel.show(CHILD, OWN);
    let adopt = |scene: &mut Scene| {
        let (kernel, batch) = (&mut scene.kernel, &mut scene.batch);
        scene.tracker.adopt(CHILD, FoundIn::Elsewhere, SearchReason::Poll, kernel, batch)
    };
    assert_eq!(adopt(&mut scene), Adoption::Refused);
    scene.kernel.show(CHILD, OWN).group = Some(ROOT);
    assert_eq!(adopt(&mut scene), Adoption::Added);
}

#[test]
fn an_older_mark_says_nothing_of_the_time_attached() {
    let mut scene = Scene::of_machine();
    scene.tracker.mark_attached(&mut scene.kernel, &mut scene.batch);
    scene.take();
    scene.apply(150, KernelEvent::ThreadCreated { pid: ROOT, tid: 20 });
    scene.apply(200, exit_with(ROOT, 20, 0, 1));
    let events = scene.apply(300, exit_with(ROOT, ROOT, 0, 1));
    assert_eq!(final_mark(&events), None);
    assert!(names(&events).contains(&"max rss"), "it bounds the peak from above: {events:?}");
}

#[test]
fn events_come_with_their_own_times() {
    let mut scene = Scene::of_machine();
    scene.tracker.apply(at(200), fork(CHILD, ROOT), &mut scene.kernel, &mut scene.batch);
    let moments: Vec<Moment> = scene.batch.events.iter().map(|TimedEvent { moment, .. }| *moment).collect();
    assert_eq!(moments, [Moment::exactly(at(200))]);
}
