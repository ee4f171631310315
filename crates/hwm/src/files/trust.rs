//! Rules about links, entries and directories that other users control.

use std::{io, path::Path};

use rustix::{
    fs::{FileType, RawMode, Stat},
    process::{getegid, geteuid},
};

/// The symbolic links that are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkTrust {
    /// The rule of `fs.protected_symlinks` (`proc_sys_fs(5)`), whether the kernel applies it or not. In a sticky
    /// directory that all may write to, a link must belong to this user or to the directory's owner.
    StickyRule,
    /// Links of this user and of root. For places that hwm chooses itself below a home directory.
    OwnOrRoot,
}

/// Returns whether a link is followed.
pub(super) fn is_followed(trust: LinkTrust, directory: &Stat, link: &Stat) -> bool {
    // A link of another user may lead root to any file, in whatever directory it stands.
    if geteuid().is_root() && link.st_uid != 0 {
        return false;
    }
    match trust {
        LinkTrust::StickyRule => passes_sticky_rule(directory, link),
        LinkTrust::OwnOrRoot => is_own_or_root(link),
    }
}

/// Returns the error for a link that is not followed.
pub(super) fn refused_link(path: &Path, link: &Stat) -> io::Error {
    io::Error::other(format!(
        "{} is a symbolic link of another user (uid {}), which is not followed here; name its target",
        path.display(),
        link.st_uid
    ))
}

/// Refuses a directory that belongs to neither this user nor root: its owner could lead later writes elsewhere.
pub(super) fn check_owner(directory: &Stat, path: &Path) -> io::Result<()> {
    if is_own_or_root(directory) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} belongs to another user (uid {}); set HOME or XDG_DATA_HOME to a place of yours",
            path.display(),
            directory.st_uid
        ),
    ))
}

/// Refuses an entry that another user may have put there to receive the content, or to have a file overwritten.
///
/// It is for entries that are written to as they are. One that is replaced receives nothing.
pub(super) fn check_in_place(directory: &Stat, entry: &Stat) -> io::Result<()> {
    // The rule of `fs.protected_fifos` and `fs.protected_regular`, which the kernel applies to O_CREAT alone.
    if !passes_sticky_rule(directory, entry) {
        return Err(io::Error::other(format!(
            "it belongs to another user (uid {}) and the directory is sticky; choose another name or directory",
            entry.st_uid
        )));
    }
    let is_regular = FileType::from_raw_mode(entry.st_mode) == FileType::RegularFile;
    // Any user can make a second name of a file if `fs.protected_hardlinks` is off (proc_sys_fs(5)).
    if is_regular && entry.st_nlink > 1 && !is_exclusive(directory) {
        return Err(io::Error::other(
            "it has another name (a hard link), perhaps made by another user, and would be overwritten; \
             choose another name or directory",
        ));
    }
    Ok(())
}

/// Returns whether no other user can create an entry in the directory, or move one into it.
///
/// The sticky bit is no help: it keeps files from being taken away, not from being brought (rename(2)).
pub(super) fn is_exclusive(directory: &Stat) -> bool {
    is_own_or_root(directory) && !is_writable_by_others(directory)
}

fn is_writable_by_others(directory: &Stat) -> bool {
    // The primary group is the user's own on most systems, and then the usual umask is 002.
    let others = if directory.st_gid == getegid().as_raw() {
        bits(libc::S_IWOTH)
    } else {
        bits(libc::S_IWOTH) | bits(libc::S_IWGRP)
    };
    directory.st_mode & others != 0
}

/// Refuses a directory in which another user can rename or remove the entries of this user.
pub(super) fn check_keeps_entries(directory: &Stat, path: &Path) -> io::Result<()> {
    let is_directory = FileType::from_raw_mode(directory.st_mode) == FileType::Directory;
    // The owner of a sticky directory can rename every entry (rename(2), EPERM).
    let is_sticky = directory.st_mode & bits(libc::S_ISVTX) != 0;
    let is_trusted = is_own_or_root(directory) || is_of_unknown_owner(directory);
    if is_directory && is_trusted && (is_sticky || !is_writable_by_others(directory)) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "another user can replace files in {} (owner {}, mode {:o}); \
             set TMPDIR to a directory that no other user can write to",
            path.display(),
            directory.st_uid,
            directory.st_mode & 0o7777
        ),
    ))
}

/// Returns whether an entry may be used as it is. In a sticky directory that all may write to, it must belong to this
/// user or to the directory's owner.
fn passes_sticky_rule(directory: &Stat, entry: &Stat) -> bool {
    let shared = bits(libc::S_ISVTX) | bits(libc::S_IWOTH);
    let is_shared = directory.st_mode & shared == shared;
    !is_shared || entry.st_uid == geteuid().as_raw() || entry.st_uid == directory.st_uid
}

fn is_own_or_root(entry: &Stat) -> bool {
    entry.st_uid == geteuid().as_raw() || entry.st_uid == 0
}

/// Returns whether the owner has no number in this user namespace. The root directory of the host belongs to such an owner there
/// (`user_namespaces(7)`).
#[cfg(target_os = "linux")]
fn is_of_unknown_owner(entry: &Stat) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let overflow = read("/proc/sys/kernel/overflowuid").and_then(|text| text.trim().parse().ok());
    let is_whole = |map: String| map.split_whitespace().eq(["0", "0", "4294967295"]);
    overflow == Some(entry.st_uid) && read("/proc/self/uid_map").is_some_and(|map| !is_whole(map))
}

#[cfg(not(target_os = "linux"))]
fn is_of_unknown_owner(_: &Stat) -> bool {
    false
}

/// A bit of a mode: the types differ between systems.
#[allow(clippy::useless_conversion)]
fn bits(bit: libc::mode_t) -> RawMode {
    RawMode::from(bit)
}
