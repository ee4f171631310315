//! The estimate on literal windows, and on any.

use proptest::prelude::*;

use super::*;
use crate::record::PeakSource;

fn sample(at: Duration, marks: bool) -> Sample<'static> {
    Sample { at, readings: &[], uses: &[], group: None, marks, complete_until: at }
}

const MIB: u64 = 1 << 20;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Each step: (rss, mark) of every member, all marks read.
fn fold(steps: &[&[(u64, u64)]]) -> PeakInterval {
    let mut estimate = PeakEstimate::default();
    let mut images = vec![ImageWindow::default(); steps[0].len()];
    for (index, step) in steps.iter().enumerate() {
        let at = ms(index as u64 * 100);
        for (image, &(rss, mark)) in images.iter_mut().zip(*step) {
            image.read(at, rss * MIB, Some(mark * MIB), false);
        }
        estimate.sampled(&sample(at, true), images.iter_mut());
    }
    estimate.finish(ms(steps.len() as u64 * 100), std::iter::empty());
    estimate.interval(false).unwrap()
}

#[test]
fn a_mark_repairs_a_spike_between_samples() {
    let peak = fold(&[&[(10, 10), (5, 5)], &[(10, 510), (5, 5)]]);
    assert_eq!(peak.bytes, 515 * MIB);
    assert_eq!(peak.between_seconds, Some([0.0, 0.1]));
    assert!(peak.lower_bytes == 510 * MIB && peak.lower_rigorous);
}

#[test]
fn a_reading_without_a_sample_counts() {
    let mut estimate = PeakEstimate::default();
    let mut image = estimate.born(None, false, Moment::exactly(ms(0)));
    image.read(ms(1), 10, Some(10), false);
    estimate.sampled(&sample(ms(1), true), std::iter::once(&mut image));
    estimate.add_stall(ms(700), 90, 60);
    estimate.sampled(&sample(ms(900), true), std::iter::once(&mut image));
    let peak = estimate.interval(true).unwrap();
    assert_eq!((peak.lower_bytes, peak.bytes, peak.at_seconds), (60, 90, Some(0.7)));
    assert!(peak.upper_bytes >= 90);
}

#[test]
fn marks_of_different_instants_are_never_added_to_the_estimate() {
    // Three processes, each with a spike of 100 in its own window.
    let peak = fold(&[
        &[(1, 1); 3],
        &[(1, 100), (1, 1), (1, 1)],
        &[(1, 100), (1, 100), (1, 1)],
        &[(1, 100), (1, 100), (1, 100)],
    ]);
    assert_eq!(peak.bytes, 102 * MIB);
    assert_eq!(peak.upper_bytes, 300 * MIB);
}

#[test]
fn handing_over_within_a_window_is_not_doubled() {
    let peak = fold(&[&[(100, 100), (1, 1)], &[(1, 100), (100, 100)], &[(100, 100), (1, 100)]]);
    assert_eq!(peak.bytes, 101 * MIB);
    assert!(peak.upper_bytes >= 200 * MIB);
}

/// The picture in docs/understanding-memory.md: three processes that spike one after the other, unseen by each sample.
#[test]
fn the_example_of_the_documentation() {
    let exactly = |millis| Moment::exactly(ms(millis));
    let mut estimate = PeakEstimate::default();
    let take_sample = |estimate: &mut PeakEstimate, millis, members: &mut [(&mut ImageWindow, u64, u64)]| {
        for (image, rss, mark) in members.iter_mut() {
            image.read(ms(millis), *rss * MIB, Some(*mark * MIB), false);
        }
        let images = members.iter_mut().map(|(image, ..)| &mut **image);
        estimate.sampled(&sample(ms(millis), true), images);
    };
    let end = |estimate: &mut PeakEstimate, millis, image: &mut ImageWindow, mib: u64| {
        let source = PeakSource::ExitNotify;
        image.set_last(LastMark { bytes: mib * MIB, source, is_final: true });
        estimate.gone(image, exactly(millis), UnreadImage::default());
    };

    let mut a = estimate.born(None, false, exactly(0));
    take_sample(&mut estimate, 0, &mut [(&mut a, 100, 100)]);
    let mut b = estimate.born(None, false, exactly(8));
    take_sample(&mut estimate, 10, &mut [(&mut a, 100, 100), (&mut b, 100, 100)]);
    let mut c = estimate.born(None, false, exactly(18));
    take_sample(&mut estimate, 20, &mut [(&mut a, 100, 300), (&mut b, 100, 100), (&mut c, 50, 50)]);
    end(&mut estimate, 29, &mut a, 300);
    take_sample(&mut estimate, 30, &mut [(&mut b, 100, 200), (&mut c, 50, 50)]);
    end(&mut estimate, 37, &mut b, 200);
    take_sample(&mut estimate, 39, &mut [(&mut c, 50, 250)]);
    end(&mut estimate, 40, &mut c, 250);
    estimate.finish(ms(40), std::iter::empty());

    let peak = estimate.interval(true).unwrap();
    assert_eq!([peak.lower_bytes, peak.bytes, peak.upper_bytes], [300, 400, 550].map(|mib| mib * MIB));
    assert_eq!(peak.between_seconds, Some([0.01, 0.02]));
    assert!(peak.lower_rigorous && peak.upper_rigorous);
}

#[test]
fn an_exec_starts_anew_and_the_old_image_stays_in_the_bound() {
    let mut estimate = PeakEstimate::default();
    let mut image = ImageWindow::default();
    image.read(ms(0), 300 * MIB, Some(300 * MIB), false);
    estimate.sampled(&sample(ms(0), true), std::iter::once(&mut image));
    estimate.exec(&mut image, Moment::between(ms(0), ms(10)), UnreadImage::default());
    image.read(ms(10), 10 * MIB, Some(10 * MIB), false);
    estimate.sampled(&sample(ms(10), true), std::iter::once(&mut image));
    let peak = estimate.interval(false).unwrap();
    assert_eq!((peak.lower_bytes, peak.bytes, peak.upper_bytes), (300 * MIB, 300 * MIB, 300 * MIB));
}

#[test]
fn a_forked_child_that_shares_its_parents_map_is_counted_once() {
    let mut estimate = PeakEstimate::default();
    let (mut parent, mut child) = (ImageWindow::default(), ImageWindow::default());
    parent.read(ms(0), 300 * MIB, Some(300 * MIB), false);
    child.forked = true;
    child.read(ms(0), 300 * MIB, Some(300 * MIB), true);
    estimate.sampled(&sample(ms(0), true), [&mut parent, &mut child].into_iter());
    assert_eq!(estimate.interval(false).unwrap().upper_bytes, 300 * MIB);
}

#[test]
fn growth_up_to_an_unseen_end_is_in_the_bound() {
    let mut estimate = PeakEstimate::default();
    let mut image = ImageWindow::default();
    for (at, rss) in [(0, 100), (10, 110), (20, 120)] {
        image.read(ms(at), rss * MIB, Some(rss * MIB), false);
        estimate.sampled(&sample(ms(at), true), std::iter::once(&mut image));
    }
    estimate.gone(&image, Moment::between(ms(20), ms(30)), UnreadImage::default());
    estimate.finish(ms(30), std::iter::empty());
    let peak = estimate.interval(false).unwrap();
    assert_eq!(peak.bytes, 120 * MIB);
    assert!(peak.upper_bytes >= 130 * MIB, "{}", peak.upper_bytes);
}

#[test]
fn the_bound_waits_for_the_final_mark_of_an_exiting_member() {
    let final_mark = |mib: u64| LastMark { bytes: mib * MIB, source: PeakSource::ExitNotify, is_final: true };
    let mut estimate = PeakEstimate::default();
    let (mut stays, mut ends) = (ImageWindow::default(), ImageWindow::default());
    for at in [0, 60, 120, 180, 240] {
        stays.read(ms(at), 100 * MIB, Some(100 * MIB), false);
        if at == 0 {
            ends.read(ms(at), MIB, Some(MIB), false);
        }
        estimate.sampled(&sample(ms(at), true), [&mut stays, &mut ends].into_iter());
    }
    ends.set_last(final_mark(50));
    estimate.gone(&ends, Moment::exactly(ms(250)), UnreadImage::default());
    stays.read(ms(300), 100 * MIB, Some(100 * MIB), false);
    estimate.sampled(&sample(ms(300), true), std::iter::once(&mut stays));
    stays.set_last(final_mark(100));
    estimate.gone(&stays, Moment::exactly(ms(310)), UnreadImage::default());
    estimate.finish(ms(320), std::iter::empty());
    let peak = estimate.interval(true).unwrap();
    assert_eq!((peak.upper_bytes, peak.upper_rigorous), (150 * MIB, true), "{peak:?}");
}

#[test]
fn max_rss_of_wait4_raises_the_estimate() {
    let mut estimate = PeakEstimate::default();
    estimate.some_process_reached(200 * MIB);
    let peak = estimate.interval(false).unwrap();
    assert_eq!((peak.lower_bytes, peak.bytes, peak.upper_bytes), (200 * MIB, 200 * MIB, 200 * MIB));
    assert!(peak.lower_rigorous && !peak.upper_rigorous);
}

#[test]
fn nothing_read_is_unknown() {
    let mut estimate = PeakEstimate::default();
    estimate.sampled(&sample(ms(0), true), std::iter::empty());
    estimate.finish(ms(1), std::iter::empty());
    assert_eq!(estimate.interval(false), None);
    estimate.no_process_exceeded(4 * MIB);
    let peak = estimate.interval(false).unwrap();
    assert_eq!((peak.bytes, peak.certainty, peak.lower_bytes), (4 * MIB, Certainty::AtMost, 0));
}

proptest! {
    #[test]
    fn the_ends_enclose_the_estimate(steps in proptest::collection::vec(
        proptest::collection::vec((0u64..1000, 0u64..1000, any::<bool>(), any::<bool>()), 4), 1..30)) {
        let mut estimate = PeakEstimate::default();
        let mut images = [ImageWindow::default(); 4];
        for (index, step) in steps.iter().enumerate() {
            let at = ms(index as u64);
            for (image, &(rss, more, exec, forked)) in images.iter_mut().zip(step) {
                let moment = Moment::between(at.saturating_sub(ms(rss % 3)), at);
                let cap = (rss % 2 == 0).then_some(rss);
                if exec {
                    estimate.exec(image, moment, UnreadImage { rusage_cap: cap, peers_hwm: more });
                }
                image.forked = forked;
                image.read(at, rss, forked.then_some(rss + more), false);
                if more == 7 {
                    estimate.gone(image, moment, UnreadImage { rusage_cap: cap, peers_hwm: 0 });
                }
            }
            estimate.sampled(&sample(at, index % 3 == 0), images.iter_mut());
            if let Some(peak) = estimate.interval(false) {
                prop_assert!(peak.lower_bytes <= peak.bytes && peak.bytes <= peak.upper_bytes);
            }
        }
    }
}
