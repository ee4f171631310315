//! The group that the job is charged to.

use std::rc::Rc;

use super::{JobGroup, SurroundingGroup};
use crate::job::linux::proc_dir::ProcDir;

/// The group that the job is charged to, by whose it is.
#[derive(Debug)]
pub(crate) enum ChargedGroup {
    /// The job is alone in it.
    OfJob(Rc<JobGroup>),
    /// It was there before the job, and has other processes in it: this one, at least.
    Surrounding(SurroundingGroup),
    /// There is no place for one, and the service manager is asked for a scope once there is a child to put into it.
    AwaitsScope {
        refusal: String,
        /// The group around the job, in case of a refusal. It was read before the child was in it.
        around: Option<SurroundingGroup>,
    },
    Unknown,
}

impl ChargedGroup {
    /// Makes it of the group around the job, which has none of its own.
    pub(crate) fn around(group: Option<SurroundingGroup>) -> Self {
        group.map_or(Self::Unknown, Self::Surrounding)
    }

    pub(crate) fn of_job(&self) -> Option<&Rc<JobGroup>> {
        match self {
            Self::OfJob(group) => Some(group),
            Self::Surrounding(_) | Self::AwaitsScope { .. } | Self::Unknown => None,
        }
    }

    /// Returns whether process `pid` is charged elsewhere; `None` if that is not known.
    pub(crate) fn has_left(&self, proc: &ProcDir, pid: u32) -> Option<bool> {
        match self {
            Self::OfJob(group) => group.has_left(proc, pid),
            Self::Surrounding(group) => group.has_left(proc, pid),
            Self::AwaitsScope { .. } | Self::Unknown => None,
        }
    }
}
