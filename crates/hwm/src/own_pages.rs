//! Keeping ourselves small: pages of our own program that are not needed now are given back.
//!
//! Parsing a command line, following a job and writing a report are three programs in one file, and each maps its part of it
//! and of the C library. What is needed again comes back out of the page cache.

/// Gives back what is mapped of files and stands there as in the file. To be called between two of our parts.
pub(crate) fn give_back() {
    #[cfg(target_os = "linux")]
    if let Ok(smaps) = std::fs::read("/proc/self/smaps") {
        linux::unchanged(&smaps).for_each(linux::give_back);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{ffi::c_void, ops::Range, ptr};

    use rustix::mm::{Advice, madvise};

    /// The mappings in a `/proc/PID/smaps` that nobody may write to and of which no page differs from the file: relocations,
    /// or a debugger's breakpoints, would be lost (`MADV_DONTNEED` in madvise(2)).
    pub(super) fn unchanged(smaps: &[u8]) -> impl Iterator<Item = Range<usize>> {
        let mut mapping = None;
        smaps.split(|&byte| byte == b'\n').filter_map(move |line| {
            let line = std::str::from_utf8(line).ok()?;
            if let Some(kib) = line.strip_prefix("Anonymous:") {
                return mapping.take().filter(|_| kib.trim() == "0 kB");
            }
            // A field's name ends with a colon; so a line without one at its first word begins a mapping.
            if !line.split(' ').next()?.ends_with(':') {
                mapping = read_only_file(line);
            }
            None
        })
    }

    /// `START-END PERMISSIONS OFFSET DEVICE INODE PATH`, `proc_pid_maps(5)`.
    fn read_only_file(line: &str) -> Option<Range<usize>> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let is_read_only = matches!(words.next()?, "r--p" | "r-xp");
        let is_file = words.nth(2)? != "0";
        let address = |text| usize::from_str_radix(text, 16).ok();
        (is_read_only && is_file).then_some(address(start)?..address(end)?)
    }

    pub(super) fn give_back(mapping: Range<usize>) {
        let start: *mut c_void = ptr::with_exposed_provenance_mut(mapping.start);
        // SAFETY: a page without a copy of its own is the page cache's, mapped into us; at its next use it is mapped again.
        // Refused where it is locked into memory, which is no loss.
        let _ = unsafe { madvise(start, mapping.len(), Advice::LinuxDontNeed) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{io::Write, ptr};

    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect};

    use super::linux::unchanged;

    const SMAPS: &str = "\
55d0e8a00000-55d0e8af4000 r--p 00000000 fe:00 1193                       /usr/bin/hwm
Size:                976 kB
Rss:                 528 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd
55d0e8af4000-55d0e8ef3000 r-xp 000f3000 fe:00 1193                       /usr/bin/hwm
Size:               4092 kB
Anonymous:             4 kB
55d0e8ef4000-55d0e8f06000 r--p 004f2000 fe:00 1193                       /usr/bin/hwm
Anonymous:            72 kB
55d0e8f06000-55d0e8f08000 rw-p 00504000 fe:00 1193                       /usr/bin/hwm
Anonymous:             0 kB
55d0f2c71000-55d0f2cb3000 rw-p 00000000 00:00 0                          [heap]
Anonymous:             0 kB
7f2b1e000000-7f2b1e021000 r--p 00000000 00:00 0
Anonymous:             0 kB
7f2b1e200000-7f2b1e228000 r--s 00000000 fe:00 77                         /a file: shared
Anonymous:             0 kB
7f2b1e228000-7f2b1e37e000 r-xp 00028000 fe:00 1044                       /opt/a b: c/libc.so.6
Size:               1368 kB
Anonymous:             0 kB
7ffd0b5f2000-7ffd0b5f4000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
";

    #[test]
    fn what_may_differ_from_its_file_is_kept() {
        let found: Vec<_> = unchanged(SMAPS.as_bytes()).collect();
        assert_eq!(found, [0x55d0_e8a0_0000..0x55d0_e8af_4000, 0x7f2b_1e22_8000..0x7f2b_1e37_e000]);
    }

    #[test]
    fn whatever_is_cut_or_broken_is_passed_over() {
        for end in 0..SMAPS.len() {
            assert!(unchanged(&SMAPS.as_bytes()[..end]).count() <= 2);
        }
        assert_eq!(unchanged(b"\xff\nzz-1 r--p 0 0 7 x\nAnonymous: 0 kB\nAnonymous:").count(), 0);
    }

    /// A file mapped read-only, with `changed` written to its start before.
    fn mapped(file: &std::fs::File, changed: Option<u8>) -> &'static [u8] {
        let (length, any) = (64 << 10, ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: a new mapping, of a file that is as long and that nobody writes to.
        let start = unsafe { mmap(ptr::null_mut(), length, any, MapFlags::PRIVATE, file, 0) }.unwrap();
        if let Some(byte) = changed {
            // SAFETY: writable still, and nobody else knows of it.
            unsafe { start.cast::<u8>().write(byte) };
        }
        // SAFETY: ours, as above.
        unsafe { mprotect(start, length, MprotectFlags::READ) }.unwrap();
        // SAFETY: it is never unmapped, nor written to from here on.
        unsafe { std::slice::from_raw_parts(start.cast(), length) }
    }

    fn resident_kib(mapping: &[u8]) -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let begin = format!("{:x}-", mapping.as_ptr().addr());
        let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&begin));
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn only_what_is_as_in_its_file_is_given_back_and_it_is_the_same_again() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 64 << 10]).unwrap();
        let (same, changed) = (mapped(&file, None), mapped(&file, Some(9)));
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        assert_eq!((sum(same), sum(changed)), (7 << 16, (7 << 16) + 2));
        assert!(resident_kib(same) == 64 && resident_kib(changed) == 64);
        super::give_back();
        assert!(resident_kib(same) == 0 && resident_kib(changed) == 64);
        assert_eq!((sum(same), sum(changed)), (7 << 16, (7 << 16) + 2));
    }
}
