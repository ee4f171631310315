//! Attaching to a running process. Nothing about it is changed: no trace, no group, no signal.

use std::{io, time::Duration};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
    time::{ClockId, clock_gettime},
};

use super::{
    super::{
        clock::monotonic,
        descendants::read_stat,
        event_sources::{EventSources, WantedSources},
        launch::Child,
        limit_guard::{GuardedChildren, GuardedJob, LimitGuard},
        map_reader::{MapOutcome, MapReader},
        mapped_files::MappedFilesReader,
        memory_notes::MemoryNotes,
        observation::Observation,
        proc_dir::{ProcDir, ProcPath},
        process_end::has_exited,
        pss::PssPasses,
        shortage::Shortage,
        stray_turns::StrayTurns,
    },
    LinuxJob, open_proc, precedence,
};
use crate::{
    Error,
    bounded::{Extent, MAX_ATTACHED_COMMAND_BYTES},
    job::{CgroupUse, Job, LineageFrom, Start, event_batch::EventBatch},
    process::linux::{cmdline, facts::ticks_per_second, stat::Stat},
    record::{Attached, Downgrade},
};

/// Longest wait for a process that holds its memory map locked.
const COMMAND_LINE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn attach(job: &Job, pid: u32) -> Result<(LinuxJob, Start), Error> {
    let (proc, downgrade) = open_proc(job)?;
    let mut downgrades: Vec<Downgrade> = downgrade.into_iter().collect();
    let child = open(pid)?;
    // Each reading of a process from here on may wait.
    let guard = LimitGuard::start_or_report(&job.limits, &mut downgrades, || {
        Ok(GuardedJob {
            proc: proc.clone(),
            root: pid,
            root_pidfd: child.pidfd.try_clone()?,
            own_children: GuardedChildren::KnownMembers,
            group_stat: None,
        })
    });
    let has_judged = || guard.as_ref().is_some_and(LimitGuard::has_judged);
    let found = look_at(&proc, &child).map_err(|error| {
        let ended = refused(pid, "it exceeded a limit, and was ended, before its facts could be read");
        if has_judged() { ended } else { error }
    })?;
    let lineage = match job.lineage {
        LineageFrom::Sampling => LineageFrom::Sampling,
        LineageFrom::Perf => {
            let reason =
                "processes that it starts later inherit them, but those that it has started already do not";
            downgrades.push(Downgrade { wanted: "perf events".to_owned(), reason: reason.to_owned() });
            LineageFrom::ProcConnector
        }
        LineageFrom::Auto | LineageFrom::ProcConnector => LineageFrom::ProcConnector,
    };
    downgrades.push(Downgrade {
        wanted: "the time before the attachment".to_owned(),
        reason: "the process was already running".to_owned(),
    });
    let wanted = WantedSources { lineage, exact: false, cgroup: CgroupUse::Never, scope: false };
    let mut sources = EventSources::prepare(wanted, &job.roots, &proc);
    sources.attach(pid, &job.roots, &proc);
    let (mut start, epoch) = (Start::now(), monotonic());
    // None of its processes becomes a child of this one, so no `ru_maxrss` is judged by the mark of this process.
    let mut observation = Observation::new(&proc, false, u64::MAX, job);
    let mut batch = EventBatch::default();
    let members = observation.attach(pid, epoch, sources.mechanisms(), &mut batch);
    // It is reported if the guard has ended it.
    if has_exited(&child.pidfd) && !has_judged() {
        return Err(Error::NoSuchProcess { pid });
    }
    let ran_for = since_boot().checked_sub(born(&found));
    let attached = Attached {
        pid,
        ran_for_seconds: ran_for.map(|ran| ran.as_secs_f64()),
        processes: members.count,
        marks_bytes: members.hwm_bytes,
    };
    start.attached = Some((attached, command_line(job, &proc, pid, &found, &mut downgrades)));
    let linux_job = LinuxJob {
        child,
        observation,
        sources,
        passes: PssPasses::new(job, &proc),
        mapped_files: MappedFilesReader::new(&proc),
        map_reader: MapReader::for_job(job)?,
        batch,
        group_memory: None,
        group_reading: None,
        stray_turns: StrayTurns::new(),
        notes: MemoryNotes::begin(&proc, false),
        downgrades,
        next_usage: Duration::ZERO,
        shortage: Shortage::watch(&job.roots, &proc, None),
        subreaper: None,
        precedence: precedence(job),
        guard,
        proc,
    };
    Ok((linux_job, start))
}

/// Opens a descriptor of the process, which no later process with its pid can get.
fn open(pid: u32) -> Result<Child, Error> {
    if pid == std::process::id() {
        return Err(refused(pid, "it is this process itself"));
    }
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Error::NoSuchProcess { pid })?;
    let pidfd = pidfd_open(raw, PidfdFlags::empty()).map_err(|errno| match errno {
        Errno::SRCH => Error::NoSuchProcess { pid },
        // It is not the leader of its thread group (pidfd_open(2)).
        Errno::INVAL | Errno::NOENT => {
            refused(pid, "it is the id of a thread; attach to its process instead")
        }
        errno => refused(pid, &format!("pidfd_open: {}", io::Error::from(errno))),
    })?;
    Ok(Child { pid, pidfd })
}

/// Returns the `stat` of the process if it can be followed.
fn look_at(proc: &ProcDir, child: &Child) -> Result<Stat, Error> {
    let pid = child.pid;
    let Some(stat) = read_stat(proc, pid, &mut Vec::new()) else {
        return Err(if has_exited(&child.pidfd) {
            Error::NoSuchProcess { pid }
        } else {
            refused(pid, "procfs hides it (mounted with hidepid); run hwm as its user, or as root")
        });
    };
    if stat.is_kernel_thread() {
        return Err(refused(pid, "it is a kernel thread, which has no memory of its own"));
    }
    // It was read while the process lived, so it is of this process.
    if stat.has_exited() || has_exited(&child.pidfd) {
        return Err(refused(pid, "it has exited, and its parent has not waited for it yet"));
    }
    Ok(stat)
}

fn refused(pid: u32, why: &str) -> Error {
    Error::Attach { pid, reason: why.to_owned() }
}

fn born(stat: &Stat) -> Duration {
    let per_second = ticks_per_second().max(1);
    Duration::from_millis(stat.start_ticks.saturating_mul(1000) / per_second)
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs().try_into().unwrap_or(0))
}

fn command_line(
    job: &Job,
    proc: &ProcDir,
    pid: u32,
    stat: &Stat,
    downgrades: &mut Vec<Downgrade>,
) -> Vec<String> {
    if job.leaves_out_arguments {
        return vec![stat.comm.clone()];
    }
    let mut text = Vec::new();
    let path = ProcPath::of(pid, "cmdline");
    let outcome =
        MapReader::default().read(proc, path, MAX_ATTACHED_COMMAND_BYTES, &mut text, COMMAND_LINE_TIMEOUT);
    let (words, extent) = cmdline::words(&text);
    if outcome == MapOutcome::Late {
        downgrades.push(Downgrade {
            wanted: "the command line".to_owned(),
            reason: "the process holds its memory map locked; the kernel's name is recorded instead"
                .to_owned(),
        });
    }
    if outcome == MapOutcome::Read(Extent::Cut) || extent == Extent::Cut {
        downgrades.push(Downgrade {
            wanted: "the whole command line".to_owned(),
            reason: "it exceeds 2 MiB or 65,536 words; only its beginning is recorded".to_owned(),
        });
    }
    if words.is_empty() { vec![stat.comm.clone()] } else { words }
}
