//! Reading the memory and usage of each member: one sample of the job.

use super::{
    event_queue::Round,
    member::Member,
    member_files::{MemoryFigures, MemoryRead, ProcessKey},
    proc_dir::ProcDir,
    proc_view::Proc,
    roster::Roster,
    status_turns::StatusTurns,
    tracker::{ExecShown, ExitShown, FirstReading, Tracker},
};
use crate::job::{
    event_batch::EventBatch,
    events::MemoryReading,
    resource_use::{UsageWanted, UsedBy},
};

/// A fall of the high-water mark by more than the counters' own slack means a new memory map: an exec.
const MIN_HWM_FALL_BYTES: u64 = 512 * 1024;

/// The amounts of each member that a poll reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampleDepth {
    /// Its high-water mark, too.
    pub(crate) marks: bool,
    /// Its usage beside memory, too, if that is wanted at all.
    pub(crate) usage: bool,
}

/// True if a sample is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sampled {
    Settled,
    /// `/proc` shows an exec whose hold has not been reported yet. The events are applied first, then the members are read
    /// again.
    Deferred,
}

/// Reads members.
#[derive(Debug)]
pub(super) struct Sampler {
    proc: ProcDir,
    page_size: u64,
    /// Amounts that are read beside memory.
    usage: UsageWanted,
    status_turns: StatusTurns,
    readings: Vec<MemoryReading>,
    uses: Vec<UsedBy>,
    text: Vec<u8>,
}

impl Sampler {
    /// Returns a sampler of the processes in `proc`.
    pub(super) fn new(proc: &ProcDir, usage: UsageWanted) -> Self {
        Self {
            proc: proc.clone(),
            page_size: rustix::param::page_size() as u64,
            usage,
            status_turns: StatusTurns::new(),
            readings: Vec::new(),
            uses: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Returns what the last sample read, in the order of ids.
    pub(super) fn readings(&self) -> &[MemoryReading] {
        &self.readings
    }

    /// Returns what the last sample read beside memory, in the order of ids; nothing if it did not.
    pub(super) fn uses(&self) -> &[UsedBy] {
        &self.uses
    }

    /// Opens the files of a member that was just found in `/proc`.
    pub(super) fn open_files(&self, member: &mut Member) {
        member.files.open(&self.proc, member.pid);
    }

    /// Reads all members. Those that have exited leave the roster.
    pub(super) fn read_all(
        &mut self,
        depth: SampleDepth,
        round: Round,
        tracker: &mut Tracker,
        proc: &mut Proc,
        batch: &mut EventBatch,
    ) -> Sampled {
        self.readings.clear();
        self.uses.clear();
        self.status_turns.begin();
        tracker.roster.remove_exited();
        let mut sampled = Sampled::Settled;
        let mut departed_any = false;
        for index in 0..tracker.roster.len() {
            let (read, is_settled) = self.read_member(index, depth.marks, tracker, proc, batch);
            if is_settled == Sampled::Deferred {
                sampled = Sampled::Deferred;
            }
            if let MemoryRead::Exited = read {
                departed_any |= tracker.see_exit(index, round) == ExitShown::Departed;
                continue;
            }
            let Some(member) = tracker.roster.at_mut(index) else { continue };
            if let MemoryRead::Alive(figures) = read {
                self.readings.push(record_figures(member, figures));
            }
            if depth.usage {
                self.read_usage(member);
            }
        }
        if departed_any {
            tracker.roster.remove_exited();
        }
        sampled
    }

    /// Counts members by themselves that were found to share no memory map after they were read.
    pub(super) fn update_sharing(&mut self, roster: &Roster) {
        for reading in self.readings.iter_mut().filter(|reading| reading.shares_map) {
            if let Some(member) = roster.index_of(reading.id).and_then(|index| roster.at(index)) {
                reading.shares_map = member.image.shares_map();
            }
        }
    }

    fn read_usage(&mut self, member: &mut Member) {
        if !self.usage.any() || !member.files.are_open() {
            return;
        }
        let (pid, start_ticks) = (member.pid, member.start_ticks);
        let read = member.files.usage.read(&self.proc, pid, start_ticks, self.usage, &mut self.text);
        if let Some(read) = read {
            self.uses.push(UsedBy { id: member.id, own: read.own, with_waited: read.with_waited });
        }
    }

    /// Reads one member, and asks whether it runs another program if it looks so.
    fn read_member(
        &mut self,
        index: usize,
        marks: bool,
        tracker: &mut Tracker,
        proc: &mut Proc,
        batch: &mut EventBatch,
    ) -> (MemoryRead, Sampled) {
        let are_open = tracker.roster.at(index).is_some_and(|member| member.files.are_open());
        if !are_open {
            match tracker.prepare_first_reading(index, proc, batch) {
                FirstReading::Ready => {
                    if let Some(member) = tracker.roster.at_mut(index) {
                        self.open_files(member);
                    }
                }
                FirstReading::AwaitsExec => return (MemoryRead::NoMemory, Sampled::Settled),
                FirstReading::Deferred => return (MemoryRead::NoMemory, Sampled::Deferred),
                FirstReading::Gone => return (MemoryRead::Exited, Sampled::Settled),
            }
        }
        let Some(member) = tracker.roster.at(index) else { return (MemoryRead::Exited, Sampled::Settled) };
        let was_held_at_exit = member.phase.exit_hold().is_some() && !member.is_reported();
        if was_held_at_exit && tracker.has_left(index, proc) {
            return (MemoryRead::Exited, Sampled::Settled);
        }
        let read = self.read_memory(index, marks, tracker);
        let MemoryRead::Alive(figures) = read else { return (read, Sampled::Settled) };
        if tracker.roster.at(index).is_some_and(|member| !member.name.is_known()) {
            tracker.read_name(index, proc, batch);
        }
        let Some(has_changed) = asks_for_exec(index, figures, tracker) else {
            return (read, Sampled::Settled);
        };
        match tracker.ask_for_exec(index, has_changed, proc, batch) {
            ExecShown::Same => (read, Sampled::Settled),
            ExecShown::SameSoFar => (read, Sampled::Deferred),
            // The reading may be older than the exec: what the old image held must not stand for the new one.
            ExecShown::Replaced => (self.read_memory(index, marks, tracker), Sampled::Settled),
            ExecShown::Deferred => (MemoryRead::NoMemory, Sampled::Deferred),
        }
    }

    fn read_memory(&mut self, index: usize, marks: bool, tracker: &mut Tracker) -> MemoryRead {
        let Some(member) = tracker.roster.at_mut(index) else { return MemoryRead::Exited };
        let process = ProcessKey { pid: member.pid, start_ticks: member.start_ticks };
        let wants_hwm = marks || member.image.hwm_bytes == 0;
        let with_hwm = wants_hwm && self.status_turns.take(member.id, member.files.status_bytes());
        let read = member.files.read(&self.proc, process, self.page_size, with_hwm, &mut self.text);
        if with_hwm {
            self.status_turns.count(member.files.status_bytes());
        }
        read
    }
}

/// Returns whether to ask `/proc` if the member runs another program; if so, whether its memory looks like that.
fn asks_for_exec(index: usize, figures: MemoryFigures, tracker: &mut Tracker) -> Option<bool> {
    let holds_tasks = tracker.coverage.holds_tasks();
    let member = tracker.roster.at_mut(index).filter(|member| !member.is_reported())?;
    let image = &mut member.image;
    let hwm_fell = figures.hwm.is_some_and(|hwm| hwm + MIN_HWM_FALL_BYTES < image.hwm_bytes);
    let has_other_text = image.text_pages != 0 && figures.text_pages != image.text_pages;
    let has_changed = hwm_fell || has_other_text;
    let is_in_doubt = holds_tasks && image.is_in_doubt();
    image.takes_exec_check(has_changed || is_in_doubt).then_some(has_changed)
}

/// Records what a member held, and returns it as a reading.
fn record_figures(member: &mut Member, figures: MemoryFigures) -> MemoryReading {
    let MemoryFigures { rss, hwm, swap, file, shared, beside, text_pages } = figures;
    member.phase.see_alive();
    member.image.text_pages = text_pages;
    member.image.hwm_bytes = hwm.unwrap_or(member.image.hwm_bytes);
    let shares_map = member.image.shares_map();
    let mark = hwm.filter(|&bytes| member.image.is_since_attach(bytes));
    MemoryReading { id: member.id, rss, mark, swap, file, shared, beside, shares_map }
}
