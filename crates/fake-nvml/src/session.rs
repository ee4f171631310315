//! Beginning and end of a session. Like the real library it counts its users, and serves only the process
//! that initialized it.

use std::{
    env,
    fs::OpenOptions,
    io::Write,
    process,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::Duration,
};

use crate::{code, scenario};

static OWNER: AtomicU32 = AtomicU32::new(0);
static USERS: AtomicU32 = AtomicU32::new(0);

/// Returns the process that initialized the library, if it is the caller.
pub(crate) fn owner() -> Option<u32> {
    let pid = process::id();
    (USERS.load(SeqCst) > 0 && OWNER.load(SeqCst) == pid).then_some(pid)
}

fn log(what: &str) {
    let Some(file) = env::var_os("FAKE_NVML_LOG") else { return };
    if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(file) {
        let _ = writeln!(file, "{what} {}", process::id());
    }
}

fn init() -> u32 {
    log("init");
    if scenario::is("slow_init") {
        thread::sleep(Duration::from_millis(10));
    }
    let code = scenario::init();
    // Programs inherit this descriptor, as nothing guarantees that the real library closes its own on exec.
    // SAFETY: the string is constant; the descriptor is left open on purpose.
    unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
    if code == code::SUCCESS {
        let pid = process::id();
        if OWNER.swap(pid, SeqCst) != pid {
            USERS.store(0, SeqCst);
        }
        USERS.fetch_add(1, SeqCst);
    }
    code
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit() -> u32 {
    init()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> u32 {
    init()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInitWithFlags(_flags: u32) -> u32 {
    init()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> u32 {
    log("shutdown");
    if owner().is_none() {
        return code::UNINITIALIZED;
    }
    USERS.fetch_sub(1, SeqCst);
    code::SUCCESS
}
