//! Readings of GPUs beside the job, on their way into the ledger.

use super::Following;
use crate::job::{backend::JobBackend as _, gpu::GpuWatch};

impl Following {
    /// Names the members to be read on GPUs.
    pub(super) fn begin_gpu(&mut self) {
        let Some(gpu) = &self.gpu else { return };
        gpu.follow(self.os_job.pids_and_ids());
        if !gpu.is_open() {
            self.ledger.gpu_missed("the drivers did not answer in time; only later samples are counted");
        }
    }

    /// Records the readings since the last call in the ledger before their members are gone.
    pub(super) fn read_gpu(&mut self) {
        for sample in self.gpu.as_mut().map(GpuWatch::drain).unwrap_or_default() {
            self.ledger.gpu(sample.taken.saturating_duration_since(self.clock), &sample);
        }
    }

    pub(super) fn end_gpu(&mut self) {
        for sample in self.gpu.as_mut().map(GpuWatch::finish).unwrap_or_default() {
            self.ledger.gpu(sample.taken.saturating_duration_since(self.clock), &sample);
        }
    }
}
