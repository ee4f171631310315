//! Standard error while the job runs: warnings and the line of `--live`, written by one thread.

use std::{io, time::Duration};

use highwater::job::{Limits, Progress};

use super::live::{LiveDrawing, LiveFigures, LiveLine};
use crate::{args::LivePace, background::BackgroundWriter, console::warn};

/// Time for which the report waits for a standard error that takes nothing.
const STDERR_PATIENCE: Duration = Duration::from_secs(2);

/// Standard error while the job runs. Nothing here waits for it before the end.
#[derive(Debug)]
pub(super) struct JobStderr {
    live: Option<LiveLine>,
    limits: Limits,
    /// Started for the first message.
    writer: Option<BackgroundWriter<StderrMessage>>,
    /// Warnings for which no thread could be started.
    unsent: Vec<String>,
}

#[derive(Debug)]
enum StderrMessage {
    Warning(String),
    Standing(LiveFigures),
    EraseLine,
}

impl JobStderr {
    pub(super) fn new(live: Option<LivePace>, limits: &Limits) -> Self {
        Self { live: live.map(LiveLine::new), limits: limits.clone(), writer: None, unsent: Vec::new() }
    }

    /// Writes a warning soon. There are few: each limit has at most three, and each output one.
    pub(super) fn warn(&mut self, text: String) {
        match self.writer() {
            Ok(writer) => writer.change(|queue| queue.push_back(StderrMessage::Warning(text))),
            // The reason may be the limit on processes, which the job can reach. The next message tries again.
            Err(_) => self.unsent.push(text),
        }
    }

    /// Draws the line of `--live` if it is due.
    pub(super) fn show(&mut self, progress: &Progress<'_>) {
        let Some(now) = self.live.as_mut().and_then(|live| live.next(progress)) else { return };
        if let Ok(writer) = self.writer() {
            writer.change(|queue| {
                // Only the newest line counts.
                queue.retain(|message| !matches!(message, StderrMessage::Standing(_)));
                queue.push_back(StderrMessage::Standing(now));
            });
        }
    }

    /// Takes the line away when the job is over, and waits until all is written. One message may take up to
    /// [`STDERR_PATIENCE`].
    pub(super) fn finish(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.change(|queue| {
                queue.retain(|message| !matches!(message, StderrMessage::Standing(_)));
                queue.push_back(StderrMessage::EraseLine);
            });
            writer.finish(Some(STDERR_PATIENCE));
        }
        self.unsent.drain(..).for_each(warn);
    }

    fn writer(&mut self) -> io::Result<&BackgroundWriter<StderrMessage>> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            none => {
                let drawing = self.live.as_ref().map(|live| live.drawing(&self.limits));
                Ok(none.insert(BackgroundWriter::start("console", writing(drawing))?))
            }
        }
    }
}

/// Returns what writes each message.
fn writing(mut drawing: Option<LiveDrawing>) -> impl FnMut(StderrMessage) -> io::Result<()> {
    move |message| {
        match (message, &mut drawing) {
            (StderrMessage::Standing(now), Some(drawing)) => drawing.draw(&now),
            (StderrMessage::Warning(text), drawing) => {
                if let Some(drawing) = drawing {
                    drawing.erase();
                }
                warn(text);
            }
            (StderrMessage::EraseLine, Some(drawing)) => drawing.erase(),
            (StderrMessage::Standing(_) | StderrMessage::EraseLine, None) => {}
        }
        // A closed standard error is no reason to stop.
        Ok(())
    }
}
