//! The truth table: `hwm run`, with its default settings, on programs of known memory use (`crates/workload`).
//! Each row is run five times, and must be right five times.
//!
//! The table as measured on this machine, as Markdown:
//! `cargo test -p hwm --test truth -- --ignored --nocapture measured_table`
#![cfg(target_os = "linux")]

mod measured;
#[path = "../programs/mod.rs"]
mod programs;
mod rows;
mod run;
#[path = "../programs/tiny.rs"]
mod tiny;

use std::sync::{Mutex, PoisonError};

use rows::Row;

/// Two jobs at a time would take each other's processors, and short spikes are part of the table.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
const RUNS_PER_ROW: usize = 5;

/// Each row is a test of its own, and a line of the table.
macro_rules! table {
    ($($row:ident),* $(,)?) => {
        const TABLE: &[fn() -> Row] = &[$(rows::$row),*];
        $(#[test]
        fn $row() {
            prove(&rows::$row());
        })*
    };
}

table![
    hold_for_1_s,
    hold_for_30_ms,
    three_generations,
    many_threads,
    exec_into_less,
    leak,
    killed_by_sigkill,
    killed_by_sigsegv,
    spike_of_20_ms,
    spikes_in_turn,
    hand_over,
    fork_and_exec_from_a_large_process,
    tiny_process,
    orphan,
    orphan_whose_parent_dies_at_once,
    daemon,
    workers_sharing_copy_on_write,
    workers_sharing_a_mapping,
    leaderless,
    same_pid_twice,
    storm,
];

fn prove(row: &Row) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Vec::new();
    for time in 1..=RUNS_PER_ROW {
        match run::run(row) {
            Ok(run) => {
                let failures = row.judge(&run);
                if !failures.is_empty() {
                    wrong.push(format!("run {time}: {}\n  {run}", failures.join("; ")));
                }
            }
            Err(run::Failed::Skipped(reason)) => return eprintln!("SKIPPED {}: {reason}", row.situation),
            Err(run::Failed::Broken(reason)) => wrong.push(format!("run {time}: {reason}")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{}: wrong in {} of {RUNS_PER_ROW} runs\n{}",
        row.situation,
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
#[ignore = "measures; judges nothing"]
fn measured_table() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    measured::print(TABLE, RUNS_PER_ROW);
}
