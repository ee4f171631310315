use std::time::Duration;

use super::*;
use crate::job::linux::image::{ImageOrigin, ProcessImage};

fn roster() -> Roster {
    Roster::new(OwnChildren { own_pid: 1, unknown: UnknownChildren::JobOrphans, foreign: HashSet::new() })
}

fn add(roster: &mut Roster, pid: u32, parent: Option<MemberId>) -> MemberId {
    let id = roster.new_id();
    let mut member = Member::new(id, pid, ProcessImage::new(ImageOrigin::Forked), Duration::ZERO);
    member.parent = parent;
    member.start_ticks = Some(7);
    roster.add(member);
    id
}

fn depart(roster: &mut Roster, pid: u32) -> Departed {
    let index = roster.id_of(pid).and_then(|id| roster.index_of(id)).unwrap();
    roster.depart(index, Moment::exactly(Duration::ZERO), Duration::ZERO).unwrap()
}

fn event(event: JobEvent) -> TimedEvent {
    TimedEvent { moment: Moment::exactly(Duration::ZERO), event }
}

fn started(id: MemberId) -> TimedEvent {
    event(JobEvent::Started { id, pid: 0, ppid: 0, name: None, forked: true })
}

#[test]
fn a_pid_that_is_used_again_is_another_member() {
    let mut roster = roster();
    let first = add(&mut roster, 10, None);
    assert_eq!(depart(&mut roster, 10).id, first);
    assert!(!roster.contains(10));
    let second = add(&mut roster, 10, None);
    assert_eq!(roster.get(10).map(|member| member.id), Some(second));
    // The exited member leaves the list without taking the new one's pid along.
    roster.remove_exited();
    assert_eq!((roster.len(), roster.id_of(10)), (1, Some(second)));
}

#[test]
fn an_exited_member_is_remembered_while_listed() {
    let mut roster = roster();
    add(&mut roster, 10, None);
    depart(&mut roster, 10);
    assert_eq!(roster.zombie(10), Some(7));
    roster.replace_zombies(HashMap::new());
    assert_eq!(roster.zombie(10), None);
}

#[test]
fn many_zombies_ask_for_a_walk_once() {
    let mut roster = roster();
    let many = u32::try_from(MAX_ZOMBIES_WITHOUT_WALK).unwrap();
    for pid in 0..=many {
        roster.remember_zombie(pid, 1);
    }
    assert!(roster.has_many_zombies());
    // All of them are still there: twice as many call for the next walk.
    roster.replace_zombies((0..=many).map(|pid| (pid, 1)).collect());
    assert!(!roster.has_many_zombies());
}

#[test]
fn a_vfork_child_keeps_the_map_its_parent_left() {
    for leaves in [|id| JobEvent::Exec { id, name: None }, |id| JobEvent::Ended { id, freed: Duration::ZERO }]
    {
        let mut roster = roster();
        let parent = add(&mut roster, 10, None);
        let child = add(&mut roster, 11, Some(parent));
        roster.get_mut(11).unwrap().image.set_shares_map(true);
        roster.unshare_memory_maps(&[started(child), event(leaves(parent))]);
        assert!(!roster.get(11).unwrap().image.shares_map());
    }
}

#[test]
fn a_vfork_child_of_the_new_program_shares_its_map() {
    let mut roster = roster();
    let parent = add(&mut roster, 10, None);
    let child = add(&mut roster, 11, Some(parent));
    roster.get_mut(11).unwrap().image.set_shares_map(true);
    roster.unshare_memory_maps(&[event(JobEvent::Exec { id: parent, name: None }), started(child)]);
    assert!(roster.get(11).unwrap().image.shares_map());
}
