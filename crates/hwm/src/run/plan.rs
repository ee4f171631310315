//! Everything that can be checked before the job starts, checked.

use anyhow::bail;
use highwater::{
    Job,
    analysis::LeakRules,
    job::{GroupBy, Limits},
};

use super::{hook::Hook, reports::Reports, turn::Turn};
use crate::{
    args::{AttachArgs, LivePace, PaceArgs, ReportArgs, RunArgs},
    exit,
};

/// One measurement: the job, and all that it leaves behind.
#[derive(Debug)]
pub(super) struct RunPlan {
    /// The job, with all options of the library.
    pub(super) job: Job,
    pub(super) reports: Reports,
    pub(super) live: Option<LivePace>,
    pub(super) leaks: Option<LeakRules>,
    pub(super) limit_codes: LimitCodes,
    pub(super) hook: Option<Hook>,
    pub(super) turn: Turn,
}

/// Exit codes for a job that a limit has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct LimitCodes {
    pub(super) total: u8,
    pub(super) process: u8,
}

impl RunPlan {
    /// Plans one run of a command.
    pub(super) fn for_run(args: RunArgs, turn: Turn) -> anyhow::Result<Self> {
        let mut words = args.command.iter();
        let program = words.next().cloned().unwrap_or_default();
        if program.is_empty() {
            bail!("the command is empty; name one, as in: hwm run -- cargo build");
        }
        let mut limits = args.limits.limits(&args.over_limit);
        limits.cgroup_bytes = args.max_cgroup;
        let job = Job::new(program)
            .args(words)
            .owns_all_children(true)
            .wait_for_descendants(args.wait)
            .exact(args.exact)
            .cgroup(args.cgroup_use())
            .lineage(args.lineage.into())
            .limits(limits);
        let job = args.also.apply(job);
        Ok(Self {
            leaks: args.leaks.rules(),
            limit_codes: LimitCodes { total: args.total_limit_code, process: args.per_proc_limit_code },
            hook: Hook::of(args.hook),
            ..Self::new(job, &args.pace, args.report, args.also.with_cpu, turn)?
        })
    }

    /// Plans to follow a process that runs already.
    pub(super) fn for_attach(args: AttachArgs) -> anyhow::Result<Self> {
        let job = Job::attach(args.pid)
            .wait_for_descendants(args.wait)
            .lineage(args.lineage.into())
            .limits(args.limits.limits(&args.over_limit));
        let job = args.also.apply(job);
        let leaks = args.leaks.rules();
        Ok(Self { leaks, ..Self::new(job, &args.pace, args.report, args.also.with_cpu, Turn::ONLY)? })
    }

    /// Returns a plan with the options that all measurements have.
    fn new(
        job: Job,
        pace: &PaceArgs,
        report: ReportArgs,
        with_cpu: bool,
        turn: Turn,
    ) -> anyhow::Result<Self> {
        let groups = report.groups();
        let mut job = job.pace(pace.pace()?).take_precedence(true).leave_out_arguments(report.no_args);
        if report.no_args && groups.iter().any(|by| matches!(by, GroupBy::CommandLine(_))) {
            bail!(
                "--group-by cmdline-regex writes what it finds in arguments, and --no-args leaves them out; give one of the two"
            );
        }
        for by in groups {
            job = job.group_by(by);
        }
        let live = report.live;
        Ok(Self {
            job,
            reports: Reports::check(report, with_cpu, turn.number)?,
            live,
            leaks: None,
            limit_codes: LimitCodes { total: exit::TOTAL_LIMIT, process: exit::PROCESS_LIMIT },
            hook: None,
            turn,
        })
    }

    /// Returns whether samples decide about a limit.
    pub(super) fn has_limits(&self) -> bool {
        let Limits { memory_bytes, total_rss_bytes, process_rss_bytes, total_pss_bytes, .. } =
            self.job.get_limits();
        memory_bytes.or(*total_rss_bytes).or(*process_rss_bytes).or(*total_pss_bytes).is_some()
    }
}
