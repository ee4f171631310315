//! Processes with long arguments: a process chooses what `/proc/PID/cmdline` shows.

use std::{
    env, fs,
    io::{self, Write},
    os::unix::process::CommandExt,
    process::Command,
    time::Duration,
};

use super::process::{exit_now, raw_fork, sleep, wait};

/// `struct prctl_mm_map` of linux/prctl.h.
#[repr(C)]
struct PrctlMemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// Makes `size` bytes its arguments, nearly none of them in memory: zeros, and a last byte that is not.
/// Prints `ready`, starts `children` that end at once, and stays for `time`.
pub(crate) fn vast(size: usize, time: Duration, children: usize) {
    if let Err(error) = replace_arguments(size) {
        println!("refused: {error}");
        return;
    }
    println!("ready");
    io::stdout().flush().expect("a reader");
    for _ in 0..children {
        let child = raw_fork();
        if child == 0 {
            sleep(Duration::from_millis(50));
            exit_now(0);
        }
        wait(child);
    }
    sleep(time);
}

fn replace_arguments(size: usize) -> io::Result<()> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split(' ')
        .map(|f| f.parse().unwrap_or(0))
        .collect();
    // The number is that of proc_pid_stat(5), in which the name is the second.
    let field = |number: usize| fields.get(number - 2).copied().unwrap_or(0);
    // SAFETY: this is a new mapping at a place of the kernel's choice; it is never unmapped.
    let area = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if area == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the address is inside the mapping. The last byte stays 0, or the kernel would show the first
    // word alone.
    unsafe { area.cast::<u8>().add(size - 2).write(b'x') };
    // SAFETY: sbrk(0) changes nothing.
    let brk = unsafe { libc::sbrk(0) } as u64;
    let map = PrctlMemoryMap {
        start_code: field(26),
        end_code: field(27),
        start_data: field(45),
        end_data: field(46),
        start_brk: field(47),
        brk,
        start_stack: field(28),
        arg_start: area as u64,
        arg_end: area as u64 + size as u64,
        env_start: field(50),
        env_end: field(51),
        auxv: 0,
        auxv_size: 0,
        exe_fd: u32::MAX,
    };
    // SAFETY: `map` is laid out as the kernel's and lives during the call (prctl(2), PR_SET_MM_MAP).
    let status = unsafe {
        libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, &raw const map, size_of::<PrctlMemoryMap>(), 0)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs this many programs of 1 MiB at a time, each under a different name of `length` bytes.
pub(crate) fn long_names(count: usize, length: usize, time: Duration) {
    let program = env::current_exe().expect("the path of this program");
    let start = |number: usize| {
        let name = format!("{number}-{}", "n".repeat(length));
        let hold = ["hold".to_owned(), "1".to_owned(), time.as_millis().to_string()];
        Command::new(&program).arg0(name).args(hold).spawn().expect("it starts")
    };
    let children: Vec<_> = (0..count).map(start).collect();
    for mut child in children {
        child.wait().expect("a child of this process");
    }
}
