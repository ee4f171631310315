//! The tracepoint `task:task_newtask`: with which flags a task was made (clone(2)), so whether it shares its parent's
//! memory map. For root only.
//!
//! The kernel hits it right after it has written the fork's record, on the same processor (`copy_process`,
//! kernel/fork.c).

use std::{
    io::{self, Read},
    os::fd::OwnedFd,
};

use rustix::{
    fs::{Mode, OFlags, openat},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

const DIRECTORY: &str = "events/task/task_newtask";

/// Where the tracepoint is, and where its flags are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewTask {
    pub(super) id: u64,
    /// Offset of the flags in what a hit brings along; eight bytes.
    flags: usize,
}

impl NewTask {
    /// Asks tracefs, which is mounted for us alone and nowhere to be seen (fsmount(2), Linux 5.2): it may not be
    /// mounted, and is nobody's but root's to read.
    pub(super) fn find() -> io::Result<Self> {
        let tracefs = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&tracefs)?;
        let root = fsmount(&tracefs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        let id = read(&root, "id")?.trim().parse().map_err(io::Error::other)?;
        let flags = offset(&read(&root, "format")?).ok_or_else(|| io::Error::other("no clone_flags"))?;
        Ok(Self { id, flags })
    }

    /// The flags in what a hit brought along.
    pub(super) fn flags(self, raw: &[u8]) -> Option<u64> {
        Some(u64::from_ne_bytes(*raw.get(self.flags..)?.first_chunk()?))
    }
}

fn read(tracefs: &OwnedFd, name: &str) -> io::Result<String> {
    let file =
        openat(tracefs, format!("{DIRECTORY}/{name}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    std::fs::File::from(file).read_to_string(&mut text)?;
    Ok(text)
}

/// Where `clone_flags` stands, if it has eight bytes: Documentation/trace/events.rst, "Event formats".
fn offset(format: &str) -> Option<usize> {
    let line = format.lines().find(|line| line.contains(" clone_flags;"))?;
    let value = |key: &str| {
        let rest = line.split(';').map(str::trim).find_map(|part| part.strip_prefix(key))?;
        rest.parse::<usize>().ok()
    };
    (value("size:") == Some(8)).then(|| value("offset:"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_flags_in_the_format() {
        let format = "name: task_newtask\nID: 123\nformat:\n\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n\
            \tfield:unsigned long clone_flags;\toffset:32;\tsize:8;\tsigned:0;\n";
        assert_eq!(offset(format), Some(32));
        assert_eq!(offset(&format.replace("size:8", "size:4")), None, "not what we can read");
        assert_eq!(offset("nothing"), None);
        let mut raw = [0; 44];
        raw[32..40].copy_from_slice(&0x4100_u64.to_ne_bytes());
        assert_eq!(NewTask { id: 1, flags: 32 }.flags(&raw), Some(0x4100));
        assert_eq!(NewTask { id: 1, flags: 40 }.flags(&raw), None);
    }
}
