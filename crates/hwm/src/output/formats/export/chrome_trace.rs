//! Trace events as `chrome://tracing` defined them and Perfetto opens them. Each series is a counter, each process's
//! life a slice, the peak an instant or a slice.
//!
//! After Google's "Trace Event Format", the sections on metadata, counter, complete and instant events. Perfetto's
//! importer keeps counters by pid and by the names of event and argument together. It takes nothing but numbers for
//! their values, so an unknown value has no event.

use std::{
    collections::HashSet,
    io::{self, Write},
};

use highwater::record::{Exit, Peaks, Process, Record};
use serde::Serialize;
use serde_json::json;

use super::{About, line_name, unit};
use crate::{
    output::formats::json::write_line,
    series::{SeriesKind, TimeSeries, time_series},
    text,
};

/// Arguments of the job's slice.
#[derive(Debug, Serialize)]
struct WholeJob<'a> {
    peak: &'a Peaks,
    exit: Option<&'a Exit>,
    complete: bool,
}

/// Times are in microseconds since the job's start.
#[derive(Debug, Serialize)]
struct TraceEvent<'a, A> {
    ph: &'static str,
    name: &'a str,
    cat: &'static str,
    pid: u64,
    tid: u64,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    /// The scope of an instant: `p` for the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    args: A,
}

impl<'a, A: Serialize> TraceEvent<'a, A> {
    fn new(ph: &'static str, name: &'a str, track: u64, at_seconds: f64, args: A) -> Self {
        Self {
            ph,
            name,
            cat: "memory",
            pid: track,
            tid: track,
            ts: micros(at_seconds),
            dur: None,
            s: None,
            args,
        }
    }

    fn instant(self) -> Self {
        Self { s: Some("p"), ..self }
    }

    fn lasting(self, seconds: f64) -> Self {
        Self { dur: Some(micros(seconds.max(0.0))), ..self }
    }
}

fn micros(seconds: f64) -> f64 {
    (seconds * 1e6).round()
}

/// Writes the trace, one event a line.
pub(crate) fn write(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let tracks = Tracks::of(record);
    out.write_all(b"{\"traceEvents\":[\n ")?;
    let mut events = Events { out, are_many: false };
    events.job(record, tracks.job)?;
    for ((process, &track), order) in record.processes.iter().zip(&tracks.processes).zip(0..) {
        events.process(process, track, order, record.duration_seconds)?;
    }
    for series in time_series(record) {
        let owner = series.process().and_then(|index| tracks.processes.get(index));
        events.series(series, *owner.unwrap_or(&tracks.job), record)?;
    }
    out.write_all(b"],\n\"displayTimeUnit\":\"ms\",\n\"otherData\":")?;
    write_line(&About::of(record), out)?;
    out.write_all(b"}\n")
}

struct Events<'a> {
    out: &'a mut dyn Write,
    are_many: bool,
}

impl Events<'_> {
    fn put(&mut self, event: &TraceEvent<'_, impl Serialize>) -> io::Result<()> {
        if self.are_many {
            self.out.write_all(b",")?;
        }
        self.are_many = true;
        write_line(event, self.out)
    }

    /// Writes the name of a track, and its place among the others.
    fn name(&mut self, track: u64, name: &str, order: i64) -> io::Result<()> {
        self.put(&TraceEvent::new("M", "process_name", track, 0.0, json!({"name": name})))?;
        self.put(&TraceEvent::new("M", "thread_name", track, 0.0, json!({"name": "life"})))?;
        self.put(&TraceEvent::new("M", "process_sort_index", track, 0.0, json!({"sort_index": order})))
    }

    fn job(&mut self, record: &Record, track: u64) -> io::Result<()> {
        let command = text::command_of(record);
        self.name(track, &format!("whole job: {command}"), -1)?;
        let known = WholeJob { peak: &record.peak, exit: record.exit.as_ref(), complete: record.complete };
        self.put(&TraceEvent::new("X", &command, track, 0.0, known).lasting(record.duration_seconds))?;
        if let Some(peak) = &record.peak.memory {
            self.peak("peak memory", peak, (peak.at_seconds, peak.between_seconds), track)?;
        }
        if let Some(peak) = &record.peak.rss {
            let name = format!("peak of the total {}", text::metric(record.primary_metric));
            self.peak(&name, peak, (peak.at_seconds, peak.between_seconds), track)?;
        }
        for limit in &record.limits {
            if let Some(at) = limit.exceeded.as_ref().and_then(|exceeded| exceeded.at_seconds) {
                self.put(&TraceEvent::new("i", "limit exceeded", track, at, limit).instant())?;
            }
        }
        Ok(())
    }

    /// Writes a peak at its moment, or between two moments.
    fn peak(
        &mut self,
        name: &str,
        peak: &impl Serialize,
        moment: (Option<f64>, Option<[f64; 2]>),
        track: u64,
    ) -> io::Result<()> {
        let event = |at| TraceEvent::new("i", name, track, at, peak);
        match moment {
            (Some(at), _) => self.put(&event(at).instant()),
            (None, Some([from, to])) => self.put(&TraceEvent { ph: "X", ..event(from).lasting(to - from) }),
            (None, None) => Ok(()),
        }
    }

    fn process(&mut self, process: &Process, track: u64, order: i64, end: f64) -> io::Result<()> {
        self.name(track, process.display_name(), order)?;
        let lasted = process.end_seconds.unwrap_or(end) - process.start_seconds;
        let life = TraceEvent::new("X", process.display_name(), track, process.start_seconds, process);
        self.put(&life.lasting(lasted))
    }

    fn series(&mut self, series: TimeSeries<'_>, track: u64, record: &Record) -> io::Result<()> {
        let (name, unit) = (line_name(series), unit(series.of));
        let unit = unit.as_deref().unwrap_or("value");
        let count = |at, value: u64| TraceEvent::new("C", &name, track, at, json!({unit: value}));
        let mut last = 0.0;
        for point in series.points() {
            if let Some(value) = point.value {
                self.put(&count(point.at_seconds, value))?;
                last = point.at_seconds;
            }
        }
        // Viewers draw a value until the next one: a process that has ended holds nothing.
        match (series.of, series.row(record).and_then(|process| process.end_seconds)) {
            (SeriesKind::Memory(_), Some(end)) => self.put(&count(end.max(last), 0)),
            _ => Ok(()),
        }
    }
}

/// The track of each process. Viewers take events with one pid for one process's. In a record two rows may have the
/// same pid, one after the other.
#[derive(Debug)]
struct Tracks {
    /// A number that no process has.
    job: u64,
    /// The track of each row: its pid if the row is the first to have it, otherwise a free number.
    processes: Vec<u64>,
}

impl Tracks {
    fn of(record: &Record) -> Self {
        let pids = || record.processes.iter().map(|process| u64::from(process.pid));
        let job = pids().max().unwrap_or(0) + 1;
        let mut free = job + 1..;
        // Viewers take 0 for the kernel's idle task.
        let mut taken = HashSet::from([0]);
        let mut track = |pid| if taken.insert(pid) { pid } else { free.next().unwrap_or(pid) };
        Self { job, processes: pids().map(&mut track).collect() }
    }
}
