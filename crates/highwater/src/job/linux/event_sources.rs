//! The kernel's mechanisms that report on a job. Each is tried, the best one that works is used, and each refusal is
//! kept with its reason.

use std::{collections::HashSet, ffi::OsStr, io, rc::Rc};

use super::{
    cgroup::{ChargedGroup, JobGroup, NoGroup, SurroundingGroup},
    coverage::{LifetimeScope, Mechanisms},
    descendants::read_stat,
    event_queue::{EventFeed, Round},
    exec_hold::{ExecHold, HandOver, HeldTask},
    kernel_event::{KernelEvent, TimedKernelEvent},
    lifetimes::{connector::Connector, perf::Perf},
    proc_dir::ProcDir,
    taskstats::{TaskEnd, Taskstats},
};
use crate::{
    Roots,
    job::{CgroupUse, LineageFrom},
    record::{CGROUP_PEAK, Certainty, Downgrade, Lineage, PeakFigure, PeaksFrom, TRACER_STOPS},
};

/// The mechanisms in use for one job.
#[derive(Debug)]
pub(crate) struct EventSources {
    lifetimes: Option<LifetimeFeed>,
    hold: Option<ExecHold>,
    taskstats: Option<Taskstats>,
    group: ChargedGroup,
    /// The reason why the command could not be moved into it.
    entry_refusal: Option<String>,
    /// Members that were found in another group.
    strays: HashSet<u32>,
    downgrades: Vec<Downgrade>,
    lineage: LineageFrom,
    /// Buffer for [`ExecHold::drain`].
    held_tasks: Vec<HeldTask>,
}

/// The source of forks, execs and exits.
#[derive(Debug)]
enum LifetimeFeed {
    Perf(Perf),
    Connector(Connector),
}

/// The caller's choice of mechanisms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WantedSources {
    pub(crate) lineage: LineageFrom,
    pub(crate) exact: bool,
    pub(crate) cgroup: CgroupUse,
    /// True if the service manager may be asked for a scope.
    pub(crate) scope: bool,
}

impl EventSources {
    /// Opens the mechanisms that must exist before the command is forked.
    pub(crate) fn prepare(wanted: WantedSources, roots: &Roots, proc: &ProcDir) -> Self {
        let mut sources = Self {
            lifetimes: None,
            hold: None,
            taskstats: None,
            group: ChargedGroup::Unknown,
            entry_refusal: None,
            strays: HashSet::new(),
            downgrades: Vec::new(),
            lineage: wanted.lineage,
            held_tasks: Vec::new(),
        };
        if wanted.exact {
            match ExecHold::start(proc) {
                Ok(hold) => sources.hold = Some(hold),
                Err(error) => {
                    sources.downgrade(
                        "exact peaks",
                        format!("the memory-keeper process could not be started: {error}"),
                    );
                }
            }
        }
        let is_root = rustix::process::geteuid().is_root();
        if wanted.lineage != LineageFrom::Sampling {
            match Taskstats::listen(roots) {
                Ok(taskstats) => sources.taskstats = Some(taskstats),
                // Without privilege it is not expected.
                Err(error) if is_root => {
                    sources.downgrade("exit records of processes", format!("taskstats: {error}"));
                }
                Err(_) => {}
            }
        }
        let with_group = match wanted.cgroup {
            CgroupUse::Auto => is_root || !crate::cgroup::is_v1(roots),
            CgroupUse::Always => true,
            CgroupUse::Never => false,
        };
        if with_group {
            match JobGroup::make(roots) {
                Ok(group) => sources.group = ChargedGroup::OfJob(Rc::new(group)),
                Err(NoGroup::NoPlace(refusal)) if wanted.scope => {
                    let around = SurroundingGroup::find(roots, proc);
                    sources.group = ChargedGroup::AwaitsScope { refusal, around };
                }
                Err(reason) if is_root || wanted.cgroup == CgroupUse::Always => {
                    sources.downgrade(CGROUP_PEAK, reason.to_string());
                }
                Err(_) => {}
            }
        }
        if wanted.cgroup != CgroupUse::Never && matches!(sources.group, ChargedGroup::Unknown) {
            sources.group = ChargedGroup::around(SurroundingGroup::find(roots, proc));
        }
        sources
    }

    /// Asks the service manager for a scope with the waiting `child`, which becomes `program`, if no other group can be
    /// made.
    pub(crate) fn request_scope(&mut self, child: u32, program: &OsStr, roots: &Roots) {
        let (refusal, around) = match std::mem::replace(&mut self.group, ChargedGroup::Unknown) {
            ChargedGroup::AwaitsScope { refusal, around } => (refusal, around),
            known => {
                self.group = known;
                return;
            }
        };
        match JobGroup::make_in_scope(roots, program, child) {
            Ok(group) => self.group = ChargedGroup::OfJob(Rc::new(group)),
            Err(why) => {
                let reason = format!("{refusal}; systemd gave no scope for it: {why}");
                self.downgrade(CGROUP_PEAK, reason);
                self.group = ChargedGroup::around(around);
            }
        }
    }

    /// Returns the child's steps between its fork and its exec, if its tasks are to be held.
    pub(crate) fn hand_over(&self) -> Option<Rc<HandOver>> {
        self.hold.as_ref()?.hand_over()
    }

    /// Returns the cgroup in which the command starts, if it gets one.
    pub(crate) fn group(&self) -> Option<Rc<JobGroup>> {
        self.group.of_job().cloned()
    }

    /// Returns whether it matters that members leave their cgroup.
    pub(crate) fn has_group(&self) -> bool {
        !matches!(self.group, ChargedGroup::Unknown)
    }

    /// Lets the waiting `child` into the cgroup of the job.
    ///
    /// # Errors
    /// It `must_be_in` the group, for a limit, and cannot enter it; the text says why.
    pub(crate) fn let_in(&mut self, child: u32, must_be_in: bool) -> Result<(), String> {
        let entered = self.group.of_job().map_or(Ok(()), |group| group.let_in(child, must_be_in));
        if must_be_in {
            return entered;
        }
        // If it fails, nothing is charged, which is reported at the end.
        self.entry_refusal = entered.err();
        Ok(())
    }

    /// Watches `child`, which waits between its fork and its exec.
    pub(crate) fn attach(&mut self, child: u32, roots: &Roots, proc: &ProcDir) {
        let mut refusals = Vec::new();
        let first: &[Lineage] = match self.lineage {
            LineageFrom::Perf => &[Lineage::Perf],
            LineageFrom::ProcConnector => &[Lineage::ProcConnector],
            LineageFrom::Sampling => &[],
            // The connector reports an exit after the memory is freed, which makes exact peaks a rigorous bound.
            LineageFrom::Auto if self.hold.is_some() => &[Lineage::ProcConnector, Lineage::Perf],
            LineageFrom::Auto => &[Lineage::Perf, Lineage::ProcConnector],
        };
        for &source in first {
            let opened = match source {
                Lineage::Perf => Perf::attach(child, roots)
                    .map(LifetimeFeed::Perf)
                    .map_err(|why| format!("perf events: {why}")),
                _ => Connector::listen(proc, child).map(LifetimeFeed::Connector).map_err(|why| {
                    match why.kind() {
                        io::ErrorKind::TimedOut => {
                            "proc connector: the kernel sends no events in this namespace".to_owned()
                        }
                        _ => format!("proc connector: {why}"),
                    }
                }),
            };
            match opened {
                Ok(lifetimes) => {
                    self.lifetimes = Some(lifetimes);
                    break;
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        if let (Some(LifetimeFeed::Perf(_)), Some(hold)) = (&self.lifetimes, &self.hold) {
            hold.want_marks_only();
        }
        if self.lifetimes.is_none() {
            // Exit records are matched with the exit events.
            self.taskstats = None;
        }
        if !refusals.is_empty() {
            let wanted = match &self.lifetimes {
                Some(LifetimeFeed::Perf(_)) => "the times at which memory was freed",
                Some(LifetimeFeed::Connector(_)) => "starts and exits by perf events",
                None => "starts and exits of every process, from the kernel",
            };
            self.downgrade(wanted, refusals.join("; "));
        }
    }

    /// Records whether the hand-over succeeded, once the command has been exec'ed or was about to be.
    pub(crate) fn started(&mut self) {
        if let Some(Err(refused)) = self.hold.as_mut().map(ExecHold::handed_over) {
            self.hold = None;
            self.downgrade("exact peaks", refused.to_string());
        }
    }

    fn downgrade(&mut self, wanted: &str, reason: String) {
        self.downgrades.push(Downgrade { wanted: wanted.to_owned(), reason });
    }

    /// Iterates over the mechanisms that were refused, and the reasons.
    pub(crate) fn downgrades(&self) -> impl Iterator<Item = Downgrade> + '_ {
        let killed = self.hold.as_ref().is_some_and(ExecHold::was_killed).then(|| Downgrade {
            wanted: "exact peaks to the end".to_owned(),
            reason: "the memory-keeper process was killed, and the job could not exec from then on"
                .to_owned(),
        });
        let disturbed = self.hold.as_ref().map_or(0, ExecHold::disturbed);
        let disturbed = (disturbed > 0).then(|| Downgrade {
            wanted: "exact peaks of every process".to_owned(),
            reason: format!(
                "another process read or wrote the pipe of the memory-keeper at least {disturbed} times; \
                 its data was ignored"
            ),
        });
        let hidden = self.hold.as_ref().map_or(0, ExecHold::hidden_from_tracers);
        let hidden = (hidden > 0).then(|| Downgrade {
            wanted: TRACER_STOPS.to_owned(),
            reason: format!(
                "--exact may have hidden execs and exits ({hidden}) from a tracer in the job, as strace --seccomp-bpf, \
                 rr and proot are; the job may have behaved differently: run it without --exact"
            ),
        });
        self.downgrades.iter().cloned().chain(killed).chain(disturbed).chain(hidden)
    }

    /// Returns the source of starts and exits; `None`: polling.
    pub(crate) fn lineage(&self) -> Option<Lineage> {
        self.lifetimes.as_ref().map(|lifetimes| match lifetimes {
            LifetimeFeed::Perf(_) => Lineage::Perf,
            LifetimeFeed::Connector(_) => Lineage::ProcConnector,
        })
    }

    /// Returns the source of peaks.
    pub(crate) fn peaks(&self) -> PeaksFrom {
        match (&self.hold, &self.taskstats) {
            (Some(_), Some(_)) => PeaksFrom::ExitNotifyAndTaskstats,
            (Some(_), None) => PeaksFrom::ExitNotify,
            (None, Some(_)) => PeaksFrom::Taskstats,
            (None, None) => PeaksFrom::Marks,
        }
    }

    /// Iterates over the pids of children of this process that are not part of the job.
    pub(crate) fn helper_pids(&self) -> impl Iterator<Item = u32> + '_ {
        let hold = self.hold.as_ref().map(ExecHold::pid);
        hold.into_iter().chain(self.group.of_job().and_then(|group| group.holder_pid()))
    }

    /// Returns which of them report events.
    pub(super) fn mechanisms(&self) -> Mechanisms {
        let lifetimes = self.lifetimes.as_ref().map(|lifetimes| match lifetimes {
            LifetimeFeed::Perf(_) => LifetimeScope::Job,
            LifetimeFeed::Connector(_) => LifetimeScope::Machine,
        });
        Mechanisms { lifetimes, holds_tasks: self.hold.is_some() }
    }

    /// Returns whether events may fill buffers of limited size.
    pub(crate) fn have_limited_buffers(&self) -> bool {
        self.lifetimes.is_some() || self.hold.is_some()
    }

    /// Makes the kernel keep the job's charge below `bytes`.
    ///
    /// # Errors
    /// The kernel cannot enforce it; the text says why.
    pub(crate) fn limit_charge(&mut self, bytes: u64) -> Result<(), String> {
        let Some(group) = self.group.of_job() else {
            let refused = self.downgrades.iter().find(|downgrade| downgrade.wanted == CGROUP_PEAK);
            return Err(refused.map_or("there is no cgroup for the job".to_owned(), |why| why.reason.clone()));
        };
        group.limit(bytes).map_err(|error| format!("{}: {error}", group.path().display()))
    }

    /// Returns whether the kernel has killed for the limit of the job's cgroup.
    pub(crate) fn was_oom_killed(&self) -> bool {
        self.group.of_job().and_then(|group| group.oom_kills()).is_some_and(|kills| kills > 0)
    }

    /// Checks whether these members, which live, have left the job's cgroup.
    pub(crate) fn check_for_strays(&mut self, proc: &ProcDir, members: impl Iterator<Item = u32>) {
        let group = &self.group;
        let mut text = Vec::new();
        // A process that is exiting has left every group of v1 (`cgroup_exit`, kernel/cgroup/cgroup.c), so this is
        // checked last.
        let have_left = members.filter(|&pid| {
            group.has_left(proc, pid) == Some(true)
                && read_stat(proc, pid, &mut text)
                    .is_some_and(|stat| !stat.is_exiting() && !matches!(stat.state, b'Z' | b'X'))
        });
        self.strays.extend(have_left);
        if let ChargedGroup::Surrounding(group) = &mut self.group {
            group.read();
            if !self.strays.is_empty() {
                group.lose();
            }
        }
    }

    /// Returns whether members were found in another group.
    pub(crate) fn has_strays(&self) -> bool {
        !self.strays.is_empty()
    }

    /// Returns the anonymous and shared memory of the job, if it is alone with this process in a group that was there before
    /// it. `members` are the pids of all its processes.
    pub(crate) fn memory_in_surrounding_group(
        &self,
        proc: &ProcDir,
        members: impl Iterator<Item = u32>,
    ) -> Option<u64> {
        let ChargedGroup::Surrounding(group) = &self.group else { return None };
        group.memory_of_job(proc, &members.collect())
    }

    /// Returns the most that was charged for the job together with others, if it has no group of its own.
    pub(crate) fn charge_with_others(&mut self) -> Option<u64> {
        match std::mem::replace(&mut self.group, ChargedGroup::Unknown) {
            ChargedGroup::Surrounding(group) => group.end(),
            other => {
                self.group = other;
                None
            }
        }
    }

    /// Ends the job's cgroup, and returns the peak that the kernel kept. `highest_mark` is that of the marks which were begun
    /// anew.
    pub(crate) fn charge(&mut self, highest_mark: u64) -> Option<PeakFigure> {
        let group = match std::mem::replace(&mut self.group, ChargedGroup::Unknown) {
            ChargedGroup::OfJob(group) => Rc::into_inner(group)?,
            other => {
                self.group = other;
                return None;
            }
        };
        let bytes = group.peak_bytes().map(|bytes| bytes.max(highest_mark));
        let path = group.path().to_owned();
        if let Err(error) = group.remove() {
            self.downgrade("removal of the job's cgroup", format!("{}: {error}", path.display()));
        }
        // Every process is charged for its stacks, so 0 means that the command could not enter.
        match bytes {
            Some(0) => {
                let why = self.entry_refusal.take().map_or(String::new(), |why| format!(": {why}"));
                self.downgrade(
                    CGROUP_PEAK,
                    format!("the command could not enter the group made for it{why}"),
                );
            }
            None => self.downgrade(CGROUP_PEAK, "it could not be read at the end".to_owned()),
            Some(bytes) => {
                let strays = self.strays.len();
                if strays > 0 {
                    let reason = format!(
                        "at least {strays} of its processes left the group that was made for the job"
                    );
                    self.downgrade(CGROUP_PEAK, reason);
                }
                let certainty = if strays == 0 { Certainty::Exact } else { Certainty::AtLeast };
                return Some(PeakFigure { bytes, certainty, at_seconds: None });
            }
        }
        None
    }
}

impl EventFeed for EventSources {
    /// Drains lifetimes first: the exit record of each exit is then here, too, as the kernel queues it before the exit
    /// event (`do_exit`, kernel/exit.c).
    fn drain(&mut self, events: &mut Vec<TimedKernelEvent>, exit_record: impl FnMut(TaskEnd)) {
        match &mut self.lifetimes {
            Some(LifetimeFeed::Perf(perf)) => perf.drain(events),
            Some(LifetimeFeed::Connector(connector)) => connector.drain(events),
            None => {}
        }
        if let Some(hold) = &mut self.hold {
            hold.drain(&mut self.held_tasks);
        }
        if let Some(taskstats) = &mut self.taskstats {
            taskstats.drain(exit_record);
        }
        let held_tasks = self.held_tasks.drain(..);
        events
            .extend(held_tasks.map(|task| TimedKernelEvent { at: task.at, event: KernelEvent::Held(task) }));
    }

    fn lost(&self, round: Round) -> u64 {
        let lifetimes = match &self.lifetimes {
            Some(LifetimeFeed::Perf(perf)) if round == Round::Last => perf.lost_with_unreported(),
            Some(LifetimeFeed::Perf(perf)) => perf.lost(),
            Some(LifetimeFeed::Connector(connector)) => connector.lost(),
            None => 0,
        };
        lifetimes
            + self.hold.as_ref().map_or(0, ExecHold::lost)
            + self.taskstats.as_ref().map_or(0, Taskstats::lost)
    }
}
