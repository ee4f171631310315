//! Where nothing but holding tells, `/proc` may be ahead of what was heard, and behind it.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    Job, Roots,
    job::{
        CgroupUse, LineageFrom,
        events::Name,
        linux::{
            lifetimes::{Lifetime, What},
            members::Depth,
            sources::{Sources, Told, Wanted},
        },
    },
};

/// Beyond every pid of this machine.
const SHELL: u32 = 5_000_000;
const CHILD: u32 = 5_000_001;
const MIB: u64 = 1 << 20;

/// A job whose `/proc` is made up.
struct Made {
    proc: TempDir,
    members: Members,
    sources: Sources,
    news: News,
    now: Duration,
}

impl Made {
    /// A shell, looked at once.
    fn new() -> Self {
        let proc = tempfile::tempdir().unwrap();
        let roots = Roots { proc: proc.path().into(), ..Roots::default() };
        show(proc.path(), SHELL, std::process::id(), "sh", 1, Shows::Program(1));
        let wanted = Wanted { lineage: LineageFrom::Sampling, exact: false, cgroup: CgroupUse::Never };
        let sources = Sources::prepare(wanted, &roots);
        let members = Members::new(&roots, true, 0, &Job::new("sh"));
        let mut made = Self { proc, members, sources, news: News::default(), now: Duration::ZERO };
        made.members.start(SHELL, super::super::monotonic(), &made.sources, &mut made.news);
        made.members.told.holding = true;
        made.look();
        made
    }

    fn shows(&self, mib: u64, what: Shows) {
        show(self.proc.path(), CHILD, SHELL, "child", mib, what);
    }

    /// The keeper has written that the child was held then.
    fn was_held(&mut self, ms: u64, what: HeldAt, image: u64, mib: u64) {
        let held = self.notice(CHILD, ms, what, image, mib);
        self.members.told.heard.push(held);
    }

    /// It writes that while the next look goes on, before `/proc` shows what comes of it.
    fn is_held_meanwhile(&mut self, ms: u64, what: HeldAt, image: u64, mib: u64) {
        let held = self.notice(CHILD, ms, what, image, mib);
        self.members.told.late.push(held);
    }

    fn notice(&self, pid: u32, ms: u64, what: HeldAt, image: u64, mib: u64) -> Told {
        let forked = image == FORKED && pid != SHELL;
        Told::Held(Held {
            at: self.members.told.epoch + Duration::from_millis(ms),
            pid,
            ppid: if pid == SHELL { std::process::id() } else { SHELL },
            what,
            mark: Some(mib * MIB),
            threads: Some(1),
            comm: format!("program {image}"),
            image: Some(image_of(image)),
            start_ticks: 7,
            shares_map: forked.then_some(false),
            forked,
        })
    }

    fn look(&mut self) -> Vec<Event> {
        self.now += Duration::from_millis(10);
        let depth = Depth { marks: true, usage: false };
        self.members.look(self.now, depth, &mut self.sources, &mut self.news);
        self.news.drain().map(|timed| timed.event).collect()
    }

    /// The child's RSS in the last look.
    fn read_mib(&self) -> Option<u64> {
        let id = self.members.by_pid.get(&CHILD)?;
        let mut readings = self.members.readings().iter();
        readings.find(|reading| reading.id == *id).map(|reading| reading.rss / MIB)
    }
}

/// What `/proc` shows of a process.
#[derive(Clone, Copy, PartialEq)]
enum Shows {
    Forked,
    /// In the midst of an exec: a new memory map, of which nothing is known yet.
    NoProgram,
    Program(u64),
    Zombie,
}

/// The memory map that fork made.
const FORKED: u64 = 1;

/// As `Stat::image` has it, from the start of the code and that of the stack.
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

fn execs(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Exec { .. })).count()
}

fn deads(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::SeenDead)).count()
}

fn last_marks(events: &[Event]) -> Vec<u64> {
    let mark = |event: &Event| match event {
        Event::Last { mark, .. } if mark.is_final => Some(mark.bytes / MIB),
        _ => None,
    };
    events.iter().filter_map(mark).collect()
}

#[test]
fn one_first_seen_at_its_exec_is_read_while_it_lives() {
    let mut made = Made::new();
    made.was_held(11, HeldAt::Exec, FORKED, 1);
    made.shows(200, Shows::Program(2));
    let events = made.look();
    assert_eq!((execs(&events), made.read_mib()), (1, Some(200)), "{events:?}");
}

#[test]
fn an_exec_that_proc_shows_first_is_one_exec() {
    let mut made = Made::new();
    made.shows(1, Shows::Forked);
    assert_eq!((execs(&made.look()), made.read_mib()), (0, Some(1)));
    made.shows(5, Shows::Program(2));
    made.is_held_meanwhile(21, HeldAt::Exec, FORKED, 1);
    let mut events = made.look();
    assert_eq!(made.read_mib(), Some(5));
    made.was_held(35, HeldAt::ExitGroup { code: 0 }, 2, 6);
    events.extend(made.look());
    assert_eq!(execs(&events), 1, "{events:?}");
}

#[test]
fn what_a_program_had_before_proc_showed_the_next_is_its_last_word() {
    let mut made = Made::new();
    made.was_held(11, HeldAt::Exec, FORKED, 1);
    made.shows(40, Shows::Program(2));
    made.look();
    assert_eq!(made.read_mib(), Some(40));
    made.shows(3, Shows::Program(3));
    made.is_held_meanwhile(21, HeldAt::Exec, 2, 300);
    let events = made.look();
    assert_eq!((execs(&events), last_marks(&events), made.read_mib()), (1, vec![300], Some(3)), "{events:?}");
}

#[test]
fn a_program_between_two_looks_is_not_lost() {
    let mut made = Made::new();
    // Behind two execs when it is found; and an orphan, which is asked for twice in a look.
    made.shows(3, Shows::Program(3));
    made.is_held_meanwhile(11, HeldAt::Exec, FORKED, 1);
    made.is_held_meanwhile(12, HeldAt::Exec, 2, 500);
    let events = made.look();
    assert_eq!((execs(&events), made.read_mib()), (2, Some(3)), "{events:?}");
    assert!(last_marks(&events).contains(&500), "{events:?}");
}

#[test]
fn asked_for_twice_before_a_hearing_is_not_heard() {
    let mut made = Made::new();
    show(made.proc.path(), CHILD, std::process::id(), "child", 3, Shows::Program(3));
    let (members, news) = (&mut made.members, &mut made.news);
    assert!(members.adopt(CHILD, false, news).is_none() && members.adopt(CHILD, false, news).is_none());
    made.look();
    assert_eq!(made.read_mib(), Some(3));
    assert!(made.members.told.found_behind_exec.len() <= 1);
}

#[test]
fn what_nobody_tells_of_is_taken_in_all_the_same() {
    let mut made = Made::new();
    made.shows(3, Shows::Program(2));
    let events = made.look();
    let is_named = |event: &Event| matches!(event, Event::Born { pid: CHILD, name: Some(name), .. } if **name != *Name::unknown());
    assert!(events.iter().any(is_named), "{events:?}");
    assert_eq!(made.read_mib(), Some(3));
    made.look();
    assert!(made.members.told.found_behind_exec.is_empty());
}

#[test]
fn one_that_execs_at_every_look_is_read() {
    let mut made = Made::new();
    made.was_held(11, HeldAt::Exec, FORKED, 1);
    for image in 2..30 {
        made.shows(200, Shows::Program(image));
        made.look();
        assert_eq!(made.read_mib(), Some(200));
        made.was_held(10 + image * 10, HeldAt::Exec, image, 200);
    }
}

#[test]
fn one_that_is_killed_after_its_exec_was_seen_has_exec_ed() {
    let mut made = Made::new();
    made.shows(1, Shows::Forked);
    made.look();
    made.was_held(25, HeldAt::Exec, FORKED, 1);
    made.shows(200, Shows::Program(2));
    let mut events = made.look();
    // Killed, it is not held again.
    made.shows(0, Shows::Zombie);
    for _ in 0..6 {
        events.extend(made.look());
    }
    assert_eq!(execs(&events), 1, "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Gone { .. })), "{events:?}");
}

#[test]
fn one_yet_to_be_heard_keeps_the_job_going() {
    let mut made = Made::new();
    let exit = made.notice(SHELL, 19, HeldAt::ExitGroup { code: 0 }, 1, 1);
    made.members.told.heard.push(exit);
    show(made.proc.path(), SHELL, std::process::id(), "sh", 0, Shows::Zombie);
    show(made.proc.path(), CHILD, std::process::id(), "child", 3, Shows::Program(2));
    let events = made.look();
    assert!(!made.members.is_empty(), "{events:?}");
}

#[test]
fn the_child_of_one_that_was_yet_to_be_heard_is_found() {
    const GRANDCHILD: u32 = CHILD + 1;
    let mut made = Made::new();
    made.shows(3, Shows::Program(2));
    show(made.proc.path(), GRANDCHILD, CHILD, "grandchild", 7, Shows::Forked);
    made.look();
    assert!(made.members.by_pid.contains_key(&GRANDCHILD));
}

#[test]
fn a_pid_given_out_again_is_another_process() {
    let mut made = Made::new();
    made.was_held(11, HeldAt::Exec, FORKED, 1);
    made.shows(3, Shows::Program(2));
    let stat = made.proc.path().join(format!("{CHILD}/stat"));
    let text = fs::read_to_string(&stat).unwrap();
    fs::write(&stat, text.replace(" 1 0 7 0 ", " 1 0 8 0 ")).unwrap();
    let mut events = made.look();
    for _ in 0..6 {
        events.extend(made.look());
    }
    assert!(events.iter().any(|event| matches!(event, Event::Gone { .. })), "{events:?}");
}

#[test]
fn the_command_is_known_by_its_first_program() {
    let mut made = Made::new();
    let root = &made.members.list[0];
    assert_eq!((root.pid, root.image), (SHELL, Some(image_of(1))));
    // A mark that falls is no exec where the memory map is the same.
    show(made.proc.path(), SHELL, std::process::id(), "sh", 90, Shows::Program(1));
    made.look();
    show(made.proc.path(), SHELL, std::process::id(), "sh", 1, Shows::Program(1));
    assert_eq!(execs(&made.look()), 0);
}

#[test]
fn one_found_dead_before_it_was_heard_is_one_process() {
    let mut made = Made::new();
    made.shows(0, Shows::Zombie);
    let mut events = made.look();
    made.was_held(18, HeldAt::ExitGroup { code: 0 }, 2, 4);
    events.extend(made.look());
    events.extend(made.look());
    let births = events.iter().filter(|event| matches!(event, Event::Born { .. })).count();
    assert_eq!((births, deads(&events)), (1, 0), "{events:?}");
    // Killed, it was never held.
    let mut made = Made::new();
    made.shows(0, Shows::Zombie);
    let mut events = made.look();
    events.extend(made.look());
    events.extend(made.look());
    assert_eq!(deads(&events), 1, "{events:?}");
}

#[test]
fn an_exec_that_failed_is_none() {
    let mut made = Made::new();
    made.was_held(11, HeldAt::Exec, FORKED, 1);
    made.shows(8, Shows::Program(2));
    made.look();
    for ms in [35, 45] {
        made.was_held(ms, HeldAt::Exec, 2, 9);
        let events = made.look();
        assert_eq!((execs(&events), made.read_mib()), (0, Some(8)), "{events:?}");
    }
}

#[test]
fn in_the_midst_of_an_exec_it_is_what_it_was() {
    let mut made = Made::new();
    made.was_held(11, HeldAt::Exec, FORKED, 1);
    made.was_held(15, HeldAt::Exec, 2, 30);
    made.shows(1, Shows::NoProgram);
    let mut events = made.look();
    made.was_held(25, HeldAt::ExitGroup { code: 0 }, 3, 4);
    events.extend(made.look());
    assert_eq!((execs(&events), last_marks(&events)), (2, vec![1, 30, 4]), "{events:?}");
}

#[test]
fn a_child_in_the_map_of_a_program_that_has_just_begun_is_a_guest() {
    const GUEST: u32 = CHILD + 1;
    let mut made = Made::new();
    made.was_held(11, HeldAt::Exec, FORKED, 1);
    made.shows(300, Shows::Program(2));
    made.look();
    // In one look its exec, and then a child that stays in its map until an exec of its own.
    let at = made.members.told.epoch + Duration::from_millis(21);
    let exec = Told::Lifetime(Lifetime { at, what: What::Exec { pid: CHILD, comm: None } });
    let Told::Held(guest) = made.notice(GUEST, 22, HeldAt::Exec, FORKED, 300) else { unreachable!() };
    let guest = Told::Held(Held { ppid: CHILD, shares_map: Some(true), ..guest });
    made.members.told.heard.extend([exec, guest]);
    show(made.proc.path(), GUEST, CHILD, "guest", 300, Shows::Forked);
    made.look();
    let readings = made.members.readings();
    let own: u64 =
        readings.iter().filter(|reading| !reading.shares_map).map(|reading| reading.rss / MIB).sum();
    assert_eq!((readings.len(), own), (3, 301), "{readings:?}");
}
