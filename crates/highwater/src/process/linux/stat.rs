//! `/proc/PID/stat`: one line. [`proc_pid_stat(5)`](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)

/// `PF_FORKNOEXEC` of include/linux/sched.h: forked but not yet exec'ed.
const PF_FORKNOEXEC: u64 = 0x40;
/// `PF_EXITING`: the task is exiting.
const PF_EXITING: u64 = 0x4;
/// `PF_KTHREAD`: a kernel thread.
const PF_KTHREAD: u64 = 0x20_0000;

/// The identity and state of a process. `C` holds the name: bytes of the text, or an own string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat<C = String> {
    /// Its id.
    pub pid: u32,
    /// The kernel's name for it, at most 15 bytes; in a string, bytes that are not UTF-8 are replaced.
    pub comm: C,
    /// One letter, as in ps.
    pub state: u8,
    /// Parent; 0 if it lies outside this pid namespace.
    pub ppid: u32,
    /// Process group; `None` if it lies outside this pid namespace.
    pub group: Option<u32>,
    /// Session; `None` if it lies outside this pid namespace.
    pub session: Option<u32>,
    /// `PF_*` of include/linux/sched.h.
    pub flags: u64,
    /// Usage of all its threads, also of ended ones.
    pub own: Spent,
    /// Usage of the children that it waited for, with theirs.
    pub waited: Spent,
    /// Threads of the process.
    pub threads: u64,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// A number that differs between the memory maps of one process; `None` if the kernel hides it (another
    /// user's process).
    pub image: Option<u64>,
}

/// CPU time and page faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// In user mode, in clock ticks.
    pub user_ticks: u64,
    /// In kernel mode, in clock ticks.
    pub system_ticks: u64,
    /// Page faults without I/O.
    pub minor_faults: u64,
    /// Page faults with I/O.
    pub major_faults: u64,
}

impl Stat {
    /// As [`Stat::parse_bytes`], with the name as a string.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let stat = Stat::parse_bytes(text)?;
        let Stat { comm, pid, state, ppid, group, session, flags, own, waited, threads, start_ticks, image } =
            stat;
        let comm = String::from_utf8_lossy(comm).into_owned();
        Some(Self { pid, comm, state, ppid, group, session, flags, own, waited, threads, start_ticks, image })
    }
}

impl<'a> Stat<&'a [u8]> {
    /// Parses without allocation. `comm` is written raw and may contain spaces, parentheses and newlines: it
    /// ends at the last `)`.
    pub(crate) fn parse_bytes(text: &'a [u8]) -> Option<Self> {
        let open = text.iter().position(|&byte| byte == b'(')?;
        let close = text.iter().rposition(|&byte| byte == b')')?;
        let comm = text.get(open + 1..close)?;
        // Field n of the man page is fields[n - 3]. A number at the very end may have been cut: vsize (23)
        // must follow.
        let mut fields = text.get(close + 1..)?.strip_prefix(b" ")?.split(|&byte| byte == b' ');
        let (mut own, mut waited) = (Spent::default(), Spent::default());
        let mut stat = Self {
            pid: number(text.get(..open)?.trim_ascii_end())?,
            comm,
            state: *fields.next()?.first()?,
            ppid: number(fields.next()?)?,
            group: number(fields.next()?).filter(|&group| group != 0),
            session: number(fields.next()?).filter(|&session| session != 0),
            flags: number(fields.nth(9 - 7)?)?,
            own,
            waited,
            threads: 0,
            start_ticks: 0,
            image: None,
        };
        for field in [&mut own.minor_faults, &mut waited.minor_faults] {
            *field = number(fields.next()?)?;
        }
        for field in [&mut own.major_faults, &mut waited.major_faults] {
            *field = number(fields.next()?)?;
        }
        for spent in [&mut own, &mut waited] {
            (spent.user_ticks, spent.system_ticks) = (number(fields.next()?)?, number(fields.next()?)?);
        }
        (stat.own, stat.waited) = (own, waited);
        (stat.threads, stat.start_ticks) = (number(fields.nth(20 - 18)?)?, number(fields.nth(22 - 21)?)?);
        fields.next()?;
        let (start_code, start_stack) = (fields.nth(26 - 24), fields.nth(28 - 27));
        // A field is certainly whole only if another one follows it.
        stat.image = fields.next().and_then(|_| image(number(start_code?)?, number(start_stack?)?));
        Some(stat)
    }
}

impl<C> Stat<C> {
    /// Returns whether the process is exiting, though it may still have its memory.
    pub(crate) fn is_exiting(&self) -> bool {
        self.flags & PF_EXITING != 0
    }

    /// Returns whether the whole process has exited. The leader may be a zombie (`Z`) while other threads
    /// run, which `num_threads` counts. `X` is a process that is being reaped (fs/proc/array.c).
    pub(crate) fn has_exited(&self) -> bool {
        self.is_zombie() && self.threads <= 1
    }

    /// Returns whether the first task has exited. Other threads of the process may run on.
    pub(crate) fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Returns whether the process has exited, and its parent has not waited for it yet.
    pub(crate) fn is_reapable(&self) -> bool {
        self.state == b'Z' && self.threads <= 1
    }

    /// Returns the CPU time of all its threads in clock ticks, in user and kernel mode together.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        self.own.user_ticks.saturating_add(self.own.system_ticks)
    }

    /// Returns whether it is a kernel thread, which runs no program.
    pub(crate) fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Returns whether it still has the image that fork made: its parent's program and pages.
    pub(crate) fn has_not_exec(&self) -> bool {
        self.flags & PF_FORKNOEXEC != 0
    }
}

/// Combines the start addresses of the program's code and stack. With address space randomization (the
/// default) two programs never agree in both, and a failed exec changes neither. The kernel writes 1 and 0
/// for readers without permission.
pub(crate) fn image(start_code: u64, start_stack: u64) -> Option<u64> {
    (start_code > 1 && start_stack != 0).then(|| start_code.rotate_left(32) ^ start_stack)
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &[u8] = b" S 2110 2125 2110 34816 2188 4194304 1210 5120 0 3 1 2 9 4 20 0 1 0 168453 4603904 848 \
        18446744073709551615 94123 94124 140 0 0 0 65536 3670020 1266777851 1 0 0 17 1 0 0 0 0 0 94 95 96 97 98 99 \
        100 0\n";

    #[test]
    fn a_process_has_exited_with_its_last_thread() {
        // State, threads, and whether it has exited, is a zombie, is reapable.
        let table = [
            (b'Z', 1, (true, true, true)),
            (b'X', 1, (true, true, false)),
            (b'X', 0, (true, true, false)),
            (b'Z', 2, (false, true, false)),
            (b'R', 1, (false, false, false)),
            (b'D', 0, (false, false, false)),
        ];
        let stat = Stat::parse(&with_comm(b"x")).unwrap();
        for (state, threads, expected) in table {
            let stat = Stat { state, threads, ..stat.clone() };
            let found = (stat.has_exited(), stat.is_zombie(), stat.is_reapable());
            assert_eq!(found, expected, "{} with {threads} threads", char::from(state));
        }
    }

    fn with_comm(comm: &[u8]) -> Vec<u8> {
        [b"2125 (", comm, b")", TAIL].concat()
    }

    #[test]
    fn captured() {
        assert_eq!(
            Stat::parse(&with_comm(b"bash")),
            Some(Stat {
                pid: 2125,
                comm: "bash".into(),
                state: b'S',
                ppid: 2110,
                group: Some(2125),
                session: Some(2110),
                flags: 4_194_304,
                own: Spent { user_ticks: 1, system_ticks: 2, minor_faults: 1210, major_faults: 0 },
                waited: Spent { user_ticks: 9, system_ticks: 4, minor_faults: 5120, major_faults: 3 },
                threads: 1,
                start_ticks: 168_453,
                image: image(94_123, 140),
            })
        );
    }

    #[test]
    fn names_that_look_like_fields() {
        for comm in [&b"a b"[..], b"x) R 1 (y", b"(sd-pam)", b") S 1 2", b"", b"a\nb"] {
            let stat = Stat::parse(&with_comm(comm)).unwrap();
            assert_eq!(stat.comm.as_bytes(), comm);
            assert_eq!((stat.ppid, stat.start_ticks), (2110, 168_453));
        }
        assert_eq!(Stat::parse(&with_comm(b"\xff\xfe")).unwrap().comm, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_session_outside_the_pid_namespace_is_unknown() {
        // The first process of `unshare --pid --fork` is shown like this there.
        let stat = Stat::parse(b"1 (sh) S 0 0 0 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 55 1 1 \n").unwrap();
        assert_eq!((stat.ppid, stat.group, stat.session), (0, None, None));
        assert_eq!(
            Stat::parse(b"1 (sh) S 0 -1 -1 0 -1 64 1 0 0 0 0 0 0 0 20 0 1 0 55 1 1 \n").unwrap().group,
            None
        );
    }

    #[test]
    fn fork_before_exec() {
        let forked = b"9 (sh) R 8 8 8 0 -1 4194368 1 0 0 0 0 0 0 0 20 0 1 0 55 1 1 \n";
        assert!(Stat::parse(forked).unwrap().has_not_exec());
        assert!(!Stat::parse(&with_comm(b"bash")).unwrap().has_not_exec());
    }

    #[test]
    fn kernel_threads() {
        let kthreadd = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 7 0 0 20 0 1 0 55 0 0 \n";
        let stat = Stat::parse(kthreadd).unwrap();
        assert_eq!((stat.is_kernel_thread(), stat.cpu_ticks()), (true, 7));
        assert!(!Stat::parse(&with_comm(b"bash")).unwrap().is_kernel_thread());
    }

    #[test]
    fn an_image_is_known_or_unknown() {
        assert_ne!(image(94_123, 140), image(94_123, 141));
        assert_eq!((image(1, 0), image(0, 0)), (None, None));
    }

    #[test]
    fn cut_is_never_a_wrong_start() {
        let whole = with_comm(b"bash");
        for end in 0..whole.len() {
            if let Some(stat) = Stat::parse(&whole[..end]) {
                assert_eq!(stat.start_ticks, 168_453, "cut at {end}");
                assert!(stat.image.is_none_or(|known| Some(known) == image(94_123, 140)), "cut at {end}");
            }
        }
    }
}
