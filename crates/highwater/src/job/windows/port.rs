//! The completion port on which the job's thread waits: for messages of the job, and for orders of other threads.

use std::{
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr::null_mut,
    sync::Arc,
    time::Duration,
};

use windows_sys::Win32::{
    Foundation::{HANDLE, INVALID_HANDLE_VALUE},
    System::{
        IO::{CreateIoCompletionPort, GetQueuedCompletionStatus, OVERLAPPED, PostQueuedCompletionStatus},
        SystemServices::{
            JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS, JOB_OBJECT_MSG_ACTIVE_PROCESS_ZERO,
            JOB_OBJECT_MSG_EXIT_PROCESS, JOB_OBJECT_MSG_JOB_MEMORY_LIMIT, JOB_OBJECT_MSG_NEW_PROCESS,
        },
    },
};

/// Completion key of messages of the Job Object.
pub(super) const JOB_MESSAGE_KEY: usize = 1;

/// The port. `None` if none could be made: then no job can run, which is reported.
#[derive(Debug, Clone)]
pub(crate) struct Wake(Option<Arc<OwnedHandle>>);

/// A message from the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortMessage {
    /// A process was started in the job.
    Started(u32),
    /// A process has exited in any way.
    Ended(u32),
    /// No process is left.
    Empty,
    /// The job was refused memory, as it would have exceeded its limit.
    OverLimit,
    /// Another thread has an order, or the message is of no interest.
    WakeUp,
}

impl Wake {
    pub(crate) fn new() -> Self {
        // SAFETY: no file is bound to it, and the new handle belongs to this code alone.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, null_mut(), 0, 1) };
        // SAFETY: see above.
        Self((!port.is_null()).then(|| Arc::new(unsafe { OwnedHandle::from_raw_handle(port) })))
    }

    /// Ends the current wait, or the next one.
    pub(crate) fn wake_up(&self) {
        if let Some(port) = &self.0 {
            // SAFETY: an own port, and no memory goes with the message. It fails only without memory; then the next
            // sample comes.
            unsafe { PostQueuedCompletionStatus(port.as_raw_handle(), 0, 0, null_mut()) };
        }
    }

    /// Does nothing: a message that was taken is gone.
    #[allow(clippy::unused_self)] // Other systems need it.
    pub(crate) fn clear(&self) {}

    pub(super) fn raw(&self) -> Option<HANDLE> {
        self.0.as_ref().map(|port| port.as_raw_handle())
    }

    /// Returns the next message, or `None` after `timeout`.
    pub(super) fn next(&self, timeout: Duration) -> Option<PortMessage> {
        let port = self.raw()?;
        let (mut bytes, mut key, mut overlapped) = (0, 0, null_mut::<OVERLAPPED>());
        // Rounded up to milliseconds, so that a shorter wait does not become a busy one.
        let millis = u32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u32::MAX - 1);
        // SAFETY: three live locals.
        let taken = unsafe {
            GetQueuedCompletionStatus(port, &raw mut bytes, &raw mut key, &raw mut overlapped, millis)
        };
        // For messages of a job the third is not a pointer but a pid (JOBOBJECT_ASSOCIATE_COMPLETION_PORT).
        (taken != 0).then(|| message(key, bytes, overlapped.addr()))
    }
}

fn message(key: usize, kind: u32, pid: usize) -> PortMessage {
    let pid = u32::try_from(pid).unwrap_or_default();
    match kind {
        _ if key != JOB_MESSAGE_KEY => PortMessage::WakeUp,
        JOB_OBJECT_MSG_NEW_PROCESS => PortMessage::Started(pid),
        JOB_OBJECT_MSG_EXIT_PROCESS | JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS => PortMessage::Ended(pid),
        JOB_OBJECT_MSG_ACTIVE_PROCESS_ZERO => PortMessage::Empty,
        JOB_OBJECT_MSG_JOB_MEMORY_LIMIT => PortMessage::OverLimit,
        _ => PortMessage::WakeUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_ends_the_wait() {
        let wake = Wake::new();
        assert_eq!(wake.next(Duration::ZERO), None);
        wake.clone().wake_up();
        assert_eq!(wake.next(Duration::from_secs(30)), Some(PortMessage::WakeUp));
        assert_eq!(wake.next(Duration::from_millis(1)), None);
    }

    #[test]
    fn what_messages_mean() {
        assert_eq!(message(JOB_MESSAGE_KEY, JOB_OBJECT_MSG_NEW_PROCESS, 4712), PortMessage::Started(4712));
        assert_eq!(message(JOB_MESSAGE_KEY, JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS, 8), PortMessage::Ended(8));
        assert_eq!(message(0, JOB_OBJECT_MSG_NEW_PROCESS, 8), PortMessage::WakeUp);
        assert_eq!(message(JOB_MESSAGE_KEY, 12, 8), PortMessage::WakeUp, "of another kind");
    }
}
