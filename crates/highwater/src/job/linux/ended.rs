//! Members that have ended: waited for where they are ours, and told of.

use std::time::Duration;

use super::{members::Members, used::UsageFiles};
use crate::{
    job::{
        events::{Event, MemberId, Moment},
        ledger::Whole,
        news::News,
        unix::wait::{self, Ending, Waited},
        used::Used,
    },
    record::UsageSource,
};

/// A member that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) pid: u32,
    pub(super) id: MemberId,
    /// When it started, in clock ticks since boot, if that was read.
    pub(super) start_ticks: Option<u64>,
    pub(super) moment: Moment,
    /// Until when it may have held its memory.
    pub(super) freed: Duration,
    /// Its files: those of a dead process belong to root, and only who has opened them before may read them
    /// (`task_dump_owner`, fs/proc/base.c).
    pub(super) usage: UsageFiles,
}

impl Members {
    /// A member has ended; it is taken off the list by the caller.
    pub(super) fn ended(&mut self, ended: Ended, news: &mut News) {
        let (pid, id) = (ended.pid, ended.id);
        if self.by_pid.get(&pid) == Some(&id) {
            self.by_pid.remove(&pid);
        }
        self.bury(ended, news);
    }

    /// Waits for an ended process, and tells of its end; later, if it is ours and not quite dead. Only a child of ours
    /// can be waited for; for all others this is one refused call.
    fn bury(&mut self, mut ended: Ended, news: &mut News) {
        let Ended { pid, id, start_ticks, moment, freed, .. } = ended;
        let ending = self.reap(pid, start_ticks, Some(id), &mut ended.usage, moment, news);
        if pid == self.root && self.root_lives() {
            self.root_ending = ending;
        }
        if ending == Ending::NotYet {
            self.to_wait.push(ended);
            return;
        }
        let waited = ending.waited();
        if let Some(Waited { exit, max_rss_bytes, .. }) = waited {
            news.push(moment, Event::Exit { id, exit });
            news.push(moment, Event::MaxRss { id, bytes: max_rss_bytes });
        }
        news.push(moment, Event::Gone { id, freed });
        // After its own last mark has been counted: only what exceeds that is news.
        if let Some(waited) = waited {
            self.note_max(waited.max_rss_bytes, moment, news);
        }
    }

    /// Waits for `pid`, if it is ours, and tells what it used. A process that has ended can still be asked until somebody
    /// has waited for it, through `files`; `ticks`, where known, makes sure that it is the one meant.
    fn reap(
        &mut self,
        pid: u32,
        ticks: Option<u64>,
        id: Option<MemberId>,
        files: &mut UsageFiles,
        moment: Moment,
        news: &mut News,
    ) -> Ending {
        let (roots, text, wanted) = (&self.roots, &mut self.text, self.usage);
        let read = if wanted.any() && (ticks.is_some() || id.is_none()) {
            files.read(roots, pid, ticks, wanted, text).filter(|read| read.is_final)
        } else {
            None
        };
        if let (Some(read), Some(id)) = (read, id) {
            let whole = Whole { cpu: true, faults: true, io: read.io_is_whole };
            news.push(
                moment,
                Event::UsedInAll { id, used: Box::new(read.own), source: UsageSource::AtExit, whole },
            );
        }
        let ending = match wait::try_wait(pid) {
            Ending::NotOurs => self.waited_early(pid).map_or(Ending::NotOurs, Ending::Ended),
            ending => ending,
        };
        if let Ending::Ended(waited) = ending {
            let io = read.and_then(|read| read.with_waited.io);
            news.push(moment, Event::Reaped { id, used: Box::new(Used { cpu: Some(waited.cpu), io }) });
        }
        ending
    }

    /// The same of one that is no member.
    pub(super) fn reap_unknown(
        &mut self,
        pid: u32,
        ticks: Option<u64>,
        moment: Moment,
        news: &mut News,
    ) -> Ending {
        self.reap(pid, ticks, None, &mut UsageFiles::default(), moment, news)
    }

    pub(super) fn wait_again(&mut self, news: &mut News) {
        for ended in std::mem::take(&mut self.to_wait) {
            self.bury(ended, news);
        }
    }

    /// `ru_maxrss` says that some process reached it, but up to our own mark that may have been our fork.
    pub(super) fn note_max(&self, bytes: u64, moment: Moment, news: &mut News) {
        news.push(moment, Event::WaitedMax { bytes, may_be_ours: bytes <= self.own_mark });
    }
}
