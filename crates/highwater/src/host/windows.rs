//! The RAM of a machine with Windows, and the version of Windows.

use windows_sys::{
    Wdk::System::SystemServices::RtlGetVersion,
    Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX, OSVERSIONINFOW},
};

use super::Ram;

/// Reads `GlobalMemoryStatusEx`: physical memory that Windows may use, and the part that is free, zeroed or
/// only caches (standby).
pub(super) fn ram() -> Ram {
    let mut status = MEMORYSTATUSEX::default();
    status.dwLength = u32::try_from(size_of_val(&status)).unwrap_or(u32::MAX);
    // SAFETY: `status` is a local value and contains its size.
    let is_known = unsafe { GlobalMemoryStatusEx(&raw mut status) } != 0;
    Ram {
        total_bytes: is_known.then_some(status.ullTotalPhys),
        available_bytes: is_known.then_some(status.ullAvailPhys),
        container_limit_bytes: None,
    }
}

/// Returns the version as `10.0.22631`. `GetVersionEx` would return the one that the program's manifest
/// declares.
pub(super) fn release() -> Option<String> {
    let mut version = OSVERSIONINFOW::default();
    version.dwOSVersionInfoSize = u32::try_from(size_of_val(&version)).ok()?;
    // SAFETY: `version` is a local value and contains its size.
    let status = unsafe { RtlGetVersion(&raw mut version) };
    let OSVERSIONINFOW { dwMajorVersion: major, dwMinorVersion: minor, dwBuildNumber: build, .. } = version;
    (status >= 0).then(|| format!("{major}.{minor}.{build}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        let ram = ram();
        assert!(ram.used_bytes().is_some_and(|used| used > 0), "{ram:?}");
        assert!(release().is_some_and(|release| release.starts_with("10.0.")));
    }
}
