//! NVML's return codes, `nvmlReturn_t` of `nvml.h`.

use crate::Unavailable;

/// A return code other than success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) u32);

impl Code {
    pub(crate) const UNINITIALIZED: Self = Self(1);
    pub(crate) const INVALID_ARGUMENT: Self = Self(2);
    pub(crate) const NOT_SUPPORTED: Self = Self(3);
    pub(crate) const NO_PERMISSION: Self = Self(4);
    pub(crate) const NOT_FOUND: Self = Self(6);
    pub(crate) const INSUFFICIENT_SIZE: Self = Self(7);
    /// Also used here for a function that the library does not have.
    pub(crate) const FUNCTION_NOT_FOUND: Self = Self(13);
    pub(crate) const NO_DATA: Self = Self(21);
    pub(crate) const VERSION_MISMATCH: Self = Self(25);

    /// Converts a return value to a result.
    pub(crate) fn check(returned: u32) -> Result<(), Self> {
        if returned == 0 { Ok(()) } else { Err(Self(returned)) }
    }

    /// Returns whether an older version of the same function may succeed where this one did not.
    pub(crate) fn is_of_version(self) -> bool {
        matches!(self, Self::FUNCTION_NOT_FOUND | Self::VERSION_MISMATCH)
    }

    /// Returns the text of `nvml.h` for it.
    pub(crate) fn text(self) -> &'static str {
        match self.0 {
            1 => "NVML is not initialized in this process",
            2 => "NVML takes an argument for invalid",
            3 => "not supported",
            4 => "no permission",
            6 => "not found",
            7 => "the room for the answer is too small",
            8 => "a device's power cables are not attached",
            9 => "the NVIDIA driver is not loaded",
            10 => "timeout",
            11 => "the kernel detected an interrupt problem with a GPU",
            12 => "a library that NVML needs was not found",
            13 => "this NVML does not have that function",
            14 => "the infoROM is corrupted",
            15 => "the GPU has fallen off the bus or is inaccessible",
            16 => "the GPU must be reset before it can be used again",
            17 => "the operating system or a cgroup blocks the GPU",
            18 => "the kernel's driver and this library are of different versions; a restart helps",
            19 => "the GPU is in use",
            20 => "NVML has too little memory",
            21 => "no data",
            23 => "NVML ran out of a resource",
            25 => "this NVML does not know that version of the answer",
            26 => "this NVML has dropped that function",
            27 => "the system is not ready",
            28 => "no GPU was found",
            29 => "the resource is in a state that does not allow it",
            999 => "unknown error",
            _ => "a code that nvml.h did not have when this was written",
        }
    }
}

impl From<Code> for Unavailable {
    fn from(code: Code) -> Self {
        match code {
            Code::NOT_SUPPORTED | Code::FUNCTION_NOT_FOUND => Self::NotSupported,
            Code::NO_PERMISSION => Self::PermissionDenied,
            Code::NO_DATA => Self::DriverSaysNotAvailable,
            Code::VERSION_MISMATCH => Self::LayoutUnknown,
            Code(other) => Self::DriverBroken { code: i64::from(other), text: code.text().to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_broken_driver_is_kept() {
        for code in [1, 2, 9, 12, 15, 16, 17, 18, 999, 12345] {
            let why = Unavailable::from(Code(code));
            assert!(
                matches!(why, Unavailable::DriverBroken { code: kept, .. } if kept == i64::from(code)),
                "{code}: {why:?}"
            );
        }
    }

    #[test]
    fn what_is_no_fault_is_not_called_broken() {
        assert_eq!(Unavailable::from(Code(3)), Unavailable::NotSupported);
        assert_eq!(Unavailable::from(Code(4)), Unavailable::PermissionDenied);
        assert_eq!(Unavailable::from(Code(13)), Unavailable::NotSupported);
        assert_eq!(Unavailable::from(Code(21)), Unavailable::DriverSaysNotAvailable);
    }
}
