//! What happens while the job runs: the timeline grows, checkpoints are written. Nothing here waits for an output.

use std::sync::Arc;

use highwater::job::{LimitNotice, Limits, Observer, Progress};

use super::console::Console;
use crate::{
    args::LivePace,
    files::Destination,
    output::{checkpoint::Checkpoints, json, summary::limits, timeline::TimelineFile},
    own_pages,
};

/// Sees each sample.
#[derive(Debug)]
pub(super) struct Watcher {
    timeline: Option<TimelineFile>,
    checkpoints: Option<Checkpoints>,
    console: Console,
}

impl Watcher {
    pub(super) fn new(
        timeline: Option<TimelineFile>,
        json: Option<&Arc<Destination>>,
        live: Option<LivePace>,
        limits: &Limits,
    ) -> Self {
        Self { timeline, checkpoints: json.and_then(Checkpoints::new), console: Console::new(live, limits) }
    }

    /// The job is over. Returns the timeline, whose reader may take long.
    pub(super) fn finish(mut self) -> Option<TimelineFile> {
        if let Some(warning) = self.checkpoints.as_mut().and_then(Checkpoints::finish) {
            self.console.warn(warning);
        }
        self.console.finish();
        self.timeline
    }
}

impl Observer for Watcher {
    fn started(&mut self, _pid: u32) {
        // Not before: the job would start the later.
        own_pages::give_back();
        if let Some(warning) = self.timeline.as_mut().and_then(TimelineFile::begin) {
            self.console.warn(warning);
        }
    }

    fn limit(&mut self, notice: &LimitNotice) {
        self.console.warn(limits::notice(notice));
    }

    fn sampled(&mut self, progress: &Progress<'_>) {
        self.console.show(progress);
        if let Some(warning) = self.timeline.as_mut().and_then(|timeline| timeline.add(progress)) {
            self.console.warn(warning);
        }
        if let Some(checkpoints) = &mut self.checkpoints
            && let Some(warning) =
                checkpoints.offer(progress.elapsed, |out| json::write(&progress.record(), out))
        {
            self.console.warn(warning);
        }
    }
}
