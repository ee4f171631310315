//! Job Objects: each trial makes one, with an idle child in it.

use crate::{
    Roots,
    doctor::MechanismState,
    job::windows_probe::{JobObjectProbe, ReportedLifetime},
};

const OLD: &str = "a process that runs in a job already needs Windows 8 for another one";
/// Every Windows has it.
const NOT_WINDOWS: &str = "Windows keeps it; Wine does not";
/// The amount that the child is made to commit, or that is to be refused.
const COMMITTED_BYTES: usize = 64 << 20;
const COMMIT_LIMIT_BYTES: u64 = 16 << 20;

pub(super) fn object(_: &Roots) -> MechanismState {
    match JobObjectProbe::begin(None) {
        Ok(_) => MechanismState::works(),
        Err(why) => MechanismState::missing(why).or(OLD),
    }
}

pub(super) fn port(_: &Roots) -> MechanismState {
    match heard() {
        Ok(ReportedLifetime { started: true, exited: true, .. }) => MechanismState::works(),
        Ok(ReportedLifetime { started, .. }) => {
            let what = if started { "the end" } else { "the birth" };
            MechanismState::missing(format!("{what} of a process was not reported"))
                .or("polling finds processes that live longer")
        }
        Err(why) => MechanismState::missing(why).or(OLD),
    }
}

/// Tries `GetProcessMemoryInfo` through a handle that is kept beyond the exit.
pub(super) fn marks(_: &Roots) -> MechanismState {
    match JobObjectProbe::begin(None).and_then(|mut probe| probe.run().map(|_| probe.marks())) {
        Ok((Some(_), Some(_))) => MechanismState::works(),
        Ok(_) => MechanismState::missing("nothing is left of a process that has exited, though its handle is open: peaks are those of the last sample")
            .or(NOT_WINDOWS),
        Err(why) => MechanismState::missing(why).or(OLD),
    }
}

/// Tries `JobObjectBasicAndIoAccountingInformation`.
pub(super) fn accounting(_: &Roots) -> MechanismState {
    let used = JobObjectProbe::begin(None).and_then(|mut probe| {
        probe.run()?;
        probe.used().ok_or_else(|| "the Job Object does not say what its processes have used".to_owned())
    });
    match used {
        Ok(used) if used.cpu.is_some() && used.io.is_some() => MechanismState::works(),
        Ok(used) => {
            let what = match (used.cpu, used.io) {
                (None, None) => "neither CPU time nor bytes",
                (None, Some(_)) => "no CPU time",
                _ => "no bytes",
            };
            MechanismState::missing(format!("the Job Object counted {what} of a process that has run"))
                .or(NOT_WINDOWS)
        }
        Err(why) => MechanismState::missing(why).or(OLD),
    }
}

/// Tries `PeakJobMemoryUsed` of a job that has committed a block.
pub(super) fn peak(_: &Roots) -> MechanismState {
    let peak = JobObjectProbe::begin(None).and_then(|probe| {
        probe.commit(COMMITTED_BYTES).map_err(|error| format!("committing memory for a child: {error}"))?;
        Ok(probe.peak_commit())
    });
    match peak {
        Ok(Some(peak)) if peak >= COMMITTED_BYTES as u64 => MechanismState::works(),
        Ok(Some(peak)) => MechanismState::missing(format!(
            "it is {peak} bytes for a job that has committed {COMMITTED_BYTES}"
        )),
        Ok(None) => MechanismState::missing("the Job Object keeps none").or(NOT_WINDOWS),
        Err(why) => MechanismState::missing(why).or(OLD),
    }
}

/// Tries `JOB_OBJECT_LIMIT_JOB_MEMORY` with a child that asks for more and never runs.
pub(super) fn limit(_: &Roots) -> MechanismState {
    let free = JobObjectProbe::begin(None).map(|probe| probe.commit(COMMITTED_BYTES));
    if let Ok(Err(error)) = free {
        return MechanismState::missing(format!(
            "a child is refused {COMMITTED_BYTES} bytes without a limit, too: {error}"
        ));
    }
    match JobObjectProbe::begin(Some(COMMIT_LIMIT_BYTES)).map(|probe| probe.commit(COMMITTED_BYTES)) {
        Ok(Err(_)) => MechanismState::works(),
        Ok(Ok(())) => MechanismState::missing("a job was given more than its limit").or(
            "Windows keeps it, Wine does not; --max-total-rss and --max-per-proc-rss watch the job instead",
        ),
        Err(why) => MechanismState::missing(why).or(OLD),
    }
}

fn heard() -> Result<ReportedLifetime, String> {
    JobObjectProbe::begin(None).and_then(|mut probe| probe.run())
}
