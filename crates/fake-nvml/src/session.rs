//! Beginning and end. As the real one it counts its users, and serves the process that initialized it alone.

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

/// The process that initialized us, if it is the one that calls.
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
