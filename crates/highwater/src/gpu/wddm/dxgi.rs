//! DXGI's adapters. All calls are COM; its factory needs no apartment.

use windows::{
    Win32::Graphics::Dxgi::{
        CreateDXGIFactory1, DXGI_ADAPTER_FLAG_SOFTWARE, DXGI_MEMORY_SEGMENT_GROUP_LOCAL,
        DXGI_MEMORY_SEGMENT_GROUP_NON_LOCAL, DXGI_QUERY_VIDEO_MEMORY_INFO, IDXGIAdapter1, IDXGIAdapter3,
        IDXGIFactory1,
    },
    core::Interface,
};

use super::{
    address,
    figures::{Adapter, Own},
};
use crate::Unavailable;

/// More adapters than any machine has.
const MOST: u32 = 256;

/// Sees the adapters that there were when it was made.
#[derive(Debug)]
pub(super) struct Factory(IDXGIFactory1);

// SAFETY: DXGI's objects may be used from any thread, one call after the other ("DXGI Overview", multithread
// considerations); this one is owned by one value at a time.
unsafe impl Send for Factory {}

impl Factory {
    /// # Errors
    /// [`Unavailable::NoBackend`] where there is no DXGI, as on servers without its packages.
    pub(super) fn open() -> Result<Self, Unavailable> {
        // SAFETY: no arguments.
        unsafe { CreateDXGIFactory1() }
            .map(Self)
            .map_err(|error| Unavailable::NoBackend(format!("DXGI: {error}")))
    }

    pub(super) fn adapters(&self) -> Vec<Adapter> {
        (0..MOST).map_while(|place| Some((place, self.adapter(place)?))).filter_map(described).collect()
    }

    /// What this process uses; `None` before Windows 10.
    pub(super) fn own_memory(&self, place: u32) -> Option<Own> {
        let adapter: IDXGIAdapter3 = self.adapter(place)?.cast().ok()?;
        let usage = |segment| {
            let mut info = DXGI_QUERY_VIDEO_MEMORY_INFO::default();
            // SAFETY: `info` is ours.
            unsafe { adapter.QueryVideoMemoryInfo(0, segment, &raw mut info) }.ok()?;
            Some(info.CurrentUsage)
        };
        Some(Own {
            local: usage(DXGI_MEMORY_SEGMENT_GROUP_LOCAL)?,
            non_local: usage(DXGI_MEMORY_SEGMENT_GROUP_NON_LOCAL)?,
        })
    }

    fn adapter(&self, place: u32) -> Option<IDXGIAdapter1> {
        // SAFETY: a number; past the last one it is an error.
        unsafe { self.0.EnumAdapters1(place) }.ok()
    }
}

fn described((place, adapter): (u32, IDXGIAdapter1)) -> Option<Adapter> {
    // SAFETY: it returns a plain structure.
    let told = unsafe { adapter.GetDesc1() }.ok()?;
    let name: Vec<u16> = told.Description.iter().copied().take_while(|&unit| unit != 0).collect();
    let luid =
        u64::from(told.AdapterLuid.HighPart.cast_unsigned()) << 32 | u64::from(told.AdapterLuid.LowPart);
    Some(Adapter {
        place,
        luid,
        pci: address::of(luid),
        name: String::from_utf16_lossy(&name).trim().to_owned(),
        vendor: told.VendorId,
        device: told.DeviceId,
        dedicated: told.DedicatedVideoMemory as u64,
        shared: told.SharedSystemMemory as u64,
        has_software_flag: told.Flags & DXGI_ADAPTER_FLAG_SOFTWARE.0.cast_unsigned() != 0,
    })
}
