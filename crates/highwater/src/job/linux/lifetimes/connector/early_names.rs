//! Names of short processes: the connector reports an exec without the name of the program, and a poll may come after the
//! process has exited. So the name is read as soon as the event arrives, for a small share of the time.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::job::{
    linux::{
        descendants::read_stat,
        kernel_event::{KernelEvent, TimedKernelEvent},
        proc_dir::ProcDir,
    },
    unix::thread_cpu,
};

/// Divisor of the elapsed time: the share that the reader thread may take for names.
const TIME_SHARE_DIVISOR: u32 = 100;
/// Time beyond that share, so that a short job has names, too.
const INITIAL_BUDGET: Duration = Duration::from_millis(10);
/// Most processes of a job that are known here at once.
const MAX_KNOWN_PIDS: usize = 1 << 16;
/// Readings in a row without a fork or exec of the job, after which events may wait: threads start and exit, or other
/// jobs run.
const MAX_VAIN_READINGS: u32 = 32;
/// Time without events after which the next one is read at once again.
const QUIET_TIME: Duration = Duration::from_millis(10);

/// The reader of names, for one job.
#[derive(Debug)]
pub(super) struct EarlyNames {
    proc: ProcDir,
    pids: HashSet<u32>,
    since: Instant,
    /// Time of the newest events.
    last: Instant,
    /// Readings in a row up to now that brought no fork or exec of the job.
    vain_readings: u32,
    text: Vec<u8>,
}

impl EarlyNames {
    /// Returns a reader for the process `root` and what it forks from now on.
    pub(super) fn of_job(proc: &ProcDir, root: u32) -> Self {
        let since = Instant::now();
        let pids = HashSet::from([root]);
        Self { proc: proc.clone(), pids, since, last: since, vain_readings: 0, text: Vec::new() }
    }

    /// Returns whether events should be read at once: names may be among them, and the reader thread, which calls this,
    /// has taken less than its share.
    pub(super) fn are_urgent(&self) -> bool {
        let expects_names = self.vain_readings < MAX_VAIN_READINGS || self.last.elapsed() > QUIET_TIME;
        expects_names && thread_cpu() <= self.since.elapsed() / TIME_SHARE_DIVISOR + INITIAL_BUDGET
    }

    /// Adds the names of the programs that processes of the job have just exec'ed. `events`: the newest ones.
    pub(super) fn add_to(&mut self, events: &mut [TimedKernelEvent]) {
        if events.is_empty() {
            return;
        }
        self.last = Instant::now();
        self.vain_readings = self.vain_readings.saturating_add(1);
        for TimedKernelEvent { event, .. } in &*events {
            if let KernelEvent::Fork { pid, parent } = event
                && self.pids.contains(parent)
                && self.pids.len() < MAX_KNOWN_PIDS
            {
                self.pids.insert(*pid);
                self.vain_readings = 0;
            }
        }
        // The name is that of the last exec.
        let mut named = HashSet::new();
        for TimedKernelEvent { event, .. } in events.iter_mut().rev() {
            if let KernelEvent::Exec { pid, comm } = event
                && self.pids.contains(pid)
                && named.insert(*pid)
            {
                self.vain_readings = 0;
                *comm = read_stat(&self.proc, *pid, &mut self.text)
                    .filter(|stat| !stat.has_not_exec())
                    .map(|stat| stat.comm);
            }
        }
        for TimedKernelEvent { event, .. } in events {
            if let KernelEvent::TaskExited { pid, tid, .. } = event
                && pid == tid
            {
                self.pids.remove(pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_once(event: KernelEvent) -> TimedKernelEvent {
        TimedKernelEvent { at: Duration::ZERO, event }
    }

    fn exec(pid: u32) -> TimedKernelEvent {
        at_once(KernelEvent::Exec { pid, comm: None })
    }

    fn names(events: &[TimedKernelEvent]) -> Vec<Option<String>> {
        let names = events.iter().filter_map(|event| match &event.event {
            KernelEvent::Exec { comm, .. } => Some(comm.clone()),
            _ => None,
        });
        names.collect()
    }

    #[test]
    fn the_last_exec_of_a_process_of_the_job_gets_its_name() {
        let own = std::process::id();
        let proc = ProcDir::of_this_machine();
        let mut text = Vec::new();
        let name = read_stat(&proc, own, &mut text).map(|stat| stat.comm);
        let root = 1;
        let mut early = EarlyNames::of_job(&proc, root);
        let mut events = [at_once(KernelEvent::Fork { pid: own, parent: root }), exec(own), exec(own)];
        early.add_to(&mut events);
        assert_eq!(names(&events), [None, name.clone()]);
        // It is known until it exits.
        let mut events = [exec(own), at_once(KernelEvent::task_exited(own, own, Some(0)))];
        early.add_to(&mut events);
        assert_eq!(names(&events), [name]);
        let mut events = [exec(own)];
        early.add_to(&mut events);
        assert_eq!(names(&events), [None], "a later process with that pid");
    }

    #[test]
    fn events_without_processes_of_the_job_may_wait() {
        let (root, own) = (1, std::process::id());
        let mut early = EarlyNames::of_job(&ProcDir::absent(), root);
        // A test may run for so long on a loaded machine that the share is used up.
        early.since -= Duration::from_secs(1 << 20);
        let mut read = |event: KernelEvent, times: u32| {
            (0..times).for_each(|_| early.add_to(&mut [at_once(event.clone())]));
            early.add_to(&mut []);
            early.last += Duration::from_secs(3600);
            let during = early.are_urgent();
            early.last -= Duration::from_secs(3600);
            early.last -= QUIET_TIME;
            (during, early.are_urgent())
        };
        let thread = KernelEvent::task_created(root, 7, 1);
        assert_eq!(read(thread.clone(), MAX_VAIN_READINGS - 1), (true, true));
        assert_eq!(read(thread.clone(), 1), (false, true), "after a quiet time it is read at once");
        assert_eq!(read(KernelEvent::Fork { pid: own, parent: root }, 1), (true, true));
        assert_eq!(read(KernelEvent::Fork { pid: own, parent: u32::MAX }, MAX_VAIN_READINGS), (false, true));
        assert_eq!(read(KernelEvent::Exec { pid: own, comm: None }, 1), (true, true));
    }

    #[test]
    fn other_processes_are_not_read() {
        let own = std::process::id();
        let mut early = EarlyNames::of_job(&ProcDir::of_this_machine(), u32::MAX);
        let mut events = [at_once(KernelEvent::Fork { pid: own, parent: 1 }), exec(own)];
        early.add_to(&mut events);
        assert_eq!(names(&events), [None]);
        let mut gone = [exec(u32::MAX)];
        early.add_to(&mut gone);
        assert_eq!(names(&gone), [None], "it has exited");
    }
}
