//! A profile that <https://profiler.firefox.com> opens: a memory track for the job and for each process, a marker for
//! each life.
//!
//! The format (Firefox Profiler's "processed profile format") is the library's business. The job's own thread has
//! the markers of all processes, so that its marker chart shows them below each other. The profiler draws a counter's
//! sum over its deltas, from the lowest: each begins at 0 with its process, and ends there with it.

use std::io::{self, Write};

use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, MarkerFieldFlags, MarkerFieldFormat, MarkerLocations, MarkerTiming,
    ProcessHandle, Profile, ReferenceTimestamp, SamplingInterval, StaticSchemaMarker,
    StaticSchemaMarkerField, StringHandle, ThreadHandle, Timestamp,
};
use highwater::record::{CounterMetric, Process, Record, Scope};

use super::{line_name, word};
use crate::{
    output::{formats::json::write_line, terminal::summary},
    series::{SeriesKind, TimeSeries, time_series},
    text,
};

/// The number of processes whose tracks are shown at first: those with the largest peaks.
const MAX_SHOWN_PROCESSES: usize = 20;

/// Writes the profile.
pub(crate) fn write(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    write_line(&profile(record), out)
}

fn profile(record: &Record) -> Profile {
    let started =
        ReferenceTimestamp::from_millis_since_unix_epoch(record.start_time.unix_seconds() as f64 * 1e3);
    let command = text::command_of(record);
    // The profile counts it in nanoseconds.
    let interval = SamplingInterval::from_millis(record.interval_ms.min(u64::MAX / 1_000_000));
    let mut profile = Profile::new(&command, started, interval);
    profile.set_os_name(&record.host.os);
    profile.set_symbolicated(true);
    let mut drawing =
        Drawing { category: profile.add_category("Memory", CategoryColor::Blue), profile, record };
    drawing.draw(&command);
    drawing.profile
}

struct Drawing<'a> {
    profile: Profile,
    category: CategoryHandle,
    record: &'a Record,
}

/// A process and its only thread.
#[derive(Clone, Copy)]
struct Track {
    process: ProcessHandle,
    thread: ThreadHandle,
}

impl Drawing<'_> {
    fn draw(&mut self, command: &str) {
        let end = self.record.duration_seconds;
        // Pid and birth identify a process; the job has pid 0, which none of its processes has.
        let job = self.track(&format!("whole job: {command}"), 0, 0.0, Some(end));
        self.profile.set_thread_show_markers_in_timeline(job.thread, true);
        self.profile.add_initial_visible_thread(job.thread);
        self.profile.add_initial_selected_thread(job.thread);
        self.mark_job(job.thread, command);
        let tracks: Vec<Track> =
            self.record.processes.iter().map(|process| self.process(process, job.thread)).collect();
        for index in largest(&self.record.processes) {
            self.profile.add_initial_visible_thread(tracks[index].thread);
        }
        for series in time_series(self.record) {
            let own = series.process().and_then(|index| tracks.get(index));
            self.series(series, own, &job);
        }
    }

    fn track(&mut self, name: &str, pid: u32, start: f64, end: Option<f64>) -> Track {
        let process = self.profile.add_process(name, pid, moment(start));
        let thread = self.profile.add_thread(process, pid, moment(start), true);
        self.profile.set_thread_name(thread, name);
        if let Some(end) = end {
            self.profile.set_process_end_time(process, moment(end));
            self.profile.set_thread_end_time(thread, moment(end));
        }
        Track { process, thread }
    }

    fn process(&mut self, process: &Process, job: ThreadHandle) -> Track {
        let track =
            self.track(process.display_name(), process.pid, process.start_seconds, process.end_seconds);
        let end = process.end_seconds.unwrap_or(self.record.duration_seconds);
        let timing = MarkerTiming::Interval(moment(process.start_seconds), moment(end));
        let life = LifeMarker::of(process, self);
        self.profile.add_marker(job, timing.clone(), life);
        self.profile.add_marker(track.thread, timing, life);
        track
    }

    /// Adds markers about the job as a whole: how it was measured, its peak, limits that were exceeded.
    fn mark_job(&mut self, thread: ThreadHandle, command: &str) {
        let record = self.record;
        let whole = || MarkerTiming::Interval(moment(0.0), moment(record.duration_seconds));
        self.note(thread, whole(), "measured", &summary::measured(record));
        self.note(thread, whole(), "command", command);
        let timing = |at: Option<f64>, between: Option<[f64; 2]>| match (at, between) {
            (Some(at), _) => MarkerTiming::Instant(moment(at)),
            (None, Some([from, to])) => MarkerTiming::Interval(moment(from), moment(to)),
            (None, None) => whole(),
        };
        if let Some(peak) = &record.peak.memory {
            let value = summary::peak_memory(peak, record.peak.rss.as_ref());
            let timing = timing(peak.at_seconds, peak.between_seconds);
            self.note(thread, timing, "peak memory", &format!("{value} ({} bytes)", peak.bytes));
        }
        if let Some(peak) = &record.peak.rss {
            let name = format!("peak of the total {}", text::metric(record.primary_metric));
            let value = summary::total_peak(peak);
            let timing = timing(peak.at_seconds, peak.between_seconds);
            self.note(thread, timing, &name, &format!("{value} ({} bytes)", peak.bytes));
        }
        for limit in &record.limits {
            if let Some(at) = limit.exceeded.as_ref().and_then(|exceeded| exceeded.at_seconds) {
                let said = summary::limits::sentence(limit, record);
                self.note(thread, MarkerTiming::Instant(moment(at)), "limit exceeded", &said);
            }
        }
    }

    fn note(&mut self, thread: ThreadHandle, timing: MarkerTiming, name: &str, text: &str) {
        let (name, text) = (self.profile.intern_string(name), self.profile.intern_string(text));
        self.profile.add_marker(thread, timing, Note { name, text, category: self.category });
    }

    fn series(&mut self, series: TimeSeries<'_>, own: Option<&Track>, job: &Track) {
        let name = line_name(series);
        let process = match (own, series.scope) {
            (Some(own), _) => own.process,
            (None, Scope::Total) => job.process,
            // All counters of memory have the same name; only the name of their process distinguishes them.
            (None, _) => self.track(&name, 0, 0.0, Some(self.record.duration_seconds)).process,
        };
        // The profiler knows how to draw each of these categories.
        let (category, name) = match series.of {
            SeriesKind::Memory(_) => ("Memory", &*name),
            SeriesKind::Used(CounterMetric::CpuTime, _) => ("CPU", "processCPU"),
            SeriesKind::Used(..) => ("IO", &*name),
        };
        let counter = self.profile.add_counter(process, name, category, &line_name(series));
        let row = series.row(self.record);
        let mut before = 0.0;
        let mut add = |at, value: f64| {
            self.profile.add_counter_sample(counter, moment(at), value - before, 0);
            before = value;
        };
        add(row.map_or(0.0, |process| process.start_seconds), 0.0);
        let mut last = 0.0;
        for point in series.points() {
            if let Some(value) = point.value {
                add(point.at_seconds, value as f64);
                last = point.at_seconds;
            }
        }
        if let (SeriesKind::Memory(_), Some(end)) = (series.of, row.and_then(|process| process.end_seconds)) {
            add(end.max(last), 0.0);
        }
    }
}

fn moment(seconds: f64) -> Timestamp {
    Timestamp::from_millis_since_reference(seconds * 1e3)
}

/// Returns the indices of the processes with the largest peaks. Processes with an unknown peak come last.
fn largest(processes: &[Process]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..processes.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(processes[index].peak.rss.map(|peak| peak.bytes)));
    order.truncate(MAX_SHOWN_PROCESSES);
    order
}

const fn field(key: &'static str, label: &'static str) -> StaticSchemaMarkerField {
    StaticSchemaMarkerField {
        key,
        label,
        format: MarkerFieldFormat::String,
        flags: MarkerFieldFlags::SEARCHABLE,
    }
}

/// The life of a process. All fields are text, as a number could not express "unknown".
#[derive(Debug, Clone, Copy)]
struct LifeMarker {
    name: StringHandle,
    category: CategoryHandle,
    fields: [StringHandle; 7],
}

impl LifeMarker {
    fn of(process: &Process, drawing: &mut Drawing<'_>) -> Self {
        let known = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
        let peak = process.peak.rss;
        let exit = process.exit.and_then(|exit| match (exit.code, exit.signal) {
            (Some(code), _) => Some(format!("code {code}")),
            (None, signal) => signal.map(|signal| format!("signal {signal}")),
        });
        let fields = [
            format!("{} (parent {})", process.pid, process.ppid),
            text::size_or_unknown(peak.map(|peak| peak.bytes)),
            known(peak.map(|peak| peak.bytes.to_string())),
            known(peak.and_then(|peak| word(&peak.certainty))),
            known(peak.and_then(|peak| word(&peak.source))),
            known(process.exe.clone()),
            if process.still_running { "still running".to_owned() } else { known(exit) },
        ];
        let profile = &mut drawing.profile;
        Self {
            name: profile.intern_string(process.display_name()),
            category: drawing.category,
            fields: fields.map(|text| profile.intern_string(&text)),
        }
    }
}

impl StaticSchemaMarker for LifeMarker {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "process";
    const DESCRIPTION: Option<&'static str> = Some("A process of the job, from its birth to its end.");
    const CHART_LABEL: Option<&'static str> = Some("{marker.name} {marker.data.peak}");
    const TABLE_LABEL: Option<&'static str> =
        Some("{marker.name} pid {marker.data.pid}, peak {marker.data.peak}");
    const LOCATIONS: MarkerLocations = MarkerLocations::MARKER_CHART
        .union(MarkerLocations::MARKER_TABLE)
        .union(MarkerLocations::TIMELINE_OVERVIEW);
    const FIELDS: &'static [StaticSchemaMarkerField] = &[
        field("pid", "Process"),
        field("peak", "Peak"),
        field("bytes", "Peak in bytes"),
        field("certainty", "Certainty of the peak"),
        field("source", "Source of the peak"),
        field("exe", "Executable"),
        field("exit", "Exit"),
    ];

    fn name(&self, _profile: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _profile: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, field_index: u32) -> StringHandle {
        self.fields[field_index as usize]
    }

    fn number_field_value(&self, _field_index: u32) -> f64 {
        unreachable!("all fields are text")
    }
}

/// Something to be known of the job.
#[derive(Debug, Clone, Copy)]
struct Note {
    name: StringHandle,
    text: StringHandle,
    category: CategoryHandle,
}

impl StaticSchemaMarker for Note {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "note";
    const CHART_LABEL: Option<&'static str> = Some("{marker.data.text}");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.name}: {marker.data.text}");
    const LOCATIONS: MarkerLocations = MarkerLocations::MARKER_CHART
        .union(MarkerLocations::MARKER_TABLE)
        .union(MarkerLocations::TIMELINE_OVERVIEW);
    const FIELDS: &'static [StaticSchemaMarkerField] = &[field("text", "What")];

    fn name(&self, _profile: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _profile: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, _field_index: u32) -> StringHandle {
        self.text
    }

    fn number_field_value(&self, _field_index: u32) -> f64 {
        unreachable!("all fields are text")
    }
}
