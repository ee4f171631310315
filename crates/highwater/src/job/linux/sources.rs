//! The kernel's mechanisms that tell of a job: each tried, the best that works used, each refusal kept with its
//! reason.

use std::{collections::HashSet, io, rc::Rc, time::Duration};

use super::{
    cgroup::JobGroup,
    descendants::read_stat,
    keeper::{HandOver, Held, Keeper},
    lifetimes::{Lifetime, connector::Connector, perf::Perf},
    taskstats::{TaskEnd, Taskstats},
};
use crate::{
    Roots,
    job::{CgroupUse, LineageFrom},
    record::{Certainty, Downgrade, Lineage, PeakFigure, PeaksFrom},
};

/// What a cgroup is wanted for.
const CHARGE: &str = "the kernel's own peak of a cgroup";

/// What is in use for one job.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(super) lifetimes: Option<Lifetimes>,
    pub(super) keeper: Option<Keeper>,
    taskstats: Option<Taskstats>,
    group: Option<Rc<JobGroup>>,
    /// Members that were found in another group.
    strays: HashSet<u32>,
    downgrades: Vec<Downgrade>,
    lineage: LineageFrom,
    buffers: (Vec<Lifetime>, Vec<Held>),
}

/// Where births, execs and ends come from.
#[derive(Debug)]
pub(super) enum Lifetimes {
    Perf(Perf),
    Connector(Connector),
}

/// One piece of news, with its `CLOCK_MONOTONIC` time.
#[derive(Debug)]
pub(super) enum Told {
    Lifetime(Lifetime),
    Held(Held),
}

impl Told {
    pub(super) fn at(&self) -> Duration {
        match self {
            Self::Lifetime(lifetime) => lifetime.at,
            Self::Held(held) => held.at,
        }
    }
}

/// What the caller wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) lineage: LineageFrom,
    pub(crate) exact: bool,
    pub(crate) cgroup: CgroupUse,
}

impl Sources {
    /// What must be there before the command is forked.
    pub(crate) fn prepare(wanted: Wanted, roots: &Roots) -> Self {
        let mut sources = Self {
            lifetimes: None,
            keeper: None,
            taskstats: None,
            group: None,
            strays: HashSet::new(),
            downgrades: Vec::new(),
            lineage: wanted.lineage,
            buffers: Default::default(),
        };
        if wanted.exact {
            match Keeper::start() {
                Ok(keeper) => sources.keeper = Some(keeper),
                Err(error) => {
                    sources.downgrade(
                        "exact peaks",
                        format!("the keeper process could not be started: {error}"),
                    );
                }
            }
        }
        let is_root = rustix::process::geteuid().is_root();
        if wanted.lineage != LineageFrom::Sampling {
            match Taskstats::listen(roots) {
                Ok(taskstats) => sources.taskstats = Some(taskstats),
                // Nobody expects it without privilege.
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
                Ok(group) => sources.group = Some(Rc::new(group)),
                Err(reason) if is_root || wanted.cgroup == CgroupUse::Always => {
                    sources.downgrade(CHARGE, reason);
                }
                Err(_) => {}
            }
        }
        sources
    }

    /// What the child does between its fork and its exec, if its tasks are to be held.
    pub(crate) fn hand_over(&self) -> Option<Rc<HandOver>> {
        self.keeper.as_ref()?.hand_over()
    }

    /// The cgroup in which the command starts, if it gets one.
    pub(crate) fn group(&self) -> Option<Rc<JobGroup>> {
        self.group.clone()
    }

    /// Watches `child`, which is held between its fork and its exec.
    pub(crate) fn attach(&mut self, child: u32, roots: &Roots) {
        self.listen(child, roots);
        if let Some(group) = &self.group {
            // If it fails, nothing comes to be charged, which is said at the end.
            let _ = group.let_in(child);
        }
    }

    fn listen(&mut self, child: u32, roots: &Roots) {
        let mut refusals = Vec::new();
        let first: &[Lineage] = match self.lineage {
            LineageFrom::Perf => &[Lineage::Perf],
            LineageFrom::ProcConnector => &[Lineage::ProcConnector],
            LineageFrom::Sampling => &[],
            // The connector tells of an end after the memory is gone, which makes exact peaks a rigorous bound.
            LineageFrom::Auto if self.keeper.is_some() => &[Lineage::ProcConnector, Lineage::Perf],
            LineageFrom::Auto => &[Lineage::Perf, Lineage::ProcConnector],
        };
        for &source in first {
            let opened = match source {
                Lineage::Perf => Perf::attach(child, roots)
                    .map(Lifetimes::Perf)
                    .map_err(|why| format!("perf events: {why}")),
                _ => Connector::listen().map(Lifetimes::Connector).map_err(|why| match why.kind() {
                    io::ErrorKind::TimedOut => {
                        "proc connector: the kernel sends no events in this namespace".to_owned()
                    }
                    _ => format!("proc connector: {why}"),
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
        if let (Some(Lifetimes::Perf(_)), Some(keeper)) = (&self.lifetimes, &self.keeper) {
            keeper.want_marks_only();
        }
        if self.lifetimes.is_none() {
            // Exit records are matched with the news of the exit.
            self.taskstats = None;
        }
        if !refusals.is_empty() {
            let wanted = match &self.lifetimes {
                Some(Lifetimes::Perf(_)) => "the moments at which memory was freed",
                Some(Lifetimes::Connector(_)) => "births and ends by perf events",
                None => "births and ends of every process, from the kernel",
            };
            self.downgrade(wanted, refusals.join("; "));
        }
    }

    /// The command has been exec'ed, or was about to be: how the hand-over went is known now.
    pub(crate) fn started(&mut self) {
        if let Some(Err(refused)) = self.keeper.as_mut().map(Keeper::handed_over) {
            self.keeper = None;
            self.downgrade("exact peaks", refused.to_string());
        }
    }

    fn downgrade(&mut self, wanted: &str, reason: String) {
        self.downgrades.push(Downgrade { wanted: wanted.to_owned(), reason });
    }

    /// What was refused, and why.
    pub(crate) fn downgrades(&self) -> impl Iterator<Item = Downgrade> + '_ {
        let killed = self.keeper.as_ref().is_some_and(Keeper::was_killed).then(|| Downgrade {
            wanted: "exact peaks to the end".to_owned(),
            reason: "the keeper process was killed: from then on the job could not exec".to_owned(),
        });
        let disturbed = self.keeper.as_ref().map_or(0, Keeper::disturbed);
        let disturbed = (disturbed > 0).then(|| Downgrade {
            wanted: "exact peaks of every process".to_owned(),
            reason: format!(
                "another process read or wrote the pipe of the memory-keeper, {disturbed} times at least; \
                 what it wrote counts for nothing"
            ),
        });
        self.downgrades.iter().cloned().chain(killed).chain(disturbed)
    }

    /// Where births and ends come from; `None`: from looking.
    pub(crate) fn lineage(&self) -> Option<Lineage> {
        self.lifetimes.as_ref().map(|lifetimes| match lifetimes {
            Lifetimes::Perf(_) => Lineage::Perf,
            Lifetimes::Connector(_) => Lineage::ProcConnector,
        })
    }

    /// Where peaks come from.
    pub(crate) fn peaks(&self) -> PeaksFrom {
        match (&self.keeper, &self.taskstats) {
            (Some(_), Some(_)) => PeaksFrom::ExitNotifyAndTaskstats,
            (Some(_), None) => PeaksFrom::ExitNotify,
            (None, Some(_)) => PeaksFrom::Taskstats,
            (None, None) => PeaksFrom::Marks,
        }
    }

    /// A child of ours that is not part of the job.
    pub(crate) fn keeper_pid(&self) -> Option<u32> {
        self.keeper.as_ref().map(Keeper::pid)
    }

    /// Whether only processes of the job are told of.
    pub(super) fn tells_of_the_job_only(&self) -> bool {
        matches!(self.lifetimes, Some(Lifetimes::Perf(_)))
    }

    /// Whether news may pile up in buffers of limited size.
    pub(crate) fn must_be_heard(&self) -> bool {
        self.lifetimes.is_some() || self.keeper.is_some()
    }

    /// What came since the last time. The news of an end comes first, so that the exit record that belongs to it,
    /// which the kernel queues before (`do_exit`, kernel/exit.c), is here, too.
    pub(super) fn drain(&mut self, told: &mut Vec<Told>, exit_record: impl FnMut(TaskEnd)) {
        let (lifetimes, held) = &mut self.buffers;
        match &mut self.lifetimes {
            Some(Lifetimes::Perf(perf)) => perf.drain(lifetimes),
            Some(Lifetimes::Connector(connector)) => connector.drain(lifetimes),
            None => {}
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.drain(held);
        }
        if let Some(taskstats) = &mut self.taskstats {
            taskstats.drain(exit_record);
        }
        told.extend(lifetimes.drain(..).map(Told::Lifetime));
        told.extend(held.drain(..).map(Told::Held));
    }

    /// News that was dropped, so far. At the last look, also what the kernel has not said yet.
    pub(crate) fn lost(&self, is_last: bool) -> u64 {
        let lifetimes = match &self.lifetimes {
            Some(Lifetimes::Perf(perf)) if is_last => perf.lost_in_all(),
            Some(Lifetimes::Perf(perf)) => perf.lost(),
            Some(Lifetimes::Connector(connector)) => connector.lost(),
            None => 0,
        };
        lifetimes
            + self.keeper.as_ref().map_or(0, Keeper::lost)
            + self.taskstats.as_ref().map_or(0, Taskstats::lost)
    }

    /// Makes the kernel keep the job's charge below `bytes`.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn limit_charge(&mut self, bytes: u64) -> Result<(), String> {
        let Some(group) = &self.group else {
            let refused = self.downgrades.iter().find(|downgrade| downgrade.wanted == CHARGE);
            return Err(refused.map_or("there is no cgroup for the job".to_owned(), |why| why.reason.clone()));
        };
        group.limit(bytes).map_err(|error| format!("{}: {error}", group.path().display()))
    }

    /// Whether the kernel has killed for the limit of the job's cgroup.
    pub(crate) fn was_oom_killed(&self) -> bool {
        self.group.as_ref().and_then(|group| group.oom_kills()).is_some_and(|kills| kills > 0)
    }

    /// Looks whether living members have left the job's cgroup; so many at a time.
    pub(crate) fn look_for_strays(&mut self, roots: &Roots, members: impl Iterator<Item = u32>) {
        const LOOKED_AT: usize = 16;
        let Some(group) = &self.group else { return };
        let mut text = Vec::new();
        // Who is ending has left every group of v1 (`cgroup_exit`, kernel/cgroup/cgroup.c), so ask for that last.
        let have_left = members.take(LOOKED_AT).filter(|&pid| {
            group.has_left(roots, pid) == Some(true)
                && read_stat(roots, pid, &mut text)
                    .is_some_and(|stat| !stat.is_exiting() && !matches!(stat.state, b'Z' | b'X'))
        });
        self.strays.extend(have_left);
    }

    /// Ends the job's cgroup, and says what the kernel kept of it.
    pub(crate) fn charge(&mut self) -> Option<PeakFigure> {
        let group = Rc::into_inner(self.group.take()?)?;
        let (bytes, path) = (group.peak_bytes(), group.path().to_owned());
        if let Err(error) = group.remove() {
            self.downgrade("removal of the job's cgroup", format!("{}: {error}", path.display()));
        }
        // A process of whatever kind is charged for its stacks: nothing means that the command could not get in.
        match bytes {
            Some(0) => self.downgrade(CHARGE, "the command could not enter the group made for it".to_owned()),
            None => self.downgrade(CHARGE, "it could not be read at the end".to_owned()),
            Some(bytes) => {
                let strays = self.strays.len();
                if strays > 0 {
                    let reason = format!(
                        "at least {strays} of its processes left the group that was made for the job"
                    );
                    self.downgrade(CHARGE, reason);
                }
                let certainty = if strays == 0 { Certainty::Exact } else { Certainty::AtLeast };
                return Some(PeakFigure { bytes, certainty, at_seconds: None });
            }
        }
        None
    }
}
