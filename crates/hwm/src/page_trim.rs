//! Giving back this program's own pages that are not needed now.
//!
//! Reading arguments, following a job and writing a report are three programs in one file. Each maps its part of the
//! file and of the C library. A page that is needed again comes back out of the page cache.

/// Gives back the mapped code and constants of this program and of libraries. Called between two parts of the program.
///
/// Nothing is given back under a tracer: its break points are in these pages and would vanish. Files of another
/// machine stay mapped too: if such a file was replaced there, the next use of a page would end this process (SIGBUS).
pub(crate) fn give_back() {
    #[cfg(target_os = "linux")]
    linux::give_back();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        ffi::{CStr, c_void},
        fs,
        ops::Range,
        ptr,
    };

    #[cfg(target_pointer_width = "32")]
    use libc::Elf32_Phdr as ElfHeader;
    #[cfg(target_pointer_width = "64")]
    use libc::Elf64_Phdr as ElfHeader;
    use rustix::{
        fs::statfs,
        mm::{Advice, madvise},
        param::page_size,
    };

    /// An entry of the dynamic section: its tag and its value. elf(5)
    pub(super) type Dynamic = [usize; 2];

    const DT_NULL: usize = 0;
    const DT_TEXTREL: usize = 22;
    const DT_FLAGS: usize = 30;
    const DF_TEXTREL: usize = 4;

    /// Filesystems of this machine's own (linux/magic.h; zfs, f2fs and bcachefs from their sources): ext, XFS, Btrfs,
    /// tmpfs, overlayfs, squashfs, EROFS, ZFS, F2FS, bcachefs.
    const LOCAL_FILESYSTEMS: [u32; 10] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0x0102_1994,
        0x794c_7630,
        0x7371_7368,
        0xe0f5_e1e2,
        0x2fc1_2fc1,
        0xf2f5_2010,
        0xca45_1a4e,
    ];

    pub(super) fn give_back() {
        if fs::read_to_string("/proc/self/status").is_ok_and(|status| is_traced(&status)) {
            return;
        }
        // SAFETY: `object` is what dl_iterate_phdr(3) asks for, and keeps nothing of what it is given.
        unsafe { libc::dl_iterate_phdr(Some(object), ptr::null_mut()) };
    }

    /// Gives back the pages of one loaded object. No library is loaded or unloaded during the call: the loader holds
    /// its lock.
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
        let mapped = |header: &ElfHeader| {
            let [start, length] = [base.wrapping_add(header.p_vaddr), header.p_memsz].map(word);
            start..start.saturating_add(length)
        };
        let dynamic = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC).map(mapped);
        // SAFETY: the dynamic section is an array of such pairs, for as long as the object is loaded (elf(5)).
        let dynamic = dynamic.map_or(&[][..], |range| unsafe {
            let length = range.len() / size_of::<Dynamic>();
            std::slice::from_raw_parts(ptr::with_exposed_provenance(range.start), length)
        });
        // SAFETY: null, or a text that lives as long as the object is loaded.
        let name = (!info.dlpi_name.is_null()).then(|| unsafe { CStr::from_ptr(info.dlpi_name) });
        if has_text_relocations(dynamic) || !is_local(name.unwrap_or_default()) {
            return 0;
        }
        // Relocated code lies in segments that are writable at first (`PT_GNU_RELRO`), so it is not among these.
        let read_only = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0)
            .map(|header| pages(mapped(header)));
        for range in read_only {
            let start: *mut c_void = ptr::with_exposed_provenance_mut(range.start);
            // SAFETY: these pages were never written to. They are the page cache's, mapped into this process, and are
            // mapped again at their next use. The call fails if they are locked into memory, which is no loss.
            let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
        }
        0
    }

    /// Returns whether a debugger or strace watches the process of this `/proc/PID/status`.
    pub(super) fn is_traced(status: &str) -> bool {
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|pid| pid.trim() != "0")
    }

    /// Returns whether the file `name` of a loaded object lies on this machine. The program itself has no name.
    pub(super) fn is_local(name: &CStr) -> bool {
        let file = if name.is_empty() { c"/proc/self/exe" } else { name };
        statfs(file).is_ok_and(|system| {
            u32::try_from(system.f_type).is_ok_and(|kind| LOCAL_FILESYSTEMS.contains(&kind))
        })
    }

    /// Returns whether its code was changed when it was loaded.
    pub(super) fn has_text_relocations(dynamic: &[Dynamic]) -> bool {
        dynamic
            .iter()
            .take_while(|[tag, _]| *tag != DT_NULL)
            .any(|&[tag, value]| tag == DT_TEXTREL || tag == DT_FLAGS && value & DF_TEXTREL != 0)
    }

    /// Returns the pages that hold a segment, which shares none with another.
    pub(super) fn pages(segment: Range<usize>) -> Range<usize> {
        let page = page_size();
        segment.start / page * page..segment.end.div_ceil(page) * page
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::{has_text_relocations, is_local, is_traced, pages};

    #[test]
    fn a_tracer_is_known() {
        assert!(is_traced("Name:\thwm\nTracerPid:\t4711\nUid:\t0\n"));
        assert!(!is_traced("Name:\thwm\nTracerPid:\t0\nUid:\t0\n") && !is_traced(""));
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(own.contains("TracerPid:"));
    }

    #[test]
    fn files_of_other_kinds_of_filesystems_are_left_alone() {
        // Unknown filesystems count as remote, sshfs and NFS among them; procfs stands for them here. The vDSO is no
        // file at all.
        for name in [c"/proc/self/status", c"linux-vdso.so.1", c"/nowhere"] {
            assert!(!is_local(name), "{name:?}");
        }
        if rustix::fs::statfs("/tmp").is_ok_and(|system| system.f_type == 0xef53) {
            assert!(is_local(c"/tmp"), "ext4");
        }
    }

    #[test]
    fn relocated_code_is_recognised() {
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
            // The code runs through relocated tables: a panic that is caught, and a thread.
            let caught = std::thread::spawn(|| std::panic::catch_unwind(|| "seven".parse::<u8>().unwrap()));
            assert!(caught.join().unwrap().is_err());
        }
    }
}
