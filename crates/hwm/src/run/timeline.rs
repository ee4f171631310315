//! One row a sample, streamed while the job runs.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use highwater::{job::Progress, record::Timestamp};

#[cfg(unix)]
use crate::files::GrowingPipe;
use crate::{
    background::{BackgroundWriter, Finish},
    files::{Destination, Replacement},
    text::{self, advice},
};

/// Later columns came later: scripts written for memwatch read the first five. What grows (`cpu`, `read` and so on)
/// counts from the start of the measurement.
const TIMELINE_HEADER: &str = "timestamp,elapsed_seconds,total_rss_kib,total_rss_mib,process_count,total_vram_kib,\
    total_swap_kib,total_cpu_seconds,total_read_bytes,total_written_bytes,total_storage_read_bytes,\
    total_storage_written_bytes,memory_kib\n";

/// The time between two writes. If hwm is killed, at most the rows of this time and of the sample after it are lost.
const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

/// Rows are handed over in pieces of about this size, so that a slow reader is known to read.
const PIECE_BYTES: usize = 4 << 10;
/// Pieces that wait for an output that takes none: 1 MiB.
const MAX_PIECES: usize = 256;

/// The file that grows.
#[derive(Debug)]
pub(crate) struct TimelineFile {
    destination: Arc<Destination>,
    stage: TimelineStage,
    /// Rows that were not handed over yet, and their number.
    rows: Vec<u8>,
    row_count: u64,
    /// Rows that found no room.
    lost_rows: u64,
    handed_over: Instant,
    /// Samples lie so far apart that each row is handed over at once.
    eager: bool,
}

#[derive(Debug)]
enum TimelineStage {
    /// The job has not started; the former content is there.
    Checked(Out),
    Growing(BackgroundWriter<Vec<u8>>),
    /// A write failed: half a row must not be followed by others.
    Stopped,
}

/// The target of the rows.
#[derive(Debug)]
enum Out {
    /// A new file, which takes its place when the job starts.
    New(Replacement),
    /// A device, a descriptor, or a file in a directory where none can be created.
    InPlace(File),
    #[cfg(unix)]
    Pipe(GrowingPipe),
}

impl TimelineFile {
    /// Opens the file, and leaves its content until [`Self::begin`]. `interval`: the fixed one, if any.
    pub(crate) fn open(
        destination: impl Into<Arc<Destination>>,
        interval: Option<Duration>,
    ) -> io::Result<Self> {
        let destination = destination.into();
        let out = Out::open(&destination)?;
        Ok(Self {
            destination,
            stage: TimelineStage::Checked(out),
            rows: Vec::new(),
            row_count: 0,
            lost_rows: 0,
            handed_over: Instant::now(),
            eager: interval.is_some_and(|interval| interval >= FLUSH_INTERVAL),
        })
    }

    /// Replaces the former content by the header when the job has started. Returns a warning if that fails.
    #[must_use]
    pub(crate) fn begin(&mut self) -> Option<String> {
        let stage = mem::replace(&mut self.stage, TimelineStage::Stopped);
        let TimelineStage::Checked(out) = stage else { return None };
        match BackgroundWriter::start("timeline", out.writing(Arc::clone(&self.destination))) {
            Ok(writer) => self.stage = TimelineStage::Growing(writer),
            Err(error) => return Some(self.stops(&error)),
        }
        self.rows.extend_from_slice(TIMELINE_HEADER.as_bytes());
        self.hand_over()
    }

    /// Adds a row. Returns a warning if one before it could not be written.
    #[must_use]
    pub(crate) fn add(&mut self, progress: &Progress<'_>) -> Option<String> {
        if !matches!(self.stage, TimelineStage::Growing(_)) {
            return None;
        }
        self.add_row(&row(Timestamp::from_system_time(progress.time), &Figures::of(progress)))
    }

    fn add_row(&mut self, row: &str) -> Option<String> {
        self.rows.extend_from_slice(row.as_bytes());
        self.row_count += 1;
        let is_due = self.eager || self.handed_over.elapsed() >= FLUSH_INTERVAL;
        (is_due || self.rows.len() >= PIECE_BYTES).then(|| self.hand_over()).flatten()
    }

    /// Waits until all rows are written: for a reader of a named pipe not for ever, else as long as it takes. Returns what
    /// is to be warned of.
    #[must_use]
    pub(crate) fn finish(&mut self) -> Vec<String> {
        let mut warnings: Vec<String> = self.hand_over().into_iter().collect();
        if let TimelineStage::Growing(writer) = mem::replace(&mut self.stage, TimelineStage::Stopped) {
            let failure = match writer.finish(self.destination.reader_patience()) {
                Finish::Done => writer.take_failure(),
                Finish::GivenUp => Some(self.destination.why_given_up()),
            };
            warnings.extend(failure.map(|error| self.stops(&error)));
        }
        if self.lost_rows > 0 {
            warnings.push(format!(
                "--timeline {}: {} rows are missing, since it took none for a while",
                self.destination.name(),
                self.lost_rows
            ));
        }
        warnings
    }

    fn hand_over(&mut self) -> Option<String> {
        let TimelineStage::Growing(writer) = &self.stage else { return None };
        self.handed_over = Instant::now();
        let (rows, row_count) = (mem::take(&mut self.rows), mem::take(&mut self.row_count));
        if !writer.change(|queue| enqueue(queue, rows)) {
            self.lost_rows += row_count;
        }
        let failure = writer.take_failure()?;
        self.stage = TimelineStage::Stopped;
        Some(self.stops(&failure))
    }

    fn stops(&self, error: &io::Error) -> String {
        format!("--timeline {} stops here: {error}{}", self.destination.name(), advice(error))
    }
}

/// Adds rows to the queue if there is room.
fn enqueue(queue: &mut VecDeque<Vec<u8>>, rows: Vec<u8>) -> bool {
    if let Some(last) = queue.back_mut().filter(|last| last.len() + rows.len() <= PIECE_BYTES) {
        last.extend(rows);
        return true;
    }
    let has_room = queue.len() < MAX_PIECES;
    if has_room {
        queue.push_back(rows);
    }
    has_room
}

impl Out {
    fn open(destination: &Destination) -> io::Result<Self> {
        #[cfg(unix)]
        if let Some(pipe) = destination.named_pipe() {
            return Ok(Self::Pipe(GrowingPipe::new(pipe.clone())));
        }
        match destination.begin_replacement() {
            Some(new) => new.map(Self::New),
            None => destination.open_in_place().map(Self::InPlace),
        }
    }

    /// Returns what writes each piece: the first one after the former content was dropped, none after a failure.
    fn writing(self, destination: Arc<Destination>) -> impl FnMut(Vec<u8>) -> io::Result<()> {
        let mut out = Some(self);
        let mut is_new = true;
        move |rows| {
            let Some(open) = &mut out else { return Ok(()) };
            let begun = if mem::take(&mut is_new) { open.begin(&destination) } else { Ok(()) };
            let written = begun.and_then(|()| open.write_all(&rows));
            if written.is_err() {
                out = None;
            }
            written
        }
    }

    /// Drops the former content.
    fn begin(&mut self, destination: &Destination) -> io::Result<()> {
        match self {
            Self::New(new) => new.put_in_place(),
            Self::InPlace(file) => destination.begin_in_place(file),
            #[cfg(unix)]
            Self::Pipe(_) => Ok(()),
        }
    }

    fn write_all(&mut self, rows: &[u8]) -> io::Result<()> {
        match self {
            Self::New(new) => new.file().write_all(rows),
            Self::InPlace(file) => file.write_all(rows),
            #[cfg(unix)]
            Self::Pipe(pipe) => pipe.write_all(rows),
        }
    }
}

/// The figures of a row.
#[derive(Debug, Default)]
struct Figures {
    elapsed: Duration,
    rss: Option<u64>,
    processes: u64,
    vram: Option<u64>,
    swap: Option<u64>,
    cpu: Option<Duration>,
    io: [Option<u64>; 4],
    /// Memory with each page counted once.
    memory: Option<u64>,
}

impl Figures {
    fn of(progress: &Progress<'_>) -> Self {
        let io = progress.io_bytes;
        Self {
            elapsed: progress.elapsed,
            rss: progress.total_rss_bytes,
            processes: progress.process_count,
            vram: progress.vram_bytes,
            swap: progress.swap_bytes,
            cpu: progress.cpu_time,
            io: [io.read, io.written, io.storage_read, io.storage_written],
            memory: progress.memory_bytes,
        }
    }
}

/// Returns a row of the CSV. An unknown figure is an empty field, never 0.
fn row(time: Timestamp, figures: &Figures) -> String {
    let text = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let kib = |bytes: Option<u64>| text(bytes.map(|bytes| bytes / 1024));
    let elapsed = figures.elapsed.as_secs_f64();
    let mib = figures.rss.map(|bytes| text::mib(bytes / 1024)).unwrap_or_default();
    let cpu = figures.cpu.map(|time| format!("{:.3}", time.as_secs_f64())).unwrap_or_default();
    let io: Vec<String> = figures.io.into_iter().map(text).collect();
    format!(
        "{time},{elapsed:.3},{},{mib},{},{},{},{cpu},{},{}\n",
        kib(figures.rss),
        figures.processes,
        kib(figures.vram),
        kib(figures.swap),
        io.join(","),
        kib(figures.memory),
    )
}
