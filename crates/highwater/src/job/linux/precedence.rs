//! A raised scheduling priority of the thread that follows a job.

use std::marker::PhantomData;

use rustix::process::{getpriority_process, setpriority_process};

/// Nice value of highest priority (setpriority(2)).
const HIGHEST_PRIORITY_NICE: i32 = -20;

/// A raised priority of this thread, if it may have one (`CAP_SYS_NICE`, setpriority(2)), for as long as this value
/// lives. The processes of a job may be many, and this thread would get one share among theirs.
///
/// A process inherits the nice value of the thread that forks it. So the command is forked before a value is made.
#[derive(Debug)]
pub(super) struct Precedence {
    /// Nice value to restore; `None` if it was not changed.
    before: Option<i32>,
    /// It is dropped on the thread that made it, as the nice value is that of a thread.
    _is_of_this_thread: PhantomData<*const ()>,
}

impl Precedence {
    /// Raises the priority of the calling thread.
    pub(super) fn take() -> Self {
        let before = getpriority_process(None).ok();
        let raised = before.is_some() && setpriority_process(None, HIGHEST_PRIORITY_NICE).is_ok();
        Self { before: before.filter(|_| raised), _is_of_this_thread: PhantomData }
    }
}

impl Drop for Precedence {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // Lowering the priority is never refused.
            let _ = setpriority_process(None, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nice_value_is_restored() {
        // A thread of its own: the others of this test program keep theirs.
        let of_thread = std::thread::spawn(|| {
            let nice = || getpriority_process(None).ok();
            let before = nice();
            let outer = Precedence::take();
            let raised = nice();
            drop(Precedence::take());
            assert_eq!(nice(), raised, "one within another");
            let was_raised = outer.before.is_some();
            drop(outer);
            (before, raised, nice(), was_raised)
        });
        let (before, raised, after, was_raised) = of_thread.join().unwrap();
        assert_eq!(before, after);
        assert_eq!(raised, if was_raised { Some(HIGHEST_PRIORITY_NICE) } else { before });
        assert_eq!(getpriority_process(None).ok(), before, "that of another thread");
    }
}
