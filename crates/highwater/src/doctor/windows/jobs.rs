//! Job Objects: each trial makes one, with an idle child in it.

use crate::{
    Roots,
    doctor::State,
    job::windows_probe::{JobObjectProbe, ReportedLifetime},
};

const OLD: &str = "a process that runs in a job already needs Windows 8 for another one";
/// Every Windows has it.
const NOT_WINDOWS: &str = "Windows keeps it; Wine does not";
/// The amount that the child is made to commit, or that is to be refused.
const BLOCK: usize = 64 << 20;
const LIMIT: u64 = 16 << 20;

pub(super) fn object(_: &Roots) -> State {
    match JobObjectProbe::begin(None) {
        Ok(_) => State::works(),
        Err(why) => State::missing(why).or(OLD),
    }
}

pub(super) fn port(_: &Roots) -> State {
    match heard() {
        Ok(ReportedLifetime { started: true, exited: true, .. }) => State::works(),
        Ok(ReportedLifetime { started, .. }) => {
            let what = if started { "the end" } else { "the birth" };
            State::missing(format!("{what} of a process was not reported"))
                .or("polling finds processes that live longer")
        }
        Err(why) => State::missing(why).or(OLD),
    }
}

/// Tries `GetProcessMemoryInfo` through a handle that is kept beyond the exit.
pub(super) fn marks(_: &Roots) -> State {
    match JobObjectProbe::begin(None).and_then(|mut probe| probe.run().map(|_| probe.marks())) {
        Ok((Some(_), Some(_))) => State::works(),
        Ok(_) => State::missing("nothing is left of a process that has exited, though its handle is open: peaks are those of the last sample")
            .or(NOT_WINDOWS),
        Err(why) => State::missing(why).or(OLD),
    }
}

/// Tries `JobObjectBasicAndIoAccountingInformation`.
pub(super) fn accounting(_: &Roots) -> State {
    let used = JobObjectProbe::begin(None).and_then(|mut probe| {
        probe.run()?;
        probe.used().ok_or_else(|| "the Job Object does not say what its processes have used".to_owned())
    });
    match used {
        Ok(used) if used.cpu.is_some() && used.io.is_some() => State::works(),
        Ok(used) => {
            let what = match (used.cpu, used.io) {
                (None, None) => "neither CPU time nor bytes",
                (None, Some(_)) => "no CPU time",
                _ => "no bytes",
            };
            State::missing(format!("the Job Object counted {what} of a process that has run")).or(NOT_WINDOWS)
        }
        Err(why) => State::missing(why).or(OLD),
    }
}

/// Tries `PeakJobMemoryUsed` of a job that has committed a block.
pub(super) fn peak(_: &Roots) -> State {
    let peak = JobObjectProbe::begin(None).and_then(|probe| {
        probe.commit(BLOCK).map_err(|error| format!("committing memory for a child: {error}"))?;
        Ok(probe.peak_commit())
    });
    match peak {
        Ok(Some(peak)) if peak >= BLOCK as u64 => State::works(),
        Ok(Some(peak)) => State::missing(format!("it is {peak} bytes for a job that has committed {BLOCK}")),
        Ok(None) => State::missing("the Job Object keeps none").or(NOT_WINDOWS),
        Err(why) => State::missing(why).or(OLD),
    }
}

/// Tries `JOB_OBJECT_LIMIT_JOB_MEMORY` with a child that asks for more and never runs.
pub(super) fn limit(_: &Roots) -> State {
    let free = JobObjectProbe::begin(None).map(|probe| probe.commit(BLOCK));
    if let Ok(Err(error)) = free {
        return State::missing(format!("a child is refused {BLOCK} bytes without a limit, too: {error}"));
    }
    match JobObjectProbe::begin(Some(LIMIT)).map(|probe| probe.commit(BLOCK)) {
        Ok(Err(_)) => State::works(),
        Ok(Ok(())) => State::missing("a job was given more than its limit").or(
            "Windows keeps it, Wine does not; --max-total-rss and --max-per-proc-rss watch the job instead",
        ),
        Err(why) => State::missing(why).or(OLD),
    }
}

fn heard() -> Result<ReportedLifetime, String> {
    JobObjectProbe::begin(None).and_then(|mut probe| probe.run())
}
