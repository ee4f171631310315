//! The kernel's ledgers of a process (`osfmk/kern/ledger.h`). `graphics_footprint` is its memory for
//! graphics. Positions of entries differ between versions, so the entry is found by its name.

/// `LEDGER_NAME_MAX`.
const NAME_BYTES: usize = 32;
/// `struct ledger_template_info`: name, group, unit.
const TEMPLATE_BYTES: usize = 3 * NAME_BYTES;
/// `struct ledger_entry_info`: six numbers of 64 bits, the balance first.
const ENTRY_BYTES: usize = 6 * 8;
const WANTED: &[u8] = b"graphics_footprint";

/// The position of the entry, and the number of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) entries: usize,
    pub(super) place: usize,
}

impl Template {
    /// Finds the entry in the result of `LEDGER_TEMPLATE_INFO`.
    pub(super) fn parse(rows: &[u8]) -> Option<Self> {
        let named = |row: &[u8]| row[..NAME_BYTES].split(|&byte| byte == 0).next() == Some(WANTED);
        let place = rows.chunks_exact(TEMPLATE_BYTES).position(named)?;
        Some(Self { entries: rows.len() / TEMPLATE_BYTES, place })
    }

    /// Reads the balance in the result of `LEDGER_ENTRY_INFO`.
    pub(super) fn balance(&self, entries: &[u8]) -> Option<i64> {
        let entry = entries.chunks_exact(ENTRY_BYTES).nth(self.place)?;
        entry.first_chunk().map(|bytes| i64::from_ne_bytes(*bytes))
    }
}

/// The call ledger(2), which has no manual page and no header.
#[cfg(target_os = "macos")]
pub(super) mod system {
    use std::{
        ffi::{c_int, c_void},
        io, ptr,
        sync::OnceLock,
    };

    use super::{ENTRY_BYTES, TEMPLATE_BYTES, Template};
    use crate::{Unavailable, process::macos::rusage::why};

    const LEDGER_ENTRY_INFO: c_int = 1;
    const LEDGER_TEMPLATE_INFO: c_int = 2;
    /// Ledgers have about 60 entries.
    const MAX_ENTRIES: usize = 512;

    type LedgerCall = unsafe extern "C" fn(c_int, *mut c_void, *mut c_void, *mut c_void) -> c_int;

    /// Finds the call by its name: it is Apple's own and may be removed.
    fn call() -> Result<LedgerCall, Unavailable> {
        static CALL: OnceLock<Option<LedgerCall>> = OnceLock::new();
        let found = CALL.get_or_init(|| {
            // SAFETY: the name is a C string; the result is a function of libSystem or null.
            let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"ledger".as_ptr()) };
            // SAFETY: its arguments are those of `ledger` in bsd/kern/syscalls.master.
            (!symbol.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, LedgerCall>(symbol) })
        });
        found.ok_or(Unavailable::NotProvided)
    }

    pub(in crate::gpu::metal) fn template() -> Result<Template, Unavailable> {
        let ledger = call()?;
        let mut rows = vec![0u8; MAX_ENTRIES * TEMPLATE_BYTES];
        let mut count = c_int::try_from(MAX_ENTRIES).unwrap_or(c_int::MAX);
        // SAFETY: there is room for as many rows as `count` says; the call sets it to the number written.
        let result = unsafe {
            ledger(LEDGER_TEMPLATE_INFO, rows.as_mut_ptr().cast(), (&raw mut count).cast(), ptr::null_mut())
        };
        if result != 0 {
            return Err(why(&io::Error::last_os_error()));
        }
        rows.truncate(usize::try_from(count).unwrap_or_default() * TEMPLATE_BYTES);
        Template::parse(&rows).ok_or(Unavailable::NotProvided)
    }

    /// Returns the process's memory for graphics, in bytes.
    pub(in crate::gpu::metal) fn balance(pid: u32, template: &Template) -> Result<i64, Unavailable> {
        let ledger = call()?;
        let mut entries = vec![0u8; template.entries * ENTRY_BYTES];
        let mut count = c_int::try_from(template.entries).unwrap_or(c_int::MAX);
        // SAFETY: the call takes a pid in the place of a pointer. There is room for as many entries as
        // `count` says; the call sets it to the number written.
        let result = unsafe {
            ledger(
                LEDGER_ENTRY_INFO,
                ptr::without_provenance_mut(pid as usize),
                entries.as_mut_ptr().cast(),
                (&raw mut count).cast(),
            )
        };
        if result != 0 {
            return Err(why(&io::Error::last_os_error()));
        }
        entries.truncate(usize::try_from(count).unwrap_or_default() * ENTRY_BYTES);
        template.balance(&entries).ok_or(Unavailable::LayoutUnknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> Vec<u8> {
        let field = |text: &str| {
            let mut field = [0; NAME_BYTES];
            field[..text.len()].copy_from_slice(text.as_bytes());
            field
        };
        names.iter().flat_map(|name| [field(name), field("physmem"), field("bytes")].concat()).collect()
    }

    #[test]
    fn found_by_its_whole_name() {
        let rows = rows(&["cpu_time", "graphics_footprint_compressed", "graphics_footprint", "energy"]);
        let template = Template::parse(&rows).unwrap();
        assert_eq!(template, Template { entries: 4, place: 2 });
        let entries: Vec<u8> =
            (0..4i64).flat_map(|n| [n * 100, 7, 7, 7, 7, 7]).flat_map(i64::to_ne_bytes).collect();
        assert_eq!(template.balance(&entries), Some(200));
        assert_eq!(template.balance(&entries[..2 * ENTRY_BYTES + 8]), None, "cut off");
    }

    #[test]
    fn a_system_without_it() {
        assert_eq!(Template::parse(&rows(&["cpu_time", "phys_footprint"])), None);
        assert_eq!(Template::parse(b"graphics_footprint"), None);
    }
}
