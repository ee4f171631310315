//! A figure about GPU memory: a value or bounds or the reason it is unknown, and what it counts.

use crate::Unavailable;

/// What is known of an amount of memory, in bytes.
///
/// ```
/// use highwater::gpu::Reading;
///
/// // nvidia-smi prints whole MiB.
/// let used = Reading::between(256 << 20, (257 << 20) - 1);
/// assert_eq!(used.known(), None);
/// assert_eq!((used.lower(), used.upper()), (Some(256 << 20), Some((257 << 20) - 1)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reading {
    /// This is it.
    Known(u64),
    /// The truth is this or more.
    AtLeast(u64),
    /// The truth is this or less.
    AtMost(u64),
    /// The truth lies between these.
    Between {
        /// Not less than this.
        lower: u64,
        /// Not more than this.
        upper: u64,
    },
    /// Nothing is known, and why.
    Unknown(Unavailable),
}

impl Reading {
    /// The value, if it is known without bounds.
    #[must_use]
    pub fn known(&self) -> Option<u64> {
        if let Self::Known(bytes) = *self { Some(bytes) } else { None }
    }

    /// The one number to show or to sort by: the value, or the bound, or the higher of two. `None` where nothing is
    /// known.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        match *self {
            Self::Known(bytes) | Self::AtLeast(bytes) | Self::AtMost(bytes) => Some(bytes),
            Self::Between { upper, .. } => Some(upper),
            Self::Unknown(_) => None,
        }
    }

    /// The value to the nearest MiB: the middle of bounds that only say how somebody rounded (`nvidia-smi` prints whole
    /// MiB). For those who need one plain number; `None` where more than that is open.
    #[must_use]
    pub fn to_the_mib(&self) -> Option<u64> {
        match *self {
            Self::Known(bytes) => Some(bytes),
            Self::Between { lower, upper } if upper.checked_sub(lower)? <= 2 << 20 => {
                Some(lower + (upper - lower) / 2)
            }
            _ => None,
        }
    }

    /// What it is not less than, if anything is known of that.
    #[must_use]
    pub fn lower(&self) -> Option<u64> {
        match *self {
            Self::Known(bytes) | Self::AtLeast(bytes) => Some(bytes),
            Self::Between { lower, .. } => Some(lower),
            Self::AtMost(_) => Some(0),
            Self::Unknown(_) => None,
        }
    }

    /// What it is not more than, if anything is known of that.
    #[must_use]
    pub fn upper(&self) -> Option<u64> {
        match *self {
            Self::Known(bytes) | Self::AtMost(bytes) => Some(bytes),
            Self::Between { upper, .. } => Some(upper),
            Self::AtLeast(_) | Self::Unknown(_) => None,
        }
    }

    /// Why nothing is known.
    #[must_use]
    pub fn unknown(&self) -> Option<&Unavailable> {
        if let Self::Unknown(why) = self { Some(why) } else { None }
    }

    /// A value between two bounds; a plain one where they meet.
    #[must_use]
    pub fn between(lower: u64, upper: u64) -> Self {
        if lower == upper { Self::Known(upper) } else { Self::Between { lower: lower.min(upper), upper } }
    }
}

impl From<Result<u64, Unavailable>> for Reading {
    fn from(result: Result<u64, Unavailable>) -> Self {
        match result {
            Ok(bytes) => Self::Known(bytes),
            Err(why) => Self::Unknown(why),
        }
    }
}

/// Whose memory a figure counts. A figure of one scope never stands where another is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// One process, on one device.
    Process,
    /// A part of a device that behaves like one (MIG).
    Instance,
    /// The whole device, all its users together.
    Device,
}

/// Where the memory lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pool {
    /// On the card (VRAM, `local`, a carve-out of RAM on APUs). Not in anybody's RSS.
    Dedicated,
    /// System RAM that is mapped for the GPU (GTT, `system`). Part of it may be in the RSS of processes too: never
    /// add the two.
    System,
    /// The device has no memory of its own and uses the system's.
    Unified,
}

/// Which sort of amount it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Backed by memory now. What several clients share counts in full in each.
    Resident,
    /// Allocated; perhaps not backed yet, or no longer.
    Allocated,
    /// Promised by the memory manager (Windows); may exceed the card.
    Committed,
    /// What there is, or may be used.
    Capacity,
    /// What its user should not exceed (macOS: `recommendedMaxWorkingSetSize`; Windows: the budget of DXGI).
    Budget,
    /// Left.
    Free,
    /// The highest it has been.
    Peak,
}

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// NVIDIA's management library.
    Nvml,
    /// The accounting of NVIDIA's driver, where root has switched it on.
    NvmlAccounting,
    /// The program `nvidia-smi`.
    NvidiaSmi,
    /// `/proc/PID/fdinfo/FD` of a DRM client.
    Fdinfo,
    /// `mem_info_*` of amdgpu in sysfs.
    AmdgpuSysfs,
    /// The query ioctl of i915.
    I915Query,
    /// The query ioctl of xe.
    XeQuery,
    /// `/sys/class/kfd/kfd/proc`.
    Kfd,
    /// The RAM of the machine, for devices that have none of their own.
    SystemMemory,
    /// DXGI (Windows): the calling process only.
    Dxgi,
    /// Performance counters (Windows).
    Pdh,
    /// Metal and I/O Kit (macOS).
    Metal,
}

/// An amount of memory, with all that must be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figure {
    /// How much, or why it is unknown.
    pub reading: Reading,
    /// Whose.
    pub scope: Scope,
    /// Where it lies.
    pub pool: Pool,
    /// What sort of amount it is.
    pub kind: Kind,
    /// Who says so. For an unknown: who was asked last.
    pub source: Source,
}

impl Figure {
    /// A figure.
    #[must_use]
    pub fn new(reading: impl Into<Reading>, scope: Scope, pool: Pool, kind: Kind, source: Source) -> Self {
        Self { reading: reading.into(), scope, pool, kind, source }
    }

    /// As [`Reading::bytes`].
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.reading.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_is_never_a_number() {
        let unknown = Reading::Unknown(Unavailable::PermissionDenied);
        assert_eq!(
            (unknown.bytes(), unknown.lower(), unknown.upper(), unknown.known()),
            (None, None, None, None)
        );
    }

    #[test]
    fn bounds() {
        assert_eq!(Reading::between(5, 5), Reading::Known(5));
        let both = Reading::between(3, 5);
        assert_eq!(
            (both.lower(), both.upper(), both.bytes(), both.known()),
            (Some(3), Some(5), Some(5), None)
        );
        assert_eq!((both.to_the_mib(), Reading::between(0, 3 << 20).to_the_mib()), (Some(4), None));
        assert_eq!(Reading::AtLeast(4).upper(), None);
        assert_eq!(Reading::AtMost(4).lower(), Some(0));
    }
}
