//! Idle processes beside the job: unrelated to it, alive as long as the value lives.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use anyhow::{Context, Result, bail};

use super::Setup;

#[derive(Debug)]
pub(super) struct Crowd {
    parent: Child,
    pids: Vec<u32>,
}

impl Crowd {
    /// Starts `count` idle processes, children of one small parent; all are alive on return.
    pub(super) fn start(setup: &Setup, count: usize) -> Result<Self> {
        let mut command = setup.bare(&["crowd", &count.to_string()]);
        let parent = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("the crowd")?;
        let mut crowd = Self { parent, pids: Vec::with_capacity(count) };
        let Some(out) = crowd.parent.stdout.take() else { bail!("the crowd has no output") };
        // The children hold the pipe open, so it does not end: count the lines. A crowd that could not be
        // started in full kills its processes, and then the pipe ends.
        for line in BufReader::new(out).lines().take(count) {
            crowd.pids.push(line?.parse().context("a pid of the crowd")?);
        }
        if crowd.pids.len() < count {
            bail!("the machine's limits (ulimit -u, pid_max, pids.max) allow no {count} processes more");
        }
        Ok(crowd)
    }

    pub(super) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Returns the pid of the parent of the idle processes.
    pub(super) fn parent(&self) -> u32 {
        self.parent.id()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // This closes the parent's standard input, at which it kills and reaps its children, and waits for
        // it.
        if self.parent.wait().is_err() {
            let _ = self.parent.kill();
        }
    }
}
