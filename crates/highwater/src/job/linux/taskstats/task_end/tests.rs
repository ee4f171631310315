use proptest::prelude::*;

use super::*;
use crate::netlink::attribute;

/// The record of `/bin/true` on Linux 6.18.
const TRUE: &str = include_str!("true-v16.hex");
/// The last thread, which called exit(3), of a process whose first thread had exited.
const LEADERLESS: &str = include_str!("leaderless-v16.hex");

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Returns the message with its struct changed.
fn with_struct(message: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let task = find_attribute(message, AGGR_PID).unwrap();
    let mut stats = find_attribute(task, TYPE_STATS).unwrap().to_vec();
    change(&mut stats);
    let mut inner = attribute(TYPE_PID, find_attribute(task, TYPE_PID).unwrap());
    inner.extend(attribute(TYPE_STATS, &stats));
    attribute(AGGR_PID, &inner)
}

fn set_version(stats: &mut [u8], version: u16) {
    stats[..2].copy_from_slice(&version.to_ne_bytes());
}

#[test]
fn reads_a_process() {
    let end = TaskEnd::parse(&bytes(TRUE)).unwrap();
    let TaskEnd { pid, tid, comm, peak_bytes, status, .. } = &end;
    assert_eq!((*pid, *tid, comm.as_str(), *status), (3946, 3946, "true", 0));
    assert_eq!(*peak_bytes, Some(1032 << 10));
    println!("{end:?}");
}

#[test]
fn reads_the_last_thread_and_passes_over_the_sum() {
    let message = bytes(LEADERLESS);
    assert!(find_attribute(&message, 5).is_some(), "TASKSTATS_TYPE_AGGR_TGID stands beside it");
    let end = TaskEnd::parse(&message).unwrap();
    assert_eq!((end.pid, end.tid, end.status), (3901, 3902, 3 << 8));
    assert_eq!(end.peak_bytes, Some(1280 << 10));
}

#[test]
fn reads_version_15_with_its_fields_in_the_middle() {
    let original = bytes(TRUE);
    // A maximum and a minimum follow each pair of count and total. The last pair comes first, so that the others stay
    // in place.
    let message = with_struct(&original, |stats| {
        for at in [368, 344, 328, 64, 48, 32] {
            stats.splice(at..at, [7; 16]);
        }
        set_version(stats, 15);
    });
    assert_eq!(TaskEnd::parse(&message), TaskEnd::parse(&original));
}

#[test]
fn refuses_what_has_no_process_or_another_layout() {
    let message = bytes(TRUE);
    for old in [8, 11] {
        assert_eq!(TaskEnd::parse(&with_struct(&message, |stats| set_version(stats, old))), None);
    }
    let shifted = with_struct(&message, |stats| drop(stats.splice(16..16, [0; 8])));
    assert_eq!(TaskEnd::parse(&shifted), None, "this layout has the pid elsewhere");
    assert_eq!(version(&shifted), Some(16));
}

#[test]
fn no_map_is_no_peak_of_0() {
    let message = with_struct(&bytes(TRUE), |stats| stats[200..208].fill(0));
    assert_eq!(TaskEnd::parse(&message).unwrap().peak_bytes, None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(foreign in prop::collection::vec(any::<u8>(), 0..700), at in 0_usize..600) {
        let _ = TaskEnd::parse(&foreign);
        let mut message = bytes(TRUE);
        message.truncate(at);
        let _ = TaskEnd::parse(&message);
        message.extend(foreign);
        let _ = TaskEnd::parse(&message);
    }
}
