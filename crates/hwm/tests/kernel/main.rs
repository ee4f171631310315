//! The events that the kernel reports of a job: no process missed, exact peaks, honest bounds, and the fallback if the
//! kernel refuses. Each run is made as the user of the test, and if that is root as an ordinary user, too.
#![cfg(target_os = "linux")]

mod build;
mod hostile;
#[path = "../programs/install.rs"]
mod install;
mod killed;
mod peak_memory;
#[path = "../programs/mod.rs"]
mod programs;
mod pss_limit;
mod refusals;
mod run;
mod situations;
mod storms;
#[path = "../programs/tiny.rs"]
mod tiny;
mod tracer;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Jobs that are timed against each other take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
