//! Copies of programs, to be executed by a test.

use std::{path::Path, process::Command};

/// Copies a program, by a process of its own.
///
/// A program that any process has open for writing cannot be executed (execve(2), `ETXTBSY`). If this process wrote it,
/// what another test forks meanwhile would have it open until it execs.
pub(crate) fn install(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status();
    assert!(copied.expect("cp runs").success(), "cannot copy {}", from.display());
}
