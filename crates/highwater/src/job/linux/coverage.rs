//! Completeness of the kernel's reports on the forks, execs and exits of one job.

/// The mechanisms that report events of one job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mechanisms {
    /// Source of forks, execs and exits; `None`: `/proc` is polled for them.
    pub(super) lifetimes: Option<LifetimeScope>,
    /// True if tasks are held at their exec and exit.
    pub(super) holds_tasks: bool,
}

/// The processes whose forks, execs and exits are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LifetimeScope {
    /// Processes of the job (perf events).
    Job,
    /// Processes of the whole machine (proc connector).
    Machine,
}

/// Completeness of the reports of forks, execs and exits so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Coverage {
    /// Every one was.
    #[default]
    Complete,
    /// At least one was not.
    Lossy,
    /// A part of the job is reported no longer, so `/proc` is polled beside the events.
    SubtreeUnseen,
}

/// The part of the job that events cover.
#[derive(Debug, Default)]
pub(super) struct EventCoverage {
    mechanisms: Mechanisms,
    coverage: Coverage,
    /// A walk over `/proc` has been asked for, to find what was not reported.
    walk_requested: bool,
}

impl EventCoverage {
    /// Starts with what is in use for this job.
    pub(super) fn begin(&mut self, mechanisms: Mechanisms) {
        self.mechanisms = mechanisms;
    }

    /// Returns whether forks, execs and exits are reported.
    pub(super) fn reports_lifetimes(&self) -> bool {
        self.mechanisms.lifetimes.is_some()
    }

    /// Returns whether only processes of the job are reported.
    pub(super) fn reports_job_only(&self) -> bool {
        self.mechanisms.lifetimes == Some(LifetimeScope::Job)
    }

    /// Returns whether tasks are held at their exec and exit.
    pub(super) fn holds_tasks(&self) -> bool {
        self.mechanisms.holds_tasks
    }

    /// Returns whether holds are the only events.
    pub(super) fn holds_only(&self) -> bool {
        self.mechanisms.holds_tasks && !self.reports_lifetimes()
    }

    /// Returns whether any event comes.
    pub(super) fn reports_anything(&self) -> bool {
        self.mechanisms.holds_tasks || self.reports_lifetimes()
    }

    /// Returns whether a process that is found in `/proc` will be reported from now on, if it was expected there.
    pub(super) fn reports_new_finds(&self) -> bool {
        self.reports_lifetimes() && self.coverage != Coverage::SubtreeUnseen
    }

    /// Returns whether processes have to be looked for in `/proc` at each poll.
    pub(super) fn must_poll(&self) -> bool {
        !self.reports_new_finds()
    }

    /// Returns whether every fork, exec and exit was reported.
    pub(super) fn is_complete(&self) -> bool {
        self.reports_lifetimes() && self.coverage == Coverage::Complete
    }

    /// Records that an event was not reported.
    pub(super) fn record_miss(&mut self) {
        if self.coverage == Coverage::Complete {
            self.coverage = Coverage::Lossy;
        }
    }

    /// Records that events were dropped: `/proc` must be searched for the missing ones.
    pub(super) fn record_loss(&mut self) {
        self.record_miss();
        self.request_walk();
    }

    /// Records that a part of the job is reported no longer.
    pub(super) fn record_unseen_subtree(&mut self) {
        self.coverage = Coverage::SubtreeUnseen;
    }

    /// Asks for a walk over `/proc` at the next poll.
    pub(super) fn request_walk(&mut self) {
        self.walk_requested = true;
    }

    /// Returns whether a walk has been asked for.
    pub(super) fn must_walk(&self) -> bool {
        self.walk_requested
    }

    /// Takes the request for a walk.
    pub(super) fn take_walk_request(&mut self) -> bool {
        std::mem::take(&mut self.walk_requested)
    }
}
