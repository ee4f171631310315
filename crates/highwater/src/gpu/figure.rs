//! A figure about GPU memory: a value, bounds or the reason why it is unknown, and what it counts.

use crate::Unavailable;

/// The knowledge about an amount of memory, in bytes.
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
    /// Exactly this amount.
    Known(u64),
    /// This amount or more.
    AtLeast(u64),
    /// This amount or less.
    AtMost(u64),
    /// An amount between these bounds, both included.
    Between {
        /// The lower bound.
        lower: u64,
        /// The upper bound.
        upper: u64,
    },
    /// Nothing is known, for this reason.
    Unknown(Unavailable),
}

impl Reading {
    /// Returns the value if it is known without bounds.
    #[must_use]
    pub fn known(&self) -> Option<u64> {
        if let Self::Known(bytes) = *self { Some(bytes) } else { None }
    }

    /// Returns one number to show or to sort by: the value, or the bound, or the higher of two bounds. `None`
    /// if nothing is known.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        match *self {
            Self::Known(bytes) | Self::AtLeast(bytes) | Self::AtMost(bytes) => Some(bytes),
            Self::Between { upper, .. } => Some(upper),
            Self::Unknown(_) => None,
        }
    }

    /// Returns the value to the nearest MiB. It is the middle of bounds that only come from rounding
    /// (`nvidia-smi` prints whole MiB). `None` if the bounds are wider.
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

    /// Returns the lower bound, if one is known.
    #[must_use]
    pub fn lower(&self) -> Option<u64> {
        match *self {
            Self::Known(bytes) | Self::AtLeast(bytes) => Some(bytes),
            Self::Between { lower, .. } => Some(lower),
            Self::AtMost(_) => Some(0),
            Self::Unknown(_) => None,
        }
    }

    /// Returns the upper bound, if one is known.
    #[must_use]
    pub fn upper(&self) -> Option<u64> {
        match *self {
            Self::Known(bytes) | Self::AtMost(bytes) => Some(bytes),
            Self::Between { upper, .. } => Some(upper),
            Self::AtLeast(_) | Self::Unknown(_) => None,
        }
    }

    /// Returns why nothing is known.
    #[must_use]
    pub fn unknown(&self) -> Option<&Unavailable> {
        if let Self::Unknown(why) = self { Some(why) } else { None }
    }

    /// Makes a value between two bounds; a plain one if they are equal.
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

/// The processes or the device that a figure counts. A figure of one scope never stands in for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FigureScope {
    /// One process, on one device.
    Process,
    /// A part of a device that behaves like one (MIG).
    Instance,
    /// The whole device, with all its users.
    Device,
}

/// The place of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pool {
    /// On the card (VRAM, `local`, a carve-out of RAM on APUs). It is in no process's RSS.
    Dedicated,
    /// System RAM that is mapped for the GPU (GTT, `system`). Part of it may be in the RSS of processes too:
    /// never add the two.
    System,
    /// The device has no memory of its own and uses the system's.
    Unified,
}

/// The meaning of an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AmountKind {
    /// Backed by memory now. Memory that several clients share counts in full in each.
    Resident,
    /// Allocated; it need not be backed by memory now.
    Allocated,
    /// Promised by the memory manager (Windows); may exceed the card.
    Committed,
    /// The size, or the most that may be used.
    Capacity,
    /// The amount that a process should not exceed (macOS: `recommendedMaxWorkingSetSize`; Windows: the
    /// budget of DXGI).
    Budget,
    /// Free.
    Free,
    /// The highest amount so far.
    Peak,
}

/// The source of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FigureSource {
    /// NVIDIA's management library.
    Nvml,
    /// The accounting of NVIDIA's driver, if root has switched it on.
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
    /// The RAM of the machine, for devices that have no memory of their own.
    SystemMemory,
    /// DXGI (Windows): the calling process only.
    Dxgi,
    /// Performance counters (Windows).
    Pdh,
    /// Metal and I/O Kit (macOS).
    Metal,
}

/// An amount of memory with its meaning and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figure {
    /// The amount, or why it is unknown.
    pub reading: Reading,
    /// The process or device that is counted.
    pub scope: FigureScope,
    /// The place of the memory.
    pub pool: Pool,
    /// The meaning of the amount.
    pub kind: AmountKind,
    /// The source; for an unknown amount the source that was queried last.
    pub source: FigureSource,
}

impl Figure {
    /// Makes a figure.
    #[must_use]
    pub fn new(
        reading: impl Into<Reading>,
        scope: FigureScope,
        pool: Pool,
        kind: AmountKind,
        source: FigureSource,
    ) -> Self {
        Self { reading: reading.into(), scope, pool, kind, source }
    }

    /// Returns the same as [`Reading::bytes`].
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
