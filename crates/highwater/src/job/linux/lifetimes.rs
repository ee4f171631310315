//! Forks, execs and exits as the kernel itself reports them, with its own times: no process is too short to be seen.

pub(crate) mod connector;
pub(crate) mod perf;
