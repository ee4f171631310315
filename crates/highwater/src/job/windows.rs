//! Following a job on Windows: not yet.

mod tree;

use std::time::Duration;

pub(crate) use tree::Tree;

use crate::Roots;

/// What wakes the job's thread from others.
#[derive(Debug)]
pub(crate) struct Wake;

impl Wake {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Ends the wait that is in progress, or the next.
    pub(crate) fn ring(&self) {}

    /// It has been heard.
    pub(crate) fn silence(&self) {}
}

/// Devices that drivers' libraries have opened; handles are not inherited unless they are listed.
#[derive(Debug)]
pub(crate) struct OpenDevices;

impl OpenDevices {
    pub(crate) fn now(_: &Roots) -> Self {
        Self
    }

    /// What was opened since must not reach the job.
    pub(crate) fn keep_later_ones_from_the_job(&self, _: &Roots) {}
}

/// Threads of ours beside the program that measures.
pub(crate) mod quiet_thread {
    use std::{io, thread};

    /// A thread that no signal is delivered to: they belong to the program that measures.
    pub(crate) fn start(
        name: &str,
        stack: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(name.to_owned()).stack_size(stack).spawn(work)
    }
}

/// CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    Duration::ZERO
}
