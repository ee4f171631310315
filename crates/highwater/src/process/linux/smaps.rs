//! `/proc/PID/smaps`: every mapping, and how much of it is resident.
//! [`proc_pid_smaps(5)`](https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html)

use super::decimal::{self, complete_lines, kib_as_bytes};

/// A mapping of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileMapping<'a> {
    /// Device number, the major one in the upper half.
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// As the kernel shows it: with newlines escaped, and `(deleted)` after the name of a file without one.
    pub(crate) path: &'a [u8],
    /// Pages of the file that are resident, without those that the process has replaced by writing to them.
    pub(crate) resident_bytes: u64,
}

/// Returns the mappings of files. A last one that was cut is left out if its figures are.
pub(crate) fn file_mappings(text: &[u8]) -> impl Iterator<Item = FileMapping<'_>> {
    let mut mapping: Option<FileMapping<'_>> = None;
    complete_lines(text).filter_map(move |line| {
        // Keys begin with a capital letter, mappings with an address.
        if !line.first().is_some_and(u8::is_ascii_uppercase) {
            mapping = parse_header(line);
        } else if let Some(value) = line.strip_prefix(b"Rss:") {
            let resident_bytes = kib_as_bytes(value)?;
            mapping.as_mut()?.resident_bytes = resident_bytes;
        } else if let Some(value) = line.strip_prefix(b"Anonymous:") {
            let whole = mapping.take()?;
            return Some(FileMapping {
                resident_bytes: whole.resident_bytes.saturating_sub(kib_as_bytes(value)?),
                ..whole
            });
        }
        None
    })
}

/// Parses `559f0a000000-559f0a021000 r-xp 00002000 08:01 1234    /usr/bin/program`; `None` for memory without a file.
fn parse_header(line: &[u8]) -> Option<FileMapping<'_>> {
    let mut rest = line;
    let mut next = || {
        let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        let (field, after) = rest.split_at(end);
        rest = after.trim_ascii_start();
        field
    };
    let (_addresses, _permissions, _offset) = (next(), next(), next());
    let device = parse_device(next())?;
    let (inode, _) = decimal::leading(next()).filter(|&(inode, _)| inode != 0)?;
    Some(FileMapping { device, inode, path: rest, resident_bytes: 0 })
}

/// Parses the two hexadecimal numbers of a device, as in `fe:01`.
fn parse_device(text: &[u8]) -> Option<u64> {
    let (major, minor) = str::from_utf8(text).ok()?.split_once(':')?;
    let part = |number| u32::from_str_radix(number, 16).ok().map(u64::from);
    Some(part(major)? << 32 | part(minor)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &[u8] = b"55d0c8a4b000-55d0c8a4f000 r-xp 00002000 fe:01 1234                       /usr/bin/a b\n\
        Size:                 16 kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\nRss:                  16 kB\n\
        Pss:                   8 kB\nPrivate_Dirty:         4 kB\nReferenced:           16 kB\nAnonymous:             4 kB\n\
        AnonHugePages:         0 kB\nSwap:                  0 kB\nVmFlags: rd ex mr mw me sd \n\
        55d0c9000000-55d0c9021000 rw-p 00000000 00:00 0                          [heap]\n\
        Rss:                  96 kB\nAnonymous:            96 kB\n\
        7f0000000000-7f0000001000 rw-s 00000000 00:01 2049                       /memfd:x (deleted)\n\
        Rss:                   4 kB\nAnonymous:             0 kB\n";

    fn mappings(text: &[u8]) -> Vec<(u64, u64, &[u8], u64)> {
        file_mappings(text)
            .map(|file| (file.device, file.inode, file.path, file.resident_bytes >> 10))
            .collect()
    }

    #[test]
    fn captured() {
        assert_eq!(
            mappings(CAPTURED),
            [(0xfe << 32 | 1, 1234, &b"/usr/bin/a b"[..], 12), (1, 2049, b"/memfd:x (deleted)", 4)]
        );
    }

    #[test]
    fn a_cut_text_gives_what_was_complete() {
        for end in 0..CAPTURED.len() {
            let cut = mappings(&CAPTURED[..end]);
            assert_eq!(cut, mappings(CAPTURED)[..cut.len()], "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_mapping_is_left_out() {
        assert_eq!(mappings(b"Rss: 4 kB\nAnonymous: 0 kB\n"), []);
        assert_eq!(mappings(b"0-1 r--p 0 zz:01 7 /x\nRss: 4 kB\nAnonymous: 0 kB\n"), []);
        assert_eq!(mappings(b"0-1\nRss: 4 kB\nAnonymous: 0 kB\n"), []);
    }
}
