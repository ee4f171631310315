//! The parts that each operating system provides to follow one job.

use std::time::Duration;

use super::{
    Job, Start,
    event_batch::Polled,
    events::{MemoryReading, TimedEvent},
    group_memory::GroupReading,
    identity::MemberId,
    ledger::{FigureOrigin, KernelTotals, PssPass},
    limits::Stall,
    mapped_files::FilesRead,
    os::Wake,
    resource_use::UsedBy,
};
use crate::{
    Error,
    record::{Downgrade, Exit},
};

/// One job as its operating system provides it: its processes, their memory, how they are waited for and ended.
///
/// The defaults are those of a system that has no such mechanism.
pub(crate) trait JobBackend: Sized {
    /// Starts the command, or attaches to the process, that `job` names.
    ///
    /// # Errors
    /// The command cannot be started, the process cannot be attached to, or a limit cannot be enforced.
    fn start(job: &Job) -> Result<(Self, Start), Error>;

    /// Returns the pid of the command.
    fn root(&self) -> u32;

    /// Returns where the figures come from.
    fn origin(&self) -> FigureOrigin;

    /// Returns whether the command has not exited.
    fn root_lives(&self) -> bool;

    /// Returns whether no member is left.
    fn is_empty(&self) -> bool;

    /// Iterates over the pids of the members alive at the last poll, with their numbers in the ledger.
    fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_;

    /// Polls the whole job, at `at`; with `marks` the high-water marks of its members are read, too.
    fn poll(&mut self, at: Duration, marks: bool) -> Polled;

    /// Polls for the last time: every event that was reported is taken in.
    fn last_poll(&mut self, at: Duration);

    /// Returns whether the event of an exit that was seen is outstanding.
    fn expects_events(&self) -> bool;

    /// Takes what happened since the last call.
    fn take_events(&mut self) -> impl Iterator<Item = TimedEvent> + '_;

    /// Returns what the last poll read, in the order of ids.
    fn readings(&self) -> &[MemoryReading];

    /// Returns what the last poll read beside memory, in the order of ids; nothing if it did not.
    fn uses(&self) -> &[UsedBy];

    /// Returns the memory of the job as a whole at the last poll, if a source beside its processes reports it.
    fn group_reading(&self) -> Option<GroupReading> {
        None
    }

    /// Returns whether the memory of the job as a whole can be read between two polls, without its members.
    fn can_read_group(&self) -> bool {
        false
    }

    /// Reads the memory of the job as a whole between two polls; `None` if it cannot be read.
    fn read_group(&mut self) -> Option<GroupReading> {
        None
    }

    /// Returns whether a member was reported to start, to exec or to exit since the last poll, or reports were lost.
    fn has_changed(&self) -> bool {
        false
    }

    /// Returns the memory of the job, each page counted once and files left out, if a group that it shares shows it now.
    fn charged_memory(&self) -> Option<u64> {
        None
    }

    /// Returns the time up to which all events have arrived, in a poll begun `at`.
    fn complete_until(&self, at: Duration) -> Duration {
        at
    }

    /// Returns whether a pass over the members' PSS is worth its price now, at a sample of `total` bytes.
    fn pss_is_due(&mut self, at: Duration, total: u64) -> bool {
        let _ = (at, total);
        false
    }

    /// Returns whether a pass over the members' PSS waits only for them to stop writing, so that a sample is worth its price.
    fn pss_awaits_end_of_writes(&self) -> bool {
        false
    }

    /// Makes a pass over the members' PSS; `None` if there is no such figure. It counts only if nothing changed during
    /// it.
    fn pss(&mut self, at: Duration) -> Option<PssPass> {
        let _ = at;
        None
    }

    /// Makes such a pass however long it takes: a limit may be enforced by its result.
    fn pss_of_all(&mut self, at: Duration) -> Option<PssPass> {
        let _ = at;
        None
    }

    /// Returns the PSS that the job held at least in the last such pass, whatever changed during it. The job was polled
    /// since.
    fn pss_lower_bound(&mut self) -> u64 {
        0
    }

    /// Records that the pass at `total` bytes, which was made `at` that time, counted.
    fn pss_counted(&mut self, at: Duration, total: u64) {
        let _ = (at, total);
    }

    /// Reads the files that a member maps one by one, if its price fits the time since the start of the job. No member came
    /// or went in the last poll.
    fn mapped_files(&mut self, at: Duration, id: MemberId) -> FilesRead {
        let _ = (at, id);
        FilesRead::NotNow
    }

    /// Waits for `pause`, or until an awaited process exits or an order comes. Returns whether it was woken before.
    fn wait(&mut self, pause: Duration, wake: &Wake) -> bool;

    /// Sends the signal of this number to the command; once that has exited, to all that is left of the job.
    fn signal(&mut self, number: i32);

    /// Asks all that is left of the job to exit.
    fn terminate(&mut self);

    /// Ends all that is left of the job.
    fn kill(&mut self);

    /// Returns whether the kernel has enforced the limit that was set for it.
    fn kernel_enforced(&self) -> bool {
        false
    }

    /// Takes the reason for which a second judge of the limits has ended the job, while a poll waited for a process.
    fn take_stall(&mut self) -> Option<Stall> {
        None
    }

    /// Returns how the command exited, once that is known. `killed`: this process ended the job; `over_limit`: because of
    /// a limit.
    fn exit(&self, killed: bool, over_limit: bool) -> Option<Exit>;

    /// Lists what was refused, and why.
    fn downgrades(&self) -> Vec<Downgrade>;

    /// Returns the processor time of threads beside the one that follows the job.
    fn reader_cpu(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns the number of events that were dropped.
    fn lost(&self) -> u64 {
        0
    }

    /// Returns whether every fork, exec and exit was reported.
    fn all_reported(&self) -> bool {
        false
    }

    /// Leaves everything as it was before the job. Returns the peaks that the kernel itself kept.
    fn end(&mut self) -> KernelTotals {
        KernelTotals::default()
    }
}
