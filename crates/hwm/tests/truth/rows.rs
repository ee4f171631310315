//! The rows: the programs that are run, and the figures that hwm must report.

use crate::run::Run;

const MIB: u64 = 1 << 20;

/// The distance, for each process alive at the peak, by which the truth may lie outside the interval. The kernel's
/// marks read low by up to 212 KiB (counters batched per CPU). The truth's own base misses pages of code that were
/// first run after the walk of the page tables (64 KiB a fault, mm/memory.c, `do_fault_around`).
const SLACK_BYTES_PER_PROCESS: u64 = 256 << 10;

/// One situation of the table.
pub(crate) struct Row {
    pub(crate) situation: &'static str,
    pub(crate) program: Program,
    /// Run with `--wait`.
    pub(crate) wait: bool,
    /// The exit code that hwm must pass on.
    pub(crate) exit: i32,
    /// Processes alive together at the peak.
    processes: u64,
    figure: TruthFigure,
    also: fn(&Run) -> Vec<String>,
}

/// The program that is run.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    /// `workload` with these arguments.
    Workload(&'static [&'static str]),
    /// A program of so many KiB, without libc.
    Tiny(u64),
}

/// The figure that must come near the truth.
#[derive(Clone, Copy, PartialEq)]
enum TruthFigure {
    /// The RSS sum: 0.97-1.03 of it.
    Total,
    /// PSS: 0.97-1.05 of it; the RSS sum too where it can be right.
    Pss { and_total: bool },
    /// The RSS sum: 0.97-1.03 of it, or marked as bounded.
    TotalOrBounded,
    /// The RSS sum of a process so small that the pages for its arguments and environment are some per cent.
    TotalOfFewPages,
}

impl Row {
    fn of(situation: &'static str, args: &'static [&'static str]) -> Self {
        Self {
            situation,
            program: Program::Workload(args),
            wait: false,
            exit: 0,
            processes: 1,
            figure: TruthFigure::Total,
            also: |_| Vec::new(),
        }
    }

    /// Returns the reported figure over the true one, and its name.
    pub(crate) fn ratio(&self, run: &Run) -> (&'static str, Option<f64>) {
        match self.figure {
            TruthFigure::Pss { .. } => ("PSS", run.pss_ratio()),
            TruthFigure::Total | TruthFigure::TotalOrBounded | TruthFigure::TotalOfFewPages => {
                ("RSS", run.rss_ratio())
            }
        }
    }

    /// Returns what is wrong with `run`; nothing if it is right.
    pub(crate) fn judge(&self, run: &Run) -> Vec<String> {
        let mut wrong = (self.also)(run);
        let mut demand = |holds: bool, what: &str| {
            if !holds {
                wrong.push(what.to_owned());
            }
        };
        let near = |ratio: Option<f64>, high: f64| ratio.is_some_and(|r| (0.97..=high).contains(&r));
        match self.figure {
            TruthFigure::Total => demand(near(run.rss_ratio(), 1.03), "RSS not within 0.97-1.03"),
            TruthFigure::TotalOfFewPages => demand(near(run.rss_ratio(), 1.1), "RSS not within 0.97-1.1"),
            TruthFigure::TotalOrBounded => demand(
                near(run.rss_ratio(), 1.03) || run.word("/peak/rss/certainty") == "bounded",
                "RSS not within 0.97-1.03, and not marked as bounded",
            ),
            TruthFigure::Pss { and_total } => {
                demand(near(run.pss_ratio(), 1.05), "PSS not within 0.97-1.05");
                demand(!and_total || near(run.rss_ratio(), 1.03), "RSS not within 0.97-1.03");
            }
        }
        let ends = (
            run.number("/peak/rss/lower_bytes"),
            run.number("/peak/rss/bytes"),
            run.number("/peak/rss/upper_bytes"),
        );
        if let (Some(lower), Some(bytes), Some(upper)) = ends {
            let (truth, slack) = (run.truth.rss, self.processes * SLACK_BYTES_PER_PROCESS);
            demand(lower <= bytes && bytes <= upper, "the estimate lies outside its interval");
            // Between fork and exec a child shares all pages of its parent. docs/peak-of-a-job.md explains the RSS sum
            // there. No truth of it is demanded.
            let meant = self.figure != TruthFigure::Pss { and_total: false };
            demand(!meant || lower <= truth + slack, "the truth lies below the interval");
            demand(!meant || truth <= upper + slack, "the truth lies above the interval");
        } else {
            demand(false, "no interval");
        }
        demand(run.word("/schema/name") == "highwater.record", "not a record");
        demand(run.record["complete"] == true, "the record is not complete");
        let kib = run.number("/max_total_rss_kib");
        demand(kib == ends.1.map(|bytes| bytes / 1024), "max_total_rss_kib is not peak.rss.bytes");
        wrong
    }
}

pub(crate) fn hold_for_1_s() -> Row {
    Row::of("200 MiB for 1 s", &["hold", "200", "1000"])
}

pub(crate) fn hold_for_30_ms() -> Row {
    Row::of("200 MiB for 30 ms", &["hold", "200", "30"])
}

pub(crate) fn three_generations() -> Row {
    Row { processes: 3, ..Row::of("three generations, 100 + 70 MiB overlap", &["generations"]) }
}

pub(crate) fn many_threads() -> Row {
    Row::of("64 threads of 2 MiB", &["threads", "64", "2"])
}

pub(crate) fn exec_into_less() -> Row {
    Row::of("300 MiB, then exec into 10 MiB", &["exec", "300", "10"])
}

pub(crate) fn leak() -> Row {
    Row::of("leak to 300 MiB", &["leak", "300", "30"])
}

pub(crate) fn killed_by_sigkill() -> Row {
    Row {
        exit: 137,
        also: |run| expect_signal(run, 9),
        ..Row::of("killed by SIGKILL at 120 MiB", &["killed", "120", "9"])
    }
}

pub(crate) fn killed_by_sigsegv() -> Row {
    Row {
        exit: 139,
        also: |run| expect_signal(run, 11),
        ..Row::of("killed by SIGSEGV at 120 MiB", &["killed", "120", "11"])
    }
}

fn expect_signal(run: &Run, signal: u64) -> Vec<String> {
    let found = run.number("/exit/signal");
    if found == Some(signal) { Vec::new() } else { vec![format!("exit.signal is {found:?}, not {signal}")] }
}

pub(crate) fn spike_of_20_ms() -> Row {
    Row::of("500 MiB for 20 ms inside 3 s", &["spike", "500", "20", "3000"])
}

pub(crate) fn spikes_in_turn() -> Row {
    Row {
        processes: 5,
        ..Row::of("four children spike 150 MiB in turn", &["spikes-in-turn", "4", "150", "20"])
    }
}

pub(crate) fn hand_over() -> Row {
    Row {
        processes: 2,
        figure: TruthFigure::TotalOrBounded,
        ..Row::of("two hold 100 MiB in turn, 60 ms each", &["hand-over", "100", "60", "10"])
    }
}

pub(crate) fn fork_and_exec_from_a_large_process() -> Row {
    Row {
        figure: TruthFigure::Pss { and_total: false },
        also: |run| {
            // The first row is the large process itself.
            let tiny = run.processes().iter().skip(1);
            let sizes: Vec<_> = tiny.filter_map(|process| process["max_rss_kib"].as_u64()).collect();
            let large = sizes.iter().filter(|kib| **kib > 3 * 1024).count();
            let mut wrong = Vec::new();
            if large > 0 {
                wrong
                    .push(format!("{large} of {} tiny processes reported with more than 3 MiB", sizes.len()));
            }
            if sizes.is_empty() {
                wrong.push("no tiny process has a size".to_owned());
            }
            wrong
        },
        ..Row::of("300 MiB, 400 times fork + exec of /bin/true", &["fork-exec", "300", "400", "/bin/true"])
    }
}

pub(crate) fn tiny_process() -> Row {
    Row {
        program: Program::Tiny(800),
        figure: TruthFigure::TotalOfFewPages,
        also: |run| match run.number("/peak/rss/upper_bytes") {
            Some(bytes) if bytes <= MIB * 3 / 2 => Vec::new(),
            bytes => vec![format!("up to {bytes:?} bytes: more than 1.5 MiB")],
        },
        ..Row::of("0.8 MiB", &[])
    }
}

pub(crate) fn orphan() -> Row {
    Row {
        processes: 2,
        also: |run| expect_processes(run, 3),
        ..Row::of("orphan of a process of 100 ms", &["orphan", "120", "100"])
    }
}

pub(crate) fn orphan_whose_parent_dies_at_once() -> Row {
    Row {
        processes: 2,
        also: |run| expect_processes(run, 2),
        ..Row::of("orphan of a process that dies at once", &["orphan", "120", "0"])
    }
}

pub(crate) fn daemon() -> Row {
    Row {
        wait: true,
        also: |run| expect_processes(run, 2),
        ..Row::of("daemon, with --wait", &["daemon", "100"])
    }
}

fn expect_processes(run: &Run, at_least: usize) -> Vec<String> {
    let found = run.processes().len();
    if found >= at_least { Vec::new() } else { vec![format!("{found} rows, not {at_least}")] }
}

pub(crate) fn workers_sharing_copy_on_write() -> Row {
    Row {
        processes: 9,
        figure: TruthFigure::Pss { and_total: true },
        ..Row::of("8 workers share 400 MiB, copy on write", &["shared-workers", "cow", "8", "400"])
    }
}

pub(crate) fn workers_sharing_a_mapping() -> Row {
    Row {
        processes: 9,
        figure: TruthFigure::Pss { and_total: true },
        ..Row::of("8 workers share 400 MiB, MAP_SHARED", &["shared-workers", "shared", "8", "400"])
    }
}

pub(crate) fn leaderless() -> Row {
    Row::of("main thread gone, 160 MiB in the others", &["leaderless", "4", "40"])
}

pub(crate) fn same_pid_twice() -> Row {
    Row {
        processes: 2,
        also: |run| {
            let pids: Vec<_> = run.processes().iter().filter_map(|process| process["pid"].as_u64()).collect();
            let twice = |pid: &u64| pids.iter().filter(|other| *other == pid).count() == 2;
            if pids.iter().any(twice) { Vec::new() } else { vec![format!("no pid has two rows: {pids:?}")] }
        },
        ..Row::of("two processes with one pid", &["same-pid", "20", "40"])
    }
}

/// Returns a storm of short processes. The scheduler decides which of them live together: on a busy machine the
/// estimate lies a tenth beside the truth, and is marked as bounded. No process may be missed, and the interval must
/// hold the truth closely.
pub(crate) fn storm() -> Row {
    Row {
        processes: 5,
        figure: TruthFigure::TotalOrBounded,
        also: |run| {
            let (seen, is) = (run.number("/capture/processes_seen"), run.word("/capture/processes_seen_is"));
            let mut wrong = Vec::new();
            // 2,000 and their parent.
            if !matches!((seen, is), (Some(2001), "exact") | (Some(..=2001), "at_least")) {
                wrong.push(format!("processes_seen is {is} {seen:?}"));
            }
            // If the kernel reported them, only those alive together and the next one to start can make up the upper
            // end.
            if is == "exact"
                && run.number("/peak/rss/upper_bytes").is_none_or(|upper| upper > run.truth.rss * 2)
            {
                wrong.push("the upper end is more than twice the truth".to_owned());
            }
            wrong
        },
        ..Row::of("2,000 processes of 5 ms, 4 at a time", &["storm", "2000", "5", "4", "10"])
    }
}
