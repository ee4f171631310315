//! Reaping: waits for exited processes that are children of this process, and reports their exit and usage.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{proc_dir::ProcDir, roster::Departed, usage_files::UsageFiles};
use crate::{
    job::{
        event_batch::EventBatch,
        events::JobEvent,
        identity::MemberId,
        moment::Moment,
        resource_use::Completeness,
        resource_use::{ResourceUse, UsageWanted},
        unix::wait::{self, WaitResult, Waited},
    },
    record::UsageSource,
};

/// Reaps what has exited.
#[derive(Debug)]
pub(super) struct Reaper {
    proc: ProcDir,
    usage: UsageWanted,
    /// Exited children of this process that could not be waited for yet.
    pending: Vec<Departed>,
    /// Children that were waited for before their exit was reported, by pid, in that order.
    waited_early: HashMap<u32, VecDeque<Waited>>,
    /// High-water mark of this process when the command was forked, in bytes: `ru_maxrss` up to it may be inherited.
    own_hwm_bytes: u64,
    /// The exit of the command.
    root_ending: WaitResult,
    text: Vec<u8>,
}

impl Reaper {
    /// Returns a reaper; `own_hwm_bytes`: high-water mark of this process when the command was forked.
    pub(super) fn new(proc: &ProcDir, usage: UsageWanted, own_hwm_bytes: u64) -> Self {
        Self {
            proc: proc.clone(),
            usage,
            pending: Vec::new(),
            waited_early: HashMap::new(),
            own_hwm_bytes,
            root_ending: WaitResult::NotYet,
            text: Vec::new(),
        }
    }

    /// Returns whether the command was not waited for yet.
    pub(super) fn root_lives(&self) -> bool {
        self.root_ending == WaitResult::NotYet
    }

    /// Returns how the command ended, once it was waited for.
    pub(super) fn root_exit(&self) -> Option<Waited> {
        self.root_ending.waited()
    }

    /// Returns whether this process has exited and cannot be waited for yet.
    pub(super) fn is_pending(&self, pid: u32) -> bool {
        self.pending.iter().any(|departed| departed.pid == pid)
    }

    /// Returns whether any process has exited that cannot be waited for yet.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Waits for a member that has exited, and reports its end. If it is a child of this process that cannot be waited for
    /// yet, that is done by [`Self::retry`]. For any other process the wait is one refused call.
    pub(super) fn reap_and_report(&mut self, mut departed: Departed, root: u32, batch: &mut EventBatch) {
        let Departed { pid, id, start_ticks, moment, freed, .. } = departed;
        let mut files = std::mem::take(&mut departed.usage);
        let ending = self.reap(pid, start_ticks, Some(id), &mut files, moment, batch);
        if pid == root && self.root_lives() {
            self.root_ending = ending;
        }
        if ending == WaitResult::NotYet {
            departed.usage = files;
            self.pending.push(departed);
            return;
        }
        let waited = ending.waited();
        if let Some(Waited { exit, max_rss_bytes, .. }) = waited {
            batch.push(moment, JobEvent::Exit { id, exit });
            batch.push(moment, JobEvent::MaxRss { id, bytes: max_rss_bytes });
        }
        batch.push(moment, JobEvent::Ended { id, freed });
        // It comes after the member's own high-water mark was counted: only what exceeds that adds anything.
        if let Some(waited) = waited {
            self.report_max_rss(waited.max_rss_bytes, moment, batch);
        }
    }

    /// Waits again for those that could not be waited for.
    pub(super) fn retry(&mut self, root: u32, batch: &mut EventBatch) {
        for departed in std::mem::take(&mut self.pending) {
            self.reap_and_report(departed, root, batch);
        }
    }

    /// Waits for the command, which cannot be read (no `/proc`).
    pub(super) fn reap_unreadable_root(&mut self, root: u32, moment: Moment, batch: &mut EventBatch) {
        self.root_ending = self.reap_unknown(root, None, moment, batch);
    }

    /// Waits for an exited process that is no member, and reports what it used.
    pub(super) fn reap_unknown(
        &mut self,
        pid: u32,
        start_ticks: Option<u64>,
        moment: Moment,
        batch: &mut EventBatch,
    ) -> WaitResult {
        self.reap(pid, start_ticks, None, &mut UsageFiles::default(), moment, batch)
    }

    /// Waits for `pid`, if it is a child of this process, and reports what it used. An exited process can be read through
    /// `files` until it is waited for; `start_ticks`, where known, makes sure that it is the one meant.
    fn reap(
        &mut self,
        pid: u32,
        start_ticks: Option<u64>,
        id: Option<MemberId>,
        files: &mut UsageFiles,
        moment: Moment,
        batch: &mut EventBatch,
    ) -> WaitResult {
        let read = if self.usage.any() && (start_ticks.is_some() || id.is_none()) {
            let read = files.read(&self.proc, pid, start_ticks, self.usage, &mut self.text);
            read.filter(|read| read.is_final)
        } else {
            None
        };
        if let (Some(read), Some(id)) = (read, id) {
            let whole = Completeness { cpu: true, faults: true, io: read.io_is_whole };
            let used = Box::new(read.own);
            batch.push(moment, JobEvent::FinalUsage { id, used, source: UsageSource::AtExit, whole });
        }
        let ending = match wait::try_wait(pid) {
            WaitResult::NotAChild => {
                self.take_early_wait(pid).map_or(WaitResult::NotAChild, WaitResult::Ended)
            }
            ending => ending,
        };
        if let WaitResult::Ended(waited) = ending {
            let io = read.and_then(|read| read.with_waited.io);
            let used = Box::new(ResourceUse { cpu: Some(waited.cpu), io });
            batch.push(moment, JobEvent::Reaped { id, used });
        }
        ending
    }

    /// Waits for an exited child whose fork and exit will be reported: what it used belongs to them. Returns whether it was
    /// waited for.
    pub(super) fn reap_early(&mut self, pid: u32) -> bool {
        let Some(waited) = wait::try_wait(pid).waited() else { return false };
        self.waited_early.entry(pid).or_default().push_back(waited);
        true
    }

    /// Waits for an exited child that may belong to the job or not: what it used counts nowhere. It would keep its pid
    /// otherwise until this process exits.
    pub(super) fn discard(pid: u32) {
        let _ = wait::try_wait(pid);
    }

    fn take_early_wait(&mut self, pid: u32) -> Option<Waited> {
        let queue = self.waited_early.get_mut(&pid)?;
        let waited = queue.pop_front();
        if queue.is_empty() {
            self.waited_early.remove(&pid);
        }
        waited
    }

    /// Reports, at the end, the children that were waited for early and whose exit was never reported.
    pub(super) fn flush_unmatched_waits(&mut self, at: Duration, batch: &mut EventBatch) {
        let moment = Moment::exactly(at);
        for waited in std::mem::take(&mut self.waited_early).into_values().flatten() {
            let used = Box::new(ResourceUse { cpu: Some(waited.cpu), io: None });
            batch.push(moment, JobEvent::Reaped { id: None, used });
            self.report_max_rss(waited.max_rss_bytes, moment, batch);
        }
    }

    /// Reports a `ru_maxrss`. One up to the mark of this process proves nothing: the child may have inherited it at its
    /// fork.
    pub(super) fn report_max_rss(&self, bytes: u64, moment: Moment, batch: &mut EventBatch) {
        let may_be_inherited = bytes <= self.own_hwm_bytes;
        batch.push(moment, JobEvent::ReapedMaxRss { bytes, may_be_inherited });
    }
}
