//! Passes over the members' PSS (`/proc/PID/smaps_rollup`, Linux 4.14).
//!
//! A pass counts only if no process started, exec'ed or exited during it. Otherwise pages that move between processes
//! would be counted twice or not at all. It is expensive: about 9 us per MiB of 4 KiB pages, and it holds the process's
//! `mmap_lock`. So passes have a budget.
//!
//! A limit is compared with a lower bound, which every pass yields (`pss_bound.rs`).

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    map_reader::{MapOutcome, MapReader},
    member::Member,
    member_files::ProcessKey,
    observation::Observation,
    page_walk::{SECONDS_PER_BYTE, page_table_time},
    proc_dir::{ProcDir, ProcPath},
    pss_bound::{MemberPss, pss_lower_bound},
    status_turns::StatusTurns,
    touched_pages::TouchedPages,
};
use crate::{
    bounded::{self, Extent, MAX_PROCESS_FILE_BYTES, MAX_VALUE_BYTES},
    job::{Job, events::pss_pass_tolerance_bytes, identity::MemberId, ledger::PssPass, unix::thread_cpu},
    process::linux::smaps_rollup::SmapsRollup,
};

/// Share of the elapsed time that passes may take.
const PASS_TIME_SHARE: f64 = 0.01;
/// The same while the job stands still after a change that has set no new maximum of RSS. Samples do not show that change.
const STANDSTILL_TIME_SHARE: f64 = PASS_TIME_SHARE * 2.0;
/// The same after a fall of RSS, while the job does not stand still. The rest is left for heights.
const FALL_TIME_SHARE: f64 = PASS_TIME_SHARE / 2.0;
/// Time for passes that do not count, each time the job has doubled.
const VOID_PASS_BUDGET: Duration = Duration::from_millis(50);
/// Longest expected read of one process; a process that would take longer is left out. While it is read, it cannot change
/// its mappings, before Linux 5.10 (`mmap_lock_is_contended` in `fs/proc/task_mmu.c`).
const MAX_PROCESS_READ_TIME: Duration = Duration::from_millis(250);
/// Longest wait for a process that holds its memory map locked, or that is read while the machine is busy.
const MAP_LOCK_TIMEOUT: Duration = Duration::from_millis(250);
/// The same for a pass by which a limit is enforced, beside the time of the reading itself.
const MAP_LOCK_TIMEOUT_FOR_LIMIT: Duration = Duration::from_secs(1);
/// Timeouts for which all processes together may be waited for in one pass. Members are not polled meanwhile, so no limit is
/// judged.
const MAX_TIMEOUTS_PER_PASS: u32 = 2;
/// Time beyond that share, so that a short job gets more than one pass.
const INITIAL_PASS_BUDGET: Duration = Duration::from_millis(15);
/// Shortest time for which the RSS sum must have been stable before a pass, however cheap that is.
const MIN_STABLE_TIME: Duration = Duration::from_millis(3);
/// Time beyond the share once members have written to shared pages, as a multiple of the cost of one pass.
const COSTS_FOR_WRITES: f64 = 3.0;
/// Costs of a pass for which a job must have been stable to count as one that stands still.
const STANDSTILL_COSTS: f64 = 10.0;

/// The schedule of passes, and their reader.
#[derive(Debug)]
pub(crate) struct PssPasses {
    proc: ProcDir,
    sys: PathBuf,
    spent: Duration,
    /// Time spent since the last pass that counted.
    in_vain: Duration,
    /// Cost of a resident byte: the first guess, until passes have been timed.
    seconds_per_byte: f64,
    /// RSS sum at the best pass that counted.
    best_rss: Option<u64>,
    /// The last pass that counted.
    last: Option<CountedPass>,
    /// The highest PSS of all passes that counted.
    highest_pss: u64,
    /// PSS that the last pass read, and the RSS of members that it could not read.
    read_bytes: u64,
    touched: TouchedPages,
    /// True if writes to shared pages are a reason for a pass.
    watches_writes: bool,
    /// Time since which the RSS sum has been stable, and its value.
    still: (Duration, u64),
    /// True if a pass beyond the budget may be made.
    has_extra_pass: bool,
    /// True if a pass waits only for members to stop writing, and the sample before did not say so.
    awaits_end_of_writes: bool,
    /// True if anonymous memory of a member is shared with other members alone: fork(2) shares it with relatives.
    relatives_are_members: bool,
    /// Members that the last pass has read.
    members: Vec<MemberPss>,
    status_turns: StatusTurns,
    text: Vec<u8>,
}

/// Sums of a pass that counted, in bytes.
#[derive(Debug, Clone, Copy)]
struct CountedPass {
    pss: u64,
    rss: u64,
}

/// Reason for a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PassReason {
    /// RSS is higher than at any pass before.
    NewHeight,
    /// Members have written to pages that they shared.
    Writes,
    /// RSS has fallen since the last pass, or members have gone. It does not show whether what was given back was shared.
    Fall,
}

/// A memory map to read in a pass.
#[derive(Debug)]
struct MapToRead {
    id: MemberId,
    image: u32,
    /// Its `smaps_rollup`.
    path: ProcPath,
    rss: u64,
    /// Time for its page tables.
    page_tables: Duration,
}

impl MapToRead {
    fn of((member, rss): (&Member, u64)) -> Self {
        Self {
            id: member.id,
            image: member.image.number,
            path: member.map_file("smaps_rollup"),
            rss,
            page_tables: page_table_time(member.files.page_table_bytes()),
        }
    }
}

impl PssPasses {
    /// Returns the schedule for a job that is about to start, or that runs already.
    pub(crate) fn new(job: &Job, proc: &ProcDir) -> Self {
        Self::of_files(proc, &job.roots.sys, job.attach.is_none())
    }

    fn of_files(proc: &ProcDir, sys: &Path, relatives_are_members: bool) -> Self {
        Self {
            proc: proc.clone(),
            sys: sys.to_owned(),
            spent: Duration::ZERO,
            in_vain: Duration::ZERO,
            seconds_per_byte: SECONDS_PER_BYTE,
            best_rss: None,
            last: None,
            highest_pss: 0,
            read_bytes: 0,
            touched: TouchedPages::new(proc),
            watches_writes: false,
            still: (Duration::ZERO, 0),
            has_extra_pass: true,
            awaits_end_of_writes: false,
            relatives_are_members,
            members: Vec::new(),
            status_turns: StatusTurns::new(),
            text: Vec::new(),
        }
    }

    /// Returns whether to make a pass now, at a sample of `rss` bytes. Writes to shared pages are looked for among
    /// `members`: none if another source counts each page once.
    pub(crate) fn due<'a>(
        &mut self,
        at: Duration,
        rss: u64,
        members: impl Iterator<Item = &'a Member> + Clone,
    ) -> bool {
        self.watches_writes = members.clone().next().is_some();
        if rss.abs_diff(self.still.1) > pss_pass_tolerance_bytes(rss) {
            self.still = (at, rss);
        }
        let awaited_before = std::mem::take(&mut self.awaits_end_of_writes);
        let Some(reason) = self.reason(at, rss, members) else { return false };
        let cost = rss as f64 * self.seconds_per_byte;
        let still_since = match reason {
            PassReason::NewHeight | PassReason::Fall => self.still.0,
            PassReason::Writes => self.still.0.max(self.touched.still_since()),
        };
        let still_for = at.saturating_sub(still_since).as_secs_f64();
        // A change during a pass voids it, so the job must have been stable for as long as a pass takes.
        let is_within =
            |share: f64, initial: f64| self.spent.as_secs_f64() + cost <= at.as_secs_f64() * share + initial;
        let initial = INITIAL_PASS_BUDGET.as_secs_f64();
        if still_for < cost.max(MIN_STABLE_TIME.as_secs_f64()) {
            let has_budget = is_within(PASS_TIME_SHARE, initial.max(COSTS_FOR_WRITES * cost));
            self.awaits_end_of_writes = reason == PassReason::Writes && has_budget && !awaited_before;
            return false;
        }
        let stands_still = still_for >= STANDSTILL_COSTS * cost;
        match reason {
            PassReason::NewHeight => {
                let is_cheap = is_within(PASS_TIME_SHARE, initial);
                is_cheap || self.is_worth_more_than_its_share(rss, cost, stands_still)
            }
            PassReason::Writes => {
                let initial = initial.max(COSTS_FOR_WRITES * cost);
                is_within(PASS_TIME_SHARE, initial)
                    || stands_still && is_within(STANDSTILL_TIME_SHARE, initial)
            }
            PassReason::Fall => {
                is_within(FALL_TIME_SHARE, 0.0) || stands_still && is_within(STANDSTILL_TIME_SHARE, initial)
            }
        }
    }

    /// Returns whether the next sample should come soon, to see whether members still write to shared pages. It is so for
    /// every second sample at most, as some jobs write all the time.
    pub(crate) fn awaits_end_of_writes(&self) -> bool {
        self.awaits_end_of_writes
    }

    /// Returns whether a new height gets a pass beyond the budget. A job that has doubled is worth a pass, and a second one if
    /// the first was void.
    fn is_worth_more_than_its_share(&mut self, rss: u64, cost: f64, stands_still: bool) -> bool {
        if self.best_rss.is_some_and(|best| rss < 2 * best) {
            return false;
        }
        let has_credit = self.in_vain.as_secs_f64() + cost <= VOID_PASS_BUDGET.as_secs_f64().max(2.0 * cost);
        // A busy machine voids passes over a growing job. Once the job is stable for long, it is worth one more.
        let takes_extra_pass = !has_credit && self.has_extra_pass && stands_still;
        self.has_extra_pass &= !takes_extra_pass;
        has_credit || takes_extra_pass
    }

    fn reason<'a>(
        &mut self,
        at: Duration,
        rss: u64,
        members: impl Iterator<Item = &'a Member> + Clone,
    ) -> Option<PassReason> {
        if rss == 0 {
            return None;
        }
        if self.best_rss.is_none_or(|best| is_higher(rss, best)) {
            return Some(PassReason::NewHeight);
        }
        // A page that a member shares may have become its own since the last pass.
        let CountedPass { pss, rss: rss_at_pass } = self.last?;
        members.clone().nth(1)?;
        if is_higher(rss, self.highest_pss) {
            self.touched.count_if_due(at, rss, members.clone());
            // A page fault that raised RSS has copied no shared page.
            let copied = self.touched.bytes().saturating_sub(rss.saturating_sub(rss_at_pass));
            if is_higher((pss + copied).min(rss), self.highest_pss) {
                return Some(PassReason::Writes);
            }
        }
        let has_fallen = is_higher(rss_at_pass, rss) || is_higher(self.departed_bytes(members), 0);
        has_fallen.then_some(PassReason::Fall)
    }

    /// Returns the PSS that the last pass has read of images that no member runs any more. New members may hide in RSS that
    /// these have gone.
    fn departed_bytes<'a>(&self, members: impl Iterator<Item = &'a Member>) -> u64 {
        let living: HashSet<_> = members.map(|member| (member.id, member.image.number)).collect();
        let departed = self.members.iter().filter(|read| !living.contains(&(read.id, read.image)));
        departed.map(|read| read.pss).sum()
    }

    /// Reads all members that are read quickly. The caller polls the job again afterwards, and reports whether the pass
    /// counts.
    pub(crate) fn pass(
        &mut self,
        at: Duration,
        observation: &Observation,
        reader: &mut MapReader,
    ) -> PssPass {
        if self.watches_writes {
            self.touched.count(observation.maps().map(|(member, _)| member));
        }
        let maps = observation.maps().map(MapToRead::of);
        // A long job may be held up for longer by one process, within the same share of its time.
        let longest = MAX_PROCESS_READ_TIME.max(at.mul_f64(PASS_TIME_SHARE));
        self.read(at, maps, reader, longest, MAP_LOCK_TIMEOUT)
    }

    /// Reads all members, however long that takes: a limit may be enforced by the result.
    pub(crate) fn pass_over_all(
        &mut self,
        at: Duration,
        observation: &Observation,
        reader: &mut MapReader,
    ) -> PssPass {
        let maps = observation.maps().map(MapToRead::of);
        self.read(at, maps, reader, Duration::MAX, MAP_LOCK_TIMEOUT_FOR_LIMIT)
    }

    /// Returns the PSS that the job held at least since the last pass began, once it was polled again.
    pub(crate) fn lower_bound(&mut self, observation: &Observation) -> u64 {
        let read = pss_lower_bound(&self.members, |id, image| observation.rss_of_image(id, image));
        if self.relatives_are_members { self.largest_anonymous(observation, read) } else { read }
    }

    /// Returns the anonymous memory of one member if that exceeds `bytes`, or else `bytes`. Its pages are shared with
    /// members at most, so they count in full in the PSS of the job, even if the PSS of no process can be read.
    fn largest_anonymous(&mut self, observation: &Observation, bytes: u64) -> u64 {
        let mut largest = bytes;
        self.status_turns.begin();
        for (member, rss) in observation.maps() {
            if rss <= largest || !self.status_turns.take(member.id, member.files.status_bytes()) {
                continue;
            }
            let process = ProcessKey { pid: member.pid, start_ticks: member.start_ticks };
            let anonymous = member.files.read_anonymous_bytes(&self.proc, process, &mut self.text);
            self.status_turns.count(self.text.len());
            let anonymous = anonymous.map(|anonymous| anonymous.saturating_sub(self.merged_bytes()));
            largest = largest.max(anonymous.unwrap_or(0));
        }
        largest
    }

    /// Returns the anonymous memory of all processes that KSM has replaced by pages shared with others
    /// (Documentation/admin-guide/mm/ksm.rst).
    fn merged_bytes(&self) -> u64 {
        let text = bounded::read(&self.sys.join("kernel/mm/ksm/pages_sharing"), MAX_VALUE_BYTES);
        // Without KSM there is no such file.
        let pages = text.ok().and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse::<u64>().ok());
        pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
    }

    /// Reads the PSS of `maps`.
    fn read(
        &mut self,
        at: Duration,
        maps: impl Iterator<Item = MapToRead>,
        reader: &mut MapReader,
        longest: Duration,
        patience: Duration,
    ) -> PssPass {
        // The cost is processor time, as on a busy machine the clock runs on while other processes run.
        let begin = thread_cpu() + reader.cpu();
        let waited_before = reader.waited();
        let mut waited = Duration::ZERO;
        let most_waited = patience * MAX_TIMEOUTS_PER_PASS;
        let mut pass = PssPass { at, ..PssPass::default() };
        let mut read = 0;
        self.members.clear();
        for MapToRead { id, image, path, rss, page_tables } in maps {
            let cost = Duration::from_secs_f64(rss as f64 * self.seconds_per_byte) + page_tables;
            let patience = patience + cost * 4;
            let waited_so_far = reader.waited();
            let outcome = if cost > longest || waited_so_far.saturating_sub(waited_before) >= most_waited {
                MapOutcome::Failed
            } else {
                reader.read(&self.proc, path, MAX_PROCESS_FILE_BYTES, &mut self.text, patience)
            };
            let waited_for_it = reader.waited().saturating_sub(waited_so_far);
            waited += if outcome == MapOutcome::Late { patience.max(waited_for_it) } else { waited_for_it };
            let sums = match outcome {
                MapOutcome::Read(Extent::Whole) => SmapsRollup::parse(&self.text)
                    .and_then(|rollup| Some((rollup, rollup.pss_bytes?, rollup.rss_bytes?))),
                MapOutcome::Read(Extent::Cut) | MapOutcome::Failed | MapOutcome::Late => None,
            };
            if let Some((rollup, pss, rss_in_pass)) = sums {
                read += rss;
                pass.bytes += pss;
                pass.file_bytes += rollup.pss_file_bytes.unwrap_or(0);
                pass.largest_file_bytes = pass.largest_file_bytes.max(rollup.file_bytes());
                self.members.push(MemberPss { id, image, rss_before: rss, rss: rss_in_pass, pss });
            } else {
                pass.unread.push(id);
                pass.unread_rss += rss;
            }
        }
        let took = (thread_cpu() + reader.cpu()).saturating_sub(begin);
        // Members were not polled meanwhile, so a wait has its cost, too.
        self.spent += waited;
        self.in_vain += waited;
        self.spent += took;
        self.in_vain += took;
        // Small passes measure system calls, not pages.
        if read > 64 << 20 {
            let measured = took.as_secs_f64() / read as f64;
            self.seconds_per_byte = f64::midpoint(self.seconds_per_byte, measured);
        }
        self.read_bytes = pass.bytes + pass.unread_rss;
        pass.waited = reader.waited().saturating_sub(waited_before);
        pass
    }

    /// Records that the pass at `rss` bytes, which was made `at` that time, counted.
    pub(crate) fn counted(&mut self, at: Duration, rss: u64) {
        self.best_rss = self.best_rss.max(Some(rss));
        self.last = Some(CountedPass { pss: self.read_bytes, rss });
        self.highest_pss = self.highest_pss.max(self.read_bytes);
        self.touched.begin_anew(at);
        self.has_extra_pass = true;
        self.in_vain = Duration::ZERO;
    }
}

/// Returns whether a sum exceeds the highest one so far by as much as is worth a pass.
fn is_higher(bytes: u64, highest: u64) -> bool {
    bytes > highest + highest / 32 + (1 << 20)
}

#[cfg(test)]
mod tests;
