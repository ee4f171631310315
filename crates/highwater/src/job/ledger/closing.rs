//! Makes the record from the ledger and the facts that are known only at that time.

use std::time::Duration;

use super::{FigureOrigin, JobHeader, Ledger, OomSeen};
use crate::{
    job::{RowsSoFar, moment::rounded_seconds, rows::Rows},
    record::{
        Capture, Certainty, Downgrade, Exit, Group, IntervalMode, Limit, Lineage, MemorySource, Metric,
        Overhead, PeakFigure, PeakInterval, PeakMemory, Peaks, Pressure, Record, SchemaVersion, Timestamp,
        Usage,
    },
};

/// Facts that are known only when a record is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClosingFacts {
    pub(crate) elapsed: Duration,
    pub(crate) exit: Option<Exit>,
    pub(crate) downgrades: Vec<Downgrade>,
    pub(crate) overhead: Option<Overhead>,
    /// Events that the kernel or this process dropped.
    pub(crate) lost_events: u64,
    /// True if the kernel reported every fork, exec and exit.
    pub(crate) all_reported: bool,
    /// Peaks and kills that the kernel itself counted.
    pub(crate) kernel_totals: KernelTotals,
    /// The limits, and how far the job exceeded them.
    pub(crate) limits: Vec<Limit>,
    /// True if this process sent SIGKILL.
    pub(crate) sent_sigkill: bool,
}

/// Totals of the whole job that the kernel itself kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct KernelTotals {
    /// Peak of the charge of its cgroup.
    pub(crate) cgroup: Option<PeakFigure>,
    /// Highest charge of a group in which it is not alone.
    pub(crate) charge_with_others: Option<u64>,
    /// Peak of its committed memory.
    pub(crate) commit: Option<PeakFigure>,
    /// Time that tasks waited for memory.
    pub(crate) pressure: Option<Pressure>,
    /// Kills for want of memory.
    pub(crate) oom: Option<OomSeen>,
}

impl Ledger {
    /// Returns the record so far, without groups, timeline and spilled rows: cheap enough to be written now and then.
    pub(crate) fn checkpoint(&self, closing: &ClosingFacts) -> Record<RowsSoFar<'_>> {
        let processes = RowsSoFar::of(self);
        let left_out = self.counts.seen - processes.len() as u64;
        let mut record = self.record(closing, processes, Vec::new(), self.living.len() as u64);
        record.capture.processes_left_out = left_out;
        record
    }

    /// Returns the complete record. Members that are still alive are marked as running.
    pub(crate) fn finish(mut self, closing: &ClosingFacts) -> Record<Rows> {
        let windows = self.living.values_mut().map(|member| &mut member.window);
        self.estimate.finish(closing.elapsed, windows);
        let still_running = self.living.len() as u64;
        for (id, member) in std::mem::take(&mut self.living) {
            self.usage.survived(member.used());
            self.close(id, &member, None);
        }
        self.rows.finish();
        let rows = std::mem::take(&mut self.rows);
        let are_gathered = self.groups.are_gathered();
        let groups = self.groups.finish(|id| rows.position(id));
        let left_out = rows.left_out();
        let mut closing = closing.clone();
        if let Some(reason) = rows.failed() {
            closing.downgrades.push(Downgrade {
                wanted: "rows spilled to disk".to_owned(),
                reason: format!("the temporary file could not be used ({reason}); they are kept in memory"),
            });
        }
        if are_gathered {
            closing.downgrades.push(Downgrade {
                wanted: "a group for each name".to_owned(),
                reason: "there are too many; the latest ones are counted together as (others)".to_owned(),
            });
        }
        let mut record = self.record(&closing, rows, groups, still_running);
        if let Some(memory) = &mut record.peak.memory {
            let holders = match memory.source {
                MemorySource::Cgroup => self.group_peak.holders(),
                _ => self.sampled_peak.holders(),
            };
            memory.holders = holders
                .and_then(|holders| holders.in_record(memory.bytes, |id| record.processes.position(id)));
        }
        record.complete = true;
        record.capture.processes_left_out = left_out;
        let (rows, memory) = (&record.processes, record.peak.memory.as_ref());
        record.timeline = Some(self.timeline.finish(
            memory.map(|memory| memory.bytes),
            |id| rows.peak_kib(id),
            |id| rows.position(id),
        ));
        record
    }

    /// Returns what is missing in the record, apart from peak memory.
    fn downgrades(&self, closing: &ClosingFacts, usage: &Usage) -> Vec<Downgrade> {
        let mut downgrades = closing.downgrades.clone();
        downgrades.extend(self.pss_downgrade());
        downgrades.extend(self.gpu.missing());
        downgrades.extend(usage.cpu.is_none().then(|| self.usage.cpu_downgrade()).flatten());
        downgrades.extend(usage.io.is_none().then(|| self.usage.io_downgrade()).flatten());
        let missed = self.counts.seen_dead;
        if missed > 0 {
            downgrades.push(Downgrade {
                wanted: "memory of every process seen".to_owned(),
                reason: format!("{missed} of them had ended before they could be read"),
            });
        }
        downgrades
    }

    fn record<P>(
        &self,
        closing: &ClosingFacts,
        processes: P,
        groups: Vec<Group>,
        still_running: u64,
    ) -> Record<P> {
        let all_reported = closing.all_reported && closing.lost_events == 0 && self.counts.seen_dead == 0;
        // Perf events report an exit before its memory is freed (Linux 6.18), and the time between the two is a guess.
        let ends_are_known = self.header.origin.lineage == Lineage::ProcConnector;
        // A rise that stays below a high-water mark from before the attachment is seen in samples only.
        let marks_are_known = self.header.attached.is_none();
        let mut rss = self.estimate.interval(all_reported && ends_are_known && marks_are_known);
        let JobHeader {
            tool,
            host,
            command,
            arguments_left_out,
            started,
            interval,
            origin,
            usage: _,
            group_by: _,
            attached,
        } = self.header.clone();
        let FigureOrigin { metric, lineage, peaks, slack_bytes } = origin;
        if let Some(rss) = &mut rss {
            rss.slack_bytes = slack_bytes.map(|bytes| bytes * self.estimate.images_at_upper());
        }
        let seen = self.counts.seen + self.counts.seen_dead;
        let usage =
            self.usage.usage(self.living.values().map(Box::as_ref), closing.elapsed, seen, all_reported);
        let mean = closing.elapsed.as_millis() / u128::from(self.samples.max(1));
        let mut downgrades = self.downgrades(closing, &usage);
        let memory = self.peak_memory(rss.as_ref(), &closing.kernel_totals);
        if memory.is_none() && rss.is_some() && metric == Metric::Rss {
            downgrades.push(Downgrade {
                wanted: "memory of the job with each page counted once".to_owned(),
                reason: if self.estimate.was_read() {
                    "the kernel's counters of its processes read 0".to_owned()
                } else {
                    "none of its processes was read in time".to_owned()
                },
            });
        }
        Record {
            schema: SchemaVersion::current(),
            complete: false,
            tool,
            host,
            command,
            arguments_left_out,
            start_time: Timestamp::from_system_time(started),
            end_time: Timestamp::from_system_time(started + closing.elapsed),
            duration_seconds: rounded_seconds(closing.elapsed),
            interval_ms: interval
                .map_or(mean, |interval| interval.as_millis())
                .max(1)
                .try_into()
                .unwrap_or(u64::MAX),
            interval_mode: if interval.is_some() { IntervalMode::Fixed } else { IntervalMode::Adaptive },
            samples: self.samples,
            exit: closing.exit.clone(),
            primary_metric: metric,
            max_total_rss_kib: rss.map(|peak| peak.bytes / 1024),
            peak: Peaks {
                memory,
                rss,
                pss: self.pss_figure(),
                cgroup: closing.kernel_totals.cgroup,
                commit: closing.kernel_totals.commit,
                swap: self.swap,
                gpu: self.gpu.peaks(),
            },
            usage: Usage { pressure: closing.kernel_totals.pressure, ..usage },
            oom: closing.kernel_totals.oom.as_ref().map(|seen| {
                let unknown_ends = self.counts.unknown_ends + self.counts.seen_dead;
                self.killed.judge(seen, closing.sent_sigkill, unknown_ends)
            }),
            capture: Capture {
                attached,
                lineage,
                peaks,
                lost_events: closing.lost_events,
                processes_seen: seen,
                processes_seen_is: if all_reported { Certainty::Exact } else { Certainty::AtLeast },
                processes_without_exact_peak: self.counts.inexact
                    + self.counts.seen_dead
                    + self.living.len() as u64,
                images_without_last_mark: Some(self.estimate.unmarked()),
                processes_left_out: 0,
                processes_still_running: still_running,
                downgrades,
                overhead: closing.overhead,
            },
            processes,
            groups,
            limits: closing.limits.clone(),
            findings: Vec::new(),
            leak_search: None,
            timeline: None,
        }
    }

    /// Returns the peak with each page counted once. Other systems than Linux have no source for it.
    ///
    /// `totals` are known at the end. The charge of its group is a lower bound if processes have left the group, which then
    /// counts only the others.
    pub(super) fn peak_memory(
        &self,
        rss: Option<&PeakInterval>,
        totals: &KernelTotals,
    ) -> Option<PeakMemory> {
        let highest_mark = self.estimate.highest_mark();
        let sampled = rss.filter(|_| self.header.origin.metric == Metric::Rss && self.estimate.was_read());
        let has_strays = totals.cgroup.as_ref().is_some_and(|charge| charge.certainty != Certainty::Exact);
        let pass = self.pss.as_ref().filter(|pass| pass.unread.is_empty()).map(super::PssPass::memory_bytes);
        let has_all_marks = totals.cgroup.is_some() && self.counts.all_are_exact() && self.living.is_empty();
        // Before Linux 6.2 it is not known how far the counters of many threads lag behind: nothing is capped then.
        let rss_upper =
            sampled.filter(|_| has_all_marks).and_then(|rss| Some(rss.upper_bytes + rss.slack_bytes?));
        let by_group = self.group_peak.peak(highest_mark, pass, rss_upper).filter(|_| !has_strays);
        let by_samples =
            || sampled.map(|rss| self.sampled_peak.peak(highest_mark, rss, totals.charge_with_others));
        // No process holds nothing: on Linux 6.1 the counters of a small one may read 0.
        by_group.or_else(by_samples).filter(|memory| memory.bytes > 0)
    }

    /// Returns the highest pass. PSS has no high-water mark, so the job reached at least that. A pass that missed most
    /// of the job is left out, as it misleads.
    fn pss_figure(&self) -> Option<PeakFigure> {
        self.pss.as_ref().filter(|pass| pass.bytes > pass.unread_rss).map(|pass| PeakFigure {
            bytes: pass.bytes,
            certainty: Certainty::AtLeast,
            at_seconds: Some(rounded_seconds(pass.at)),
        })
    }

    fn pss_downgrade(&self) -> Option<Downgrade> {
        let reason = match self.pss.as_ref().map(|pass| pass.unread.len()) {
            // There is no such figure on other systems.
            None if self.header.origin.metric != Metric::Rss => return None,
            None if self.pss_disturbed > 0 => format!(
                "processes started, exec'ed or exited during each of the {} passes",
                self.pss_disturbed
            ),
            None => "the job ended before a first pass".to_owned(),
            Some(0) => return None,
            Some(1) => "one process could not be read, or not in time; it is not counted".to_owned(),
            Some(unread) => {
                format!("{unread} processes could not be read, or not in time; they are not counted")
            }
        };
        Some(Downgrade { wanted: "PSS of the whole job".to_owned(), reason })
    }
}
