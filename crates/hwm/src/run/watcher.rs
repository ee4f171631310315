//! What happens while the job runs: the timeline grows, checkpoints are written.

use highwater::job::{LimitNotice, Observer, Progress};

use crate::output::{
    Destination, checkpoint::Checkpoints, json, summary::limits, timeline::TimelineFile, warn,
};

/// Sees each sample.
#[derive(Debug)]
pub(super) struct Watcher<'a> {
    timeline: Option<TimelineFile>,
    checkpoints: Option<Checkpoints<'a>>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(timeline: Option<TimelineFile>, json: Option<&'a Destination>) -> Self {
        Self { timeline, checkpoints: json.and_then(Checkpoints::new) }
    }

    /// The job is over.
    pub(super) fn finish(&mut self) {
        if let Some(timeline) = &mut self.timeline {
            timeline.finish();
        }
    }
}

impl Observer for Watcher<'_> {
    fn started(&mut self, _pid: u32) {
        if let Some(timeline) = &mut self.timeline {
            timeline.begin();
        }
    }

    fn limit(&mut self, notice: &LimitNotice) {
        warn(limits::notice(notice));
    }

    fn sampled(&mut self, progress: &Progress<'_>) {
        if let Some(timeline) = &mut self.timeline {
            timeline.add(progress);
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.offer(progress.elapsed, |out| json::write(&progress.record(), out));
        }
    }
}
