//! The procfs through which a job is followed: one open directory, below which all files are opened.
//!
//! The job shares the mount namespace of this process. A privileged job may mount another file system over `/proc`, or
//! unmount it (`mount_namespaces(7)`). A path would lead nowhere then, and living processes would look like exited
//! ones. A descriptor stays that of the procfs that it was opened on (openat(2)).

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{Access, AtFlags, CWD, Dir, Mode, OFlags, accessat, fstatfs, openat, readlinkat},
    io::Errno,
    mount::{OpenTreeFlags, open_tree},
};

use crate::bounded::{self, Extent, MAX_PROCESS_FILE_BYTES};

/// `PROC_SUPER_MAGIC`, include/uapi/linux/magic.h.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// Space for `PID/task/TID/smaps_rollup` with numbers of ten digits. A longer path would name no file.
const MAX_PROC_PATH_BYTES: usize = 48;

/// An open procfs. Clones share the descriptor.
#[derive(Debug, Clone)]
pub(crate) struct ProcDir {
    /// `None` without procfs: no file exists then.
    directory: Option<Arc<OwnedFd>>,
}

/// The path of a file below procfs. It is made for each reading, so it takes no memory of the heap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcPath {
    bytes: [u8; MAX_PROC_PATH_BYTES],
    length: usize,
}

impl ProcDir {
    /// Opens a procfs.
    ///
    /// # Errors
    /// It cannot be opened, or it is the directory of another file system.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let directory = Self::open_detached(path).or_else(|_| Self::open_any(path))?;
        if directory.directory.as_ref().is_some_and(is_on_procfs) {
            Ok(directory)
        } else {
            Err(io::Error::other("it is no procfs"))
        }
    }

    /// Opens the directory in a mount of its own, which lies in no namespace and ends with the descriptor. An open file
    /// of the usual mount would keep the job from unmounting it (`EBUSY`, umount(2)). Only a privileged process may have
    /// one, and only since Linux 5.2. Only a job of such a process can unmount procfs here.
    fn open_detached(path: &Path) -> Result<Self, Errno> {
        if !rustix::process::geteuid().is_root() {
            return Err(Errno::PERM);
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let directory = open_tree(CWD, path, flags)?;
        Ok(Self { directory: Some(Arc::new(directory)) })
    }

    /// Opens a directory that may be a recorded procfs.
    fn open_any(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { directory: Some(Arc::new(directory)) })
    }

    /// Returns a procfs without any file.
    pub(crate) fn absent() -> Self {
        Self { directory: None }
    }

    /// Opens a procfs made up for a test.
    #[cfg(test)]
    pub(crate) fn made_up(path: &Path) -> Self {
        Self::open_any(path).unwrap()
    }

    /// Opens the procfs of this machine.
    #[cfg(test)]
    pub(crate) fn of_this_machine() -> Self {
        Self::open(&crate::Roots::default().proc).unwrap()
    }

    /// Opens a file for reading, and waits for the writer of a FIFO.
    #[cfg(test)]
    pub(crate) fn open_waiting(&self, path: ProcPath) -> io::Result<File> {
        Ok(File::from(openat(self.descriptor()?, path.bytes(), OFlags::RDONLY, Mode::empty())?))
    }

    /// Returns the descriptor; -1 without procfs, for which openat(2) fails.
    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.directory.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Opens a file for reading.
    pub(crate) fn open_file(&self, path: ProcPath) -> io::Result<File> {
        // As in `bounded`, a FIFO in a made-up tree does not block.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(openat(self.descriptor()?, path.bytes(), flags, Mode::empty())?))
    }

    /// Reads at most `most` bytes of a file into `text`, which is cleared first.
    pub(crate) fn read_start(&self, path: ProcPath, most: usize, text: &mut Vec<u8>) -> io::Result<Extent> {
        bounded::start_of(self.open_file(path)?, most, text)
    }

    /// Reads a whole file of a process into `text`; `false` if that fails.
    pub(crate) fn read_into(&self, path: ProcPath, text: &mut Vec<u8>) -> bool {
        self.read_start(path, MAX_PROCESS_FILE_BYTES, text).is_ok_and(|extent| extent == Extent::Whole)
    }

    /// Returns the target of a symbolic link.
    pub(crate) fn read_link(&self, path: ProcPath) -> io::Result<PathBuf> {
        use std::os::unix::ffi::OsStringExt;
        let target = readlinkat(self.descriptor()?, path.bytes(), Vec::new())?;
        Ok(std::ffi::OsString::from_vec(target.into_bytes()).into())
    }

    /// Returns whether a file exists.
    pub(crate) fn exists(&self, path: ProcPath) -> bool {
        self.descriptor().is_ok_and(|directory| {
            accessat(directory, path.bytes(), Access::EXISTS, AtFlags::empty()).is_ok()
        })
    }

    /// Iterates over the entries of a directory whose names are numbers: processes or threads.
    pub(crate) fn ids(&self, path: ProcPath) -> io::Result<impl Iterator<Item = u32>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries = Dir::new(openat(self.descriptor()?, path.bytes(), flags, Mode::empty())?)?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok()))
    }

    fn descriptor(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.directory.as_ref().map(|directory| directory.as_fd()).ok_or(Errno::NOENT)
    }
}

/// Returns whether an open file lies on procfs. lxcfs mounts its own files over some of those in `/proc`.
pub(crate) fn is_on_procfs(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|found| u64::try_from(found.f_type) == Ok(PROC_SUPER_MAGIC))
}

impl ProcPath {
    /// The directory itself.
    pub(crate) const ROOT: Self = Self::named(".");

    /// Returns the path of a file of this name, of at most `MAX_PROC_PATH_BYTES`.
    pub(crate) const fn named(name: &str) -> Self {
        let (name, mut bytes, mut length) = (name.as_bytes(), [0; MAX_PROC_PATH_BYTES], 0);
        while length < name.len() {
            bytes[length] = name[length];
            length += 1;
        }
        Self { bytes, length }
    }

    /// Returns the path of a file of a process.
    pub(crate) fn of(pid: u32, file: &str) -> Self {
        Self::written(format_args!("{pid}/{file}"))
    }

    /// Returns the path of a file of a thread.
    pub(crate) fn of_thread(pid: u32, tid: u32, file: &str) -> Self {
        Self::written(format_args!("{pid}/task/{tid}/{file}"))
    }

    /// Returns the path of a file of a thread of this process.
    pub(crate) fn of_own_thread(tid: u32, file: &str) -> Self {
        Self::written(format_args!("self/task/{tid}/{file}"))
    }

    fn written(text: fmt::Arguments<'_>) -> Self {
        let mut path = Self { bytes: [0; MAX_PROC_PATH_BYTES], length: 0 };
        let mut left = path.bytes.as_mut_slice();
        // An empty path names no file (path_resolution(7)).
        let fits = left.write_fmt(text).is_ok();
        let unused = left.len();
        path.length = if fits { MAX_PROC_PATH_BYTES - unused } else { 0 };
        path
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Debug for ProcPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_this_process_are_read() {
        let (proc, mut text) = (ProcDir::of_this_machine(), Vec::new());
        let own = std::process::id();
        assert!(proc.read_into(ProcPath::of(own, "statm"), &mut text) && !text.is_empty());
        assert!(proc.exists(ProcPath::of(own, "")) && !proc.exists(ProcPath::of(u32::MAX, "")));
        assert_eq!(proc.read_link(ProcPath::named("self")).unwrap(), Path::new(&own.to_string()));
        assert!(proc.ids(ProcPath::ROOT).unwrap().any(|pid| pid == own));
        let tid = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        assert!(proc.ids(ProcPath::of(own, "task")).unwrap().any(|thread| thread == tid));
        assert!(proc.exists(ProcPath::of_thread(own, tid, "stat")));
        assert!(proc.exists(ProcPath::of_own_thread(tid, "stat")));
    }

    #[test]
    fn another_file_system_is_no_procfs() {
        let tree = tempfile::tempdir().unwrap();
        assert_eq!(ProcDir::open(tree.path()).unwrap_err().to_string(), "it is no procfs");
        assert_eq!(ProcDir::open(&tree.path().join("x")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn nothing_is_found_without_procfs() {
        let absent = ProcDir::absent();
        let own = ProcPath::of(std::process::id(), "stat");
        assert_eq!(absent.open_file(own).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!absent.exists(own) && absent.ids(ProcPath::ROOT).is_err());
        assert!(absent.read_link(ProcPath::named("self")).is_err());
        assert_eq!(absent.as_raw_fd(), -1);
    }

    #[test]
    fn the_longest_path_fits() {
        let longest = ProcPath::of_thread(u32::MAX, u32::MAX, "smaps_rollup");
        assert_eq!(longest.bytes(), b"4294967295/task/4294967295/smaps_rollup");
        let too_long = ProcPath::of(1, &"x".repeat(MAX_PROC_PATH_BYTES));
        let missing = ProcDir::of_this_machine().open_file(too_long).unwrap_err();
        assert_eq!((too_long.bytes(), missing.kind()), (&b""[..], io::ErrorKind::NotFound));
    }
}
