//! Attaching to running processes.

use super::*;
use crate::job::macos::members::attach::Refusal;

/// Makes 300 with a child and a grandchild, beside an unrelated process and this one.
fn running() -> Made {
    let mut made = Made { last_unique: 10, ..Made::default() };
    for (pid, parent) in [(300, LAUNCHD), (301, 300), (302, 301), (400, LAUNCHD), (US, 300)] {
        made.fork(pid, parent);
    }
    made.processes.get_mut(&300).unwrap().0.group = 300;
    made.holds(300, 20, 50);
    made
}

fn attach(made: Made, pid: u32) -> (Members<Made>, Result<(), Refusal>, Vec<Event>) {
    let (mut members, mut batch) = (Members::new(made, NOTHING), EventBatch::default());
    let answer = members.attach(pid, US, &mut batch);
    let events = batch.drain().map(|timed| timed.event).collect();
    (members, answer, events)
}

#[test]
fn attaching_finds_who_is_there_and_what_they_had_reached() {
    let (members, answer, events) = attach(running(), 300);
    assert_eq!(answer, Ok(()));
    assert_eq!(births(&events), [(300, LAUNCHD), (301, 300), (302, 301)], "neither strangers nor ourselves");
    // None of them is between a fork and an exec, and the name of each is read.
    let is_there = |event: &Event| {
        matches!(event, Event::Started { name: Some(_), forked: false, .. } | Event::AttachedTo { .. })
    };
    assert!(events.iter().all(is_there), "{events:?}");
    let before: Vec<Option<u64>> = events
        .iter()
        .filter_map(|event| if let Event::AttachedTo { mark, .. } = event { Some(*mark) } else { None })
        .collect();
    assert_eq!(before, [Some(50 * MIB), Some(MIB), Some(MIB)]);
    assert_eq!(members.marks_before(), (3, Some(52 * MIB)));
}

#[test]
fn a_mark_from_before_is_no_peak_of_this_time() {
    let (mut members, _, _) = attach(running(), 300);
    let mut batch = EventBatch::default();
    let marks = |members: &Members<Made>| members.readings()[0].mark;
    look(&mut members, &[], &mut batch);
    assert_eq!((members.readings()[0].rss, marks(&members)), (20 * MIB, None));
    members.kernel.holds(300, 20, 60);
    look(&mut members, &[], &mut batch);
    assert_eq!(marks(&members), Some(60 * MIB), "it has risen");
    // The mark of a new program starts anew, and lower.
    members.kernel.holds(300, 5, 8);
    look(&mut members, &[Told { execed: true, ..told(0) }], &mut batch);
    assert_eq!(marks(&members), Some(8 * MIB));
}

#[test]
fn remains_with_a_mark_from_before_have_no_last_word() {
    for (reached, said) in [(50, vec![]), (51, vec![(0, 51)])] {
        let (mut members, _, _) = attach(running(), 300);
        members.kernel.holds(300, 20, reached);
        members.kernel.ends(300);
        let events = look(&mut members, &[ended(0)], &mut EventBatch::default());
        assert_eq!(last_marks(&events), said);
    }
}

#[test]
fn how_the_attached_ended_is_known_where_the_kernel_tells() {
    let (mut members, _, _) = attach(running(), 300);
    assert!(members.holds_root());
    members.kernel.ends(300);
    look(&mut members, &[ended(0)], &mut EventBatch::default());
    assert!(!members.holds_root() && !members.is_empty());
    assert_eq!(members.root_exit(), Some(ProcessExit { code: Some(3), signal: None }));
    // Its children belong to launchd now and stay in the job, as do their forks.
    members.kernel.fork(303, 301);
    assert_eq!(births(&look(&mut members, &[forked(1)], &mut EventBatch::default())), [(303, 301)]);
    let (mut members, _, _) = attach(running(), 300);
    members.kernel.waited_for(300);
    look(&mut members, &[Told { exit: None, ..ended(0) }], &mut EventBatch::default());
    assert_eq!((members.holds_root(), members.root_exit()), (false, None), "unknown, and not 0");
}

#[test]
fn orphans_in_the_group_of_the_attached_may_be_others() {
    // 300 leads the group of a pipeline, of which 400 is another part.
    let (mut members, _, _) = attach(running(), 300);
    members.kernel.fork(500, 400);
    members.kernel.fork(501, 500);
    members.kernel.processes.get_mut(&501).unwrap().0.group = 300;
    members.kernel.ends(500);
    members.kernel.waited_for(500);
    let mut batch = EventBatch::default();
    members.look(Duration::from_millis(9), true, &[], &mut batch);
    assert!(!batch.drain().any(|timed| matches!(timed.event, Event::Started { .. })));
}

#[test]
fn what_cannot_be_attached_to_says_why() {
    let why = |pid, change: &dyn Fn(&mut Made)| {
        let mut made = running();
        change(&mut made);
        match attach(made, pid).1.unwrap_err() {
            Refusal::NoSuchProcess => "none".to_owned(),
            Refusal::Because(why) => why,
        }
    };
    assert_eq!(why(999, &|_| ()), "none");
    assert_eq!(why(US, &|_| ()), "that is this very process");
    assert!(why(0, &|_| ()).contains("kernel_task"));
    assert!(why(300, &|made| made.ends(300)).contains("has ended"));
    let forbidden = |made: &mut Made| assert!(made.refuses.insert(300));
    assert!(why(300, &forbidden).ends_with("run with sudo"));
}
