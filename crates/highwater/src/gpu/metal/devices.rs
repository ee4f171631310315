//! Metal's devices, and their statistics in I/O Kit's registry.

use std::fmt;

use objc2::{
    rc::{Retained, autoreleasepool},
    runtime::ProtocolObject,
};
use objc2_core_foundation::{CFDictionary, CFNumber, CFRetained, CFString, CFType};
use objc2_io_kit::{
    IOObjectRelease, IORegistryEntryCreateCFProperty, IORegistryEntryIDMatching, IOServiceGetMatchingService,
};
use objc2_metal::{MTLCopyAllDevices, MTLDevice};

use super::figures::{Identity, Statistics};

/// One device, kept open.
pub(super) struct MetalDevice {
    pub(super) identity: Identity,
    device: Retained<ProtocolObject<dyn MTLDevice>>,
}

impl fmt::Debug for MetalDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(formatter)
    }
}

/// Returns all devices that Metal lists.
pub(super) fn all() -> Vec<MetalDevice> {
    autoreleasepool(|_| {
        let found = |device: Retained<ProtocolObject<dyn MTLDevice>>| MetalDevice {
            identity: Identity {
                registry_id: device.registryID(),
                name: device.name().to_string(),
                unified: device.hasUnifiedMemory(),
            },
            device,
        };
        MTLCopyAllDevices().to_vec().into_iter().map(found).collect()
    })
}

impl MetalDevice {
    /// Returns `recommendedMaxWorkingSetSize`.
    pub(super) fn budget(&self) -> u64 {
        self.device.recommendedMaxWorkingSetSize()
    }

    /// Returns `currentAllocatedSize`, the allocation of this process on the device.
    pub(super) fn allocated_here(&self) -> u64 {
        self.device.currentAllocatedSize() as u64
    }

    pub(super) fn statistics(&self) -> Statistics {
        let Some(found) = property(self.identity.registry_id, "PerformanceStatistics") else {
            return Statistics::default();
        };
        let Ok(found) = found.downcast::<CFDictionary>() else { return Statistics::default() };
        // SAFETY: the registry consists of property lists, whose keys are strings and whose values are Core
        // Foundation objects.
        let found = unsafe { CFRetained::cast_unchecked::<CFDictionary<CFString, CFType>>(found) };
        let bytes = |key: &str| {
            let number = found.get(&CFString::from_str(key))?.downcast::<CFNumber>().ok()?;
            u64::try_from(number.as_i64()?).ok()
        };
        Statistics {
            in_use_system: bytes("In use system memory"),
            vram_used: bytes("vramUsedBytes"),
            vram_free: bytes("vramFreeBytes"),
        }
    }
}

/// Reads a property of an entry of the registry.
fn property(registry_id: u64, key: &str) -> Option<CFRetained<CFType>> {
    // SAFETY: the argument is a number; the result is a dictionary to search for entries with.
    let matching = unsafe { IORegistryEntryIDMatching(registry_id) }?;
    // SAFETY: a mutable dictionary is a dictionary.
    let matching = unsafe { CFRetained::cast_unchecked::<CFDictionary>(matching) };
    // SAFETY: the default port is 0; the call consumes the dictionary and returns 0 if nothing matches.
    let service = unsafe { IOServiceGetMatchingService(0, Some(matching)) };
    if service == 0 {
        return None;
    }
    // SAFETY: the service is open and the key is a string; there are no options.
    let property =
        unsafe { IORegistryEntryCreateCFProperty(service, Some(&CFString::from_str(key)), None, 0) };
    IOObjectRelease(service);
    property
}
