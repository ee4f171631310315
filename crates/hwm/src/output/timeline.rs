//! One row a sample, streamed while the job runs.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    time::{Duration, Instant},
};

use highwater::{job::Progress, record::Timestamp};

use super::{Destination, text, warn};

/// If hwm is killed, at most the rows of this time and of the sample after it are lost.
const FLUSH_AFTER: Duration = Duration::from_millis(250);

/// The file that grows.
#[derive(Debug)]
pub(crate) struct TimelineFile {
    destination: Destination,
    /// `None` after a failed write: half a row must not be followed by others.
    out: Option<BufWriter<File>>,
    flushed: Instant,
    /// Samples lie so far apart that each row is flushed at once.
    eager: bool,
}

impl TimelineFile {
    /// Opens the file, and leaves its content until [`Self::begin`]. `interval`: the fixed one, if any.
    pub(crate) fn open(destination: Destination, interval: Option<Duration>) -> io::Result<Self> {
        let file = destination.open()?;
        let eager = interval.is_some_and(|interval| interval >= FLUSH_AFTER);
        Ok(Self { destination, out: Some(BufWriter::new(file)), flushed: Instant::now(), eager })
    }

    /// The job has started: drops the former content and writes the header.
    pub(crate) fn begin(&mut self) {
        let Some(out) = &mut self.out else { return };
        let begun = self.destination.begin(out.get_ref()).and_then(|()| {
            out.write_all(
                b"timestamp,elapsed_seconds,total_rss_kib,total_rss_mib,process_count,total_vram_kib\n",
            )?;
            out.flush()
        });
        self.keep(begun);
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, progress: &Progress<'_>) {
        let row = row(
            Timestamp::from_system_time(progress.time),
            progress.elapsed,
            progress.total_rss_bytes,
            progress.process_count,
            progress.vram_bytes,
        );
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
        let flushed = self.out.as_mut().map_or(Ok(()), Write::flush);
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

/// An unknown total is an empty field, never 0.
fn row(
    time: Timestamp,
    elapsed: Duration,
    total_rss_bytes: Option<u64>,
    processes: u64,
    vram_bytes: Option<u64>,
) -> String {
    let kib = total_rss_bytes.map(|bytes| bytes / 1024);
    let elapsed = elapsed.as_secs_f64();
    let mib = kib.map(text::mib).unwrap_or_default();
    let kib = kib.map(|kib| kib.to_string()).unwrap_or_default();
    let vram = vram_bytes.map(|bytes| (bytes / 1024).to_string()).unwrap_or_default();
    format!("{time},{elapsed:.3},{kib},{mib},{processes},{vram}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_memwatch_wrote_them() {
        let time: Timestamp = "2025-11-20T18:02:34Z".parse().unwrap();
        let known = row(time, Duration::ZERO, Some(50 << 20), 4, Some(3 << 20));
        assert_eq!(known, "2025-11-20T18:02:34Z,0.000,51200,50.00,4,3072\n");
        let unknown = row(time, Duration::from_millis(1500), None, 1, None);
        assert_eq!(unknown, "2025-11-20T18:02:34Z,1.500,,,1,\n");
    }

    #[test]
    fn former_content_goes_when_the_job_starts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("time.csv");
        std::fs::write(&path, "former\n".repeat(100)).unwrap();
        let mut timeline =
            TimelineFile::open(Destination::check("--timeline", &path).unwrap(), None).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("former"));
        timeline.begin();
        timeline.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "timestamp,elapsed_seconds,total_rss_kib,total_rss_mib,process_count,total_vram_kib\n"
        );
    }
}
