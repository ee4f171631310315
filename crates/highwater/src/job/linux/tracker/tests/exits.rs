//! Exits.

use super::*;

#[test]
fn a_process_exits_with_its_last_task_and_not_with_its_leader() {
    let mut scene = Scene::of_machine();
    scene.apply(150, KernelEvent::ThreadCreated { pid: ROOT, tid: 20 });
    scene.apply(200, exit_with(ROOT, ROOT, 0, 5));
    assert!(scene.departed().is_empty());
    let events = scene.apply(300, exit_with(ROOT, 20, 9, 4));
    // The status is that of the last task; the peak is the highest of all.
    let exit = scene.tracker.reported_root_exit().unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    let mark = final_mark(&events).unwrap();
    assert_eq!((mark.bytes, mark.source, mark.is_final), (5 * MIB, PeakSource::Taskstats, true));
    assert_eq!(scene.departed(), [ROOT]);
}

#[test]
fn an_exit_before_the_adoption_counts() {
    let mut scene = Scene::of_machine();
    assert!(scene.apply(90, exit_with(ROOT, ROOT, 0, 5)).is_empty());
    scene.tracker.roster.get_mut(ROOT).unwrap().was_found_exited = true;
    assert!(names(&scene.apply(90, exit_with(ROOT, ROOT, 0, 5))).contains(&"exit"));
    assert_eq!(scene.departed(), [ROOT]);
}

#[test]
fn a_program_that_gains_privileges_is_searched_in_proc() {
    let mut scene = Scene::of_job();
    scene.apply(200, fork(CHILD, ROOT));
    scene.kernel.show(CHILD, ROOT);
    scene.apply(300, exec(CHILD, "sudo"));
    // perf reports its exit, and it lives on.
    scene.apply(302, exit_with(CHILD, CHILD, 0, 1));
    assert!(scene.departed().is_empty());
    assert!(!scene.member(CHILD).is_reported());
    assert!(scene.tracker.coverage.must_poll() && !scene.tracker.coverage.is_complete());
}

#[test]
fn an_early_privileged_command_is_searched_in_proc() {
    let mut scene = Scene::of_job();
    scene.apply(90, exit_with(ROOT, ROOT, 0, 1));
    assert!(scene.tracker.coverage.must_poll());
    assert!(!scene.member(ROOT).is_reported());
}

#[test]
fn memory_may_be_held_after_the_exit_that_perf_reports() {
    let mut scene = Scene::of_job();
    scene.apply(200, fork(CHILD, ROOT));
    scene.apply(300, exit_with(CHILD, CHILD, 0, 100));
    let departed = scene.tracker.take_departed();
    assert_eq!(departed[0].moment, Moment::exactly(at(300)));
    assert_eq!(departed[0].freed, at(300) + TIME_OF_100_MIB);
}

/// 200 us for the process, and 100 us for each MiB.
const TIME_OF_100_MIB: Duration = Duration::from_micros(10_200);

#[test]
fn the_connector_reports_exits_after_the_freeing() {
    let mut scene = Scene::of_machine();
    scene.apply(200, fork(CHILD, ROOT));
    scene.apply(300, exit_with(CHILD, CHILD, 0, 100));
    assert_eq!(scene.tracker.take_departed()[0].freed, at(300));
}

#[test]
fn the_peak_of_a_child_in_its_parents_map_is_its_parents() {
    let mut scene = Scene::of_machine();
    scene.apply(200, fork(CHILD, ROOT));
    scene.tracker.roster.get_mut(CHILD).unwrap().image.set_shares_map(true);
    assert_eq!(final_mark(&scene.apply(300, exit_with(CHILD, CHILD, 0, 100))), None);
}

#[test]
fn the_peak_of_a_forked_child_that_was_never_read_is_not_final() {
    let mut scene = Scene::of_machine();
    scene.apply(200, fork(CHILD, ROOT));
    let mark = final_mark(&scene.apply(300, exit_with(CHILD, CHILD, 0, 100))).unwrap();
    assert!(!mark.is_final);
}

#[test]
fn an_exit_in_proc_waits_for_its_event() {
    let mut scene = Scene::of_machine();
    scene.tracker.roster.get_mut(ROOT).unwrap().source = LifetimeSource::Events;
    assert_eq!(scene.see_exit(ROOT), ExitShown::EventOutstanding);
    assert!(scene.member(ROOT).phase.is_exit_outstanding());
    let first_seen = scene.tracker.window.current;
    scene.tracker.window.advance(first_seen + MAX_EXIT_EVENT_DELAY.saturating_sub(Duration::from_millis(10)));
    assert_eq!(scene.see_exit(ROOT), ExitShown::EventOutstanding);
    assert!(scene.tracker.coverage.is_complete());
    assert_eq!(scene.see_exit(ROOT), ExitShown::Departed);
    assert!(!scene.tracker.coverage.is_complete(), "its event never came");
}

#[test]
fn in_the_last_round_no_event_is_waited_for() {
    let mut scene = Scene::of_machine();
    let index = scene.index(ROOT);
    assert_eq!(scene.tracker.see_exit(index, Round::Last), ExitShown::Departed);
    assert!(!scene.tracker.coverage.is_complete());
}

#[test]
fn a_member_that_is_read_alive_has_not_exited() {
    let mut scene = Scene::of_machine();
    scene.see_exit(ROOT);
    scene.tracker.roster.get_mut(ROOT).unwrap().phase.see_alive();
    assert!(!scene.member(ROOT).phase.is_exit_outstanding());
}
