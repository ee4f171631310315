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

/// One device, kept.
pub(super) struct Found {
    pub(super) identity: Identity,
    device: Retained<ProtocolObject<dyn MTLDevice>>,
}

impl fmt::Debug for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(formatter)
    }
}

/// All that Metal knows.
pub(super) fn all() -> Vec<Found> {
    autoreleasepool(|_| {
        let found = |device: Retained<ProtocolObject<dyn MTLDevice>>| Found {
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

impl Found {
    /// `recommendedMaxWorkingSetSize`.
    pub(super) fn budget(&self) -> u64 {
        self.device.recommendedMaxWorkingSetSize()
    }

    /// `currentAllocatedSize`: what this process has allocated there.
    pub(super) fn allocated_here(&self) -> u64 {
        self.device.currentAllocatedSize() as u64
    }

    pub(super) fn statistics(&self) -> Statistics {
        let Some(told) = property(self.identity.registry_id, "PerformanceStatistics") else {
            return Statistics::default();
        };
        let Ok(told) = told.downcast::<CFDictionary>() else { return Statistics::default() };
        // SAFETY: property lists, of which the registry is made, have strings as keys and objects of Core Foundation as
        // values.
        let told = unsafe { CFRetained::cast_unchecked::<CFDictionary<CFString, CFType>>(told) };
        let bytes = |key: &str| {
            let number = told.get(&CFString::from_str(key))?.downcast::<CFNumber>().ok()?;
            u64::try_from(number.as_i64()?).ok()
        };
        Statistics {
            in_use_system: bytes("In use system memory"),
            vram_used: bytes("vramUsedBytes"),
            vram_free: bytes("vramFreeBytes"),
        }
    }
}

/// A property of an entry of the registry.
fn property(registry_id: u64, key: &str) -> Option<CFRetained<CFType>> {
    // SAFETY: a number; what comes is a dictionary to look for entries with.
    let matching = unsafe { IORegistryEntryIDMatching(registry_id) }?;
    // SAFETY: a dictionary that can be changed is a dictionary.
    let matching = unsafe { CFRetained::cast_unchecked::<CFDictionary>(matching) };
    // SAFETY: the default port (0); the dictionary is consumed; 0 where nothing matches.
    let service = unsafe { IOServiceGetMatchingService(0, Some(matching)) };
    if service == 0 {
        return None;
    }
    // SAFETY: a living service and a string; no options.
    let property =
        unsafe { IORegistryEntryCreateCFProperty(service, Some(&CFString::from_str(key)), None, 0) };
    IOObjectRelease(service);
    property
}
