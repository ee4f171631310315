//! Tests that read processes in every state, on the running kernel.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
};

use crate::{
    Error, ProcessId, ProcessMemory, Roots, Unavailable,
    process::{ProcessFacts, own_pid, process_rss, rss_of},
};

fn of_self() -> u32 {
    std::process::id()
}

#[test]
fn figures_agree() {
    let memory = ProcessMemory::of_self().unwrap();
    assert_eq!(memory.id, ProcessId::of(of_self()).unwrap());
    let (rss, peak) = (memory.rss_bytes.unwrap(), memory.peak_rss_bytes.unwrap());
    assert!(rss > 0 && rss <= peak, "{rss} {peak}");
    if let (Ok(pss), Ok(uss)) = (memory.pss_bytes, memory.uss_bytes) {
        assert!(uss > 0 && uss <= pss, "{uss} {pss}");
    }
}

#[test]
fn used_memory_shows() {
    const SIZE: usize = 64 << 20;
    let before = rss_of(of_self()).unwrap();
    let mut buffer = vec![0_u8; SIZE];
    for page in buffer.chunks_mut(4096) {
        page[0] = 1;
    }
    let grown = rss_of(of_self()).unwrap() - before;
    std::hint::black_box(&buffer);
    assert!(grown > (SIZE as u64) * 9 / 10, "{grown}");
}

#[test]
fn own_size_is_the_same_by_both_ways() {
    let (own, other) = (process_rss().unwrap(), rss_of(of_self()).unwrap());
    assert!(own.abs_diff(other) < 32 << 20, "{own} {other}");
}

#[test]
fn our_pid_is_the_one_of_that_procfs() {
    assert_eq!(own_pid(&Roots::default()), of_self());
    let tree = tempfile::tempdir().unwrap();
    let roots = Roots { proc: tree.path().to_owned(), ..Roots::default() };
    assert_eq!(own_pid(&roots), of_self(), "a recorded tree has no entry for this process");
    std::os::unix::fs::symlink("81234", tree.path().join("self")).unwrap();
    assert_eq!(own_pid(&roots), 81234);
}

#[test]
fn no_such_process() {
    // These are above the kernel's PID_MAX_LIMIT of 2^22.
    for pid in [0, u32::MAX, 1 << 23] {
        assert!(matches!(ProcessMemory::of(pid), Err(Error::NoSuchProcess { pid: asked }) if asked == pid));
        assert!(matches!(rss_of(pid), Err(Error::NoSuchProcess { .. })));
        assert!(matches!(ProcessId::of(pid), Err(Error::NoSuchProcess { .. })));
    }
}

#[test]
fn a_thread_is_no_process() {
    let of_thread = std::thread::spawn(|| {
        let tid = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        assert_ne!(tid, of_self());
        let errors = [
            ProcessMemory::of(tid).unwrap_err(),
            ProcessId::of(tid).unwrap_err(),
            ProcessFacts::read(&Roots::default(), tid).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Thread { tid: asked, pid } if (asked, pid) == (tid, of_self())));
        }
    });
    of_thread.join().unwrap();
}

/// `status` of a process at the moment at which it is reaped: its ids read 0.
#[test]
fn a_process_that_is_being_reaped_is_gone_and_no_thread() {
    let tree = tempfile::tempdir().unwrap();
    let roots = Roots { proc: tree.path().to_owned(), ..Roots::default() };
    let process = tree.path().join("7");
    fs::create_dir(&process).unwrap();
    let stat = "7 (true) X 0 -1 -1 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 900 0 0 0\n";
    fs::write(process.join("stat"), stat).unwrap();
    fs::write(process.join("status"), "Name:\ttrue\nState:\tX (dead)\nTgid:\t0\nPid:\t0\nThreads:\t0\n")
        .unwrap();
    let errors = [
        ProcessMemory::read(&roots, 7).unwrap_err(),
        super::id(&roots, Some(7)).unwrap_err(),
        ProcessFacts::read(&roots, 7).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::NoSuchProcess { pid: 7 }), "{error}");
    }
}

#[test]
fn no_procfs_is_not_no_process() {
    let empty = tempfile::tempdir().unwrap();
    let roots = Roots { proc: empty.path().to_owned(), ..Roots::default() };
    assert!(matches!(ProcessMemory::read(&roots, 1), Err(Error::Read { .. })));
}

#[test]
fn zombie_has_no_memory_map() {
    let mut child = Command::new("/bin/sh").args(["-c", "exit 0"]).stdout(Stdio::piped()).spawn().unwrap();
    // It has ended and stays a zombie: WNOWAIT does not reap it.
    let pid = rustix::process::Pid::from_child(&child);
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
    let memory = ProcessMemory::of(child.id()).unwrap();
    assert_eq!(memory.rss_bytes, Err(Unavailable::NoMemoryMap));
    assert_eq!(memory.pss_bytes, Err(Unavailable::NoMemoryMap));
    assert_eq!(memory.peak_rss_bytes, Err(Unavailable::NoMemoryMap));
    assert!(matches!(rss_of(child.id()), Err(Error::Read { .. })));
    child.wait().unwrap();
    assert!(matches!(ProcessMemory::of(child.id()), Err(Error::NoSuchProcess { .. })));
}

/// The main thread of a child ends by `exit` while another thread holds memory: `/proc/PID` itself shows a
/// zombie.
#[test]
fn leaderless_is_read_through_another_thread() {
    const SIZE: usize = 16 << 20;
    let (ready_read, ready_write) = rustix::pipe::pipe().unwrap();
    // SAFETY: the child of a program with threads may rely on little. This one makes system calls and one
    // thread, for which libc keeps its allocator usable across fork, and it never returns.
    let child = unsafe { libc::fork() };
    if child == 0 {
        leaderless_child(SIZE, &ready_write);
    }
    drop(ready_write);
    let mut byte = [0];
    fs::File::from(ready_read).read_exact(&mut byte).unwrap();
    let pid = u32::try_from(child).unwrap();
    // The main thread is about to end: the test waits for that state, not for a time.
    while !fs::read_to_string(format!("/proc/{pid}/status")).unwrap().contains("\nState:\tZ") {
        std::thread::yield_now();
    }
    let (rss, memory) = (rss_of(pid), ProcessMemory::of(pid));
    // SAFETY: this is the test's own child, not yet waited for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    let memory = memory.unwrap();
    assert_eq!(memory.id.pid, pid);
    assert!(rss.unwrap() > SIZE as u64);
    assert!(memory.rss_bytes.unwrap() > SIZE as u64);
    assert!(memory.peak_rss_bytes.unwrap() > SIZE as u64);
    assert!(memory.uss_bytes.is_ok_and(|bytes| bytes > SIZE as u64));
}

fn leaderless_child(size: usize, ready: &impl rustix::fd::AsFd) -> ! {
    extern "C" fn pause_for_ever(_: *mut libc::c_void) -> *mut libc::c_void {
        loop {
            // SAFETY: the call takes no arguments and touches no memory.
            unsafe { libc::pause() };
        }
    }
    // SAFETY: these are fresh anonymous pages, written within their size; the thread uses none of this stack.
    unsafe {
        let pages = libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            -1,
            0,
        );
        if pages == libc::MAP_FAILED {
            libc::_exit(1);
        }
        let mut thread = std::mem::zeroed();
        if libc::pthread_create(&raw mut thread, std::ptr::null(), pause_for_ever, std::ptr::null_mut()) != 0
        {
            libc::_exit(1);
        }
    }
    if rustix::io::write(ready, b"x").is_err() {
        // SAFETY: this ends the child.
        unsafe { libc::_exit(1) };
    }
    loop {
        // SAFETY: the plain system call ends this thread alone (pthread_exit would unwind Rust frames).
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// `smaps_rollup` is refused where `status` is not (`mm_access` in kernel/fork.c).
#[test]
fn other_users_pss_is_denied() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can set this scene.
    }
    let mut roots_own = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = roots_own.id();
    let read_as_nobody = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65534);
        // The system call works without libc's broadcast: only this thread becomes the user nobody.
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        ProcessMemory::of(pid).unwrap()
    });
    let memory = read_as_nobody.join().unwrap();
    drop(roots_own.stdin.take());
    roots_own.wait().unwrap();
    assert_eq!(memory.pss_bytes, Err(Unavailable::PermissionDenied));
    assert_eq!(memory.uss_bytes, Err(Unavailable::PermissionDenied));
    assert!(memory.rss_bytes.is_ok() && memory.peak_rss_bytes.is_ok() && memory.swap_bytes.is_ok());
}

#[test]
fn kernel_thread_has_no_memory_map() {
    // pid 2 is kthreadd, except inside a pid namespace.
    let Ok(comm) = fs::read_to_string("/proc/2/comm") else { return };
    if comm == "kthreadd\n" {
        assert_eq!(ProcessMemory::of(2).unwrap().rss_bytes, Err(Unavailable::NoMemoryMap));
        assert!(rss_of(2).is_err());
    }
}
