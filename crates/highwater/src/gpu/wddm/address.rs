//! Where a card sits on the PCI bus, by which other sources know it. DXGI does not tell; the kernel's interface below does.

use windows_sys::{
    Wdk::Graphics::Direct3D::{
        D3DKMT_ADAPTERADDRESS, D3DKMT_CLOSEADAPTER, D3DKMT_OPENADAPTERFROMLUID, D3DKMT_QUERYADAPTERINFO,
        D3DKMTCloseAdapter, D3DKMTOpenAdapterFromLuid, D3DKMTQueryAdapterInfo, KMTQAITYPE_ADAPTERADDRESS,
    },
    Win32::{
        Foundation::LUID,
        System::LibraryLoader::{GetModuleHandleW, GetProcAddress},
    },
    core::{s, w},
};

/// `None` for what sits on no bus, or where the kernel does not tell.
pub(super) fn of(luid: u64) -> Option<String> {
    if is_wine() {
        // It ends a program that asks.
        return None;
    }
    #[allow(clippy::cast_possible_truncation)] // Its two halves.
    let luid = LUID { LowPart: luid as u32, HighPart: ((luid >> 32) as u32).cast_signed() };
    let mut opened = D3DKMT_OPENADAPTERFROMLUID { AdapterLuid: luid, hAdapter: 0 };
    // SAFETY: `opened` is ours.
    if unsafe { D3DKMTOpenAdapterFromLuid(&raw mut opened) } < 0 {
        return None;
    }
    let mut address =
        D3DKMT_ADAPTERADDRESS { BusNumber: u32::MAX, DeviceNumber: u32::MAX, FunctionNumber: u32::MAX };
    let mut query = D3DKMT_QUERYADAPTERINFO {
        hAdapter: opened.hAdapter,
        Type: KMTQAITYPE_ADAPTERADDRESS,
        pPrivateDriverData: (&raw mut address).cast(),
        PrivateDriverDataSize: u32::try_from(size_of_val(&address)).ok()?,
    };
    // SAFETY: `query` and `address` are ours, with the size that is told.
    let status = unsafe { D3DKMTQueryAdapterInfo(&raw mut query) };
    let close = D3DKMT_CLOSEADAPTER { hAdapter: opened.hAdapter };
    // SAFETY: the adapter that was opened above.
    unsafe { D3DKMTCloseAdapter(&raw const close) };
    let D3DKMT_ADAPTERADDRESS { BusNumber: bus, DeviceNumber: device, FunctionNumber: function } = address;
    // The domain is not told; PCs have one. All ones: it sits on no bus.
    (status >= 0 && bus < 256 && device < 32 && function < 8)
        .then(|| format!("0000:{bus:02x}:{device:02x}.{function}"))
}

/// Wine says so by a function that Windows does not have.
fn is_wine() -> bool {
    // SAFETY: two texts that end with 0; this library is in every process.
    unsafe { GetProcAddress(GetModuleHandleW(w!("ntdll.dll")), s!("wine_get_version")) }.is_some()
}
