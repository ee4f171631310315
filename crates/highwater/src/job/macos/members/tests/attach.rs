//! Attaching to running processes.

use super::*;
use crate::job::macos::members::attach::Refusal;

/// Makes 300 with a child and a grandchild, beside an unrelated process and this one.
fn running() -> MadeKernel {
    let mut made = MadeKernel { last_unique: 10, ..MadeKernel::default() };
    for (pid, parent) in [(300, LAUNCHD), (301, 300), (302, 301), (400, LAUNCHD), (OWN_PID, 300)] {
        made.fork(pid, parent);
    }
    made.processes.get_mut(&300).unwrap().0.group = 300;
    made.holds(300, 20, 50);
    made
}

fn attach(made: MadeKernel, pid: u32) -> (MacMembers<MadeKernel>, Result<(), Refusal>, Vec<JobEvent>) {
    let (mut members, mut batch) = (MacMembers::new(made, NOTHING), EventBatch::default());
    let answer = members.attach(pid, OWN_PID, &mut batch);
    let events = batch.drain().map(|timed| timed.event).collect();
    (members, answer, events)
}

#[test]
fn attaching_finds_all_processes_and_their_peaks() {
    let (members, answer, events) = attach(running(), 300);
    assert_eq!(answer, Ok(()));
    assert_eq!(
        births(&events),
        [(300, LAUNCHD), (301, 300), (302, 301)],
        "neither foreign processes nor this one"
    );
    // None of them is between a fork and an exec, and the name of each is read.
    let is_there = |event: &JobEvent| {
        matches!(event, JobEvent::Started { name: Some(_), forked: false, .. } | JobEvent::AttachedTo { .. })
    };
    assert!(events.iter().all(is_there), "{events:?}");
    let before: Vec<Option<u64>> = events
        .iter()
        .filter_map(|event| if let JobEvent::AttachedTo { mark, .. } = event { Some(*mark) } else { None })
        .collect();
    assert_eq!(before, [Some(50 * MIB), Some(MIB), Some(MIB)]);
    assert_eq!(members.marks_before(), (3, Some(52 * MIB)));
}

#[test]
fn a_mark_from_before_is_no_peak_of_this_time() {
    let (mut members, _, _) = attach(running(), 300);
    let mut batch = EventBatch::default();
    let marks = |members: &MacMembers<MadeKernel>| members.readings()[0].mark;
    poll(&mut members, &[], &mut batch);
    assert_eq!((members.readings()[0].rss, marks(&members)), (20 * MIB, None));
    members.kernel.holds(300, 20, 60);
    poll(&mut members, &[], &mut batch);
    assert_eq!(marks(&members), Some(60 * MIB), "it has risen");
    // The mark of a new program starts anew, and lower.
    members.kernel.holds(300, 5, 8);
    poll(&mut members, &[KqueueReport { execed: true, ..reports(0) }], &mut batch);
    assert_eq!(marks(&members), Some(8 * MIB));
}

#[test]
fn a_zombie_with_a_mark_from_before_has_no_final_mark() {
    for (reached, said) in [(50, vec![]), (51, vec![(0, 51)])] {
        let (mut members, _, _) = attach(running(), 300);
        members.kernel.holds(300, 20, reached);
        members.kernel.ends(300);
        let events = poll(&mut members, &[ended(0)], &mut EventBatch::default());
        assert_eq!(last_marks(&events), said);
    }
}

#[test]
fn the_exit_of_an_attached_process_is_known_if_reported() {
    let (mut members, _, _) = attach(running(), 300);
    assert!(members.has_root());
    members.kernel.ends(300);
    poll(&mut members, &[ended(0)], &mut EventBatch::default());
    assert!(!members.has_root() && !members.is_empty());
    assert_eq!(members.root_exit(), Some(ProcessExit { code: Some(3), signal: None }));
    // Its children belong to launchd now and stay in the job, as do their forks.
    members.kernel.fork(303, 301);
    assert_eq!(births(&poll(&mut members, &[forked(1)], &mut EventBatch::default())), [(303, 301)]);
    let (mut members, _, _) = attach(running(), 300);
    members.kernel.waited_for(300);
    poll(&mut members, &[KqueueReport { exit: None, ..ended(0) }], &mut EventBatch::default());
    assert_eq!((members.has_root(), members.root_exit()), (false, None), "unknown, and not 0");
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
    members.poll(Duration::from_millis(9), true, &[], &mut batch);
    assert!(!batch.drain().any(|timed| matches!(timed.event, JobEvent::Started { .. })));
}

#[test]
fn a_refused_attachment_has_a_reason() {
    let why = |pid, change: &dyn Fn(&mut MadeKernel)| {
        let mut made = running();
        change(&mut made);
        match attach(made, pid).1.unwrap_err() {
            Refusal::NoSuchProcess => "none".to_owned(),
            Refusal::Because(why) => why,
        }
    };
    assert_eq!(why(999, &|_| ()), "none");
    assert_eq!(why(OWN_PID, &|_| ()), "it is this process itself");
    assert!(why(0, &|_| ()).contains("kernel_task"));
    assert!(why(300, &|made| made.ends(300)).contains("has exited"));
    let forbidden = |made: &mut MadeKernel| assert!(made.refuses.insert(300));
    assert!(why(300, &forbidden).ends_with("run hwm with sudo"));
}
