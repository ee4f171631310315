//! The peak of a job's memory, each page counted once, from the best source there is.

mod group;
mod holders;
mod sampled;

pub(crate) use self::{
    group::GroupPeak,
    holders::SampleHolders,
    sampled::{SampledMemory, SampledPeak},
};

/// Pages of hugetlbfs that the members hold, in bytes. Members of one program are taken to share theirs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HugetlbPages {
    /// Pages of the member that holds most.
    pub(crate) lower: u64,
    /// Best estimate.
    pub(crate) bytes: u64,
    /// Sum over members.
    pub(crate) upper: u64,
    /// Number of members whose pages were not read.
    pub(crate) unread: u64,
}

impl HugetlbPages {
    /// Returns the best estimate, unless pages of a member are unknown.
    pub(crate) fn known_bytes(&self) -> Option<u64> {
        (self.unread == 0).then_some(self.bytes)
    }
}

/// The memory of a job in a sample, each page counted once, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryNow {
    /// Best estimate for the moment of the sample.
    pub(crate) now: u64,
    /// Best estimate for the highest since the sample before it.
    pub(crate) highest: u64,
}
