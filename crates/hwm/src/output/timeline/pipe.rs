//! A named pipe that grows while the job runs. Opening one waits for its reader, and so does writing once it is full
//! (fifo(7), pipe(7)): neither may stop the measurement.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, open},
    io::Errno,
};

/// What is kept for a reader that has not come, or does not read.
const MOST_KEPT: usize = 1 << 20;
/// Once the job is over, a reader that takes nothing for so long gets no more.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Written as far as its reader reads.
#[derive(Debug)]
pub(super) struct Pipe {
    name: PathBuf,
    /// `None` until somebody reads.
    open: Option<File>,
    kept: Vec<u8>,
}

impl Pipe {
    pub(super) fn new(name: PathBuf) -> Self {
        Self { name, open: None, kept: Vec::new() }
    }

    /// Writes what is kept, as far as that goes without waiting.
    fn push(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            match open(&self.name, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
                Ok(pipe) => self.open = Some(pipe.into()),
                // Nobody has it open for reading (open(2)).
                Err(Errno::NXIO) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        let Some(pipe) = &mut self.open else { return Ok(()) };
        while !self.kept.is_empty() {
            match pipe.write(&self.kept) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.kept.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The job is over: its reader gets the rest, as long as it goes on reading. The report waits meanwhile.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.push()?;
        while !self.kept.is_empty() {
            let Some(pipe) = &self.open else {
                return Err(io::Error::other("nobody has opened this pipe for reading"));
            };
            match poll(&mut [PollFd::new(pipe, PollFlags::OUT)], Some(&PATIENCE)) {
                Ok(0) => return Err(not_read()),
                Ok(_) | Err(Errno::INTR) => self.push()?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

fn not_read() -> io::Error {
    io::Error::other("its reader does not read")
}

impl Write for Pipe {
    fn write(&mut self, rows: &[u8]) -> io::Result<usize> {
        if self.kept.len() + rows.len() > MOST_KEPT {
            let nobody = || io::Error::other("nobody reads this pipe");
            return Err(if self.open.is_some() { not_read() } else { nobody() });
        }
        self.kept.extend_from_slice(rows);
        Ok(rows.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, process::Command};

    use super::*;

    fn made() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&name).status().unwrap().success());
        (dir, name)
    }

    /// Open without a writer.
    fn reader(name: &PathBuf) -> File {
        open(name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap().into()
    }

    #[test]
    fn who_comes_late_gets_all_from_the_start() {
        let (_dir, name) = made();
        let mut pipe = Pipe::new(name.clone());
        pipe.write_all(b"one\n").unwrap();
        pipe.flush().unwrap();
        let mut reader = reader(&name);
        pipe.write_all(b"two\n").unwrap();
        pipe.finish().unwrap();
        drop(pipe);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn who_does_not_read_stops_nobody() {
        let (_dir, name) = made();
        let reader = reader(&name);
        let mut pipe = Pipe::new(name);
        let row = [b'x'; 4096];
        let mut rows = 0;
        let refused = loop {
            match pipe.write(&row).and_then(|_| pipe.flush()) {
                Ok(()) => rows += 1,
                Err(error) => break error,
            }
        };
        assert!(rows * row.len() >= MOST_KEPT, "{rows}");
        assert!(refused.to_string().contains("does not read"), "{refused}");
        drop(reader);
    }

    #[test]
    fn the_end_waits_for_nobody_who_does_not_read() {
        let (_dir, name) = made();
        let reader = reader(&name);
        let mut pipe = Pipe::new(name);
        // More than the pipe takes.
        pipe.write_all(&vec![b'x'; 1 << 18]).unwrap();
        assert!(pipe.finish().unwrap_err().to_string().contains("does not read"));
        drop(reader);
    }

    #[test]
    fn nobody_at_all_is_said() {
        let (_dir, name) = made();
        let mut pipe = Pipe::new(name);
        pipe.write_all(b"one\n").unwrap();
        assert!(pipe.finish().unwrap_err().to_string().contains("nobody"));
    }
}
