//! Set-up that this process makes once for all runs of a job.

use anyhow::Context;
use highwater::job::InheritedState;

use crate::{
    args::Save, console::complain, exit, signals::Signals, startup, store::RecordSaver, text::advice,
};

/// The job was not run.
#[derive(Debug)]
pub(super) struct NotRun {
    pub(super) code: exit::AnyExitCode,
    pub(super) message: String,
}

impl From<anyhow::Error> for NotRun {
    fn from(error: anyhow::Error) -> Self {
        Self { code: exit::NOT_RUN.into(), message: format!("{error:#}{}", advice(error.as_ref())) }
    }
}

/// Set-up for all runs of the job.
pub(super) struct RunSession {
    pub(super) signals: Signals,
    /// The state of this process before the first run changed it.
    pub(super) inherited_state: InheritedState,
    /// Keeps the records of `--save`.
    pub(super) saver: Option<RecordSaver>,
}

impl RunSession {
    /// Takes over the signals, and finds out where the records are kept.
    pub(super) fn begin(save: Option<Save>) -> Result<Self, NotRun> {
        let signals = Signals::block().context("cannot take over the signals")?;
        let inherited_state = startup::inherited_state();
        let saver = save.map(RecordSaver::new).transpose().context("--save")?;
        Ok(Self { signals, inherited_state, saver })
    }

    /// Names the records that were kept.
    pub(super) fn announce_kept(&self, is_quiet: bool) {
        if let Some(name) = self.saver.as_ref().and_then(RecordSaver::called).filter(|_| !is_quiet) {
            complain(format_args!("kept as {name}: hwm view {name}, hwm list"));
        }
    }

    /// Returns whether a signal asked the whole session to end.
    pub(super) fn was_asked_to_end(&self) -> bool {
        self.signals.asked_to_end()
    }
}
