//! Expected time of the kernel's walk over the pages of a process (`walk_page_range`, mm/pagewalk.c), for `smaps` and
//! `smaps_rollup`.
//!
//! It reads all page tables, also those of a few pages far apart. A process may have as much memory in page tables as in
//! pages, or far more: zero pages are in no RSS. So the RSS alone says too little.

use std::time::Duration;

/// Time for a resident byte in pages of 4 KiB, with an ordinary share of page tables.
pub(super) const SECONDS_PER_BYTE: f64 = 9e-6 / MIB;
/// Time for a byte of page tables in `smaps_rollup`: 220 to 350 us per MiB on Linux 6.18.
const SECONDS_PER_PAGE_TABLE_BYTE: f64 = 250e-6 / MIB;
const MIB: f64 = 1024.0 * 1024.0;

/// Returns the time for the page tables of a process. Unknown ones add nothing.
pub(super) fn page_table_time(bytes: Option<u64>) -> Duration {
    Duration::from_secs_f64(bytes.unwrap_or(0) as f64 * SECONDS_PER_PAGE_TABLE_BYTE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::linux::{
        member_files::{MemberFiles, ProcessKey},
        proc_dir::ProcDir,
    };

    #[test]
    fn page_tables_are_known_with_the_first_mark() {
        let (proc, mut text) = (ProcDir::of_this_machine(), Vec::new());
        let process = ProcessKey { pid: std::process::id(), start_ticks: None };
        let mut files = MemberFiles::default();
        files.open(&proc, process.pid);
        for with_mark in [false, true] {
            files.read(&proc, process, 4096, with_mark, &mut text);
            assert_eq!(files.page_table_bytes().is_some(), with_mark);
        }
        assert!(page_table_time(files.page_table_bytes()) > page_table_time(None));
    }
}
