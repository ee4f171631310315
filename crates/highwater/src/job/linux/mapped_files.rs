//! Reading the files that a member maps one by one (`/proc/PID/smaps`).
//!
//! That is expensive, walks all pages of the process, and takes the lock of its memory map. So it has a budget, and is done
//! for one member of each program at most.

use std::{collections::HashMap, time::Duration};

use super::{
    map_reader::{MapOutcome, MapReader},
    member::Member,
    page_walk::{SECONDS_PER_BYTE, page_table_time},
    proc_dir::ProcDir,
};
use crate::{
    bounded::{Extent, MAX_SMAPS_BYTES},
    job::{
        mapped_files::{FileKey, FilesRead, MappedFile},
        unix::thread_cpu,
    },
    process::linux::smaps::{FileMapping, file_mappings},
};

/// Age of a job before which nothing is read.
const MIN_JOB_TIME: Duration = Duration::from_millis(100);
/// Divisor of the elapsed time: the share that reading may take.
const TIME_SHARE_DIVISOR: u32 = 100;
/// Time beyond that share, so that the first programs of a job are read soon.
const INITIAL_BUDGET: Duration = Duration::from_millis(5);
/// Longest expected read of one process; a process that would take longer is left out.
const MAX_PROCESS_READ_TIME: Duration = Duration::from_millis(20);
/// Longest wait for a process that holds its memory map locked.
const MAP_LOCK_TIMEOUT: Duration = Duration::from_millis(20);
/// Expected time for the mappings of a process.
const MAPPINGS_READ_TIME: Duration = Duration::from_millis(1);
/// Walks over page tables: a mapping whose text does not fit into what is left of the kernel's buffer is walked again
/// (`seq_read_iter`, `fs/seq_file.c`).
const PAGE_TABLE_WALKS: u32 = 2;

/// Starts of paths whose pages are shared memory, and no files.
const SHARED_MEMORY_PATHS: [&[u8]; 4] = [b"/dev/shm/", b"/memfd:", b"/SYSV", b"/dev/zero"];

/// The reader, and what it has cost.
#[derive(Debug)]
pub(super) struct MappedFilesReader {
    proc: ProcDir,
    spent: Duration,
}

impl MappedFilesReader {
    /// Returns a reader of the processes in `proc`.
    pub(super) fn new(proc: &ProcDir) -> Self {
        Self { proc: proc.clone(), spent: Duration::ZERO }
    }

    /// Reads the files of a member of `rss` bytes, unless that costs too much `at` this time.
    pub(super) fn read(
        &mut self,
        at: Duration,
        member: &Member,
        rss: u64,
        reader: &mut MapReader,
    ) -> FilesRead {
        match self.budget(at, rss, member.files.page_table_bytes()) {
            ReadBudget::NotNow => FilesRead::NotNow,
            ReadBudget::Never => FilesRead::Unreadable,
            ReadBudget::Within => self.read_member(member, reader),
        }
    }

    fn budget(&self, at: Duration, rss: u64, page_table_bytes: Option<u64>) -> ReadBudget {
        let cost = MAPPINGS_READ_TIME
            + Duration::from_secs_f64(rss as f64 * SECONDS_PER_BYTE)
            + page_table_time(page_table_bytes) * PAGE_TABLE_WALKS;
        match () {
            () if cost > MAX_PROCESS_READ_TIME => ReadBudget::Never,
            () if at < MIN_JOB_TIME => ReadBudget::NotNow,
            () if self.spent + cost > at / TIME_SHARE_DIVISOR + INITIAL_BUDGET => ReadBudget::NotNow,
            () => ReadBudget::Within,
        }
    }

    fn read_member(&mut self, member: &Member, reader: &mut MapReader) -> FilesRead {
        // The cost is processor time, as on a busy machine the clock runs on while other processes run.
        let begin = thread_cpu() + reader.cpu();
        let waited_before = reader.waited();
        let path = member.map_file("smaps");
        // The text is long and seldom needed.
        let mut text = Vec::new();
        let outcome = reader.read(&self.proc, path, MAX_SMAPS_BYTES, &mut text, MAP_LOCK_TIMEOUT);
        let read = match outcome {
            MapOutcome::Read(Extent::Whole) => FilesRead::Read(mapped_files(&text)),
            MapOutcome::Read(Extent::Cut) | MapOutcome::Failed | MapOutcome::Late => FilesRead::Unreadable,
        };
        // Members were not polled meanwhile.
        let waited = reader.waited().saturating_sub(waited_before);
        self.spent += if outcome == MapOutcome::Late { waited.max(MAP_LOCK_TIMEOUT) } else { waited };
        self.spent += (thread_cpu() + reader.cpu()).saturating_sub(begin);
        read
    }
}

/// The answer of the budget to a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadBudget {
    Within,
    NotNow,
    Never,
}

/// Returns the resident bytes of each file in a `smaps`.
fn mapped_files(text: &[u8]) -> Vec<MappedFile> {
    let mut by_file: HashMap<FileKey, u64> = HashMap::new();
    for FileMapping { device, inode, path, resident_bytes } in file_mappings(text) {
        let is_shared_memory = SHARED_MEMORY_PATHS.iter().any(|start| path.starts_with(start));
        if resident_bytes > 0 && !is_shared_memory {
            *by_file.entry((device, inode)).or_default() += resident_bytes;
        }
    }
    by_file.into_iter().map(|(key, bytes)| MappedFile { key, bytes }).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::MetadataExt as _};

    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

    use super::*;
    use crate::job::{
        identity::MemberId,
        linux::image::{ImageOrigin, ProcessImage},
    };

    fn member(pid: u32) -> Member {
        Member::new(MemberId(0), pid, ProcessImage::new(ImageOrigin::Executed), Duration::ZERO)
    }

    #[test]
    fn the_files_of_this_process() {
        const BYTES: usize = 1 << 20;
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("mapped");
        std::fs::write(&path, vec![1; BYTES]).unwrap();
        let file = File::open(&path).unwrap();
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: the kernel chooses the address; nothing but this test knows the mapping.
        let map = unsafe { mmap(std::ptr::null_mut(), BYTES, ProtFlags::READ, flags, &file, 0) }.unwrap();
        let mut files_reader = MappedFilesReader::new(&ProcDir::of_this_machine());
        let mut map_reader = MapReader::default();
        let read = files_reader.read_member(&member(std::process::id()), &mut map_reader);
        // SAFETY: it is the mapping from above, and nothing points into it.
        unsafe { munmap(map, BYTES) }.unwrap();
        let FilesRead::Read(files) = read else { panic!("{read:?}") };
        let inode = file.metadata().unwrap().ino();
        assert!(files.iter().any(|file| file.key.1 == inode && file.bytes == BYTES as u64), "{files:?}");
        assert!(files.len() > 1, "the program itself");
        assert_eq!(files_reader.read_member(&member(u32::MAX), &mut map_reader), FilesRead::Unreadable);
    }

    #[test]
    fn shared_memory_is_no_file() {
        let text = b"0-1 rw-s 0 00:01 5 /memfd:x (deleted)\nRss: 4 kB\nAnonymous: 0 kB\n\
            0-1 rw-s 0 00:01 6 /SYSV00000000 (deleted)\nRss: 4 kB\nAnonymous: 0 kB\n\
            0-1 rw-s 0 00:18 7 /dev/shm/x\nRss: 4 kB\nAnonymous: 0 kB\n\
            0-1 rw-s 0 00:01 8 /dev/zero (deleted)\nRss: 4 kB\nAnonymous: 0 kB\n\
            0-1 r-xp 0 08:01 9 /lib/libc.so.6\nRss: 8 kB\nAnonymous: 0 kB\n\
            1-2 rw-p 1 08:01 9 /lib/libc.so.6\nRss: 8 kB\nAnonymous: 4 kB\n\
            2-3 r--p 2 08:01 10 /lib/unused\nRss: 0 kB\nAnonymous: 0 kB\n";
        assert_eq!(mapped_files(text), [MappedFile { key: (8 << 32 | 1, 9), bytes: 12 << 10 }]);
    }

    #[test]
    fn large_page_tables_are_left_alone() {
        let reader = MappedFilesReader::new(&ProcDir::of_this_machine());
        let (later, mib) = (Duration::from_secs(60), 1 << 20);
        assert_eq!(reader.budget(later, mib, Some(mib)), ReadBudget::Within);
        assert_eq!(reader.budget(later, mib, Some(400 * mib)), ReadBudget::Never, "a page in each 2 MiB");
        assert_eq!(reader.budget(later, mib, None), ReadBudget::Within, "they are unknown");
    }

    #[test]
    fn short_jobs_and_large_processes_are_left_alone() {
        let mut reader = MappedFilesReader::new(&ProcDir::of_this_machine());
        let ms = Duration::from_millis;
        assert_eq!(reader.budget(ms(99), 1 << 20, Some(8 << 10)), ReadBudget::NotNow);
        assert_eq!(reader.budget(ms(100), 1 << 20, Some(8 << 10)), ReadBudget::Within);
        assert_eq!(reader.budget(ms(100), 100 << 30, Some(8 << 10)), ReadBudget::Never);
        reader.spent = ms(10);
        assert_eq!(reader.budget(ms(500), 1 << 20, Some(8 << 10)), ReadBudget::NotNow);
        assert_eq!(reader.budget(ms(2_000), 1 << 20, Some(8 << 10)), ReadBudget::Within);
    }
}
