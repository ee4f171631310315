//! One job as the system has it; `linux/tree.rs` says what each function means everywhere.

use std::{
    process::Child,
    time::{Duration, Instant},
};

use super::{
    Wake,
    launch::launch,
    members::{Members, wall_clock},
    object::JobObject,
    port::Message,
};
use crate::{
    Error,
    job::{
        Job, Start,
        events::{MemberId, Reading, Timed},
        ledger::{Kept, Origin, PssPass},
        news::{Look, News},
        used::UsedBy,
    },
    record::{Certainty, Downgrade, Exit, ExitCause, Lineage, Metric, PeakFigure, PeaksFrom},
};

/// Numbers of signals that mean an end, as the C runtime has them.
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

#[derive(Debug)]
pub(crate) struct Tree {
    /// As long as its handle is open nobody else gets its pid.
    root: Child,
    object: JobObject,
    wake: Wake,
    members: Members,
    news: News,
    clock: Instant,
    commit_is_limited: bool,
    ends_with_us: bool,
    downgrades: Vec<Downgrade>,
}

impl Tree {
    pub(crate) fn start(job: &Job) -> Result<(Self, Start), Error> {
        if job.attach.is_some() {
            return Err(Error::Unsupported { what: "attaching to a process that runs already" });
        }
        if job.limits.total_pss_bytes.is_some() {
            return Err(Error::Limit {
                why: "Windows knows no proportional set size (PSS) of a process".to_owned(),
            });
        }
        let wake = job.control.wake().clone();
        let port = wake.raw().ok_or_else(|| Error::System {
            doing: "creating a completion port",
            source: std::io::Error::other("none was to be had"),
        })?;
        let object = JobObject::new(port, job.limits.cgroup_bytes, job.ends_with_us)?;
        let mut start = None;
        let root = launch(job, &object, || start = Some((Start::now(), wall_clock())))?;
        let (start, epoch) = start.unwrap_or_else(|| (Start::now(), wall_clock()));
        let mut members = Members::new(root.id(), epoch);
        let mut news = News::default();
        members.adopt(root.id(), &object, Duration::ZERO, &mut news);
        let tree = Self {
            root,
            object,
            wake,
            members,
            news,
            clock: start.clock,
            commit_is_limited: job.limits.cgroup_bytes.is_some(),
            ends_with_us: job.ends_with_us,
            downgrades: Vec::new(),
        };
        Ok((tree, start))
    }

    pub(crate) fn root(&self) -> u32 {
        self.root.id()
    }

    #[allow(clippy::unused_self)] // It depends on the machine elsewhere.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            metric: Metric::WorkingSet,
            lineage: Lineage::JobObject,
            peaks: PeaksFrom::AfterEnd,
            slack_bytes: None,
        }
    }

    pub(crate) fn root_lives(&self) -> bool {
        self.members.root_lives()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn pids_and_ids(&self) -> impl Iterator<Item = (u32, MemberId)> + '_ {
        self.members.pids_and_ids()
    }

    /// The marks come with each reading.
    pub(crate) fn look(&mut self, at: Duration, _: bool) -> Look {
        self.members.look(at, &self.wake, &self.object, &mut self.news)
    }

    /// Whether the Job Object has counted more births than were told.
    pub(crate) fn awaits_news(&self) -> bool {
        self.members.untold() > 0
    }

    pub(crate) fn last_look(&mut self, at: Duration) {
        self.look(at, true);
    }

    pub(crate) fn news(&mut self) -> impl Iterator<Item = Timed> + '_ {
        self.news.drain()
    }

    pub(crate) fn readings(&self) -> &[Reading] {
        self.members.readings()
    }

    #[allow(clippy::unused_self)] // Not read here yet.
    pub(crate) fn uses(&self) -> &[UsedBy] {
        &[]
    }

    #[allow(clippy::unused_self)] // Messages are there before what they tell of goes on.
    pub(crate) fn told_until(&self, at: Duration) -> Duration {
        at
    }

    #[allow(clippy::unused_self)] // There is no PSS here.
    pub(crate) fn pss_is_due(&mut self, _: Duration, _: u64) -> bool {
        false
    }

    #[allow(clippy::unused_self)] // There is no PSS here.
    pub(crate) fn pss(&mut self, _: Duration) -> Option<PssPass> {
        None
    }

    #[allow(clippy::unused_self)] // There is no PSS here.
    pub(crate) fn pss_of_all(&mut self, _: Duration) -> Option<PssPass> {
        None
    }

    #[allow(clippy::unused_self)] // There is no PSS here.
    pub(crate) fn pss_counted(&mut self, _: u64) {}

    /// News is taken in as it comes: a process that was born has to be opened before it is gone.
    pub(crate) fn wait(&mut self, pause: Duration, wake: &Wake) -> bool {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Some(message) = wake.next(left) else { return false };
            let awaited = self.members.hear(message, &self.object, self.clock.elapsed(), &mut self.news);
            if awaited || message == Message::Ring {
                return true;
            }
        }
    }

    /// There are no signals: those that mean an end are one.
    pub(crate) fn signal(&mut self, number: i32) {
        if !matches!(number, SIGKILL | SIGTERM) {
            return;
        }
        if self.root_lives() {
            // It may have ended this very moment.
            let _ = self.root.kill();
        } else {
            self.kill();
        }
    }

    /// Programs without a window cannot be asked.
    pub(crate) fn terminate(&mut self) {
        self.kill();
    }

    pub(crate) fn kill(&mut self) {
        self.object.terminate();
    }

    pub(crate) fn kernel_enforced(&self) -> bool {
        self.members.was_over_limit
    }

    pub(crate) fn exit(&self, killed: bool, over_limit: bool) -> Option<Exit> {
        self.members.root_exit().map(|code| Exit {
            code: Some(code.cast_signed()),
            signal: None,
            signal_name: None,
            cause: match (over_limit, killed) {
                (true, _) => ExitCause::Limit,
                (false, true) => ExitCause::Killed,
                (false, false) => ExitCause::Exited,
            },
        })
    }

    pub(crate) fn downgrades(&self) -> Vec<Downgrade> {
        self.downgrades.clone()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.members.untold().into()
    }

    pub(crate) fn all_told(&self) -> bool {
        self.members.untold() == 0
    }

    /// Survivors live on, without a limit.
    pub(crate) fn end(&mut self) -> Kept {
        if self.commit_is_limited {
            // It was allowed to set it, so it is allowed to lift it.
            let _ = self.object.limit(None, self.ends_with_us);
        }
        let commit = self.object.peak_commit();
        if commit.is_none() {
            self.downgrades.push(Downgrade {
                wanted: "the kernel's own peak of what the job committed".to_owned(),
                reason: "this system's Job Objects keep none".to_owned(),
            });
        }
        let exact = |bytes| PeakFigure { bytes, certainty: Certainty::Exact, at_seconds: None };
        Kept { commit: commit.map(exact), ..Kept::default() }
    }
}
