//! Lists over a procfs and GPU drivers that are made up.

use super::*;
use crate::Unavailable;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use super::*;
    use crate::gpu::{AmountKind, DeviceId, Figure, FigureScope, FigureSource, Pool, Reading};

    fn usage(pid: u32, device: &str, vram: u64) -> GpuUsage {
        let figure = |bytes, pool| {
            Figure::new(
                Reading::Known(bytes),
                FigureScope::Process,
                pool,
                AmountKind::Resident,
                FigureSource::Fdinfo,
            )
        };
        let (vram, system) = (figure(vram, Pool::Dedicated), figure(0, Pool::System));
        GpuUsage::new(pid, DeviceId::new(device), vram, system)
    }

    fn holders(usages: Vec<GpuUsage>) -> GpuHolders {
        let listing = Listing { usages, ..Listing::default() };
        GpuHolders { devices: Vec::new(), listing, read_at: Instant::now() }
    }

    /// A procfs with a process for each name, from pid 10 on.
    fn procfs(names: &[&str]) -> (tempfile::TempDir, ProcessLister) {
        let tree = tempfile::tempdir().unwrap();
        for (pid, name) in (10..).zip(names) {
            let dir = tree.path().join(pid.to_string());
            fs::create_dir(&dir).unwrap();
            let stat =
                format!("{pid} ({name}) S 1 10 10 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 4 0 900 1 1 0\n");
            fs::write(dir.join("stat"), stat).unwrap();
            let status = "State:\tS (sleeping)\nUid:\t1000\t1000\t0\t0\nVmRSS:\t 8 kB\nThreads:\t4\n";
            fs::write(dir.join("status"), status).unwrap();
        }
        let lister = ProcessLister::with_roots(Roots { proc: tree.path().to_owned(), ..Roots::default() });
        (tree, lister)
    }

    #[test]
    fn rows_join_facts_user_and_gpu_memory() {
        let (_tree, mut lister) = procfs(&["trainer", "shell"]);
        let list = lister.join(&ListScope::all(), holders(vec![usage(10, "0000:03:00.0", 4096)]));
        let shown = |row: &ProcessRow| {
            let name = row.name.clone().unwrap();
            (row.pid, name, row.user.clone().unwrap(), row.rss_bytes.clone().unwrap(), row.vram_bytes())
        };
        let rows: Vec<_> = list.rows.iter().map(shown).collect();
        assert_eq!(
            rows,
            [
                (10, "trainer".to_owned(), "1000".to_owned(), 8192, Some(4096)),
                (11, "shell".to_owned(), "1000".to_owned(), 8192, None),
            ]
        );
        assert!(list.is_complete());
    }

    #[test]
    fn a_process_on_two_devices_has_two_rows_and_none_without() {
        let (_tree, mut lister) = procfs(&["trainer"]);
        let usages = vec![usage(10, "0000:03:00.0", 1), usage(10, "0000:04:00.0", 2)];
        let list = lister.join(&ListScope::all(), holders(usages));
        assert_eq!(list.rows.iter().map(ProcessRow::vram_bytes).collect::<Vec<_>>(), [Some(1), Some(2)]);
    }

    #[test]
    fn only_pids_of_the_scope_are_listed() {
        let (_tree, mut lister) = procfs(&["one", "two"]);
        let scope = ListScope { pids: [11, 99].into(), ..ListScope::all() };
        let list = lister.join(&scope, holders(vec![usage(10, "a", 1), usage(98, "a", 1)]));
        assert_eq!(list.rows.iter().map(|row| row.pid).collect::<Vec<_>>(), [11]);
        assert_eq!(list.missing, [99]);
    }

    #[test]
    fn a_holder_that_has_ended_keeps_its_row_without_facts() {
        let (_tree, mut lister) = procfs(&["one"]);
        let list = lister.join(&ListScope::default(), holders(vec![usage(98, "a", 7)]));
        let row = &list.rows[0];
        assert_eq!((row.vram_bytes(), row.state), (Some(7), None));
        assert_eq!((&row.name, &row.rss_bytes), (&Err(Unavailable::Vanished), &Err(Unavailable::Vanished)));
    }

    #[test]
    fn a_pid_of_the_host_is_not_looked_up_here() {
        let (_tree, mut lister) = procfs(&["another"]);
        let mut of_host = usage(10, "a", 7);
        of_host.pid_space = PidSpace::Host;
        let list = lister.join(&ListScope::default(), holders(vec![of_host]));
        assert_eq!(list.rows[0].name, Err(Unavailable::PidNamespace));
    }

    #[test]
    fn without_a_procfs_the_rest_of_the_list_says_so() {
        let mut lister = ProcessLister::with_roots(Roots { proc: "/nowhere".into(), ..Roots::default() });
        let list = lister.join(&ListScope::all(), holders(Vec::new()));
        assert!(list.rows.is_empty() && list.unlisted.is_some() && !list.is_complete());
    }

    #[test]
    fn a_second_list_has_loads() {
        let (tree, mut lister) = procfs(&["one"]);
        assert_eq!(lister.join(&ListScope::all(), holders(Vec::new())).rows[0].cpu, None);
        // Two readings at the same instant make no load.
        while lister.join(&ListScope::all(), holders(Vec::new())).rows[0].cpu.is_none() {}
        let stat = fs::read_to_string(tree.path().join("10/stat")).unwrap();
        fs::write(tree.path().join("10/stat"), stat.replace(" 250 50 ", " 950 50 ")).unwrap();
        let list = lister.join(&ListScope::all(), holders(Vec::new()));
        assert!(list.rows[0].cpu.is_some_and(|cpu| cpu.percent > 0.0), "{:?}", list.rows[0].cpu);
    }
}

#[test]
fn an_error_says_whether_a_process_is_gone_or_protected() {
    let read = |kind: std::io::ErrorKind| {
        UnreadProcess::of(&Error::Read { path: "/proc/88/stat".into(), source: kind.into() })
    };
    let denied = UnreadProcess::of(&Error::Process { pid: 88, why: Unavailable::PermissionDenied });
    assert_eq!(denied, UnreadProcess::Denied);
    assert_eq!(read(std::io::ErrorKind::PermissionDenied), UnreadProcess::Denied);
    assert!(matches!(read(std::io::ErrorKind::OutOfMemory), UnreadProcess::Failed(_)));
    assert!(UnreadProcess::of(&Error::NoSuchProcess { pid: 88 }).is_gone());
    assert!(UnreadProcess::of(&Error::Thread { tid: 88, pid: 80 }).is_gone());
}

#[test]
fn a_name_that_is_not_known_says_why() {
    let roots = Roots::default();
    let mut facts = ProcessFacts::read(&roots, std::process::id()).unwrap();
    facts.name = Err(Unavailable::PermissionDenied);
    let mut row = ProcessRow::new(facts.id.pid);
    row.fill(&facts, &mut UserNames::of(&roots));
    assert_eq!(row.name, Err(Unavailable::PermissionDenied));
    assert!(row.rss_bytes.is_ok());
}

#[test]
fn a_row_that_was_not_read_says_why() {
    let row = |pid, unread: &UnreadProcess, is_windows| {
        let mut row = ProcessRow::new(pid);
        row.leave_unread(unread, is_windows);
        (row.name, row.rss_bytes)
    };
    let denied = Unavailable::PermissionDenied;
    assert_eq!(row(88, &UnreadProcess::Denied, true), (Err(denied.clone()), Err(denied.clone())));
    assert_eq!(row(4, &UnreadProcess::Denied, true), (Ok("[kernel]".to_owned()), Err(denied)));
    assert_eq!(row(4, &UnreadProcess::Denied, false).0, Err(Unavailable::PermissionDenied));
    assert_eq!(row(88, &UnreadProcess::Gone, true).1, Err(Unavailable::Vanished));
}
