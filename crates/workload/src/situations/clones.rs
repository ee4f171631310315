//! Children made by clone(2) in ways that fork(2) does not offer.

use std::{os::raw::c_void, time::Duration};

use super::{
    memory::Block,
    process::{exit_now, sleep},
};

/// The task of a child, in memory that both processes share.
struct ChildOrder {
    /// The time before it grows: by then its maker has left.
    pause: Duration,
    size: usize,
    time: Duration,
}

extern "C" fn hold(order: *mut c_void) -> i32 {
    // SAFETY: `start` leaks it, so it lives, and no code changes it.
    let order = unsafe { &*order.cast::<ChildOrder>() };
    sleep(order.pause);
    let block = Block::new(order.size);
    sleep(order.time);
    drop(block);
    exit_now(0)
}

/// The time after which the maker leaves its memory map.
const MAKER_LIFETIME: Duration = Duration::from_millis(50);

/// Starts a child with these flags that holds `size` for `time`.
fn start(flags: libc::c_int, size: usize, time: Duration) {
    const STACK_BYTES: usize = 256 << 10;
    let stack = Box::leak(vec![0_u8; STACK_BYTES].into_boxed_slice());
    let order = std::ptr::from_mut(Box::leak(Box::new(ChildOrder {
        pause: MAKER_LIFETIME + MAKER_LIFETIME,
        size,
        time,
    })));
    let top = stack.as_mut_ptr_range().end;
    // SAFETY: `top` is the end of a leaked, aligned stack that nothing else uses; `hold` takes its own argument.
    let pid = unsafe { libc::clone(hold, top.cast(), flags | libc::SIGCHLD, order.cast()) };
    assert!(pid > 0, "clone: {}", std::io::Error::last_os_error());
}

/// Makes the child its maker's sibling: the maker ends at once, and its parent has a child that it never
/// made.
pub(crate) fn sibling(size: usize, time: Duration) -> ! {
    start(libc::CLONE_PARENT, size, time);
    exit_now(0)
}

/// Runs the child in its maker's memory map, which the maker leaves: it ends, or execs `program`.
pub(crate) fn guest(size: usize, time: Duration, program: Option<&str>) -> ! {
    let own = Block::new(20 << 20);
    start(libc::CLONE_VM, size, time);
    sleep(MAKER_LIFETIME);
    if let Some(program) = program {
        let error = std::os::unix::process::CommandExt::exec(&mut std::process::Command::new(program));
        panic!("{program}: {error}");
    }
    std::mem::forget(own);
    exit_now(0)
}
