//! The PCI address of a card, by which other sources know it. DXGI does not report it; the kernel interface
//! below does.

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

/// Returns the address; `None` if the card is on no bus, or the kernel does not report it.
pub(super) fn of(luid: u64) -> Option<String> {
    if is_wine() {
        // Wine ends a program that calls this.
        return None;
    }
    #[allow(clippy::cast_possible_truncation)] // These are the two halves.
    let luid = LUID { LowPart: luid as u32, HighPart: ((luid >> 32) as u32).cast_signed() };
    let mut opened = D3DKMT_OPENADAPTERFROMLUID { AdapterLuid: luid, hAdapter: 0 };
    // SAFETY: `opened` is a local value.
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
    // SAFETY: `query` and `address` are local values, with the size that is given.
    let status = unsafe { D3DKMTQueryAdapterInfo(&raw mut query) };
    let close = D3DKMT_CLOSEADAPTER { hAdapter: opened.hAdapter };
    // SAFETY: the adapter was opened above.
    unsafe { D3DKMTCloseAdapter(&raw const close) };
    let D3DKMT_ADAPTERADDRESS { BusNumber: bus, DeviceNumber: device, FunctionNumber: function } = address;
    // The domain is not reported; PCs have one. All ones means: on no bus.
    (status >= 0 && bus < 256 && device < 32 && function < 8)
        .then(|| format!("0000:{bus:02x}:{device:02x}.{function}"))
}

/// Returns whether this is Wine, which has a function that Windows lacks.
fn is_wine() -> bool {
    // SAFETY: both texts end with 0; this library is in every process.
    unsafe { GetProcAddress(GetModuleHandleW(w!("ntdll.dll")), s!("wine_get_version")) }.is_some()
}
