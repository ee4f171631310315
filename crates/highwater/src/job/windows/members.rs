//! The living members of the job, as its Job Object reports them, and their memory.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use windows_sys::Win32::{Foundation::FILETIME, System::SystemInformation::GetSystemTimePreciseAsFileTime};

use super::{
    object::JobObject,
    port::{PortMessage, Wake},
    used,
};
use crate::{
    job::{
        event_batch::{EventBatch, Polled},
        events::{BesideRss, JobEvent, LastMark, MemoryReading},
        identity::{MemberId, ProgramName},
        moment::Moment,
        resource_use::Completeness,
        resource_use::{UsageWanted, UsedBy},
    },
    process::windows::{Opened, file_name},
    record::{PeakSource, ProcessExit, UsageSource},
};

/// Longest time from the message of an exit to the exit itself.
const MAX_EXIT_DELAY: Duration = Duration::from_millis(100);

/// Result of `GetExitCodeProcess` for a living process. A process may also exit with this code.
const STILL_ACTIVE: u32 = 259;

/// One process of the job.
#[derive(Debug)]
struct WindowsMember {
    id: MemberId,
    pid: u32,
    /// `None` if it had exited before it could be opened, or is protected from this process.
    process: Option<Opened>,
    /// True if the name of its program could be read.
    named: bool,
    /// True once the Job Object has reported its exit.
    ended: bool,
    /// Its peaks when it was attached to.
    before: MarksBefore,
}

/// The peaks of an attached process at that moment: up to these they say nothing about the time since.
#[derive(Debug, Clone, Copy, Default)]
struct MarksBefore {
    working_set: Option<u64>,
    commit: Option<u64>,
}

/// Returns the peak if it rose since.
fn risen(mark: Option<u64>, before: Option<u64>) -> Option<u64> {
    mark.filter(|&mark| before.is_none_or(|before| mark > before))
}

impl WindowsMember {
    fn has_ended(&self) -> bool {
        // The message of its exit may come before the exit.
        let timeout = if self.ended { MAX_EXIT_DELAY } else { Duration::ZERO };
        let Some(process) = &self.process else { return self.ended };
        // Under Wine a process without a thread yet looks exited (`process_signaled` of server/process.c).
        let has_run = || {
            process.exit_code() != Some(STILL_ACTIVE)
                || process.times().is_ok_and(|times| times.exit.is_some())
        };
        process.ends_within(timeout) && (self.ended || has_run())
    }
}

#[derive(Debug)]
pub(super) struct WindowsMembers {
    /// Members in the order of their ids.
    list: Vec<WindowsMember>,
    by_pid: HashMap<u32, MemberId>,
    next_id: u32,
    /// Number of members that were reported or found.
    born: u32,
    /// Number of missing members at the last poll.
    unreported: u32,
    /// Pids found by a poll before the Job Object reported them; their message may still come.
    found: HashSet<u32>,
    root: u32,
    root_exit: Option<u32>,
    readings: Vec<MemoryReading>,
    wanted: UsageWanted,
    uses: Vec<UsedBy>,
    /// The wall clock at the job's start in 100 ns since 1601.
    epoch: u64,
    pub(super) was_over_limit: bool,
    /// Members that exited since the last call of `take_exited`, with the time by the wall clock.
    exited: Vec<(u32, Option<u64>)>,
}

impl WindowsMembers {
    pub(super) fn new(root: u32, epoch: u64, wanted: UsageWanted) -> Self {
        Self {
            list: Vec::new(),
            by_pid: HashMap::new(),
            next_id: 0,
            born: 0,
            unreported: 0,
            found: HashSet::new(),
            root,
            root_exit: None,
            readings: Vec::new(),
            wanted,
            uses: Vec::new(),
            epoch,
            was_over_limit: false,
            exited: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn root_exit(&self) -> Option<u32> {
        self.root_exit
    }

    pub(super) fn root_lives(&self) -> bool {
        self.by_pid.contains_key(&self.root)
    }

    pub(super) fn readings(&self) -> &[MemoryReading] {
        &self.readings
    }

    pub(super) fn uses(&self) -> &[UsedBy] {
        &self.uses
    }

    pub(super) fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.list.iter().map(|member| (member.pid, member.id))
    }

    /// Returns the number of starts that the Job Object has counted and not reported.
    pub(super) fn unreported(&self) -> u32 {
        self.unreported + u32::try_from(self.found.len()).unwrap_or(u32::MAX)
    }

    /// Takes in a message. Returns whether it reports an awaited exit.
    pub(super) fn apply(
        &mut self,
        message: PortMessage,
        job: &JobObject,
        at: Duration,
        batch: &mut EventBatch,
    ) -> bool {
        match message {
            PortMessage::Started(pid) => {
                if !self.found.remove(&pid) {
                    self.add_if_new(pid, job, at, batch);
                }
                false
            }
            PortMessage::Ended(pid) => {
                let awaited = !self.root_lives() || pid == self.root;
                if let Some(id) = self.by_pid.get(&pid)
                    && let Ok(index) = self.list.binary_search_by_key(id, |member| member.id)
                {
                    self.list[index].ended = true;
                }
                awaited
            }
            PortMessage::Empty => {
                self.list.iter_mut().for_each(|member| member.ended = true);
                true
            }
            PortMessage::OverLimit => {
                self.was_over_limit = true;
                true
            }
            PortMessage::WakeUp => true,
        }
    }

    /// Adds a process, unless it is known.
    pub(super) fn add_if_new(&mut self, pid: u32, job: &JobObject, at: Duration, batch: &mut EventBatch) {
        if self.by_pid.contains_key(&pid) {
            return;
        }
        let process = Opened::of(pid).ok().filter(|process| !job.is_foreign(process));
        self.add_member(pid, process, at, batch);
    }

    /// Adds a process that belongs to the job.
    pub(super) fn add_member(
        &mut self,
        pid: u32,
        process: Option<Opened>,
        at: Duration,
        batch: &mut EventBatch,
    ) {
        let id = MemberId(self.next_id);
        self.next_id += 1;
        self.born += 1;
        self.by_pid.insert(pid, id);
        let name = process.as_ref().and_then(name_of);
        let named = name.is_some();
        let moment =
            self.moment(process.as_ref().and_then(|process| Some(process.times().ok()?.creation)), at);
        // 0 is no process's pid: it stands for an unknown parent.
        let parent = process.as_ref().and_then(Opened::parent).unwrap_or(0);
        batch.push(
            moment,
            JobEvent::Started {
                id,
                pid,
                ppid: parent,
                name: Some(name.unwrap_or_else(ProgramName::unknown)),
                forked: false,
            },
        );
        self.list.push(WindowsMember {
            id,
            pid,
            process,
            named,
            ended: false,
            before: MarksBefore::default(),
        });
    }

    /// Keeps the marks of all members, which ran before the measurement, as later rises are measured from them. Returns
    /// the sum of the marks of the working set, if all are known.
    pub(super) fn mark_attached(&mut self, at: Duration, batch: &mut EventBatch) -> Option<u64> {
        for member in &mut self.list {
            let counters = member.process.as_ref().and_then(|process| process.counters().ok());
            let (working_set, commit) = counters.map(|counters| counters.last_marks()).unwrap_or_default();
            member.before = MarksBefore { working_set, commit };
            batch.push(Moment::exactly(at), JobEvent::AttachedTo { id: member.id, mark: working_set });
        }
        self.list.iter().map(|member| member.before.working_set).sum()
    }

    /// Returns the members that exited since the last call, with the time by the wall clock.
    pub(super) fn take_exited(&mut self) -> Vec<(u32, Option<u64>)> {
        std::mem::take(&mut self.exited)
    }

    /// Polls the job: takes in the messages and counts of the Job Object, and reads all members.
    pub(super) fn poll(
        &mut self,
        at: Duration,
        wake: &Wake,
        job: &JobObject,
        batch: &mut EventBatch,
    ) -> Polled {
        while let Some(message) = wake.next(Duration::ZERO) {
            if message == PortMessage::WakeUp {
                // It was for a wait that is over already.
                continue;
            }
            self.apply(message, job, at, batch);
        }
        self.find_unreported(job, at, batch);
        self.exited.clear();
        self.read_all(at, batch)
    }

    /// Reads all members, and reports and removes those that have exited.
    pub(super) fn read_all(&mut self, at: Duration, batch: &mut EventBatch) -> Polled {
        self.readings.clear();
        self.uses.clear();
        let mut list = std::mem::take(&mut self.list);
        list.retain_mut(|member| {
            if !member.named
                && let Some(name) = member.process.as_ref().and_then(name_of)
            {
                // Right after its start it may not be readable yet.
                member.named = true;
                batch.push(Moment::exactly(at), JobEvent::Named { id: member.id, name });
            }
            if member.has_ended() {
                self.report_exit(member, at, batch);
                return false;
            }
            let counters = member.process.as_ref().and_then(|process| process.counters().ok());
            if let Some((working_set, mark)) = counters.and_then(|counters| counters.working_sets()) {
                let reading = MemoryReading {
                    id: member.id,
                    rss: working_set,
                    mark: risen(Some(mark), member.before.working_set),
                    swap: None,
                    file: None,
                    shared: 0,
                    beside: BesideRss::default(),
                    shares_map: false,
                };
                self.readings.push(reading);
            }
            if self.wanted.any()
                && let Some(process) = &member.process
            {
                let own = used::of(process, self.wanted);
                self.uses.push(UsedBy { id: member.id, own, with_waited: own });
            }
            let commit = counters.and_then(|counters| counters.last_marks().1);
            if let Some(commit) = risen(commit, member.before.commit) {
                let event = JobEvent::Commit { id: member.id, bytes: commit, is_final: false };
                batch.push(Moment::exactly(at), event);
            }
            true
        });
        self.list = list;
        Polled { changes: batch.changes, marks: true }
    }

    /// Searches for members without a message. Messages may be dropped ("Job Objects"), but the Job Object counts. A
    /// member that is missing in two polls is searched for, as one poll may come between a start and its message.
    fn find_unreported(&mut self, job: &JobObject, at: Duration, batch: &mut EventBatch) {
        let Some(count) = job.account() else { return };
        let missing = count.ever.saturating_sub(self.born);
        if missing > 0 && missing == self.unreported {
            for pid in job.pids() {
                if !self.by_pid.contains_key(&pid) {
                    self.add_if_new(pid, job, at, batch);
                    self.found.insert(pid);
                }
            }
        }
        self.unreported = count.ever.saturating_sub(self.born);
        if self.wanted.any() {
            batch.push(
                Moment::exactly(at),
                JobEvent::UsedByJob { used: Box::new(count.used), is_final: count.now == 0 },
            );
        }
        if count.now == 0 {
            self.list.iter_mut().for_each(|member| member.ended = true);
        }
    }

    fn report_exit(&mut self, member: &WindowsMember, at: Duration, batch: &mut EventBatch) {
        self.by_pid.remove(&member.pid);
        let times = member.process.as_ref().and_then(|process| process.times().ok());
        let exit = times.and_then(|times| times.exit);
        self.exited.push((member.pid, exit));
        let moment = self.moment(exit, at);
        let id = member.id;
        if let Some(process) = &member.process {
            let (mark, commit) = process.counters().map(|counters| counters.last_marks()).unwrap_or_default();
            if let Some(bytes) = risen(mark, member.before.working_set) {
                let mark = LastMark { bytes, source: PeakSource::AfterEnd, is_final: true };
                batch.push(moment, JobEvent::FinalMark { id, mark });
            }
            if let Some(bytes) = risen(commit, member.before.commit) {
                batch.push(moment, JobEvent::Commit { id, bytes, is_final: true });
            }
            if self.wanted.any() {
                let used = used::of(process, self.wanted);
                let has_faults = used.cpu.is_some_and(|cpu| cpu.faults().is_some());
                let whole =
                    Completeness { cpu: used.cpu.is_some(), faults: has_faults, io: used.io.is_some() };
                batch.push(
                    moment,
                    JobEvent::FinalUsage { id, used: Box::new(used), source: UsageSource::AtExit, whole },
                );
            }
            if let Some(code) = process.exit_code() {
                let exit = ProcessExit { code: Some(code.cast_signed()), signal: None };
                batch.push(moment, JobEvent::Exit { id, exit });
                if member.pid == self.root && self.root_exit.is_none() {
                    self.root_exit = Some(code);
                }
            }
        }
        // The memory is freed after the reported exit.
        batch.push(moment, JobEvent::Ended { id, freed: at });
    }

    /// Converts a time of the wall clock to one of the job; if it is unknown, up to now.
    fn moment(&self, wall: Option<u64>, at: Duration) -> Moment {
        let since = |wall: u64| Duration::from_nanos(wall.saturating_sub(self.epoch).saturating_mul(100));
        // The wall clock may have been set meanwhile.
        wall.map(since).filter(|&moment| moment <= at).map_or(Moment::exactly(at), Moment::exactly)
    }
}

fn name_of(process: &Opened) -> Option<Arc<ProgramName>> {
    let image = process.image()?;
    let name = file_name(&image);
    let exe = Some(image.to_string_lossy().into_owned());
    Some(ProgramName::new(name.clone(), name, exe, None))
}

/// Returns the wall clock in 100 ns since 1601.
pub(super) fn wall_clock() -> u64 {
    let mut now = FILETIME::default();
    // SAFETY: `now` is a live local.
    unsafe { GetSystemTimePreciseAsFileTime(&raw mut now) };
    u64::from(now.dwHighDateTime) << 32 | u64::from(now.dwLowDateTime)
}
