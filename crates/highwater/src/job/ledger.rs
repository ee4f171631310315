//! Events and samples in, a record out: a pure fold that never asks the clock or the kernel.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use super::{
    estimate::{Extent, PeakEstimate},
    events::{Event, MemberId, Name, Reading, Sample},
    rows::Rows,
    timeline::{TimelineFold, round},
};
use crate::record::{
    Capture, Certainty, Downgrade, Exit, Group, GroupKey, Host, Image, IntervalMode, Lineage, Metric,
    Overhead, PeakFigure, PeakSource, Peaks, PeaksFrom, Process, ProcessExit, ProcessPeak, ProcessPeaks,
    Record, SchemaVersion, Timestamp, Tool,
};

/// A process that was forked and has not exec'ed for so long is a worker, not on its way to an exec.
const FORK_TO_EXEC: Duration = Duration::from_millis(50);

/// What is known of a job when it starts.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) tool: Tool,
    pub(crate) host: Host,
    pub(crate) command: Vec<String>,
    pub(crate) started: SystemTime,
    pub(crate) interval: Option<Duration>,
    pub(crate) lineage: Lineage,
}

/// What is known only when a record is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Closing {
    pub(crate) elapsed: Duration,
    pub(crate) exit: Option<Exit>,
    pub(crate) downgrades: Vec<Downgrade>,
    pub(crate) overhead: Option<Overhead>,
}

/// One pass over the members' PSS in which nobody was born, exec'ed or ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PssPass {
    pub(crate) at: Duration,
    pub(crate) bytes: u64,
    /// Members that were left at their RSS because their PSS could not be read.
    pub(crate) capped: u64,
}

/// The fold's state.
#[derive(Debug)]
pub(crate) struct Ledger {
    header: Header,
    living: BTreeMap<MemberId, Member>,
    rows: Rows,
    groups: Groups,
    estimate: PeakEstimate,
    timeline: TimelineFold,
    pss: Option<PssPass>,
    pss_disturbed: u64,
    samples: u64,
    seen: u64,
    seen_dead: u64,
    last_total: Option<u64>,
}

#[derive(Debug)]
struct Member {
    pid: u32,
    ppid: u32,
    name: Name,
    group: usize,
    forked: bool,
    first: Duration,
    last: Duration,
    extent: Extent,
    /// Its mark when it was first read.
    born_with: Option<u64>,
    /// Highest reading of the current image, and where it came from.
    high: Option<(u64, PeakSource)>,
    images: Vec<Image>,
    exit: Option<ProcessExit>,
    /// What it cannot have exceeded.
    cap: Option<u64>,
}

impl Ledger {
    pub(crate) fn new(header: Header) -> Self {
        Self {
            header,
            living: BTreeMap::new(),
            rows: Rows::default(),
            groups: Groups::default(),
            estimate: PeakEstimate::default(),
            timeline: TimelineFold::default(),
            pss: None,
            pss_disturbed: 0,
            samples: 0,
            seen: 0,
            seen_dead: 0,
            last_total: None,
        }
    }

    /// Total of the last sample; `None` when no member's memory could be read in it.
    pub(crate) fn last_total(&self) -> Option<u64> {
        self.last_total
    }

    /// Members alive.
    pub(crate) fn living(&self) -> u64 {
        self.living.len() as u64
    }

    pub(crate) fn event(&mut self, at: Duration, event: Event) {
        match event {
            Event::Born { id, pid, ppid, name, forked, shares_map } => {
                self.seen += 1;
                let parent = self.living.values().rev().find(|member| member.pid == ppid);
                self.estimate.born(parent.map(|parent| &parent.extent), forked, shares_map);
                let group = self.groups.key(&name.command);
                let member = Member {
                    pid,
                    ppid,
                    name,
                    group,
                    forked,
                    first: at,
                    last: at,
                    extent: Extent::default(),
                    born_with: None,
                    high: None,
                    images: Vec::new(),
                    exit: None,
                    cap: None,
                };
                self.living.insert(id, member);
            }
            Event::Exec { id, name } => {
                if let Some(member) = self.living.get_mut(&id) {
                    member.exec(name, &mut self.groups);
                }
            }
            Event::Gone { id } => {
                if let Some(member) = self.living.remove(&id) {
                    self.estimate.gone(&member.extent, member.cap, at);
                    self.close(id, &member, Some(at));
                }
            }
            Event::Reaped { id, exit, max_rss } => {
                if let Some(member) = self.living.get_mut(&id) {
                    (member.exit, member.cap) = (Some(exit), Some(max_rss));
                }
            }
            Event::SeenDead => self.seen_dead += 1,
            Event::WaitedMax { bytes, may_be_ours: false } => self.estimate.some_process_reached(bytes),
            Event::WaitedMax { bytes, may_be_ours: true } => self.estimate.no_process_exceeded(bytes),
        }
    }

    pub(crate) fn sample(&mut self, sample: &Sample<'_>) {
        self.samples += 1;
        self.groups.begin();
        for reading in sample.readings {
            let Some(member) = self.living.get_mut(&reading.id) else { continue };
            member.read(sample.at, reading);
            if !reading.shares_map {
                self.groups.add(member.group, reading.rss);
            }
        }
        self.groups.end(sample.at);
        let extents = self.living.values_mut().map(|member| &mut member.extent);
        let total = self.estimate.sampled(sample.at, extents, sample.marks);
        self.last_total = sample.readings.iter().any(|reading| !reading.shares_map).then_some(total);
        self.timeline.add(sample, total);
    }

    /// A pass over all members' PSS.
    pub(crate) fn pss(&mut self, pass: PssPass) {
        if self.pss.is_none_or(|best| pass.bytes > best.bytes) {
            self.pss = Some(pass);
        }
    }

    /// A pass that was void because members came, exec'ed or went during it.
    pub(crate) fn pss_disturbed(&mut self) {
        self.pss_disturbed += 1;
    }

    fn close(&mut self, id: MemberId, member: &Member, end: Option<Duration>) {
        if member.showed_only_its_parent() {
            self.seen -= 1;
            self.seen_dead += 1;
            return;
        }
        let row = member.row(&self.header, end);
        self.groups.count(&row);
        self.rows.push(id, row);
    }

    /// The record so far, without groups, timeline and spilled rows: cheap enough to be written now and then.
    pub(crate) fn checkpoint(&self, closing: &Closing) -> Record {
        let living = self.living.values().map(|member| member.row(&self.header, None));
        let processes: Vec<Process> = self.rows.in_memory().cloned().chain(living).collect();
        let left_out = self.seen - processes.len() as u64;
        let mut record = self.record(closing, processes, Vec::new(), self.living.len() as u64);
        record.capture.processes_left_out = left_out;
        record
    }

    /// The record, complete. Members still alive are named as still running.
    pub(crate) fn finish(mut self, closing: &Closing) -> Record<Rows> {
        self.estimate.finish(closing.elapsed);
        let still_running = self.living.len() as u64;
        for (id, member) in std::mem::take(&mut self.living) {
            self.close(id, &member, None);
        }
        self.rows.finish();
        let rows = std::mem::take(&mut self.rows);
        let groups = self.groups.finish();
        let timeline = self.timeline.finish(|id| rows.peak_kib(id), |id| rows.position(id));
        let left_out = rows.left_out();
        let mut closing = closing.clone();
        if let Some(reason) = rows.failed() {
            closing.downgrades.push(Downgrade {
                wanted: "rows spilled to disk".to_owned(),
                reason: format!("the temporary file could not be used ({reason}); they were kept in memory"),
            });
        }
        let mut record = self.record(&closing, rows, groups, still_running);
        record.complete = true;
        record.capture.processes_left_out = left_out;
        record.timeline = Some(timeline);
        record
    }

    fn record<P>(
        &self,
        closing: &Closing,
        processes: P,
        groups: Vec<Group>,
        still_running: u64,
    ) -> Record<P> {
        let rss = self.estimate.interval();
        let Header { tool, host, command, started, interval, lineage } = self.header.clone();
        let seen = self.seen + self.seen_dead;
        let mean = closing.elapsed.as_millis() / u128::from(self.samples.max(1));
        let mut downgrades = closing.downgrades.clone();
        downgrades.extend(self.pss_downgrade());
        if self.seen_dead > 0 {
            downgrades.push(Downgrade {
                wanted: "memory of every process seen".to_owned(),
                reason: format!("{} of them had ended before they could be read", self.seen_dead),
            });
        }
        Record {
            schema: SchemaVersion::current(),
            complete: false,
            tool,
            host,
            command,
            start_time: Timestamp::from_system_time(started),
            end_time: Timestamp::from_system_time(started + closing.elapsed),
            duration_seconds: round(closing.elapsed.as_secs_f64()),
            interval_ms: interval
                .map_or(mean, |interval| interval.as_millis())
                .max(1)
                .try_into()
                .unwrap_or(u64::MAX),
            interval_mode: if interval.is_some() { IntervalMode::Fixed } else { IntervalMode::Adaptive },
            samples: self.samples,
            exit: closing.exit.clone(),
            primary_metric: Metric::Rss,
            max_total_rss_kib: rss.map(|peak| peak.bytes / 1024),
            peak: Peaks { rss, pss: self.pss_figure(), cgroup: None, gpu: Vec::new() },
            capture: Capture {
                lineage,
                peaks: PeaksFrom::Marks,
                lost_events: 0,
                processes_seen: seen,
                processes_seen_is: Certainty::AtLeast,
                processes_without_exact_peak: seen,
                processes_left_out: 0,
                processes_still_running: still_running,
                downgrades,
                overhead: closing.overhead,
            },
            processes,
            groups,
            limits: Vec::new(),
            findings: Vec::new(),
            timeline: None,
        }
    }

    /// PSS has no high-water mark: the job reached at least the highest pass.
    fn pss_figure(&self) -> Option<PeakFigure> {
        self.pss.map(|pass| PeakFigure {
            bytes: pass.bytes,
            certainty: if pass.capped == 0 { Certainty::AtLeast } else { Certainty::Sampled },
            at_seconds: Some(round(pass.at.as_secs_f64())),
        })
    }

    fn pss_downgrade(&self) -> Option<Downgrade> {
        let reason = match self.pss {
            None if self.pss_disturbed > 0 => format!(
                "each of {} passes was disturbed by processes that were born, exec'ed or ended meanwhile",
                self.pss_disturbed
            ),
            None => "the job ended before a first pass".to_owned(),
            Some(pass) if pass.capped > 0 => {
                format!("{} processes could not be read, or not in time: counted with their RSS", pass.capped)
            }
            Some(_) => return None,
        };
        Some(Downgrade { wanted: "PSS of the whole job".to_owned(), reason })
    }
}

impl Member {
    /// Between fork and exec a process holds its parent's pages. One that ended soon after it was seen so, and held
    /// no more than it was born with, has probably exec'ed unseen: what was read says nothing about it.
    fn showed_only_its_parent(&self) -> bool {
        let born_with = self.born_with.unwrap_or(0);
        let grew = self.high.is_some_and(|(high, _)| high > born_with + born_with / 64 + (128 << 10));
        self.forked && !grew && self.last.saturating_sub(self.first) < FORK_TO_EXEC
    }

    fn read(&mut self, at: Duration, reading: &Reading) {
        self.last = at;
        self.extent.read(at, reading.rss, reading.mark, self.forked, reading.shares_map);
        if reading.shares_map {
            return;
        }
        self.born_with.get_or_insert(reading.mark.unwrap_or(reading.rss));
        for (bytes, source) in
            [(Some(reading.rss), PeakSource::Sampled), (reading.mark, PeakSource::MarkSampled)]
        {
            if let Some(bytes) = bytes
                && self.high.is_none_or(|(high, _)| bytes >= high)
            {
                self.high = Some((bytes, source));
            }
        }
    }

    fn exec(&mut self, name: Name, groups: &mut Groups) {
        if !self.forked {
            self.images.push(self.image());
        }
        self.forked = false;
        self.high = None;
        self.extent.exec();
        self.group = groups.key(&name.command);
        self.name = name;
    }

    fn image(&self) -> Image {
        let read =
            self.high.map(|(bytes, source)| ProcessPeak { bytes, source, certainty: Certainty::AtLeast });
        let capped = |bytes| ProcessPeak { bytes, source: PeakSource::Capped, certainty: Certainty::AtMost };
        let peak = read.or_else(|| self.cap.map(capped));
        Image { command: self.name.command.clone(), peak }
    }

    fn row(&self, header: &Header, end: Option<Duration>) -> Process {
        let mut images = self.images.clone();
        images.push(self.image());
        let rss = images.iter().filter_map(|image| image.peak).max_by_key(|peak| peak.bytes);
        if images.len() == 1 {
            images.clear();
        }
        Process {
            pid: self.pid,
            ppid: self.ppid,
            command: self.name.command.clone(),
            comm: self.name.comm.clone(),
            exe: self.name.exe.clone(),
            args: None,
            max_rss_kib: rss.map(|peak| peak.bytes / 1024),
            first_seen: Timestamp::from_system_time(header.started + self.first),
            last_seen: Timestamp::from_system_time(header.started + self.last),
            start_seconds: round(self.first.as_secs_f64()),
            end_seconds: end.map(|end| round(end.as_secs_f64())),
            still_running: end.is_none(),
            peak: ProcessPeaks { rss, swap: None },
            images,
            exit: self.exit,
        }
    }
}

/// Sums by command, each sample anew, so that a group's peak is one instant's.
#[derive(Debug, Default)]
struct Groups {
    keys: HashMap<String, usize>,
    folds: Vec<GroupFold>,
    touched: Vec<usize>,
}

#[derive(Debug, Default)]
struct GroupFold {
    now: u64,
    peak: Option<u64>,
    at: Option<Duration>,
    processes: u64,
}

impl Groups {
    fn key(&mut self, command: &str) -> usize {
        if let Some(&index) = self.keys.get(command) {
            return index;
        }
        self.folds.push(GroupFold::default());
        self.keys.insert(command.to_owned(), self.folds.len() - 1);
        self.folds.len() - 1
    }

    fn begin(&mut self) {
        for index in self.touched.drain(..) {
            self.folds[index].now = 0;
        }
    }

    fn add(&mut self, index: usize, bytes: u64) {
        if self.folds[index].now == 0 {
            self.touched.push(index);
        }
        self.folds[index].now += bytes;
    }

    fn end(&mut self, at: Duration) {
        for &index in &self.touched {
            let group = &mut self.folds[index];
            if group.peak.is_none_or(|peak| group.now > peak) {
                (group.peak, group.at) = (Some(group.now), Some(at));
            }
        }
    }

    /// Counts a finished process; its own mark may be more than any sample of the group saw.
    fn count(&mut self, row: &Process) {
        let index = self.key(&row.command);
        let group = &mut self.folds[index];
        group.processes += 1;
        let image = row.images.last().map_or(row.peak.rss, |image| image.peak);
        if let Some(peak) = image
            && group.peak.is_none_or(|known| peak.bytes > known)
        {
            (group.peak, group.at) = (Some(peak.bytes), None);
        }
    }

    fn finish(&mut self) -> Vec<Group> {
        let mut groups: Vec<Group> = std::mem::take(&mut self.keys)
            .into_iter()
            .map(|(key, index)| {
                let group = &self.folds[index];
                Group {
                    key,
                    by: GroupKey::Command,
                    processes: group.processes,
                    peak_bytes: group.peak,
                    at_seconds: group.at.map(|at| round(at.as_secs_f64())),
                }
            })
            // A name that a process had only before an exec counts nobody.
            .filter(|group| group.processes > 0)
            .collect();
        groups.sort_by(|a, b| b.peak_bytes.cmp(&a.peak_bytes).then_with(|| a.key.cmp(&b.key)));
        groups
    }
}

#[cfg(test)]
mod tests;
