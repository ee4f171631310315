//! Loads NVML and its functions: newest first, each may be missing.

use std::{
    ffi::{c_char, c_void},
    fmt,
    mem::ManuallyDrop,
};

use crate::Unavailable;

/// `nvmlDevice_t`: an opaque value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Handle(pub(super) *mut c_void);

// SAFETY: NVML is thread-safe (its reference, "API Reference": "safe to make simultaneous NVML calls from multiple
// threads"). A handle is not tied to the thread that asked for it.
unsafe impl Send for Handle {}

pub(super) type Plain = unsafe extern "C" fn() -> u32;
pub(super) type Number = unsafe extern "C" fn(*mut u32) -> u32;
pub(super) type SystemText = unsafe extern "C" fn(*mut c_char, u32) -> u32;
pub(super) type ByIndex = unsafe extern "C" fn(u32, *mut Handle) -> u32;
pub(super) type DeviceText = unsafe extern "C" fn(Handle, *mut c_char, u32) -> u32;
pub(super) type DeviceNumber = unsafe extern "C" fn(Handle, *mut u32) -> u32;
pub(super) type DeviceNumbers = unsafe extern "C" fn(Handle, *mut u32, *mut u32) -> u32;
pub(super) type DeviceStruct = unsafe extern "C" fn(Handle, *mut c_void) -> u32;
pub(super) type DeviceProcesses = unsafe extern "C" fn(Handle, *mut u32, *mut c_void) -> u32;
pub(super) type Part = unsafe extern "C" fn(Handle, u32, *mut Handle) -> u32;
pub(super) type OfProcess = unsafe extern "C" fn(Handle, u32, *mut c_void) -> u32;

/// The functions in use; of several versions, the newest first.
pub(super) struct Functions {
    pub(super) init: [Option<Plain>; 2],
    pub(super) shutdown: Option<Plain>,
    pub(super) driver_version: Option<SystemText>,
    pub(super) nvml_version: Option<SystemText>,
    pub(super) count: [Option<Number>; 2],
    pub(super) by_index: [Option<ByIndex>; 2],
    pub(super) name: Option<DeviceText>,
    pub(super) uuid: Option<DeviceText>,
    pub(super) pci: [Option<DeviceStruct>; 3],
    pub(super) memory: [Option<DeviceStruct>; 2],
    pub(super) compute: [Option<DeviceProcesses>; 3],
    pub(super) graphics: [Option<DeviceProcesses>; 3],
    pub(super) mps: [Option<DeviceProcesses>; 3],
    pub(super) accounting_mode: Option<DeviceNumber>,
    pub(super) accounting_stats: Option<OfProcess>,
    pub(super) addressing_mode: Option<DeviceStruct>,
    pub(super) mig_mode: Option<DeviceNumbers>,
    pub(super) mig_count: Option<DeviceNumber>,
    pub(super) mig_device: Option<Part>,
    pub(super) gpu_instance: Option<DeviceNumber>,
    pub(super) compute_instance: Option<DeviceNumber>,
}

impl Functions {
    fn of(library: &libloading::Library) -> Self {
        // SAFETY: each name is that of a C function of nvml.h with the signature of its field's type. A
        // pointer to a struct stands as a pointer to anything, an enum as an `unsigned int`.
        unsafe {
            Self {
                init: [symbol(library, "nvmlInit_v2"), symbol(library, "nvmlInit")],
                shutdown: symbol(library, "nvmlShutdown"),
                driver_version: symbol(library, "nvmlSystemGetDriverVersion"),
                nvml_version: symbol(library, "nvmlSystemGetNVMLVersion"),
                count: [symbol(library, "nvmlDeviceGetCount_v2"), symbol(library, "nvmlDeviceGetCount")],
                by_index: [
                    symbol(library, "nvmlDeviceGetHandleByIndex_v2"),
                    symbol(library, "nvmlDeviceGetHandleByIndex"),
                ],
                name: symbol(library, "nvmlDeviceGetName"),
                uuid: symbol(library, "nvmlDeviceGetUUID"),
                pci: versions(library, "nvmlDeviceGetPciInfo"),
                memory: [
                    symbol(library, "nvmlDeviceGetMemoryInfo_v2"),
                    symbol(library, "nvmlDeviceGetMemoryInfo"),
                ],
                compute: versions(library, "nvmlDeviceGetComputeRunningProcesses"),
                graphics: versions(library, "nvmlDeviceGetGraphicsRunningProcesses"),
                mps: versions(library, "nvmlDeviceGetMPSComputeRunningProcesses"),
                accounting_mode: symbol(library, "nvmlDeviceGetAccountingMode"),
                accounting_stats: symbol(library, "nvmlDeviceGetAccountingStats"),
                addressing_mode: symbol(library, "nvmlDeviceGetAddressingMode"),
                mig_mode: symbol(library, "nvmlDeviceGetMigMode"),
                mig_count: symbol(library, "nvmlDeviceGetMaxMigDeviceCount"),
                mig_device: symbol(library, "nvmlDeviceGetMigDeviceHandleByIndex"),
                gpu_instance: symbol(library, "nvmlDeviceGetGpuInstanceId"),
                compute_instance: symbol(library, "nvmlDeviceGetComputeInstanceId"),
            }
        }
    }
}

/// # Safety
/// `T` must be the type of the C function of this name.
unsafe fn symbol<T: Copy>(library: &libloading::Library, name: &str) -> Option<T> {
    // SAFETY: the caller guarantees the type.
    unsafe { library.get::<T>(name) }.ok().map(|found| *found)
}

/// # Safety
/// As [`symbol`], for the function in its versions 3, 2 and 1.
unsafe fn versions<T: Copy>(library: &libloading::Library, name: &str) -> [Option<T>; 3] {
    // SAFETY: the caller guarantees the type.
    ["_v3", "_v2", ""].map(|version| unsafe { symbol(library, &format!("{name}{version}")) })
}

/// The loaded library.
pub(super) struct Library {
    pub(super) functions: Functions,
    /// The name under which it was found.
    pub(super) name: &'static str,
    /// Unloaded only by [`Library::unload`].
    loaded: ManuallyDrop<libloading::Library>,
}

impl fmt::Debug for Library {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Library").field(&self.name).finish()
    }
}

#[cfg(not(windows))]
const NAMES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
#[cfg(windows)]
const NAMES: [&str; 1] = ["nvml.dll"];

impl Library {
    /// Loads it from the system's library directories (Windows: from System32 alone, where drivers put it).
    ///
    /// # Errors
    /// [`Unavailable::NoBackend`] if there is none; [`Unavailable::Failed`] if it exists but cannot be
    /// loaded.
    pub(super) fn load() -> Result<Self, Unavailable> {
        let mut missing = String::new();
        for name in NAMES {
            match open(name) {
                Ok(library) => {
                    let functions = Functions::of(&library);
                    return Ok(Self { functions, name, loaded: ManuallyDrop::new(library) });
                }
                Err(error) => {
                    let text = reason(&error);
                    if !is_not_found(name, &text) {
                        return Err(Unavailable::Failed(text));
                    }
                    missing = text;
                }
            }
        }
        Err(Unavailable::NoBackend(missing))
    }

    /// Unloads it. This must not be called in a child forked from the process that loaded it.
    pub(super) fn unload(&mut self) {
        // SAFETY: this is called once, when the session ends; its functions are not called afterwards.
        unsafe { ManuallyDrop::drop(&mut self.loaded) };
    }
}

#[cfg(not(windows))]
fn open(name: &str) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: NVML's initialisers are made to run in any process. Nothing protects against another file of
    // that name.
    unsafe { libloading::Library::new(name) }
}

#[cfg(windows)]
fn open(name: &str) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::windows;
    // SAFETY: as above. Only System32 is searched: neither the program's directory nor the current one.
    unsafe { windows::Library::load_with_flags(name, windows::LOAD_LIBRARY_SEARCH_SYSTEM32) }.map(Into::into)
}

fn reason(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

/// Returns whether the loader reports the file itself missing, and not a library that it needs.
fn is_not_found(name: &str, text: &str) -> bool {
    let says_so = ["cannot open shared object file", "No such file", "no such file"];
    // musl says this in static builds.
    let cannot_load = text.contains("Dynamic loading not supported");
    cfg!(windows)
        || cannot_load
        || (text.contains(name) && says_so.iter().any(|phrase| text.contains(phrase)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_lacks_another_is_not_an_absent_one() {
        let name = "libnvidia-ml.so.1";
        let absent = "libnvidia-ml.so.1: cannot open shared object file: No such file or directory";
        assert!(is_not_found(name, absent));
        let musl = "Error loading shared library libnvidia-ml.so.1: No such file or directory";
        assert!(is_not_found(name, musl));
        if cfg!(not(windows)) {
            assert!(!is_not_found(
                name,
                "libfoo.so.2: cannot open shared object file: No such file or directory"
            ));
            assert!(!is_not_found(name, "/usr/lib/libnvidia-ml.so.1: invalid ELF header"));
        }
    }
}
