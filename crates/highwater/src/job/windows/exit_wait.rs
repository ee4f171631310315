//! Waking the job's thread once a process has exited: a completion port and a process cannot be waited for together.

use std::{ffi::c_void, ptr::null_mut};

use windows_sys::Win32::{
    Foundation::{HANDLE, INVALID_HANDLE_VALUE},
    System::Threading::{
        INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD, WT_EXECUTEONLYONCE,
    },
};

use super::Wake;
use crate::process::windows::Opened;

/// A registered wait for the exit. It wakes the job's thread as long as it lives, and so does its context.
#[derive(Debug)]
pub(super) struct ExitWait {
    wait: HANDLE,
    _wake: Box<Wake>,
}

impl ExitWait {
    /// Registers the wait; `None` if the system cannot: polls at intervals then see the exit. The process must stay
    /// open as long as this lives.
    pub(super) fn register(process: &Opened, wake: &Wake) -> Option<Self> {
        let wake = Box::new(wake.clone());
        let context: *const Wake = &raw const *wake;
        let mut wait = null_mut();
        // SAFETY: the process's handle and the context outlive the wait: the owner of both drops the wait first.
        let registered = unsafe {
            RegisterWaitForSingleObject(
                &raw mut wait,
                process.raw(),
                Some(wake_up),
                context.cast(),
                INFINITE,
                WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD,
            )
        };
        (registered != 0).then_some(Self { wait, _wake: wake })
    }
}

impl Drop for ExitWait {
    fn drop(&mut self) {
        // With INVALID_HANDLE_VALUE it waits until the function below has returned (UnregisterWaitEx).
        // SAFETY: an own wait, unregistered once.
        unsafe { UnregisterWaitEx(self.wait, INVALID_HANDLE_VALUE) };
    }
}

unsafe extern "system" fn wake_up(context: *mut c_void, _: bool) {
    // SAFETY: `context` is the `Wake` of a `ExitWait` that lives as long as this may be called.
    let wake = unsafe { &*context.cast::<Wake>() };
    wake.wake_up();
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Duration};

    use super::*;
    use crate::job::windows::port::PortMessage;

    #[test]
    fn an_exit_wakes_the_thread_unless_the_wait_is_dropped() {
        let wake = Wake::new();
        let start = || {
            let mut child = Command::new("cmd");
            child.args(["/c", "pause"]).stdin(std::process::Stdio::piped());
            child.stdout(std::process::Stdio::null()).spawn().unwrap()
        };
        let mut child = start();
        let process = Opened::of(child.id()).unwrap();
        let exit_wait = ExitWait::register(&process, &wake).unwrap();
        assert_eq!(wake.next(Duration::ZERO), None);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(wake.next(Duration::from_secs(60)), Some(PortMessage::WakeUp));
        drop(exit_wait);
        let mut child = start();
        let process = Opened::of(child.id()).unwrap();
        drop(ExitWait::register(&process, &wake).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(wake.next(Duration::from_millis(50)), None);
    }
}
