//! Tests `Snapshot` in forked children. There is one test only. A fork copies the one thread that calls it, and the
//! test harness must not be in the middle of something else.

#![cfg(target_os = "linux")]
#![cfg(feature = "test-helpers")]

use std::{
    io::{Read, Write},
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use highwater::{Error, Snapshot, gpu, process::rss_of, process_rss};

/// The limit for a child: one that waits for a lock of its parent would wait for ever.
const CHILD_TIMEOUT: Duration = Duration::from_secs(20);

const MIB: u64 = 1 << 20;

#[test]
fn snapshots_in_forked_children() {
    a_child_has_figures_of_its_own();
    children_of_children();
    while_another_thread_holds_the_monitor();
    while_other_threads_ask_for_the_first_time_and_later();
    a_lock_of_a_process_with_the_childs_pid();
    a_monitor_that_is_inherited();
}

fn a_child_has_figures_of_its_own() {
    let parent = Snapshot::now(0).unwrap();
    in_child(|| {
        let first = own();
        let buffer = touched(96 * MIB);
        let second = own();
        assert!(second - first > 90 * MIB, "{first} {second}");
        assert!(second > process_rss().unwrap() / 2);
        drop(buffer);
    });
    let grown = own().saturating_sub(parent.ram_bytes);
    assert!(grown < 16 * MIB, "the child's memory stands in the parent's figure: {grown}");
}

/// Checks the RAM figure against `/proc` as other processes see it.
fn own() -> u64 {
    let snapshot = Snapshot::now(0).unwrap();
    let others = rss_of(std::process::id()).unwrap();
    assert!(snapshot.ram_bytes.abs_diff(others) < 8 * MIB, "{} {others}", snapshot.ram_bytes);
    snapshot.ram_bytes
}

/// Makes a lineage in which each process takes a snapshot before it forks. A child leaks little of its
/// parent's, and no child is slower because of those before it.
fn children_of_children() {
    const LINEAGE_DEPTH: u32 = 60;
    fn generation(depth: u32, at_top: u64) {
        let asked = Instant::now();
        let ram = Snapshot::now(0).unwrap().ram_bytes;
        assert!(asked.elapsed() < Duration::from_secs(2));
        assert!(ram < at_top + 16 * MIB, "{depth} left, {ram} of {at_top} bytes");
        if depth > 0 {
            in_child(|| generation(depth - 1, at_top));
        }
    }
    let at_top = Snapshot::now(0).unwrap().ram_bytes;
    in_child(|| generation(LINEAGE_DEPTH, at_top));
    // The next children run one after the other from one parent.
    for _ in 0..200 {
        in_child(|| drop(Snapshot::now(0).unwrap()));
    }
}

fn while_another_thread_holds_the_monitor() {
    with_monitor_held_elsewhere(|| {
        in_child(|| {
            drop(Snapshot::now(0).unwrap());
            drop(Snapshot::all().unwrap());
            assert!(matches!(
                gpu::device_info(u32::MAX),
                Err(Error::NoGpuSource | Error::DeviceIndexOutOfRange { .. } | Error::Gpu { .. })
            ));
            gpu::refresh();
            drop(Snapshot::now(0).unwrap());
            with_monitor_held_elsewhere(|| in_child(|| drop(Snapshot::now(0).unwrap())));
        });
    });
}

/// Forks at any moment of other threads' calls.
fn while_other_threads_ask_for_the_first_time_and_later() {
    for _ in 0..20 {
        // This process has made no query yet, except for what it inherited.
        in_child(|| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    thread::spawn(|| {
                        for _ in 0..200 {
                            drop(Snapshot::now(0).unwrap());
                            gpu::refresh();
                        }
                    })
                })
                .collect();
            for _ in 0..10 {
                in_child(|| drop(Snapshot::all().unwrap()));
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
}

/// Makes two processes of one lineage with the same pid: each is the first of a pid namespace.
fn a_lock_of_a_process_with_the_childs_pid() {
    in_child(|| {
        // Without privilege a user namespace may allow it.
        // SAFETY: no pointers are passed; this process belongs to the test and has one thread.
        let refused = |flags| unsafe { libc::unshare(flags) } != 0;
        if refused(libc::CLONE_NEWPID) && refused(libc::CLONE_NEWUSER | libc::CLONE_NEWPID) {
            eprintln!("pid namespaces are refused here: not tested");
            return;
        }
        in_child(|| {
            assert_eq!(std::process::id(), 1);
            let parents = Snapshot::now(0).unwrap().ram_bytes;
            with_monitor_held_elsewhere(|| {
                // SAFETY: as above; each thread of this process keeps its namespace.
                assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0);
                in_child(|| {
                    assert_eq!(std::process::id(), 1);
                    let buffer = touched(64 * MIB);
                    // procfs is still the outer one, in which this process has another pid.
                    let ram = Snapshot::now(0).unwrap().ram_bytes;
                    assert!(ram > parents + 48 * MIB, "{ram} {parents}");
                    drop(buffer);
                });
            });
        });
    });
}

fn a_monitor_that_is_inherited() {
    let mut monitor = gpu::Monitor::new();
    let here = monitor.count();
    in_child(|| {
        assert_eq!(monitor.count(), here);
        assert_eq!(monitor.devices().len(), here as usize);
        drop(monitor);
        assert_eq!(gpu::Monitor::new().count(), here);
    });
}

/// Calls `what` while another thread is inside the process's monitor, and stays there.
fn with_monitor_held_elsewhere(what: impl FnOnce()) {
    let (sender, receiver) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let holder = thread::spawn(move || {
        gpu::while_locked(|| {
            sender.send(()).unwrap();
            // This waits until the sender is dropped.
            let _ = released.recv();
        });
    });
    receiver.recv().unwrap();
    what();
    drop(release);
    holder.join().unwrap();
}

fn touched(bytes: u64) -> Vec<u8> {
    let mut buffer = vec![0; usize::try_from(bytes).unwrap()];
    buffer.chunks_mut(4096).for_each(|page| page[0] = 1);
    std::hint::black_box(buffer)
}

/// Calls `what` in a forked child. A failure there fails the test.
fn in_child(what: impl FnOnce()) {
    let (mut complaint, tell) = std::io::pipe().unwrap();
    // SAFETY: the child continues in this thread alone. It calls what a program with threads should not (that
    // is what is tested), and leaves by `_exit`.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            drop(complaint);
            // SAFETY: there are no pointers; the child dies if its parent is killed.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let result = catch_unwind(AssertUnwindSafe(what));
            if let Err(panic) = &result {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
                let _ = (&tell).write_all(text.as_bytes());
            }
            // SAFETY: this ends the process; nothing of the parent's is flushed or dropped.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        child => {
            drop(tell);
            let mut poll = libc::pollfd { fd: complaint.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            let patience = i32::try_from(CHILD_TIMEOUT.as_millis()).unwrap();
            // SAFETY: there is one descriptor, which is open.
            let ended = unsafe { libc::poll(&raw mut poll, 1, patience) } == 1;
            if !ended {
                // An alarm would not end the first process of a pid namespace.
                // SAFETY: this is the test's own child, not waited for yet.
                unsafe { libc::kill(child, libc::SIGKILL) };
            }
            let mut status = 0;
            // SAFETY: this waits for the test's own child, with a place for its status.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert!(ended, "the child got no answer");
            let mut text = String::new();
            let _ = complaint.read_to_string(&mut text);
            assert!(status == 0, "the child failed ({status:#x}): {text}");
        }
    }
}
