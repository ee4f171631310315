//! `/proc/PID/status`: one `Key:\tvalue` a line.
//! [`proc_pid_status(5)`](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)

use super::decimal::{self, complete_lines, kib_as_bytes};

/// The fields of `status` that a sample needs. The `vm_` fields are absent for a task without an mm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// One letter, as in `State:\tS (sleeping)`.
    pub state: u8,
    /// The process; `/proc/TID/status` shows the same one for each thread.
    pub tgid: Option<u32>,
    /// Parent; 0 if it lies outside this pid namespace.
    pub ppid: Option<u32>,
    /// Tracer; 0 if there is none, or if it lies outside this pid namespace.
    pub tracer: Option<u32>,
    /// Threads of the process.
    pub threads: Option<u64>,
    /// Filters of seccomp(2) on it (Linux 5.9), if all lines are read.
    pub seccomp_filters: Option<u64>,
    /// Real user id.
    pub uid: Option<u32>,
    /// Resident set.
    pub vm_rss_bytes: Option<u64>,
    /// High-water mark of the resident set; belongs to the mm, so it restarts at exec.
    pub vm_hwm_bytes: Option<u64>,
    /// Anonymous pages in the resident set (`RssAnon`, Linux 4.5).
    pub rss_anon_bytes: Option<u64>,
    /// Pages of files in the resident set (`RssFile`, Linux 4.5).
    pub rss_file_bytes: Option<u64>,
    /// Anonymous memory in swap (shmem is not counted).
    pub vm_swap_bytes: Option<u64>,
    /// Page tables.
    pub page_table_bytes: Option<u64>,
    /// Pages of hugetlbfs, which are in no resident set (`HugetlbPages`, Linux 4.4).
    pub hugetlb_bytes: Option<u64>,
}

/// A reader of a `status` that arrives in parts.
#[derive(Debug, Default)]
pub(crate) struct StatusLines {
    status: Status,
    has_state: bool,
    last: LastLine,
    /// The last line of interest was parsed.
    pub(crate) is_over: bool,
}

/// The last line that is parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum LastLine {
    /// A sample needs no line after it.
    #[default]
    Threads,
    /// Signals and capabilities come before it.
    SeccompFilters,
}

impl Status {
    /// Parses once per member and sample, so without allocation and UTF-8 check. A cut text gives its
    /// complete lines; `None` if not even the state is complete.
    ///
    /// A program chooses its `Name:`, yet cannot forge a line: the kernel writes a newline there as `\n`
    /// (`proc_task_name` in fs/proc/array.c).
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = StatusLines::default();
        lines.add(text);
        lines.finish()
    }
}

impl StatusLines {
    /// Returns a reader of all lines up to the number of filters.
    pub(crate) fn with_filters() -> Self {
        Self { last: LastLine::SeccompFilters, ..Self::default() }
    }

    /// Parses the complete lines at the start of a part. Returns their length.
    pub(crate) fn add(&mut self, text: &[u8]) -> usize {
        let status = &mut self.status;
        let mut parsed = 0;
        for line in complete_lines(text) {
            parsed += line.len() + 1;
            // First letters are enough to skip most lines.
            match line.first() {
                Some(b'S') if !self.has_state => {
                    let state = line.strip_prefix(b"State:\t").and_then(|value| value.first());
                    (status.state, self.has_state) = (state.copied().unwrap_or(0), state.is_some());
                }
                Some(b'S') if self.last == LastLine::SeccompFilters => {
                    set(&mut status.seccomp_filters, line, b"Seccomp_filters:\t", count);
                    if status.seccomp_filters.is_some() {
                        self.is_over = true;
                        break;
                    }
                }
                Some(b'P') => set(&mut status.ppid, line, b"PPid:\t", id),
                Some(b'U') => set(&mut status.uid, line, b"Uid:\t", id),
                Some(b'R') => {
                    set(&mut status.rss_anon_bytes, line, b"RssAnon:", kib_as_bytes);
                    set(&mut status.rss_file_bytes, line, b"RssFile:", kib_as_bytes);
                }
                Some(b'V') => {
                    set(&mut status.vm_hwm_bytes, line, b"VmHWM:", kib_as_bytes);
                    set(&mut status.vm_rss_bytes, line, b"VmRSS:", kib_as_bytes);
                    set(&mut status.vm_swap_bytes, line, b"VmSwap:", kib_as_bytes);
                    set(&mut status.page_table_bytes, line, b"VmPTE:", kib_as_bytes);
                }
                Some(b'H') => set(&mut status.hugetlb_bytes, line, b"HugetlbPages:", kib_as_bytes),
                Some(b'T') if line.starts_with(b"Tgid:\t") => set(&mut status.tgid, line, b"Tgid:\t", id),
                Some(b'T') if line.starts_with(b"Threads:\t") => {
                    set(&mut status.threads, line, b"Threads:\t", count);
                    if self.last == LastLine::Threads {
                        self.is_over = true;
                        break;
                    }
                }
                Some(b'T') => set(&mut status.tracer, line, b"TracerPid:\t", id),
                _ => {}
            }
        }
        parsed
    }

    /// Returns the fields of all parts; `None` if not even the state was complete.
    pub(crate) fn finish(self) -> Option<Status> {
        self.has_state.then_some(self.status)
    }
}

fn set<T>(field: &mut Option<T>, line: &[u8], key: &[u8], value: impl Fn(&[u8]) -> Option<T>) {
    if let Some(text) = line.strip_prefix(key) {
        *field = value(text);
    }
}

fn count(text: &[u8]) -> Option<u64> {
    decimal::leading(text).map(|(number, _)| number)
}

fn id(text: &[u8]) -> Option<u32> {
    u32::try_from(count(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASH: &[u8] = b"Name:\tbash\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t2125\nNgid:\t0\nPid:\t2125\n\
        PPid:\t2110\nTracerPid:\t0\nUid:\t1000\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t0 1000 \n\
        NStgid:\t2125\nNSpid:\t2125\nNSpgid:\t2125\nNSsid:\t2110\nKthread:\t0\nVmPeak:\t    4532 kB\n\
        VmSize:\t    4496 kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\nVmHWM:\t    3456 kB\nVmRSS:\t    3392 kB\n\
        RssAnon:\t     384 kB\nRssFile:\t    3008 kB\nRssShmem:\t       0 kB\nVmData:\t     432 kB\n\
        VmStk:\t     132 kB\nVmExe:\t     748 kB\nVmLib:\t    1720 kB\nVmPTE:\t      52 kB\nVmSwap:\t     128 kB\n\
        HugetlbPages:\t       0 kB\nCoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n\
        Threads:\t1\nSigQ:\t1/31371\nSigPnd:\t0000000000000000\nSeccomp:\t2\nSeccomp_filters:\t3\n\
        Speculation_Store_Bypass:\tvulnerable\n";

    #[test]
    fn parts_give_what_the_whole_gives() {
        let groups = "1000000 ".repeat(3000);
        let text = String::from_utf8(BASH.to_vec()).unwrap().replace("0 1000 \n", &format!("{groups}\n"));
        let text = text.as_bytes();
        let whole = Status::parse(text).unwrap();
        assert_eq!((whole.vm_hwm_bytes, whole.threads), (Some(3456 * 1024), Some(1)));
        for size in [1, 100, 4096] {
            let parsed = |mut lines: StatusLines| {
                let mut part = Vec::new();
                for bytes in text.chunks(size) {
                    part.extend(bytes);
                    let parsed = lines.add(&part);
                    part.drain(..parsed);
                }
                lines.finish()
            };
            assert_eq!(parsed(StatusLines::default()), Some(whole), "{size}");
            let with_filters = Status { seccomp_filters: Some(3), ..whole };
            assert_eq!(parsed(StatusLines::with_filters()), Some(with_filters), "{size}");
        }
    }

    const ZOMBIE: &[u8] = b"Name:\ttrue\nState:\tZ (zombie)\nTgid:\t77\nNgid:\t0\nPid:\t77\nPPid:\t70\n\
        TracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t0\nGroups:\t0 \nKthread:\t0\nThreads:\t1\n";

    #[test]
    fn captured() {
        assert_eq!(
            Status::parse(BASH),
            Some(Status {
                state: b'S',
                tgid: Some(2125),
                ppid: Some(2110),
                tracer: Some(0),
                threads: Some(1),
                seccomp_filters: None,
                uid: Some(1000),
                vm_rss_bytes: Some(3392 * 1024),
                rss_anon_bytes: Some(384 * 1024),
                vm_hwm_bytes: Some(3456 * 1024),
                rss_file_bytes: Some(3008 * 1024),
                vm_swap_bytes: Some(128 * 1024),
                page_table_bytes: Some(52 * 1024),
                hugetlb_bytes: Some(0),
            })
        );
    }

    #[test]
    fn zombie_has_no_memory_fields() {
        let status = Status::parse(ZOMBIE).unwrap();
        assert_eq!(status.state, b'Z');
        assert_eq!(status.vm_rss_bytes, None);
        assert_eq!(status.vm_hwm_bytes, None);
        assert_eq!(status.threads, Some(1));
    }

    #[test]
    fn cut_text_gives_what_was_complete() {
        let whole = Status::parse(BASH).unwrap();
        for end in 0..BASH.len() {
            let Some(cut) = Status::parse(&BASH[..end]) else { continue };
            assert!(cut.vm_hwm_bytes.is_none_or(|bytes| Some(bytes) == whole.vm_hwm_bytes), "cut at {end}");
            assert!(cut.vm_rss_bytes.is_none_or(|bytes| Some(bytes) == whole.vm_rss_bytes), "cut at {end}");
            assert!(
                cut.rss_anon_bytes.is_none_or(|bytes| Some(bytes) == whole.rss_anon_bytes),
                "cut at {end}"
            );
            assert!(cut.ppid.is_none_or(|ppid| Some(ppid) == whole.ppid), "cut at {end}");
            assert!(cut.tracer.is_none_or(|tracer| Some(tracer) == whole.tracer), "cut at {end}");
        }
        let line = b"VmHWM:\t    3456 kB\n";
        let hwm = BASH.windows(line.len()).position(|window| window == line).unwrap();
        assert_eq!(Status::parse(&BASH[..hwm + 12]).unwrap().vm_hwm_bytes, None);
        assert_eq!(Status::parse(&BASH[..hwm + line.len()]).unwrap().vm_hwm_bytes, whole.vm_hwm_bytes);
        assert_eq!(Status::parse(b"Name:\tbash\nState:"), None);
    }

    #[test]
    fn name_forges_nothing() {
        // comm set to "x\nVmHWM: 9 kB\n" by prctl(PR_SET_NAME): the kernel escapes the newlines.
        let text = b"Name:\tx\\nVmHWM: 9 kB\\n\nState:\tR (running)\nVmRSS:\t       8 kB\n";
        let status = Status::parse(text).unwrap();
        assert_eq!(status.vm_hwm_bytes, None);
        assert_eq!(status.vm_rss_bytes, Some(8192));
    }
}
