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

    /// The keeper writes that it was held then.
    fn was_held(&mut self, ms: u64, what: HeldAt, image: u64, mib: u64) {
        let held = Held {
            at: self.members.told.epoch + Duration::from_millis(ms),
            pid: CHILD,
            ppid: SHELL,
            what,
            mark: Some(mib * MIB),
            threads: Some(1),
            comm: format!("program {image}"),
            image: Some(image_of(image)),
            start_ticks: 7,
            shares_map: (image == FORKED).then_some(false),
            forked: image == FORKED,
        };
        self.members.told.heard.push(Told::Held(held));
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
    let mut events = made.look();
    events.extend(made.look());
    assert_eq!((execs(&events), made.read_mib()), (1, Some(200)), "{events:?}");
}

#[test]
fn an_exec_that_proc_shows_first_is_one_exec() {
    let mut made = Made::new();
    made.shows(1, Shows::Forked);
    assert_eq!((execs(&made.look()), made.read_mib()), (0, Some(1)));
    // The notice was written after the look had heard, and before it read.
    made.shows(5, Shows::Program(2));
    let mut events = made.look();
    assert_eq!(made.read_mib(), None, "of neither program it is known that it is the one that was read");
    made.was_held(29, HeldAt::Exec, FORKED, 1);
    events.extend(made.look());
    made.was_held(35, HeldAt::ExitGroup { code: 0 }, 2, 6);
    events.extend(made.look());
    assert_eq!((execs(&events), made.read_mib()), (1, Some(5)), "{events:?}");
}

#[test]
fn what_a_program_had_before_proc_showed_the_next_is_its_last_word() {
    let mut made = Made::new();
    made.was_held(11, HeldAt::Exec, FORKED, 1);
    made.shows(40, Shows::Program(2));
    made.look();
    made.look();
    assert_eq!(made.read_mib(), Some(40));
    made.shows(3, Shows::Program(3));
    let mut events = made.look();
    made.was_held(38, HeldAt::Exec, 2, 300);
    events.extend(made.look());
    assert_eq!((execs(&events), last_marks(&events), made.read_mib()), (1, vec![300], Some(3)), "{events:?}");
}

#[test]
fn a_program_between_two_looks_is_not_lost() {
    let mut made = Made::new();
    // Behind two execs when it is found.
    made.shows(3, Shows::Program(3));
    assert_eq!((made.look().len(), made.read_mib()), (0, None), "what it was before is yet to be heard");
    made.was_held(19, HeldAt::Exec, FORKED, 1);
    made.was_held(20, HeldAt::Exec, 2, 500);
    let mut events = made.look();
    events.extend(made.look());
    assert_eq!((execs(&events), made.read_mib()), (2, Some(3)), "{events:?}");
    assert!(last_marks(&events).contains(&500), "{events:?}");
}

#[test]
fn what_nobody_tells_of_is_taken_in_all_the_same() {
    let mut made = Made::new();
    made.shows(3, Shows::Program(2));
    made.look();
    let events = made.look();
    let is_named = |event: &Event| matches!(event, Event::Born { pid: CHILD, name: Some(name), .. } if **name != *Name::unknown());
    assert!(events.iter().any(is_named), "{events:?}");
    assert_eq!(made.read_mib(), Some(3));
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
