//! An open `/proc/PID` or `/proc/PID/task/TID`. It stays that process's: once the process is gone its files
//! are too, even if the pid was reused.

use std::{fs::File, path::PathBuf};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};

use crate::{
    Error, Roots,
    bounded::{self, Extent, MAX_PROCESS_FILE_BYTES},
};

pub(super) struct ProcDirectory {
    fd: OwnedFd,
    path: PathBuf,
    pid: u32,
}

impl ProcDirectory {
    /// Opens the directory; `None` is the calling process, also if procfs belongs to another pid namespace.
    pub(super) fn open(roots: &Roots, pid: Option<u32>) -> Result<Self, Error> {
        let name = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let path = roots.proc.join(name);
        let pid = pid.unwrap_or_else(std::process::id);
        match open_directory(CWD, &path) {
            Ok(fd) => Ok(Self { fd, path, pid }),
            // Without procfs no directory exists, which says nothing about the process.
            // ESRCH means that the process ended during the look-up (`proc_pid_make_inode`, fs/proc/base.c).
            Err(Errno::NOENT | Errno::SRCH) if holds_processes(roots) => Err(Error::NoSuchProcess { pid }),
            Err(errno) => Err(Error::Read { path, source: errno.into() }),
        }
    }

    /// Returns the threads of this process that still exist when the iterator reaches them.
    pub(super) fn threads(&self) -> Result<impl Iterator<Item = Self> + '_, Error> {
        let error = |errno| self.error("task", errno);
        let task = open_directory(&self.fd, "task").map_err(error)?;
        let entries = rustix::fs::Dir::read_from(&task).map_err(error)?;
        Ok(entries.filter_map(move |entry| {
            let entry = entry.ok()?;
            let tid = entry.file_name().to_str().ok()?;
            tid.parse::<u32>().ok()?;
            let fd = open_directory(&task, tid).ok()?;
            Some(Self { fd, path: self.path.join("task").join(tid), pid: self.pid })
        }))
    }

    /// Returns the whole text of one file; `EFBIG` if it is longer than any of the kernel's.
    pub(super) fn read(&self, file: &str) -> Result<Vec<u8>, Errno> {
        match self.read_start(file, MAX_PROCESS_FILE_BYTES)? {
            (text, Extent::Whole) => Ok(text),
            (_, Extent::Cut) => Err(Errno::FBIG),
        }
    }

    /// Returns the first `most` bytes of one file.
    pub(super) fn read_start(&self, file: &str, most: usize) -> Result<(Vec<u8>, Extent), Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(&self.fd, file, flags, Mode::empty())?);
        // `status` has about 1.5 KiB, more only with very many groups.
        let mut text = Vec::with_capacity(4096);
        match bounded::start_of(file, most, &mut text) {
            Ok(extent) => Ok((text, extent)),
            Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }

    /// Returns whether the process (or thread) still exists, even as a zombie.
    pub(super) fn is_alive(&self) -> bool {
        self.read("stat").is_ok()
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.path.join(file)
    }

    /// Interprets the failure to read `file`, which every process has.
    pub(super) fn error(&self, file: &str, errno: Errno) -> Error {
        match errno {
            Errno::NOENT | Errno::SRCH => Error::NoSuchProcess { pid: self.pid },
            errno => Error::Read { path: self.path(file), source: errno.into() },
        }
    }
}

/// Returns whether procfs is mounted. A recorded tree may have no `self`.
fn holds_processes(roots: &Roots) -> bool {
    roots.proc.join("self").symlink_metadata().is_ok()
        || super::facts::all(roots).is_ok_and(|pids| !pids.is_empty())
}

fn open_directory(parent: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(parent, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
