//! One row a sample, streamed while the job runs.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    time::{Duration, Instant},
};

use highwater::{job::Progress, record::Timestamp};

use super::{text, warn};
#[cfg(unix)]
use crate::files::GrowingPipe;
use crate::files::{Destination, Replacement};

/// Later columns came later: scripts written for memwatch read the first five. What grows (`cpu`, `read` and so on)
/// counts from the start of the measurement.
const HEADER: &str = "timestamp,elapsed_seconds,total_rss_kib,total_rss_mib,process_count,total_vram_kib,\
    total_swap_kib,total_cpu_seconds,total_read_bytes,total_written_bytes,total_storage_read_bytes,\
    total_storage_written_bytes\n";

/// If hwm is killed, at most the rows of this time and of the sample after it are lost.
const FLUSH_AFTER: Duration = Duration::from_millis(250);

/// The file that grows.
#[derive(Debug)]
pub(crate) struct TimelineFile {
    destination: Destination,
    /// `None` after a failed write: half a row must not be followed by others.
    out: Option<BufWriter<Out>>,
    flushed: Instant,
    /// Samples lie so far apart that each row is flushed at once.
    eager: bool,
}

/// What the rows go to.
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
    pub(crate) fn open(destination: Destination, interval: Option<Duration>) -> io::Result<Self> {
        let out = Out::open(&destination)?;
        let eager = interval.is_some_and(|interval| interval >= FLUSH_AFTER);
        Ok(Self { destination, out: Some(BufWriter::new(out)), flushed: Instant::now(), eager })
    }

    /// The job has started: drops the former content and writes the header.
    pub(crate) fn begin(&mut self) {
        let Some(out) = &mut self.out else { return };
        let begun = out.get_mut().begin(&self.destination).and_then(|()| {
            out.write_all(HEADER.as_bytes())?;
            out.flush()
        });
        self.keep(begun);
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, progress: &Progress<'_>) {
        let row = row(Timestamp::from_system_time(progress.time), &Figures::of(progress));
        let Some(out) = &mut self.out else { return };
        let mut written = out.write_all(row.as_bytes());
        if self.eager || self.flushed.elapsed() >= FLUSH_AFTER {
            written = written.and_then(|()| out.flush());
            self.flushed = Instant::now();
        }
        self.keep(written);
    }

    /// Writes what is left in the buffer.
    pub(crate) fn finish(&mut self) {
        let Some(out) = &mut self.out else { return };
        let flushed = out.flush().and_then(|()| out.get_mut().finish());
        self.keep(flushed);
    }

    /// Warns once and stops writing when something failed.
    fn keep(&mut self, written: io::Result<()>) {
        let Err(error) = written else { return };
        warn(format_args!("--timeline {} stops here: {error}", self.destination.name()));
        if let Some(out) = self.out.take() {
            // Dropping the buffer would try to write it once more.
            let _ = out.into_parts();
        }
    }
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

    /// Drops the former content.
    fn begin(&mut self, destination: &Destination) -> io::Result<()> {
        match self {
            Self::New(new) => new.put_in_place(),
            Self::InPlace(file) => destination.begin_in_place(file),
            #[cfg(unix)]
            Self::Pipe(_) => Ok(()),
        }
    }

    /// Nothing more comes.
    #[cfg_attr(not(unix), allow(clippy::unnecessary_wraps, clippy::unused_self))]
    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::New(_) | Self::InPlace(_) => Ok(()),
            #[cfg(unix)]
            Self::Pipe(pipe) => pipe.finish(),
        }
    }
}

impl Write for Out {
    fn write(&mut self, rows: &[u8]) -> io::Result<usize> {
        match self {
            Self::New(new) => new.file().write(rows),
            Self::InPlace(file) => file.write(rows),
            #[cfg(unix)]
            Self::Pipe(pipe) => pipe.write(rows),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::New(new) => new.file().flush(),
            Self::InPlace(file) => file.flush(),
            #[cfg(unix)]
            Self::Pipe(pipe) => pipe.flush(),
        }
    }
}

/// What a row shows.
#[derive(Debug, Default)]
struct Figures {
    elapsed: Duration,
    rss: Option<u64>,
    processes: u64,
    vram: Option<u64>,
    swap: Option<u64>,
    cpu: Option<Duration>,
    io: [Option<u64>; 4],
}

impl Figures {
    fn of(progress: &Progress<'_>) -> Self {
        Self {
            elapsed: progress.elapsed,
            rss: progress.total_rss_bytes,
            processes: progress.process_count,
            vram: progress.vram_bytes,
            swap: progress.swap_bytes,
            cpu: progress.cpu_time,
            io: progress.io_bytes,
        }
    }
}

/// An unknown figure is an empty field, never 0.
fn row(time: Timestamp, figures: &Figures) -> String {
    let text = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let kib = |bytes: Option<u64>| text(bytes.map(|bytes| bytes / 1024));
    let elapsed = figures.elapsed.as_secs_f64();
    let mib = figures.rss.map(|bytes| text::mib(bytes / 1024)).unwrap_or_default();
    let cpu = figures.cpu.map(|time| format!("{:.3}", time.as_secs_f64())).unwrap_or_default();
    let io: Vec<String> = figures.io.into_iter().map(text).collect();
    format!(
        "{time},{elapsed:.3},{},{mib},{},{},{},{cpu},{}\n",
        kib(figures.rss),
        figures.processes,
        kib(figures.vram),
        kib(figures.swap),
        io.join(","),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::NewFileMode;

    #[test]
    fn rows_are_as_memwatch_wrote_them() {
        let time: Timestamp = "2025-11-20T18:02:34Z".parse().unwrap();
        let figures =
            Figures { rss: Some(50 << 20), processes: 4, vram: Some(3 << 20), ..Figures::default() };
        assert_eq!(row(time, &figures), "2025-11-20T18:02:34Z,0.000,51200,50.00,4,3072,,,,,,\n");
        let unknown = Figures { elapsed: Duration::from_millis(1500), processes: 1, ..Figures::default() };
        assert_eq!(row(time, &unknown), "2025-11-20T18:02:34Z,1.500,,,1,,,,,,,\n");
        let more = Figures {
            rss: Some(1 << 20),
            processes: 1,
            swap: Some(8 << 10),
            cpu: Some(Duration::from_micros(2_500_400)),
            io: [Some(1), Some(2), None, Some(4)],
            ..Figures::default()
        };
        assert_eq!(row(time, &more), "2025-11-20T18:02:34Z,0.000,1024,1.00,1,,8,2.500,1,2,,4\n");
        assert_eq!(row(time, &more).matches(',').count(), HEADER.matches(',').count());
    }

    #[test]
    fn former_content_goes_when_the_job_starts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("time.csv");
        std::fs::write(&path, "former\n".repeat(100)).unwrap();
        let mut timeline =
            TimelineFile::open(Destination::check("--timeline", &path, NewFileMode::Private).unwrap(), None)
                .unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("former"));
        timeline.begin();
        timeline.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, HEADER);
    }
}
