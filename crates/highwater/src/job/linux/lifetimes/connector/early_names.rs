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

/// The reader of names, for one job.
#[derive(Debug)]
pub(super) struct EarlyNames {
    proc: ProcDir,
    pids: HashSet<u32>,
    since: Instant,
    text: Vec<u8>,
}

impl EarlyNames {
    /// Returns a reader for the process `root` and what it forks from now on.
    pub(super) fn of_job(proc: &ProcDir, root: u32) -> Self {
        Self { proc: proc.clone(), pids: HashSet::from([root]), since: Instant::now(), text: Vec::new() }
    }

    /// Returns whether the reader thread, which calls this, has taken less than its share.
    pub(super) fn is_within_budget(&self) -> bool {
        thread_cpu() <= self.since.elapsed() / TIME_SHARE_DIVISOR + INITIAL_BUDGET
    }

    /// Adds the names of the programs that processes of the job have just exec'ed. `events`: the newest ones.
    pub(super) fn add_to(&mut self, events: &mut [TimedKernelEvent]) {
        for TimedKernelEvent { event, .. } in &*events {
            if let KernelEvent::Fork { pid, parent } = event
                && self.pids.contains(parent)
                && self.pids.len() < MAX_KNOWN_PIDS
            {
                self.pids.insert(*pid);
            }
        }
        // The name is that of the last exec.
        let mut named = HashSet::new();
        for TimedKernelEvent { event, .. } in events.iter_mut().rev() {
            if let KernelEvent::Exec { pid, comm } = event
                && self.pids.contains(pid)
                && named.insert(*pid)
            {
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
