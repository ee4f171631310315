//! Descriptors of devices that drivers' libraries have opened in this process.

use std::{fs, os::fd::RawFd};

use crate::Roots;

/// Those open at one moment.
#[derive(Debug)]
pub(crate) struct OpenDevices(Vec<RawFd>);

impl OpenDevices {
    pub(crate) fn now(roots: &Roots) -> Self {
        let Ok(descriptors) = fs::read_dir(roots.proc.join("self/fd")) else { return Self(Vec::new()) };
        let of_devices = descriptors
            .flatten()
            .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.starts_with("/dev/")))
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(of_devices.collect())
    }

    /// What was opened since must not reach the job, which would find it open.
    pub(crate) fn keep_later_ones_from_the_job(&self, roots: &Roots) {
        for descriptor in Self::now(roots).0 {
            if !self.0.contains(&descriptor) {
                // SAFETY: a number and a flag; a descriptor that is closed meanwhile is an error and no more.
                unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
        }
    }
}
