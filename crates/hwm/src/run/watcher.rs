//! Work for each sample: the timeline grows, checkpoints and the live line are written. Nothing here waits for an output.

use std::sync::Arc;

use highwater::job::{LimitNotice, Limits, Observer, Progress, UnjudgedLimit};

use super::{checkpoint::Checkpoints, job_stderr::JobStderr, timeline::TimelineFile};
use crate::{
    args::LivePace,
    files::Destination,
    output::{formats::json, terminal::summary::limits},
    page_trim,
};

/// Sees each sample.
#[derive(Debug)]
pub(super) struct Watcher {
    timeline: Option<TimelineFile>,
    checkpoints: Option<Checkpoints>,
    stderr: JobStderr,
}

impl Watcher {
    pub(super) fn new(
        timeline: Option<TimelineFile>,
        json: Option<&Arc<Destination>>,
        live: Option<LivePace>,
        limits: &Limits,
    ) -> Self {
        Self { timeline, checkpoints: json.and_then(Checkpoints::new), stderr: JobStderr::new(live, limits) }
    }

    /// Stops the outputs when the job is over. Returns the timeline, whose reader may take long.
    pub(super) fn finish(mut self) -> Option<TimelineFile> {
        if let Some(warning) = self.checkpoints.as_mut().and_then(Checkpoints::finish) {
            self.stderr.warn(warning);
        }
        self.stderr.finish();
        self.timeline
    }
}

impl Observer for Watcher {
    fn started(&mut self, _pid: u32) {
        // Pages are given back only now: earlier this would delay the job's start.
        page_trim::give_back();
        if let Some(warning) = self.timeline.as_mut().and_then(TimelineFile::begin) {
            self.stderr.warn(warning);
        }
    }

    fn limit(&mut self, notice: &LimitNotice) {
        self.stderr.warn(limits::notice(notice));
    }

    fn limit_unjudged(&mut self, unjudged: &UnjudgedLimit) {
        self.stderr.warn(limits::unjudged(unjudged));
    }

    fn memory_read(&mut self, progress: &Progress<'_>) {
        self.stderr.show(progress);
    }

    fn sampled(&mut self, progress: &Progress<'_>) {
        self.stderr.show(progress);
        if let Some(warning) = self.timeline.as_mut().and_then(|timeline| timeline.add(progress)) {
            self.stderr.warn(warning);
        }
        if let Some(checkpoints) = &mut self.checkpoints
            && let Some(warning) =
                checkpoints.offer(progress.elapsed, |out| json::write(&progress.record(), out))
        {
            self.stderr.warn(warning);
        }
    }
}
