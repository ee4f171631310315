//! A whole poll over a made-up `/proc`, with holds as the only events: `/proc` may be ahead of them, and behind.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    Job,
    job::{
        events::JobEvent,
        identity::ProgramName,
        linux::{
            clock::monotonic,
            exec_hold::{HeldTask, HoldPoint},
            kernel_event::TimedKernelEvent,
            taskstats::TaskEnd,
        },
    },
};

/// Beyond every pid of this machine.
const SHELL: u32 = 5_000_000;
const CHILD: u32 = 5_000_001;
const MIB: u64 = 1 << 20;

/// Events that a test has written.
#[derive(Default)]
struct ScriptedFeed {
    ready: Vec<TimedKernelEvent>,
    /// Events that come after the next round.
    after_next_round: Vec<TimedKernelEvent>,
}

impl EventFeed for ScriptedFeed {
    fn drain(&mut self, events: &mut Vec<TimedKernelEvent>, _: impl FnMut(TaskEnd)) {
        events.append(&mut self.ready);
        self.ready.append(&mut self.after_next_round);
    }

    fn lost(&self, _: Round) -> u64 {
        0
    }
}

/// A job whose `/proc` is made up.
struct MadeJob {
    proc: TempDir,
    observation: Observation,
    feed: ScriptedFeed,
    batch: EventBatch,
    epoch: Duration,
    now: Duration,
}

impl MadeJob {
    /// A shell, polled once.
    fn new() -> Self {
        let proc = tempfile::tempdir().unwrap();
        let seen = ProcDir::made_up(proc.path());
        show(proc.path(), SHELL, std::process::id(), "sh", 1, Shows::Program(1));
        let mut made = Self {
            proc,
            observation: Observation::new(&seen, true, 0, &Job::new("sh")),
            feed: ScriptedFeed::default(),
            batch: EventBatch::default(),
            epoch: monotonic(),
            now: Duration::ZERO,
        };
        made.observation.start(SHELL, made.epoch, Mechanisms::default(), &mut made.batch);
        made.observation.started(Mechanisms { lifetimes: None, holds_tasks: true });
        made.poll();
        made
    }

    fn shows(&self, mib: u64, what: Shows) {
        show(self.proc.path(), CHILD, SHELL, "child", mib, what);
    }

    /// Writes the notice of a hold of the child at that time.
    fn was_held(&mut self, ms: u64, point: HoldPoint, image: u64, mib: u64) {
        let held = self.notice(CHILD, ms, point, image, mib);
        self.write(held);
    }

    /// Writes the next notice of the child while the next poll runs, before `/proc` shows its effect.
    fn is_held_meanwhile(&mut self, ms: u64, point: HoldPoint, image: u64, mib: u64) {
        let held = self.notice(CHILD, ms, point, image, mib);
        self.feed.after_next_round.push(TimedKernelEvent { at: held.at, event: KernelEvent::Held(held) });
    }

    fn write(&mut self, held: HeldTask) {
        self.feed.ready.push(TimedKernelEvent { at: held.at, event: KernelEvent::Held(held) });
    }

    fn notice(&self, pid: u32, ms: u64, point: HoldPoint, image: u64, mib: u64) -> HeldTask {
        let forked = image == FORKED && pid != SHELL;
        HeldTask {
            at: self.epoch + Duration::from_millis(ms),
            pid,
            ppid: if pid == SHELL { std::process::id() } else { SHELL },
            point,
            mark: Some(mib * MIB),
            threads: Some(1),
            comm: format!("program {image}"),
            image: Some(image_of(image)),
            start_ticks: 7,
            shares_map: forked.then_some(false),
            forked,
        }
    }

    fn poll(&mut self) -> Vec<JobEvent> {
        self.now += Duration::from_millis(10);
        let depth = SampleDepth { marks: true, usage: false };
        self.observation.poll(self.now, depth, &mut self.feed, &mut self.batch);
        self.batch.drain().map(|timed| timed.event).collect()
    }

    /// RSS of the child in the last poll.
    fn read_mib(&self) -> Option<u64> {
        let id = self.observation.tracker.roster.id_of(CHILD)?;
        let mut readings = self.observation.readings().iter();
        readings.find(|reading| reading.id == id).map(|reading| reading.rss / MIB)
    }
}

/// The state of a process in `/proc`.
#[derive(Clone, Copy, PartialEq)]
enum Shows {
    Forked,
    /// A process in the midst of an exec: a new memory map, of which nothing is known yet.
    NoProgram,
    Program(u64),
    Zombie,
}

/// Number of the memory map that fork made.
const FORKED: u64 = 1;

/// Returns the form of `Stat::image`, from the start of the code and that of the stack.
fn image_of(image: u64) -> u64 {
    crate::process::linux::stat::image(image << 20, image << 30).unwrap()
}

fn show(proc: &Path, pid: u32, parent: u32, comm: &str, mib: u64, what: Shows) {
    let directory = proc.join(pid.to_string());
    fs::create_dir_all(&directory).unwrap();
    let (state, flags, image) = match what {
        Shows::Forked => ('S', 0x40, FORKED),
        Shows::NoProgram => ('S', 0, 0),
        Shows::Program(image) => ('S', 0, image),
        Shows::Zombie => ('Z', 0x4, 0),
    };
    let (code, stack) = (image << 20, image << 30);
    let stat = format!(
        "{pid} ({comm}) {state} {parent} 1 1 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0 0 {code} 0 {stack} 0 0\n"
    );
    let pages = if what == Shows::Zombie { 0 } else { mib * MIB / rustix::param::page_size() as u64 };
    let text = if what == Shows::Zombie { 0 } else { 10 + image };
    let status = format!(
        "Name:\t{comm}\nState:\t{state}\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{parent}\nVmHWM:\t{kib} kB\nVmRSS:\t{kib} kB\n\
         VmSwap:\t0 kB\nThreads:\t1\n",
        kib = mib * 1024
    );
    for (name, text) in [
        ("stat", stat),
        ("statm", format!("{pages} {pages} 1 {text} 0 {pages} 0\n")),
        ("status", status),
        ("cmdline", format!("{comm}\0")),
    ] {
        // Kept descriptors go on reading the same file.
        fs::write(directory.join(name), text).unwrap();
    }
}

fn execs(events: &[JobEvent]) -> usize {
    events.iter().filter(|event| matches!(event, JobEvent::Exec { .. })).count()
}

fn missed(events: &[JobEvent]) -> usize {
    events.iter().filter(|event| matches!(event, JobEvent::MissedProcess)).count()
}

fn last_marks(events: &[JobEvent]) -> Vec<u64> {
    let mark = |event: &JobEvent| match event {
        JobEvent::FinalMark { mark, .. } if mark.is_final => Some(mark.bytes / MIB),
        _ => None,
    };
    events.iter().filter_map(mark).collect()
}

#[test]
fn a_child_first_held_at_its_exec_is_read_while_it_lives() {
    let mut made = MadeJob::new();
    made.was_held(11, HoldPoint::Exec, FORKED, 1);
    made.shows(200, Shows::Program(2));
    let events = made.poll();
    assert_eq!((execs(&events), made.read_mib()), (1, Some(200)), "{events:?}");
}

#[test]
fn an_exec_that_proc_shows_first_is_one_exec() {
    let mut made = MadeJob::new();
    made.shows(1, Shows::Forked);
    assert_eq!((execs(&made.poll()), made.read_mib()), (0, Some(1)));
    made.shows(5, Shows::Program(2));
    made.is_held_meanwhile(21, HoldPoint::Exec, FORKED, 1);
    let mut events = made.poll();
    assert_eq!(made.read_mib(), Some(5));
    made.was_held(35, HoldPoint::ExitGroup { code: 0 }, 2, 6);
    events.extend(made.poll());
    assert_eq!(execs(&events), 1, "{events:?}");
}

#[test]
fn the_mark_held_before_proc_shows_the_next_image_is_final() {
    let mut made = MadeJob::new();
    made.was_held(11, HoldPoint::Exec, FORKED, 1);
    made.shows(40, Shows::Program(2));
    made.poll();
    assert_eq!(made.read_mib(), Some(40));
    made.shows(3, Shows::Program(3));
    made.is_held_meanwhile(21, HoldPoint::Exec, 2, 300);
    let events = made.poll();
    assert_eq!((execs(&events), last_marks(&events), made.read_mib()), (1, vec![300], Some(3)), "{events:?}");
}

#[test]
fn a_program_between_two_polls_is_not_lost() {
    let mut made = MadeJob::new();
    // Behind two execs when it is found; and an orphan, which is asked for twice in a look.
    made.shows(3, Shows::Program(3));
    made.is_held_meanwhile(11, HoldPoint::Exec, FORKED, 1);
    made.is_held_meanwhile(12, HoldPoint::Exec, 2, 500);
    let events = made.poll();
    assert_eq!((execs(&events), made.read_mib()), (2, Some(3)), "{events:?}");
    assert!(last_marks(&events).contains(&500), "{events:?}");
}

#[test]
fn a_process_without_any_event_is_added() {
    let mut made = MadeJob::new();
    made.shows(3, Shows::Program(2));
    let events = made.poll();
    let is_named = |event: &JobEvent| matches!(event, JobEvent::Started { pid: CHILD, name: Some(name), .. } if **name != *ProgramName::unknown());
    assert!(events.iter().any(is_named), "{events:?}");
    assert_eq!(made.read_mib(), Some(3));
}

#[test]
fn a_process_that_execs_at_every_poll_is_read() {
    let mut made = MadeJob::new();
    made.was_held(11, HoldPoint::Exec, FORKED, 1);
    for image in 2..30 {
        made.shows(200, Shows::Program(image));
        made.poll();
        assert_eq!(made.read_mib(), Some(200));
        made.was_held(10 + image * 10, HoldPoint::Exec, image, 200);
    }
}

#[test]
fn a_process_killed_after_its_exec_was_seen_has_exec_ed() {
    let mut made = MadeJob::new();
    made.shows(1, Shows::Forked);
    made.poll();
    made.was_held(25, HoldPoint::Exec, FORKED, 1);
    made.shows(200, Shows::Program(2));
    let mut events = made.poll();
    // Killed, it is not held again.
    made.shows(0, Shows::Zombie);
    for _ in 0..6 {
        events.extend(made.poll());
    }
    assert_eq!(execs(&events), 1, "{events:?}");
    assert!(events.iter().any(|event| matches!(event, JobEvent::Ended { .. })), "{events:?}");
}

#[test]
fn a_deferred_process_keeps_the_job_going() {
    let mut made = MadeJob::new();
    let exit = made.notice(SHELL, 19, HoldPoint::ExitGroup { code: 0 }, 1, 1);
    made.write(exit);
    show(made.proc.path(), SHELL, std::process::id(), "sh", 0, Shows::Zombie);
    show(made.proc.path(), CHILD, std::process::id(), "child", 3, Shows::Program(2));
    let events = made.poll();
    assert!(!made.observation.is_empty(), "{events:?}");
}

#[test]
fn the_child_of_a_deferred_process_is_found() {
    const GRANDCHILD: u32 = CHILD + 1;
    let mut made = MadeJob::new();
    made.shows(3, Shows::Program(2));
    show(made.proc.path(), GRANDCHILD, CHILD, "grandchild", 7, Shows::Forked);
    made.poll();
    assert!(made.observation.tracker.roster.contains(GRANDCHILD));
}

#[test]
fn a_pid_given_out_again_is_another_process() {
    let mut made = MadeJob::new();
    made.was_held(11, HoldPoint::Exec, FORKED, 1);
    made.shows(3, Shows::Program(2));
    let stat = made.proc.path().join(format!("{CHILD}/stat"));
    let text = fs::read_to_string(&stat).unwrap();
    fs::write(&stat, text.replace(" 1 0 7 0 ", " 1 0 8 0 ")).unwrap();
    let mut events = made.poll();
    for _ in 0..6 {
        events.extend(made.poll());
    }
    assert!(events.iter().any(|event| matches!(event, JobEvent::Ended { .. })), "{events:?}");
}

#[test]
fn the_command_is_known_by_its_first_program() {
    let mut made = MadeJob::new();
    let root = made.observation.tracker.roster.get(SHELL).unwrap();
    assert_eq!(root.image.identity, Some(image_of(1)));
    // A mark that falls is no exec where the memory map is the same.
    show(made.proc.path(), SHELL, std::process::id(), "sh", 90, Shows::Program(1));
    made.poll();
    show(made.proc.path(), SHELL, std::process::id(), "sh", 1, Shows::Program(1));
    assert_eq!(execs(&made.poll()), 0);
}

#[test]
fn a_process_found_dead_before_its_hold_counts_once() {
    let mut made = MadeJob::new();
    made.shows(0, Shows::Zombie);
    let mut events = made.poll();
    made.was_held(18, HoldPoint::ExitGroup { code: 0 }, 2, 4);
    events.extend(made.poll());
    events.extend(made.poll());
    let births = events.iter().filter(|event| matches!(event, JobEvent::Started { .. })).count();
    assert_eq!((births, missed(&events)), (1, 0), "{events:?}");
    // Killed, it was never held.
    let mut made = MadeJob::new();
    made.shows(0, Shows::Zombie);
    let mut events = made.poll();
    events.extend(made.poll());
    events.extend(made.poll());
    assert_eq!(missed(&events), 1, "{events:?}");
}

#[test]
fn an_exec_that_failed_is_none() {
    let mut made = MadeJob::new();
    made.was_held(11, HoldPoint::Exec, FORKED, 1);
    made.shows(8, Shows::Program(2));
    made.poll();
    for ms in [35, 45] {
        made.was_held(ms, HoldPoint::Exec, 2, 9);
        let events = made.poll();
        assert_eq!((execs(&events), made.read_mib()), (0, Some(8)), "{events:?}");
    }
}

#[test]
fn in_the_midst_of_an_exec_it_is_what_it_was() {
    let mut made = MadeJob::new();
    made.was_held(11, HoldPoint::Exec, FORKED, 1);
    made.was_held(15, HoldPoint::Exec, 2, 30);
    made.shows(1, Shows::NoProgram);
    let mut events = made.poll();
    made.was_held(25, HoldPoint::ExitGroup { code: 0 }, 3, 4);
    events.extend(made.poll());
    assert_eq!((execs(&events), last_marks(&events)), (2, vec![1, 30, 4]), "{events:?}");
}

#[test]
fn a_vfork_child_of_a_new_program_shares_its_map() {
    const GUEST: u32 = CHILD + 1;
    let mut made = MadeJob::new();
    made.was_held(11, HoldPoint::Exec, FORKED, 1);
    made.shows(300, Shows::Program(2));
    made.poll();
    // In one poll its exec, and then a child that stays in its map until an exec of its own.
    let at = made.epoch + Duration::from_millis(21);
    made.feed.ready.push(TimedKernelEvent { at, event: KernelEvent::Exec { pid: CHILD, comm: None } });
    let guest = made.notice(GUEST, 22, HoldPoint::Exec, FORKED, 300);
    made.write(HeldTask { ppid: CHILD, shares_map: Some(true), ..guest });
    show(made.proc.path(), GUEST, CHILD, "guest", 300, Shows::Forked);
    made.poll();
    let readings = made.observation.readings();
    let own: u64 =
        readings.iter().filter(|reading| !reading.shares_map).map(|reading| reading.rss / MIB).sum();
    assert_eq!((readings.len(), own), (3, 301), "{readings:?}");
}
