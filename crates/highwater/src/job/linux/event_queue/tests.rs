use super::*;

/// Events that a test has written.
#[derive(Default)]
struct Scripted {
    events: Vec<TimedKernelEvent>,
    records: Vec<TaskEnd>,
    lost: u64,
}

impl EventFeed for Scripted {
    fn drain(&mut self, events: &mut Vec<TimedKernelEvent>, exit_record: impl FnMut(TaskEnd)) {
        events.append(&mut self.events);
        self.records.drain(..).for_each(exit_record);
    }

    fn lost(&self, _: Round) -> u64 {
        self.lost
    }
}

fn fork(at: Duration, pid: u32) -> TimedKernelEvent {
    TimedKernelEvent { at, event: KernelEvent::Fork { pid, parent: 1 } }
}

fn record(pid: u32) -> TaskEnd {
    TaskEnd {
        pid,
        tid: pid,
        comm: "x".to_owned(),
        peak_bytes: Some(1),
        status: 0,
        cpu: crate::job::resource_use::CpuUse::default(),
        io: crate::job::resource_use::IoBytes::default(),
    }
}

fn forked(queue: &mut EventQueue) -> Vec<u32> {
    std::iter::from_fn(|| queue.next_due())
        .map(|(_, event)| match event {
            KernelEvent::Fork { pid, .. } => pid,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn queue() -> EventQueue {
    let mut queue = EventQueue::default();
    queue.begin(JobClock::starting_at(monotonic()));
    queue
}

#[test]
fn events_of_processors_are_put_in_order() {
    let mut queue = queue();
    let now = monotonic();
    let at = |us| now.saturating_sub(Duration::from_millis(1)) + Duration::from_micros(us);
    let mut feed =
        Scripted { events: vec![fork(at(3), 3), fork(at(1), 1), fork(at(2), 2)], ..Scripted::default() };
    queue.collect(&mut feed, true, Round::Regular);
    assert_eq!(forked(&mut queue), [1, 2, 3]);
}

#[test]
fn a_young_event_waits_for_the_next_round() {
    let mut queue = queue();
    let later = monotonic() + Duration::from_secs(60);
    let mut feed = Scripted { events: vec![fork(Duration::ZERO, 1), fork(later, 2)], ..Scripted::default() };
    queue.collect(&mut feed, true, Round::Regular);
    assert_eq!(forked(&mut queue), [1]);
    assert!(queue.complete_until() < Duration::from_secs(60));
    // An event from before it that arrives later is released before it.
    feed.events.push(fork(later.saturating_sub(Duration::from_secs(1)), 3));
    queue.collect(&mut feed, true, Round::Regular);
    assert!(forked(&mut queue).is_empty());
    queue.collect(&mut feed, true, Round::Last);
    assert_eq!(forked(&mut queue), [3, 2]);
}

#[test]
fn events_of_one_source_do_not_wait() {
    let mut queue = queue();
    let later = monotonic() + Duration::from_secs(60);
    let mut feed = Scripted { events: vec![fork(later, 2)], ..Scripted::default() };
    queue.collect(&mut feed, false, Round::Regular);
    assert_eq!(forked(&mut queue), [2]);
}

#[test]
fn an_exit_is_released_with_its_exit_record() {
    let mut queue = queue();
    let event = KernelEvent::task_exited(7, 7, None);
    let mut feed = Scripted {
        events: vec![TimedKernelEvent { at: Duration::ZERO, event }],
        records: vec![record(8), record(7)],
        ..Scripted::default()
    };
    queue.collect(&mut feed, true, Round::Regular);
    let Some((_, KernelEvent::TaskExited { record: Some(found), .. })) = queue.next_due() else { panic!() };
    assert_eq!(*found, record(7));
}

#[test]
fn the_record_of_a_later_member_is_kept_until_its_fork_is_released() {
    let mut queue = queue();
    let mut feed = Scripted { records: vec![record(7), record(8)], ..Scripted::default() };
    // Rounds may follow each other at once, and the fork is younger than the horizon of each.
    for _ in 0..3 {
        queue.horizon = Duration::ZERO;
        queue.forget_records_of_others(|_| false);
        queue.collect(&mut feed, true, Round::Regular);
    }
    assert_eq!(queue.exit_records.len(), 2);
    queue.horizon = monotonic();
    queue.forget_records_of_others(|pid| pid == 7);
    assert_eq!(queue.exit_records.keys().collect::<Vec<_>>(), [&(7, 7)]);
}

#[test]
fn a_loss_is_reported_in_the_round_in_which_it_is_seen() {
    let mut queue = queue();
    let mut feed = Scripted::default();
    assert_eq!(queue.collect(&mut feed, true, Round::Regular), Collected::Whole);
    feed.lost = 3;
    assert_eq!(queue.collect(&mut feed, true, Round::Regular), Collected::WithLosses);
    assert_eq!(queue.collect(&mut feed, true, Round::Regular), Collected::Whole);
}
