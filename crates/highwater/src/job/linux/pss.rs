//! Passes over the members' PSS (`/proc/PID/smaps_rollup`, Linux 4.14).
//!
//! A pass counts only if no process started, exec'ed or exited during it. Otherwise pages that move between processes
//! would be counted twice or not at all. It is expensive: about 9 us per MiB of 4 KiB pages, and it holds the process's
//! `mmap_lock`. So passes have a budget.

use std::time::Duration;

use super::{
    map_reader::{MapOutcome, MapReader},
    observation::Observation,
};
use crate::{
    Roots,
    bounded::{Extent, MAX_PROCESS_FILE_BYTES},
    job::{events::pss_pass_tolerance_bytes, ledger::PssPass, unix::thread_cpu},
    process::linux::smaps_rollup::SmapsRollup,
};

/// Share of the elapsed time that passes may take.
const PASS_TIME_SHARE: f64 = 0.01;
/// Time for passes that do not count, each time the job has doubled.
const VOID_PASS_BUDGET: Duration = Duration::from_millis(50);
/// Longest expected read of one process; a process that would take longer is left out.
const MAX_PROCESS_READ_TIME: Duration = Duration::from_millis(50);
/// Longest wait for a process that holds its memory map locked, or that is read while the machine is busy.
const MAP_LOCK_TIMEOUT: Duration = Duration::from_millis(250);
/// The same for a pass by which a limit is enforced, beside the time of the reading itself.
const MAP_LOCK_TIMEOUT_FOR_LIMIT: Duration = Duration::from_secs(1);
/// Time beyond that share, so that a short job gets more than one pass.
const INITIAL_PASS_BUDGET: Duration = Duration::from_millis(15);
/// Shortest time for which the RSS sum must have been stable before a pass, however cheap that is.
const MIN_STABLE_TIME: Duration = Duration::from_millis(3);
/// Costs of a pass for which a job must have been stable to get one pass beyond the budget, until it has doubled.
const STABLE_COSTS_FOR_EXTRA_PASS: f64 = 10.0;
/// First guess of the cost, until passes have been timed.
const SECONDS_PER_BYTE: f64 = 9e-6 / (1024.0 * 1024.0);

/// The schedule of passes, and their reader.
#[derive(Debug)]
pub(crate) struct PssPasses {
    roots: Roots,
    spent: Duration,
    /// Time spent since the last pass that counted.
    in_vain: Duration,
    seconds_per_byte: f64,
    /// RSS sum at the best pass that counted.
    best_rss: Option<u64>,
    /// Time since which the RSS sum has been stable, and its value.
    still: (Duration, u64),
    /// True if a pass beyond the budget may be made.
    has_extra_pass: bool,
    reader: MapReader,
    text: Vec<u8>,
}

impl PssPasses {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            roots: roots.clone(),
            spent: Duration::ZERO,
            in_vain: Duration::ZERO,
            seconds_per_byte: SECONDS_PER_BYTE,
            best_rss: None,
            still: (Duration::ZERO, 0),
            has_extra_pass: true,
            reader: MapReader::default(),
            text: Vec::new(),
        }
    }

    /// Returns whether to make a pass now, at a sample of `rss` bytes.
    pub(crate) fn due(&mut self, at: Duration, rss: u64) -> bool {
        if rss.abs_diff(self.still.1) > pss_pass_tolerance_bytes(rss) {
            self.still = (at, rss);
        }
        let new_height = self.best_rss.is_none_or(|best| rss > best + best / 32 + (1 << 20));
        if rss == 0 || !new_height {
            return false;
        }
        let cost = rss as f64 * self.seconds_per_byte;
        let still_for = at.saturating_sub(self.still.0).as_secs_f64();
        // A change during a pass voids it, so the job must have been stable for as long as a pass takes.
        if still_for < cost.max(MIN_STABLE_TIME.as_secs_f64()) {
            return false;
        }
        // A job that has doubled is worth a pass, and a second one if the first was void. Otherwise the budget decides.
        let doubled = self.best_rss.is_none_or(|best| rss >= 2 * best);
        let has_credit = self.in_vain.as_secs_f64() + cost <= VOID_PASS_BUDGET.as_secs_f64().max(2.0 * cost);
        let share = at.as_secs_f64() * PASS_TIME_SHARE;
        if (doubled && has_credit)
            || self.spent.as_secs_f64() + cost <= share + INITIAL_PASS_BUDGET.as_secs_f64()
        {
            return true;
        }
        // A busy machine voids passes over a growing job. Once the job is stable for long, it is worth one more.
        let takes_extra_pass =
            doubled && self.has_extra_pass && still_for >= STABLE_COSTS_FOR_EXTRA_PASS * cost;
        self.has_extra_pass &= !takes_extra_pass;
        takes_extra_pass
    }

    /// Reads all members that are read quickly. The caller polls the job again afterwards, and reports whether the pass
    /// counts.
    pub(crate) fn pass(&mut self, at: Duration, observation: &Observation) -> PssPass {
        self.read(at, observation.maps(), MAX_PROCESS_READ_TIME, MAP_LOCK_TIMEOUT)
    }

    /// Reads all members, however long that takes: a limit may be enforced by the result.
    pub(crate) fn pass_over_all(&mut self, at: Duration, observation: &Observation) -> PssPass {
        self.read(at, observation.maps(), Duration::MAX, MAP_LOCK_TIMEOUT_FOR_LIMIT)
    }

    /// Reads the PSS of `maps`: pids, and their RSS.
    fn read(
        &mut self,
        at: Duration,
        maps: impl Iterator<Item = (u32, u64)>,
        longest: Duration,
        patience: Duration,
    ) -> PssPass {
        // The cost is processor time, as on a busy machine the clock runs on while other processes run.
        let begin = thread_cpu() + self.reader.cpu();
        let mut waited = Duration::ZERO;
        let (mut bytes, mut read, mut unread, mut unread_rss) = (0, 0, 0, 0);
        for (pid, rss) in maps {
            let cost = rss as f64 * self.seconds_per_byte;
            let patience = patience + Duration::from_secs_f64(cost * 4.0);
            let outcome = if cost > longest.as_secs_f64() {
                MapOutcome::Failed
            } else {
                let path = self.roots.proc.join(format!("{pid}/smaps_rollup"));
                self.reader.read(path, MAX_PROCESS_FILE_BYTES, &mut self.text, patience)
            };
            let pss = match outcome {
                MapOutcome::Read(Extent::Whole) => {
                    SmapsRollup::parse(&self.text).and_then(|rollup| rollup.pss_bytes)
                }
                MapOutcome::Read(Extent::Cut) | MapOutcome::Failed => None,
                MapOutcome::Late => {
                    waited += patience;
                    None
                }
            };
            if let Some(pss) = pss {
                (read, bytes) = (read + rss, bytes + pss);
            } else {
                (unread, unread_rss) = (unread + 1, unread_rss + rss);
            }
        }
        let took = (thread_cpu() + self.reader.cpu()).saturating_sub(begin);
        // Members were not polled meanwhile, so a wait without result has its cost, too.
        self.spent += waited;
        self.in_vain += waited;
        self.spent += took;
        self.in_vain += took;
        // Small passes measure system calls, not pages.
        if read > 64 << 20 {
            let measured = took.as_secs_f64() / read as f64;
            self.seconds_per_byte = f64::midpoint(self.seconds_per_byte, measured);
        }
        PssPass { at, bytes, unread, unread_rss }
    }

    /// Returns the CPU time of separate reading threads.
    pub(crate) fn reader_cpu(&self) -> Duration {
        self.reader.cpu()
    }

    /// Records that the pass at `rss` bytes counted.
    pub(crate) fn counted(&mut self, rss: u64) {
        self.best_rss = Some(rss);
        self.has_extra_pass = true;
        self.in_vain = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_top_of_a_rise() {
        let mut passes = PssPasses::new(&Roots::default());
        let ms = Duration::from_millis;
        let gib = 1 << 30;
        assert!(!passes.due(ms(10), gib));
        assert!(!passes.due(ms(20), 2 * gib));
        assert!(!passes.due(ms(30), 2 * gib), "a pass takes 18 ms");
        assert!(passes.due(ms(40), 2 * gib));
        passes.counted(2 * gib);
        assert!(!passes.due(ms(50), 2 * gib));
    }

    #[test]
    fn unread_processes_are_not_evidence_against_a_job() {
        let mut passes = PssPasses::new(&Roots::default());
        let maps = || [(std::process::id(), 1 << 40), (u32::MAX, 1 << 30)].into_iter();
        let quick = passes.read(Duration::ZERO, maps(), MAX_PROCESS_READ_TIME, MAP_LOCK_TIMEOUT);
        assert_eq!((quick.bytes, quick.unread, quick.unread_rss), (0, 2, (1 << 40) + (1 << 30)));
        let all = passes.read(Duration::ZERO, maps(), Duration::MAX, Duration::from_secs(60));
        assert_eq!(all.unread, 1, "the second process does not exist");
        assert!((1..1 << 40).contains(&all.bytes), "{all:?}");
    }

    #[test]
    fn a_job_that_stands_still_gets_one_pass_beyond_the_budget() {
        let mut passes = PssPasses::new(&Roots::default());
        let bytes = 4 << 30;
        // Passes over the growing job were void.
        passes.in_vain = Duration::from_secs(1);
        passes.spent = Duration::from_secs(1);
        let ms = Duration::from_millis;
        assert!(!passes.due(ms(1_000), bytes));
        assert!(!passes.due(ms(1_300), bytes), "a pass takes 37 ms");
        assert!(passes.due(ms(1_400), bytes));
        assert!(!passes.due(ms(3_000), bytes), "one such pass, also if it was void");
        passes.counted(bytes);
        assert!(!passes.due(ms(4_000), 2 * bytes));
        assert!(passes.due(ms(5_000), 2 * bytes), "it has doubled");
    }

    #[test]
    fn keeps_to_its_budget() {
        let mut passes = PssPasses::new(&Roots::default());
        let gib = 4 << 30;
        passes.counted(3 << 30);
        passes.spent = Duration::from_millis(10);
        passes.due(Duration::from_millis(200), gib);
        assert!(!passes.due(Duration::from_millis(300), gib), "one pass takes 37 ms, the share is 18 ms");
        assert!(passes.due(Duration::from_secs(4), gib));
    }
}
