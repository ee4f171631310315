//! Keeping ourselves small: pages of our own program that are not needed now are given back.
//!
//! Reading arguments, following a job and writing a report are three programs in one file, and each maps its part of it and
//! of the C library. What is needed again comes back out of the page cache.

/// Gives back the code and constants that are mapped, ours and those of libraries. To be called between two of our parts.
pub(crate) fn give_back() {
    #[cfg(target_os = "linux")]
    linux::give_back();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{ffi::c_void, ops::Range, ptr};

    use rustix::{
        mm::{Advice, madvise},
        param::page_size,
    };

    #[cfg(target_pointer_width = "64")]
    type Header = libc::Elf64_Phdr;
    #[cfg(target_pointer_width = "32")]
    type Header = libc::Elf32_Phdr;
    /// An entry of the dynamic section: its tag and its value. elf(5)
    pub(super) type Dynamic = [usize; 2];

    const DT_NULL: usize = 0;
    const DT_TEXTREL: usize = 22;
    const DT_FLAGS: usize = 30;
    const DF_TEXTREL: usize = 4;

    pub(super) fn give_back() {
        // SAFETY: `object` is what dl_iterate_phdr(3) asks for, and keeps nothing of what it is given.
        unsafe { libc::dl_iterate_phdr(Some(object), ptr::null_mut()) };
    }

    /// Of one loaded object. Libraries are neither loaded nor unloaded meanwhile: the loader holds its lock.
    unsafe extern "C" fn object(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> libc::c_int {
        // SAFETY: valid during this call (dl_iterate_phdr(3)).
        let info = unsafe { &*info };
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        let base = info.dlpi_addr;
        // SAFETY: so many program headers, as long as the object is loaded.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let word = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let mapped = |header: &Header| {
            let [start, length] = [base.wrapping_add(header.p_vaddr), header.p_memsz].map(word);
            start..start.saturating_add(length)
        };
        let dynamic = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC).map(mapped);
        // SAFETY: the dynamic section is an array of such pairs, for as long as the object is loaded (elf(5)).
        let dynamic = dynamic.map_or(&[][..], |range| unsafe {
            let length = range.len() / size_of::<Dynamic>();
            std::slice::from_raw_parts(ptr::with_exposed_provenance(range.start), length)
        });
        if has_text_relocations(dynamic) {
            return 0;
        }
        // What is relocated lies in segments that are writable at first (`PT_GNU_RELRO`), so it is not among these.
        let read_only = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0)
            .map(|header| pages(mapped(header)));
        for range in read_only {
            let start: *mut c_void = ptr::with_exposed_provenance_mut(range.start);
            // SAFETY: never written to, these pages are the page cache's, mapped into us; at its next use each is mapped
            // again. Refused where they are locked into memory, which is no loss.
            let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
        }
        0
    }

    /// Whether its code was changed when it was loaded.
    pub(super) fn has_text_relocations(dynamic: &[Dynamic]) -> bool {
        dynamic
            .iter()
            .take_while(|[tag, _]| *tag != DT_NULL)
            .any(|&[tag, value]| tag == DT_TEXTREL || tag == DT_FLAGS && value & DF_TEXTREL != 0)
    }

    /// The pages that hold a segment, which shares none with another.
    pub(super) fn pages(segment: Range<usize>) -> Range<usize> {
        let page = page_size();
        segment.start / page * page..segment.end.div_ceil(page) * page
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::{has_text_relocations, pages};

    #[test]
    fn code_that_was_relocated_is_told() {
        assert!(!has_text_relocations(&[]));
        assert!(!has_text_relocations(&[[1, 4], [30, 8], [0, 0], [22, 0]]), "nothing after the end");
        assert!(has_text_relocations(&[[1, 4], [22, 0], [0, 0]]));
        assert!(has_text_relocations(&[[30, 8 | 4], [0, 0]]));
    }

    #[test]
    fn whole_pages() {
        let page = rustix::param::page_size();
        assert_eq!(pages(page + 1..2 * page + 1), page..3 * page);
        assert_eq!(pages(page..2 * page), page..2 * page);
    }

    #[test]
    fn what_was_written_stays_and_all_goes_on() {
        static WRITTEN: std::sync::Mutex<[u8; 9000]> = std::sync::Mutex::new([1; 9000]);
        WRITTEN.lock().unwrap()[4711] = 7;
        for _ in 0..3 {
            super::give_back();
            assert_eq!(WRITTEN.lock().unwrap()[4710..4713], [1, 7, 1]);
            // Through relocated tables: a panic that is caught, and a thread.
            let caught = std::thread::spawn(|| std::panic::catch_unwind(|| "seven".parse::<u8>().unwrap()));
            assert!(caught.join().unwrap().is_err());
        }
    }
}
