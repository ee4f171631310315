//! Bounded reading of texts whose length others choose (`/proc`, sysfs, cgroupfs). `docs/internals/bounds.md`
//! lists them.
//!
//! A FIFO in a tree that the user names does not block. It is opened with `O_NONBLOCK` (fifo(7)), which
//! regular files and those of procfs ignore.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    path::Path,
};

/// The part of `/proc/PID/cmdline` that serves for a name or a pattern.
#[cfg(target_os = "linux")]
pub(crate) const MAX_COMMAND_LINE_BYTES: usize = 4 << 10;
/// The command line of an attached process: the limit of execve(2) with the usual stack of 8 MiB.
#[cfg(all(feature = "job", target_os = "linux"))]
pub(crate) const MAX_ATTACHED_COMMAND_BYTES: usize = 2 << 20;
/// Files of one process. The longest is `status`, in which 65,536 groups (`NGROUPS_MAX`) take 704 KiB.
#[cfg(target_os = "linux")]
pub(crate) const MAX_PROCESS_FILE_BYTES: usize = 1 << 20;
/// `smaps`, which takes some 800 bytes for each of up to 65,530 mappings (`vm.max_map_count`).
#[cfg(all(feature = "job", target_os = "linux"))]
pub(crate) const MAX_SMAPS_BYTES: usize = 2 << 20;
/// A length that files of one process seldom exceed.
#[cfg(all(feature = "job", target_os = "linux"))]
const USUAL_FILE_BYTES: usize = 4 << 10;
/// Bytes of the first read: most texts of `/proc`, sysfs and cgroupfs are shorter.
const FIRST_READ_BYTES: usize = 2 << 10;
/// Lists of pids: `PID_MAX_LIMIT` (4,194,304, `include/linux/threads.h`) of at most 7 digits and a separator.
#[cfg(all(feature = "job", target_os = "linux"))]
pub(crate) const MAX_PID_LIST_BYTES: usize = 32 << 20;
/// `mountinfo`: 100,000 mounts (`fs.mount-max`) of 160 bytes.
#[cfg(all(feature = "record", target_os = "linux"))]
pub(crate) const MAX_MOUNTS_BYTES: usize = 16 << 20;
/// Single values and small tables of sysfs, cgroupfs and `/proc`. A file of sysfs itself ends at a page of up to 64
/// KiB.
pub(crate) const MAX_VALUE_BYTES: usize = 64 << 10;

/// Words of a command in a record. A call of execve(2) takes 6 MiB of them at most (`bprm_stack_limits`, fs/exec.c). An
/// empty one takes 9 bytes of that.
#[cfg(feature = "record")]
pub(crate) const MAX_RECORDED_WORDS: usize = 1 << 20;
/// Bytes of these words together. A byte that is no UTF-8 takes three in a record.
#[cfg(feature = "record")]
pub(crate) const MAX_RECORDED_COMMAND_BYTES: usize = 3 * (6 << 20);
/// One text in a record. The longest is a word of a command: 32 pages (`MAX_ARG_STRLEN`, include/uapi/linux/binfmts.h), of
/// at most 64 KiB.
#[cfg(feature = "record")]
pub(crate) const MAX_RECORDED_TEXT_BYTES: u64 = 3 * (2 << 20);

/// The name of a program, like that of any file (`NAME_MAX`).
#[cfg(any(feature = "job", target_os = "linux"))]
pub(crate) const MAX_NAME_BYTES: usize = 255;
/// The path of a program (`PATH_MAX`).
#[cfg(feature = "job")]
pub(crate) const MAX_PATH_BYTES: usize = 4 << 10;

/// The part of a text that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// The text continues beyond the bound.
    Cut,
}

/// Reads a whole text; one that continues beyond `most` bytes is an error.
pub(crate) fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    whole(open(path)?, most)
}

/// Reads a whole text from `source`; one that continues beyond `most` bytes is an error.
pub(crate) fn whole(source: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match start_of(source, most, &mut text)? {
        Extent::Whole => Ok(text),
        Extent::Cut => Err(too_long(most)),
    }
}

/// Reads a whole text in UTF-8; one that continues beyond `most` bytes is an error.
#[cfg(any(
    feature = "record",
    all(target_os = "linux", any(feature = "nvml", feature = "nvidia-smi-fallback"))
))]
pub(crate) fn read_to_string(path: &Path, most: usize) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads at most `most` bytes of a file into `text`, which is cleared first.
#[cfg(any(all(feature = "job", target_os = "linux"), all(test, unix)))]
pub(crate) fn read_start(path: &Path, most: usize, text: &mut Vec<u8>) -> io::Result<Extent> {
    start_of(open(path)?, most, text)
}

/// Reads at most `most` bytes into `text`, which is cleared first.
pub(crate) fn start_of(source: impl Read, most: usize, text: &mut Vec<u8>) -> io::Result<Extent> {
    text.clear();
    // An empty vector would begin with 32 bytes, and take eight calls for a list of mounts.
    text.reserve(FIRST_READ_BYTES.min(most));
    // One byte more shows whether the text continues.
    source.take(most as u64 + 1).read_to_end(text)?;
    let extent = if text.len() > most { Extent::Cut } else { Extent::Whole };
    text.truncate(most);
    Ok(extent)
}

/// Reads a file of one process that is kept open, from its beginning, into `text`; `None` once the process is
/// gone.
///
/// One read suffices for nearly all. `status` is longer if a process has some hundred groups, and its
/// high-water mark comes after them.
#[cfg(all(feature = "job", target_os = "linux"))]
pub(crate) fn read_kept(file: &File, text: &mut Vec<u8>) -> Option<()> {
    use std::os::unix::fs::FileExt;
    for size in [USUAL_FILE_BYTES, MAX_PROCESS_FILE_BYTES] {
        text.resize(size, 0);
        let length = file.read_at(text, 0).ok()?;
        text.truncate(length);
        if length < size {
            return (length > 0).then_some(());
        }
    }
    Some(())
}

pub(crate) fn too_long(most: usize) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {most} bytes"))
}

/// Cuts a text at the last character that ends within `most` bytes.
#[cfg(any(feature = "job", target_os = "linux", all(test, unix)))]
pub(crate) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.shrink_to_fit();
    }
    text
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_bound() {
        let tree = tempfile::tempdir().unwrap();
        let file = tree.path().join("cmdline");
        let mut text = b"what was there".to_vec();
        for (length, extent, kept) in [(0, Extent::Whole, 0), (8, Extent::Whole, 8), (9, Extent::Cut, 8)] {
            std::fs::write(&file, vec![b'x'; length]).unwrap();
            assert_eq!(read_start(&file, 8, &mut text).unwrap(), extent, "{length}");
            assert_eq!(text.len(), kept);
            assert_eq!(read(&file, 8).is_ok(), extent == Extent::Whole);
        }
        assert_eq!(read(&file, 8).unwrap_err().to_string(), "longer than 8 bytes");
    }

    #[test]
    fn a_cut_leaves_whole_characters() {
        let cut = |text: &str, most| cut(text.to_owned(), most);
        assert_eq!(
            (cut("näme", 9), cut("näme", 2), cut("näme", 3)),
            ("näme".into(), "n".into(), "nä".into())
        );
        assert_eq!(cut("\u{fffd}", 2), "");
    }

    #[test]
    #[cfg(all(feature = "job", target_os = "linux"))]
    fn a_kept_file_is_read_beyond_its_usual_length() {
        let (directory, mut text) = (tempfile::tempdir().unwrap(), Vec::new());
        let path = directory.path().join("status");
        for (length, read) in
            [(1, 1), (4 << 10, 4 << 10), (100_000, 100_000), (2 << 20, MAX_PROCESS_FILE_BYTES)]
        {
            std::fs::write(&path, vec![b'x'; length]).unwrap();
            assert_eq!(read_kept(&File::open(&path).unwrap(), &mut text), Some(()));
            assert_eq!(text, vec![b'x'; read]);
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(read_kept(&File::open(&path).unwrap(), &mut text), None);
    }

    #[test]
    fn an_endless_file_is_left_at_the_bound() {
        let mut text = Vec::new();
        let zero = Path::new("/dev/zero");
        assert_eq!(read_start(zero, MAX_VALUE_BYTES, &mut text).unwrap(), Extent::Cut);
        assert_eq!(text.len(), MAX_VALUE_BYTES);
        assert!(text.capacity() <= 4 * MAX_VALUE_BYTES, "{}", text.capacity());
    }

    #[test]
    #[cfg(unix)]
    fn a_fifo_does_not_block() {
        let tree = tempfile::tempdir().unwrap();
        let fifo = tree.path().join("status");
        // macOS has no mknodat in rustix.
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(read(&fifo, MAX_VALUE_BYTES).unwrap(), b"", "no process writes to it");
        let _writer = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        assert_eq!(read(&fifo, MAX_VALUE_BYTES).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
