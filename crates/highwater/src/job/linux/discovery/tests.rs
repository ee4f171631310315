use super::*;

fn changes(births: u32) -> Changes {
    Changes { births, ..Changes::default() }
}

/// A schedule after a walk over so many members that found no change.
fn quiet(members: usize) -> Discovery {
    let mut discovery = Discovery::new();
    assert_eq!(discovery.next_search(Some(100)), Search::Tree { forks_seen: true });
    discovery.begin_walk(members, false);
    discovery.settle(changes(0));
    discovery
}

#[test]
fn a_cursor_that_stands_still_is_searched_nowhere() {
    let mut discovery = quiet(50);
    assert_eq!(discovery.next_search(Some(100)), Search::Nowhere);
}

#[test]
fn few_used_pids_are_asked_one_by_one_and_many_by_a_walk() {
    let mut discovery = quiet(50);
    assert_eq!(discovery.next_search(Some(103)), Search::Pids(101..=103));
    assert_eq!(discovery.next_search(Some(500)), Search::Tree { forks_seen: true });
}

#[test]
fn a_cursor_that_went_back_is_a_walk() {
    let mut discovery = quiet(50);
    assert_eq!(discovery.next_search(Some(7)), Search::Tree { forks_seen: true });
}

#[test]
fn an_unknown_cursor_is_a_walk() {
    let mut discovery = quiet(50);
    assert_eq!(discovery.next_search(None), Search::Tree { forks_seen: true });
}

#[test]
fn a_member_that_came_or_went_unsettles_the_next_poll() {
    let mut discovery = quiet(50);
    discovery.settle(changes(1));
    assert!(discovery.is_unsettled());
    let Search::Pids(pids) = discovery.next_search(Some(100)) else { panic!("nothing is searched") };
    assert!(pids.is_empty(), "only the children of this process are asked");
}

#[test]
fn walks_are_as_rare_as_the_job_is_large() {
    let mut discovery = quiet(3);
    assert_eq!(discovery.next_search(Some(100)), Search::Nowhere);
    assert_eq!(discovery.next_search(Some(100)), Search::Nowhere);
    assert_eq!(discovery.next_search(Some(100)), Search::Tree { forks_seen: false });
}

#[test]
fn a_check_admits_a_process_only_when_it_finds_it_again() {
    let mut discovery = Discovery::new();
    discovery.begin_check();
    assert!(!discovery.admit(7, SearchReason::Check));
    assert!(discovery.has_unannounced());
    discovery.begin_check();
    assert!(discovery.admit(7, SearchReason::Check));
}

#[test]
fn an_event_takes_a_process_out_of_the_check() {
    let mut discovery = Discovery::new();
    discovery.begin_check();
    assert!(!discovery.admit(7, SearchReason::Check));
    discovery.announce(7);
    discovery.begin_check();
    assert!(!discovery.admit(7, SearchReason::Check));
}

#[test]
fn after_losses_every_process_is_admitted() {
    let mut discovery = Discovery::new();
    discovery.begin_check();
    assert!(discovery.admit(7, SearchReason::Losses));
    assert!(!discovery.has_unannounced());
}

#[test]
fn a_check_comes_on_request_and_from_time_to_time() {
    let mut discovery = Discovery::new();
    assert!(discovery.takes_check(true));
    for _ in 1..POLLS_BETWEEN_CHECKS {
        assert!(!discovery.takes_check(false));
    }
    assert!(discovery.takes_check(false));
}
