//! Descriptors of devices that drivers' libraries have opened in this process.

use std::{fs, os::fd::RawFd};

use crate::Roots;

/// Descriptors that are open at one moment.
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

    /// Sets close-on-exec on devices that were opened since, so that the job does not inherit them.
    pub(crate) fn keep_later_ones_from_the_job(&self, roots: &Roots) {
        for descriptor in Self::now(roots).0 {
            if !self.0.contains(&descriptor) {
                // SAFETY: a number and a flag; a descriptor that is closed meanwhile only gives an error.
                unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
        }
    }
}
