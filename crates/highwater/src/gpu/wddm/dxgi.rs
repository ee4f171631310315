//! DXGI's adapters. All calls are COM; its factory needs no apartment.

use std::{
    ffi::c_void,
    mem::ManuallyDrop,
    ptr::{from_ref, null_mut},
};

use libloading::os::windows::{LOAD_LIBRARY_SEARCH_SYSTEM32, Library};
use windows::{
    Win32::Graphics::Dxgi::{
        DXGI_ADAPTER_FLAG_SOFTWARE, DXGI_MEMORY_SEGMENT_GROUP_LOCAL, DXGI_MEMORY_SEGMENT_GROUP_NON_LOCAL,
        DXGI_QUERY_VIDEO_MEMORY_INFO, IDXGIAdapter1, IDXGIAdapter3, IDXGIFactory1,
    },
    core::{GUID, HRESULT, Interface},
};

use super::{
    address,
    figures::{Adapter, OwnMemory},
};
use crate::Unavailable;

/// `CreateDXGIFactory1` of dxgi.h.
type CreateFactory = unsafe extern "system" fn(*const GUID, *mut *mut c_void) -> HRESULT;

/// More adapters than any machine has.
const MAX_ADAPTERS: u32 = 256;

/// A factory, which lists the adapters that existed when it was made.
#[derive(Debug)]
pub(super) struct Factory(IDXGIFactory1);

// SAFETY: DXGI's objects may be used from any thread, one call after the other ("DXGI Overview", multithread
// considerations). This one is owned by one value at a time.
unsafe impl Send for Factory {}

impl Factory {
    /// # Errors
    /// [`Unavailable::NoBackend`] if there is no DXGI, as on servers without its packages.
    pub(super) fn open() -> Result<Self, Unavailable> {
        let none = |error: &dyn std::fmt::Display| Unavailable::NoBackend(format!("DXGI: {error}"));
        // It is not linked: the loader would search the program's directory first.
        // SAFETY: the library is the system's, from its own directory alone.
        let library = unsafe { Library::load_with_flags("dxgi.dll", LOAD_LIBRARY_SEARCH_SYSTEM32) };
        // The library is never unloaded: its objects live on, and other code in this process may use it.
        let library = ManuallyDrop::new(library.map_err(|error| none(&error))?);
        // SAFETY: the name is that of a function of this signature.
        let create = unsafe { library.get::<CreateFactory>(b"CreateDXGIFactory1") };
        let create = create.map_err(|error| none(&error))?;
        let mut factory = null_mut();
        // SAFETY: the arguments are the id of an interface and a place for one. The result is that interface, owned
        // here.
        unsafe {
            create(from_ref(&IDXGIFactory1::IID), &raw mut factory)
                .ok()
                .map(|()| IDXGIFactory1::from_raw(factory))
        }
        .map(Self)
        .map_err(|error| none(&error))
    }

    pub(super) fn adapters(&self) -> Vec<Adapter> {
        (0..MAX_ADAPTERS)
            .map_while(|place| Some((place, self.adapter(place)?)))
            .filter_map(described)
            .collect()
    }

    /// Returns what this process uses; `None` before Windows 10.
    pub(super) fn own_memory(&self, place: u32) -> Option<OwnMemory> {
        let adapter: IDXGIAdapter3 = self.adapter(place)?.cast().ok()?;
        let usage = |segment| {
            let mut info = DXGI_QUERY_VIDEO_MEMORY_INFO::default();
            // SAFETY: `info` is a local value.
            unsafe { adapter.QueryVideoMemoryInfo(0, segment, &raw mut info) }.ok()?;
            Some(info.CurrentUsage)
        };
        Some(OwnMemory {
            local: usage(DXGI_MEMORY_SEGMENT_GROUP_LOCAL)?,
            non_local: usage(DXGI_MEMORY_SEGMENT_GROUP_NON_LOCAL)?,
        })
    }

    fn adapter(&self, place: u32) -> Option<IDXGIAdapter1> {
        // SAFETY: the argument is a number; past the last one the call fails.
        unsafe { self.0.EnumAdapters1(place) }.ok()
    }
}

fn described((place, adapter): (u32, IDXGIAdapter1)) -> Option<Adapter> {
    // SAFETY: the call returns a plain structure.
    let description = unsafe { adapter.GetDesc1() }.ok()?;
    let name: Vec<u16> = description.Description.iter().copied().take_while(|&unit| unit != 0).collect();
    let luid = u64::from(description.AdapterLuid.HighPart.cast_unsigned()) << 32
        | u64::from(description.AdapterLuid.LowPart);
    Some(Adapter {
        place,
        luid,
        pci: address::of(luid),
        name: String::from_utf16_lossy(&name).trim().to_owned(),
        vendor: description.VendorId,
        device: description.DeviceId,
        dedicated: description.DedicatedVideoMemory as u64,
        shared: description.SharedSystemMemory as u64,
        has_software_flag: description.Flags & DXGI_ADAPTER_FLAG_SOFTWARE.0.cast_unsigned() != 0,
    })
}
