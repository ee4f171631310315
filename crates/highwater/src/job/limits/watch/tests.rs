//! Literal polls of a job, and the steps that follow from each.

use super::*;

const MIB: u64 = 1 << 20;

fn watch(change: impl FnOnce(&mut Limits)) -> LimitWatch {
    let mut limits = Limits::default();
    change(&mut limits);
    LimitWatch::new(&limits)
}

fn seen(ms: u64, total: u64, largest: u64) -> LimitReadings {
    LimitReadings {
        at: Duration::from_millis(ms),
        memory: None,
        total_rss: Some(total * MIB),
        largest: Some((MemberId(0), largest * MIB)),
        total_pss: None,
        hugetlb: 0,
        oom_killed: false,
        stalled: None,
    }
}

fn steps(watch: &mut LimitWatch, seen: &LimitReadings) -> Vec<LimitStep> {
    let mut steps = Vec::new();
    watch.check(seen, &mut steps);
    steps
}

#[test]
fn near_is_reported_once_and_over_ends_the_job() {
    let mut watch = watch(|limits| limits.total_rss_bytes = Some(100 * MIB));
    assert_eq!(steps(&mut watch, &seen(0, 50, 50)), []);
    let near = steps(&mut watch, &seen(1, 95, 95));
    assert!(matches!(near[..], [LimitStep::Say { is_exceeded: false, .. }]), "{near:?}");
    assert_eq!(steps(&mut watch, &seen(2, 96, 96)), []);
    assert_eq!(steps(&mut watch, &seen(3, 100, 100)), [], "the limit itself is allowed");
    let over = steps(&mut watch, &seen(4, 101, 101));
    assert!(matches!(over[..], [LimitStep::Say { is_exceeded: true, .. }, LimitStep::Terminate]), "{over:?}");
    assert_eq!(steps(&mut watch, &seen(5, 110, 110)), [], "it is ending");
    assert_eq!(steps(&mut watch, &seen(6, 121, 121)), [LimitStep::Kill], "it grows on");
    assert_eq!(steps(&mut watch, &seen(9_000, 150, 150)), [], "once");
    let limit = &watch.limits()[0];
    let exceeded = limit.exceeded.clone().unwrap();
    assert_eq!((exceeded.bytes, exceeded.highest_bytes), (Some(101 * MIB), Some(150 * MIB)));
    assert_eq!(exceeded.ended_by, Some(LimitEnd::Kill));
}

#[test]
fn grace_ends() {
    let mut watch = watch(|limits| {
        limits.process_rss_bytes = Some(100 * MIB);
        limits.grace = Duration::from_secs(1);
    });
    assert_eq!(steps(&mut watch, &seen(0, 500, 101)).len(), 2);
    assert_eq!(steps(&mut watch, &seen(999, 500, 101)), []);
    assert_eq!(steps(&mut watch, &seen(1_000, 1, 1)), [LimitStep::Kill]);
}

#[test]
fn warned_of_only() {
    let mut watch = watch(|limits| {
        limits.total_rss_bytes = Some(100 * MIB);
        limits.on_limit = OnLimit::Warn;
    });
    let said = steps(&mut watch, &seen(0, 300, 300));
    assert!(matches!(said[..], [LimitStep::Say { is_exceeded: true, .. }]), "{said:?}");
    assert_eq!(steps(&mut watch, &seen(60_000, 300, 300)), []);
    assert!(!watch.is_ending());
    assert_eq!(watch.limits()[0].exceeded.as_ref().unwrap().ended_by, None);
}

#[test]
fn a_kill_by_the_kernel_ends_the_rest() {
    let mut watch = watch(|limits| limits.cgroup_bytes = Some(100 * MIB));
    assert_eq!(steps(&mut watch, &seen(0, 500, 500)), [], "its charge is not RSS");
    let over = steps(&mut watch, &LimitReadings { oom_killed: true, ..seen(1, 10, 10) });
    assert!(matches!(over[..], [LimitStep::Say { is_exceeded: true, .. }, LimitStep::Terminate]), "{over:?}");
    assert_eq!(steps(&mut watch, &LimitReadings { oom_killed: true, ..seen(2, 10, 10) }), []);
    assert_eq!(watch.limits()[0].exceeded.as_ref().unwrap().ended_by, Some(LimitEnd::Oom));
}

#[test]
fn a_job_that_was_killed_before_the_poll_has_exceeded_its_limit() {
    let readings = [
        (Limited::TotalRss, StallReadings { total_rss: 101 * MIB, ..StallReadings::default() }),
        (Limited::ProcessRss, StallReadings { largest_rss: 101 * MIB, ..StallReadings::default() }),
        (Limited::Memory, StallReadings { memory_at_least: 101 * MIB, ..StallReadings::default() }),
    ];
    for (of, stalled) in readings {
        let mut watch = watch(|limits| {
            limits.memory_bytes = Some(100 * MIB);
            limits.total_rss_bytes = Some(100 * MIB);
            limits.process_rss_bytes = Some(100 * MIB);
        });
        let over = steps(
            &mut watch,
            &LimitReadings { stalled: Some(StallReadings { killed: true, ..stalled }), ..seen(0, 0, 0) },
        );
        assert!(over.contains(&LimitStep::Kill), "{over:?}");
        let limits = watch.limits();
        let exceeded: Vec<_> =
            limits.iter().filter_map(|limit| Some((limit.of, limit.exceeded.as_ref()?))).collect();
        assert_eq!(exceeded.len(), 1);
        assert_eq!((exceeded[0].0, exceeded[0].1.bytes), (of, Some(101 * MIB)));
        assert_eq!(exceeded[0].1.ended_by, Some(LimitEnd::Kill));
    }
}

#[test]
fn unknown_exceeds_nothing() {
    let mut watch = watch(|limits| limits.total_rss_bytes = Some(1));
    let nothing = LimitReadings {
        at: Duration::ZERO,
        memory: None,
        total_rss: None,
        largest: None,
        total_pss: None,
        hugetlb: 0,
        oom_killed: false,
        stalled: None,
    };
    assert_eq!(steps(&mut watch, &nothing), []);
    assert_eq!(watch.longest_pause(&nothing, Duration::from_millis(1)), None);
}

#[test]
fn pss_is_read_only_over_its_limit_and_seldom() {
    let mut watch = watch(|limits| limits.total_pss_bytes = Some(100 * MIB));
    let second = Duration::from_secs(1);
    assert!(!watch.wants_pss(second, Some(100 * MIB), None));
    assert!(watch.wants_pss(second, Some(101 * MIB), None));
    watch.pss_cost(second, Duration::from_millis(10), Duration::ZERO);
    assert!(!watch.wants_pss(second + Duration::from_millis(99), Some(101 * MIB), None));
    assert!(watch.wants_pss(second + Duration::from_millis(100), Some(101 * MIB), None));
    assert_eq!(steps(&mut watch, &seen(0, 500, 500)), [], "RSS over a limit on PSS is none");
    let over = LimitReadings { total_pss: Some(101 * MIB), ..seen(1, 500, 500) };
    assert_eq!(steps(&mut watch, &over).len(), 2);
    assert!(watch.wants_pss(second * 2, Some(500 * MIB), None), "it may grow on while it ends");
    let far = LimitReadings { total_pss: Some(121 * MIB), ..seen(2, 500, 500) };
    assert_eq!(steps(&mut watch, &far), [LimitStep::Kill]);
    assert!(!watch.wants_pss(second * 3, Some(500 * MIB), None));
}

#[test]
fn a_wait_for_locked_maps_has_no_cost() {
    let mut watch = watch(|limits| limits.total_pss_bytes = Some(100 * MIB));
    let second = Duration::from_secs(1);
    watch.pss_cost(second, second + Duration::from_millis(10), second);
    assert!(!watch.wants_pss(second + Duration::from_millis(1_099), Some(101 * MIB), None));
    assert!(watch.wants_pss(second + Duration::from_millis(1_100), Some(101 * MIB), None));
}

#[test]
fn a_pss_that_was_never_known_is_reported() {
    let mut watch = watch(|limits| limits.total_pss_bytes = Some(MIB));
    assert_eq!(watch.unjudged_pss(), None);
    watch.pss_disturbed();
    assert!(watch.unjudged_pss().is_some_and(|missing| missing.reason.contains("started or exited")));
    watch.pss_counted(0);
    assert_eq!(watch.unjudged_pss(), None);
    watch.pss_counted(3);
    assert!(watch.unjudged_pss().is_some_and(|missing| missing.reason.contains("3 processes")));
}

#[test]
fn polls_come_sooner_as_the_headroom_shrinks() {
    let watch = watch(|limits| limits.total_rss_bytes = Some(1024 * MIB));
    let cheap = Duration::from_micros(5);
    assert_eq!(watch.longest_pause(&seen(0, 0, 0), cheap), Some(Duration::from_millis(500)));
    assert_eq!(watch.longest_pause(&seen(0, 1023, 0), cheap), Some(MIN_PAUSE_NEAR_LIMIT));
}

#[test]
fn a_dear_poll_leaves_as_much_time_to_others() {
    let mut watch = watch(|limits| limits.total_rss_bytes = Some(1024 * MIB));
    let dear = Duration::from_millis(40);
    assert_eq!(watch.longest_pause(&seen(0, 1023, 0), dear), Some(2 * dear));
    assert_eq!(steps(&mut watch, &seen(1, 1025, 0)).len(), 2);
    assert_eq!(watch.longest_pause(&seen(1, 1025, 0), dear), Some(2 * dear), "also while it ends");
    assert_eq!(watch.longest_pause(&seen(1, 1025, 0), Duration::ZERO), Some(MAX_PAUSE_WHILE_ENDING));
}

#[test]
fn an_unjudged_pss_limit_is_reported_once() {
    let mut watch = watch(|limits| limits.total_pss_bytes = Some(100 * MIB));
    watch.pss_counted(2);
    let reported = steps(&mut watch, &LimitReadings { total_pss: Some(10 * MIB), ..seen(0, 200, 100) });
    let [LimitStep::SayUnjudged(unjudged)] = &reported[..] else { panic!("{reported:?}") };
    assert_eq!((unjudged.of, unjudged.limit_bytes), (Limited::TotalPss, 100 * MIB));
    assert_eq!(Some(&unjudged.reason), watch.unjudged_pss().map(|downgrade| downgrade.reason).as_ref());
    watch.pss_counted(2);
    assert_eq!(steps(&mut watch, &seen(1, 200, 100)), []);
}

#[test]
fn a_pss_limit_exceeded_by_a_partial_sum() {
    let mut watch = watch(|limits| limits.total_pss_bytes = Some(100 * MIB));
    watch.pss_counted(2);
    let steps = steps(&mut watch, &LimitReadings { total_pss: Some(101 * MIB), ..seen(0, 200, 100) });
    assert!(
        matches!(steps[..], [LimitStep::Say { is_exceeded: true, .. }, LimitStep::Terminate]),
        "{steps:?}"
    );
}

#[test]
fn a_time_without_a_sample_is_reported_for_limits_that_need_one() {
    let gap = |change: fn(&mut Limits)| {
        let mut watch = watch(change);
        for ms in [0, 5_000] {
            assert_eq!(steps(&mut watch, &seen(ms, 1, 1)), []);
            watch.plan(Duration::from_millis(4));
        }
        watch.end(Duration::from_millis(5_010));
        watch.downgrades().map(|downgrade| downgrade.reason).collect::<Vec<_>>()
    };
    assert_eq!(gap(|limits| limits.process_rss_bytes = Some(100 * MIB)), ["no sample for 5.0 s"]);
    assert_eq!(gap(|limits| limits.cgroup_bytes = Some(100 * MIB)), [""; 0], "the kernel enforces it");
    assert_eq!(gap(|_| ()), [""; 0]);
}
