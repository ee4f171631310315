//! Reads every live process of this machine once through the public API.

#![cfg(target_os = "linux")]

use std::{collections::BTreeMap, fs};

use highwater::{Error, ProcessId, ProcessMemory, Unavailable, process::rss_of, process_rss};

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Processes end while they are read, and other users' may be hidden; nothing else may go wrong.
fn is_expected(error: &Error) -> bool {
    match error {
        Error::NoSuchProcess { .. } => true,
        Error::Read { source, .. } => {
            source.kind() == std::io::ErrorKind::PermissionDenied
                || source.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Unavailable>)
        }
        _ => false,
    }
}

fn read(pid: u32) -> Option<ProcessMemory> {
    let read = ProcessMemory::of(pid);
    if let Err(error) = &read {
        assert!(is_expected(error), "{pid}: {error}");
    }
    read.ok()
}

#[test]
fn each_gives_a_value_or_a_reason() {
    let mut memories = BTreeMap::new();
    for pid in pids() {
        if let Err(error) = rss_of(pid) {
            assert!(is_expected(&error), "{pid}: {error}");
        }
        if let Err(error) = ProcessId::of(pid) {
            assert!(is_expected(&error), "{pid}: {error}");
        }
        let Some(memory) = read(pid) else { continue };
        assert_eq!(memory.id.pid, pid);
        for figure in [
            &memory.rss_bytes,
            &memory.pss_bytes,
            &memory.uss_bytes,
            &memory.swap_bytes,
            &memory.swap_pss_bytes,
            &memory.peak_rss_bytes,
        ] {
            assert!(!matches!(figure, Err(Unavailable::Failed(_))), "{pid}: {figure:?}");
        }
        if let (Ok(rss), Ok(peak)) = (&memory.rss_bytes, &memory.peak_rss_bytes) {
            assert!(rss <= peak, "{pid}: {rss} {peak}");
        }
        if let (Ok(pss), Ok(uss)) = (&memory.pss_bytes, &memory.uss_bytes) {
            assert!(uss <= pss, "{pid}: {uss} {pss}");
        }
        memories.insert(pid, memory);
    }
    let own = &memories[&std::process::id()];
    assert!(own.rss_bytes.as_ref().is_ok_and(|&bytes| bytes > 0));
    assert!(process_rss().unwrap() > 0);
}

#[test]
fn processes_that_end_meanwhile() {
    for _ in 0..50 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let waits = std::thread::spawn(move || child.wait());
        // The process runs, then is a zombie, then is gone: chance decides in which state it is read.
        while read(pid).is_some() {}
        waits.join().unwrap().unwrap();
    }
}
