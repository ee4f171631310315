//! Memory that RSS shows badly or not at all: copies of shared pages, a copy that grows before its exec, files in memory,
//! huge pages, page tables.

use std::{ffi::CString, io::Write, os::raw::c_void, time::Duration};

use super::{
    memory::Block,
    process::{exit_now, raw_fork, sleep, wait},
    shared::memfd,
    single::forbid_dumps,
};

/// Bytes that one page of page table entries maps.
const MAPPED_BY_TABLE: usize = 2 << 20;

/// Lets `count` workers inherit `size` bytes, and stand still for `time`. Then each writes all of them, and all stand still
/// again: RSS is the same throughout.
pub(crate) fn late_copies(count: usize, size: usize, time: Duration) {
    let block = Block::new(size);
    let pids: Vec<_> = (0..count)
        .map(|_| {
            let pid = raw_fork();
            if pid == 0 {
                sleep(time);
                block.rewrite();
                sleep(time);
                exit_now(0);
            }
            pid
        })
        .collect();
    pids.into_iter().for_each(wait);
}

/// Grows a child to `size` for `time`, which then execs `program`.
pub(crate) fn grow_exec(size: usize, time: Duration, program: &str) {
    let program = CString::new(program).expect("no zero byte in a path");
    let arguments = [program.as_ptr(), std::ptr::null()];
    let pid = raw_fork();
    if pid == 0 {
        let block = Block::new(size);
        sleep(time);
        std::mem::forget(block);
        // SAFETY: the arguments are C strings and an array that ends with null.
        unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
        exit_now(127);
    }
    wait(pid);
}

/// Holds `size` bytes for `time`, shared with `count` children that no other process of the user may look into: copies, or
/// guests in the memory map of their parent.
pub(crate) fn closed_family(are_guests: bool, count: usize, size: usize, time: Duration) {
    forbid_dumps();
    let block = Block::new(size);
    let pids: Vec<_> = (0..count).map(|_| if are_guests { guest(0, time) } else { copy(time) }).collect();
    pids.into_iter().for_each(wait);
    drop(block);
}

/// Holds `size` bytes for `time`, and so do `count` copies of this process, while it waits in vfork(2) for a further child.
pub(crate) fn vfork_family(count: usize, size: usize, time: Duration) {
    let block = Block::new(size);
    let pids: Vec<_> = (0..count).map(|_| copy(time)).collect();
    wait(guest(libc::CLONE_VFORK, time));
    pids.into_iter().for_each(wait);
    drop(block);
}

fn copy(time: Duration) -> libc::pid_t {
    let pid = raw_fork();
    if pid == 0 {
        sleep(time);
        exit_now(0);
    }
    pid
}

/// Starts a child in the memory map of this process.
fn guest(flags: libc::c_int, time: Duration) -> libc::pid_t {
    extern "C" fn stay(time: *mut c_void) -> i32 {
        // SAFETY: `guest` leaks it, so it lives, and no code changes it.
        sleep(unsafe { *time.cast::<Duration>() });
        exit_now(0)
    }
    let stack = Box::leak(vec![0_u8; 64 << 10].into_boxed_slice());
    let time = std::ptr::from_mut(Box::leak(Box::new(time)));
    let top = stack.as_mut_ptr_range().end;
    // SAFETY: `top` is the end of a leaked, aligned stack that nothing else uses; `stay` takes its own argument.
    let pid = unsafe { libc::clone(stay, top.cast(), flags | libc::CLONE_VM | libc::SIGCHLD, time.cast()) };
    assert!(pid > 0, "clone: {}", std::io::Error::last_os_error());
    pid
}

/// Writes `size` bytes to a file in memory that it does not map, for `time`.
pub(crate) fn unmapped(size: usize, time: Duration) {
    let mut file = memfd();
    let part = vec![1_u8; 1 << 20];
    (0..size >> 20).for_each(|_| file.write_all(&part).expect("written"));
    sleep(time);
}

/// Touches so few pages of a large mapping that its page tables take as much as they do, `size` bytes each.
pub(crate) fn page_tables(size: usize, time: Duration) {
    let length = size / 4096 * MAPPED_BY_TABLE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let start = map(length, flags);
    // SAFETY: the range was mapped just above.
    unsafe { libc::madvise(start.cast(), length, libc::MADV_NOHUGEPAGE) };
    touch(start, length);
    sleep(time);
}

/// Holds `size` bytes in pages of hugetlbfs for `time`, and shares them with a child.
pub(crate) fn huge_pages(size: usize, time: Duration) {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
    let start = map(size, flags);
    touch(start, size);
    let pid = raw_fork();
    if pid == 0 {
        touch(start, size);
        sleep(time);
        exit_now(0);
    }
    wait(pid);
}

fn map(length: usize, flags: libc::c_int) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: this is a fresh mapping; no existing memory is touched.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    assert!(start != libc::MAP_FAILED, "mmap of {length} bytes: {}", std::io::Error::last_os_error());
    start.cast()
}

/// Writes one page in each 2 MiB of a mapping.
fn touch(start: *mut u8, length: usize) {
    for offset in (0..length).step_by(MAPPED_BY_TABLE) {
        // SAFETY: offset < length, inside the mapping.
        unsafe { start.add(offset).write_volatile(1) };
    }
}
