//! The thread that keeps the connector's socket from overflowing while the consumer is busy.

use std::{os::fd::OwnedFd, sync::Mutex, time::Duration};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Stream, locked};
use crate::netlink::Backlog;

/// Shortest sleep: with shorter ones the wakeups cost more than the events.
const MIN_SLEEP: Duration = Duration::from_micros(200);
/// Longest sleep, and the sleep if the kernel does not report how full the buffer is.
const MAX_SLEEP: Duration = Duration::from_millis(50);
const SLEEP_WITHOUT_BACKLOG: Duration = Duration::from_millis(2);
/// Bytes that may arrive in a millisecond: some 80 events, from two busy processors that start empty programs.
const BYTES_PER_MILLISECOND: u32 = 64 << 10;

/// Reads until `stop` is readable. It sleeps without a timeout while nothing happens on the machine.
pub(super) fn read_until_stopped(stream: &Mutex<Stream>, events: &OwnedFd, stop: &OwnedFd) {
    let mut pause = MIN_SLEEP;
    loop {
        let mut both = [PollFd::new(stop, PollFlags::IN), PollFd::new(events, PollFlags::IN)];
        let waited = poll(&mut both, None);
        if !both[0].revents().is_empty() || matches!(waited, Err(error) if error != rustix::io::Errno::INTR) {
            return;
        }
        // One wakeup for many events keeps this cheap, but the name of a short process must be read at once.
        let are_urgent = locked(stream).names.are_urgent();
        let timeout = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
        if !are_urgent && matches!(poll(&mut [PollFd::new(stop, PollFlags::IN)], Some(&timeout)), Ok(1)) {
            return;
        }
        let mut stream = locked(stream);
        pause = stream.inbox.backlog().map_or(SLEEP_WITHOUT_BACKLOG, |backlog| next_pause(pause, backlog));
        stream.read();
    }
}

/// Returns the next sleep: half as long if the buffer filled to more than a quarter, twice as long if it stayed nearly
/// empty.
fn next_pause(last: Duration, backlog: Backlog) -> Duration {
    let longest = Duration::from_millis(u64::from(backlog.capacity / BYTES_PER_MILLISECOND))
        .clamp(MIN_SLEEP, MAX_SLEEP);
    let pause = if backlog.queued > backlog.capacity / 4 {
        last / 2
    } else if backlog.queued < backlog.capacity / 16 {
        last * 2
    } else {
        last
    };
    pause.clamp(MIN_SLEEP, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(queued: u32, capacity: u32) -> Backlog {
        Backlog { queued, capacity, dropped: 0 }
    }

    #[test]
    fn the_sleep_follows_the_rate_of_events() {
        let small = 416 << 10;
        let pauses = |capacity| {
            let mut pause = MIN_SLEEP;
            (0..20).for_each(|_| pause = next_pause(pause, backlog(0, capacity)));
            pause
        };
        assert_eq!(pauses(small), Duration::from_millis(6));
        assert_eq!(pauses(32 << 20), MAX_SLEEP);
        assert_eq!(pauses(0), MIN_SLEEP);
    }

    #[test]
    fn sleeps_shorter_while_much_comes() {
        let pause = Duration::from_millis(4);
        let capacity = 1 << 20;
        assert_eq!(next_pause(pause, backlog(capacity / 2, capacity)), pause / 2);
        assert_eq!(next_pause(pause, backlog(capacity / 8, capacity)), pause);
        assert_eq!(next_pause(MIN_SLEEP, backlog(capacity, capacity)), MIN_SLEEP);
    }
}
