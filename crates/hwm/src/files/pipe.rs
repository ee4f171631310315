//! Named pipes. Opening one waits for its reader, and so does writing once it is full (fifo(7), pipe(7)): hwm waits for
//! neither without a bound.

use std::{
    fs::File,
    io::{self, Read, Write},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::location::ExistingFile;

/// Time for which a reader may take nothing once the job is over.
pub(super) const READER_PATIENCE: Duration = Duration::from_secs(2);
/// Time for which the writer of a record may write nothing.
const WRITER_PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// Time for which a whole content waits for a reader.
pub(super) const OPEN_PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two attempts to open a pipe that has no reader.
const OPEN_PAUSE: Duration = Duration::from_millis(10);

/// A pipe that grows while the job runs. Opening it waits for its reader, and writing waits for room, so only a thread
/// that may be left behind writes to it.
#[derive(Debug)]
pub(crate) struct GrowingPipe {
    pipe: ExistingFile,
    /// `None` until a program reads.
    open: Option<File>,
}

impl GrowingPipe {
    pub(crate) fn new(pipe: ExistingFile) -> Self {
        Self { pipe, open: None }
    }

    /// Writes all of it.
    pub(crate) fn write_all(&mut self, rows: &[u8]) -> io::Result<()> {
        let pipe = match &mut self.open {
            Some(pipe) => pipe,
            closed => closed.insert(self.pipe.open_for_reader()?),
        };
        pipe.write_all(rows)
    }
}

/// Returns the reason why a pipe that took no data for [`READER_PATIENCE`] was given up.
pub(super) fn why_given_up(pipe: &ExistingFile) -> io::Error {
    match open(pipe) {
        Ok(Some(_)) => not_read(),
        Ok(None) => no_reader(),
        Err(error) => error,
    }
}

/// A pipe that gets a whole content once the job is over. It waits for a reader, but not for ever, and not again after a
/// failure: a writer that buffers tries the rest once more when it is dropped.
#[derive(Debug)]
pub(super) struct PatientPipe<'a> {
    pipe: &'a ExistingFile,
    /// Time for which a reader may be missing.
    patience: Duration,
    state: PipeState,
}

#[derive(Debug)]
enum PipeState {
    Closed,
    Open(File),
    /// Nothing more is written: its reader would take the rest for the whole.
    GivenUp,
}

impl<'a> PatientPipe<'a> {
    pub(super) fn new(pipe: &'a ExistingFile, patience: Duration) -> Self {
        Self { pipe, patience, state: PipeState::Closed }
    }

    fn opened(&self) -> io::Result<File> {
        let begun = Instant::now();
        loop {
            if let Some(pipe) = open(self.pipe)? {
                return Ok(pipe);
            }
            if begun.elapsed() > self.patience {
                return Err(no_reader());
            }
            thread::sleep(OPEN_PAUSE);
        }
    }

    fn write_or_fail(&mut self, content: &[u8]) -> io::Result<usize> {
        if matches!(self.state, PipeState::Closed) {
            self.state = PipeState::Open(self.opened()?);
        }
        let PipeState::Open(pipe) = &mut self.state else { return Err(given_up()) };
        loop {
            match pipe.write(content) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_room(pipe)?,
                written => return written,
            }
        }
    }
}

impl Write for PatientPipe<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let written = self.write_or_fail(content);
        let is_over = written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        if is_over {
            self.state = PipeState::GivenUp;
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A named pipe that is read. Its writer is waited for, but not for ever.
#[derive(Debug)]
pub(crate) struct PatientReader {
    pipe: File,
    /// Time for which its writer may write nothing.
    patience: Timespec,
}

impl PatientReader {
    /// Takes an end for reading that was opened with `O_NONBLOCK`.
    pub(super) fn new(pipe: File) -> Self {
        Self::with_patience(pipe, WRITER_PATIENCE)
    }

    pub(super) fn with_patience(pipe: File, patience: Timespec) -> Self {
        Self { pipe, patience }
    }
}

impl Read for PatientReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // A pipe that has had no writer yet is not ready. One whose last writer has gone is (poll(2), POLLHUP).
            wait_for(&self.pipe, PollFlags::IN, self.patience, no_writer)?;
            match self.pipe.read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// Opens the pipe; `None` while no program has it open for reading (open(2), `ENXIO`).
fn open(pipe: &ExistingFile) -> io::Result<Option<File>> {
    match pipe.open() {
        Ok(pipe) => Ok(Some(pipe)),
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn wait_for_room(pipe: &File) -> io::Result<()> {
    let patience = READER_PATIENCE.try_into().map_err(io::Error::other)?;
    wait_for(pipe, PollFlags::OUT, patience, not_read)
}

fn wait_for(
    pipe: &File,
    ready: PollFlags,
    patience: Timespec,
    given_up: fn() -> io::Error,
) -> io::Result<()> {
    match poll(&mut [PollFd::new(pipe, ready)], Some(&patience)) {
        Ok(0) => Err(given_up()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn no_reader() -> io::Error {
    io::Error::other("no program has opened this pipe for reading")
}

fn no_writer() -> io::Error {
    io::Error::other(format!(
        "no program has written to this pipe for {} s; to wait longer use standard input, as in `... | hwm view -`",
        WRITER_PATIENCE.tv_sec
    ))
}

fn given_up() -> io::Error {
    io::Error::other("this pipe was given up")
}

fn not_read() -> io::Error {
    io::Error::other("its reader does not read")
}
