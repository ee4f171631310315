//! Holds at exec and exit.

use super::*;

#[test]
fn the_mark_read_at_a_hold_is_what_the_image_had_at_its_exec() {
    let lifetimes = Some(LifetimeScope::Machine);
    let mut scene = Scene::new(Mechanisms { lifetimes, holds_tasks: true });
    scene.tracker.roster.get_mut(ROOT).unwrap().image.identity = None;
    let task = HeldTask { image: Some(2), ..held(ROOT, HoldPoint::Exec, 30) };
    scene.apply(200, KernelEvent::Held(task));
    let events = scene.apply(201, exec(ROOT, "next"));
    assert_eq!(final_mark(&events).map(|mark| mark.bytes), Some(30 * MIB));
    assert_eq!(names(&events), ["mark", "exec"]);
    // The next image starts anew.
    assert_eq!(final_mark(&scene.apply(300, exec(ROOT, "third"))), None);
}

#[test]
fn a_hold_of_an_unknown_process_adds_it() {
    let mut scene = Scene::of_holds();
    let events = scene.apply(200, KernelEvent::Held(held(CHILD, HoldPoint::Exec, 3)));
    assert_eq!(names(&events), ["started", "named"]);
    assert_eq!(scene.member(CHILD).parent, Some(MemberId(0)));
    // If forks are reported, this one was missed.
    let lifetimes = Some(LifetimeScope::Machine);
    let mut scene = Scene::new(Mechanisms { lifetimes, holds_tasks: true });
    scene.apply(200, KernelEvent::Held(held(CHILD, HoldPoint::Exec, 3)));
    assert!(!scene.tracker.coverage.is_complete());
}

#[test]
fn the_exit_code_is_known_from_the_hold() {
    let mut scene = Scene::of_holds();
    let events = scene.apply(200, KernelEvent::Held(held(ROOT, HoldPoint::ExitGroup { code: 3 }, 8)));
    let exit = events.iter().find_map(|event| match event {
        JobEvent::Exit { exit, .. } => exit.code,
        _ => None,
    });
    assert_eq!(exit, Some(3));
    assert_eq!(scene.member(ROOT).phase.exit_hold(), Some(at(200)));
    // No event is outstanding then.
    assert_eq!(scene.see_exit(ROOT), ExitShown::Departed);
    assert_eq!(scene.tracker.take_departed()[0].moment, Moment::exactly(at(200)));
}

#[test]
fn a_process_with_another_start_time_replaces_the_held_one() {
    let mut scene = Scene::of_holds();
    scene.apply(200, KernelEvent::Held(held(CHILD, HoldPoint::Exec, 3)));
    let task = HeldTask { start_ticks: 8, ..held(CHILD, HoldPoint::Exec, 3) };
    scene.apply(300, KernelEvent::Held(task));
    assert_eq!(scene.departed(), [CHILD]);
    assert_eq!(scene.member(CHILD).id, MemberId(2));
}

#[test]
fn a_found_exec_waits_a_round_for_its_hold() {
    let mut scene = Scene::of_holds();
    scene.kernel.show(CHILD, ROOT);
    scene.tracker.begin_round();
    assert_eq!(scene.adopt(CHILD), Adoption::Deferred);
    scene.tracker.begin_round();
    assert_eq!(scene.adopt(CHILD), Adoption::Added);
}

#[test]
fn a_process_found_dead_waits_a_round_for_its_hold() {
    let mut scene = Scene::of_holds();
    scene.tracker.found_dead(CHILD, 7, &mut scene.batch);
    scene.tracker.begin_round();
    scene.apply(200, KernelEvent::Held(held(CHILD, HoldPoint::ExitGroup { code: 0 }, 1)));
    scene.tracker.end_round(&mut scene.batch);
    assert!(scene.take().is_empty());
    scene.tracker.found_dead(CHILD + 1, 7, &mut scene.batch);
    scene.tracker.begin_round();
    scene.tracker.end_round(&mut scene.batch);
    assert_eq!(names(&scene.take()), ["missed"]);
}

#[test]
fn an_exec_in_proc_waits_for_earlier_holds() {
    let mut scene = Scene::of_holds();
    scene.kernel.show(ROOT, OWN).image = Some(2);
    let index = scene.index(ROOT);
    let mut ask = || scene.tracker.ask_for_exec(index, true, &mut scene.kernel, &mut scene.batch);
    assert_eq!((ask(), ask()), (ExecShown::Deferred, ExecShown::Replaced));
    assert_eq!(names(&scene.take()), ["exec"]);
}
