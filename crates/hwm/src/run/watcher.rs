//! What happens while the job runs: the timeline grows, checkpoints are written.

use highwater::job::{LimitNotice, Observer, Progress};

use super::{live::Live, notices::Notices};
use crate::{
    files::Destination,
    output::{checkpoint::Checkpoints, json, summary::limits, timeline::TimelineFile},
    own_pages,
};

/// Sees each sample.
#[derive(Debug)]
pub(super) struct Watcher<'a> {
    timeline: Option<TimelineFile>,
    checkpoints: Option<Checkpoints<'a>>,
    live: Option<Live>,
    notices: Notices,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(
        timeline: Option<TimelineFile>,
        json: Option<&'a Destination>,
        live: Option<Live>,
    ) -> Self {
        Self { timeline, checkpoints: json.map(Checkpoints::new), live, notices: Notices::default() }
    }

    /// The job is over.
    pub(super) fn finish(&mut self) {
        if let Some(live) = &mut self.live {
            live.finish();
        }
        self.notices.finish();
        if let Some(timeline) = &mut self.timeline {
            timeline.finish();
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.finish();
        }
    }
}

impl Observer for Watcher<'_> {
    fn started(&mut self, _pid: u32) {
        // Not before: the job would start the later.
        own_pages::give_back();
        if let Some(timeline) = &mut self.timeline {
            timeline.begin();
        }
    }

    fn limit(&mut self, notice: &LimitNotice) {
        if let Some(live) = &self.live {
            live.clear();
        }
        self.notices.warn(limits::notice(notice));
    }

    fn sampled(&mut self, progress: &Progress<'_>) {
        if let Some(live) = &mut self.live {
            live.tell(progress);
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.add(progress);
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.offer(progress.elapsed, |out| json::write(&progress.record(), out));
        }
    }
}
