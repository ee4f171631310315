//! The way to a directory, component by component.
//!
//! The kernel could open the whole path at once. It then follows each link by its own rule, and that rule is a switch
//! (`fs.protected_symlinks`) which not all systems have or turn on. This walk applies the rule always.

use std::{
    collections::VecDeque,
    env,
    ffi::{OsStr, OsString},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

#[cfg(target_os = "linux")]
use rustix::fs::chmod;
#[cfg(not(target_os = "linux"))]
use rustix::fs::chmodat;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, fstat, mkdirat, openat, statat, unlinkat},
    io::Errno,
};

use super::{
    entry::MAX_LINKS,
    link::Link,
    trust::{LinkTrust, check_owner, is_followed, refused_link},
};

/// The response to a directory of a path that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingDirectory {
    Refuse,
    /// The directory is made, for its owner alone (0700).
    MakePrivate,
}

/// Flags for a directory that is only passed through. Search permission is enough with `O_PATH` (open(2)).
#[cfg(target_os = "linux")]
const DIRECTORY_FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// macOS has no `O_PATH`: its directories must be readable.
#[cfg(not(target_os = "linux"))]
const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens the directory that `path` names, from `start` or else from the working directory. Returns its path, too.
pub(super) fn open_directory(
    start: Option<(&OwnedFd, &Path)>,
    path: &Path,
    trust: LinkTrust,
    missing: MissingDirectory,
) -> io::Result<(OwnedFd, PathBuf)> {
    let (mut at, mut shown) = match start {
        Some((fd, path)) => (fd.try_clone()?, path.to_owned()),
        None => (open(CWD, OsStr::new("."), OFlags::empty())?, PathBuf::new()),
    };
    let mut pending: VecDeque<WalkStep> = steps(path).collect();
    let mut links = 0;
    while let Some(step) = pending.pop_front() {
        match step {
            WalkStep::Root => {
                at = open(CWD, OsStr::new("/"), OFlags::empty())?;
                shown = PathBuf::from("/");
            }
            WalkStep::Up => {
                at = open(at.as_fd(), OsStr::new(".."), OFlags::empty())?;
                shown = parent(&shown)?;
            }
            WalkStep::Down(name) => match open_child(&at, &name) {
                Ok(child) => {
                    at = child;
                    shown.push(name);
                }
                Err(Errno::NOENT) if missing == MissingDirectory::MakePrivate => {
                    check_owner(&fstat(&at)?, &shown)?;
                    match make_private(&at, &name) {
                        // Another process made it first.
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        made => made?,
                    }
                    pending.push_front(WalkStep::Down(name));
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    match follow(&at, &shown, &name, trust)? {
                        Followed::Steps(steps) => {
                            steps.into_iter().rev().for_each(|step| pending.push_front(step));
                        }
                        Followed::Directory(directory) => {
                            at = directory;
                            shown.push(name);
                        }
                    }
                }
                Err(errno) => return Err(errno.into()),
            },
        }
    }
    if trust == LinkTrust::OwnOrRoot {
        check_owner(&fstat(&at)?, &shown)?;
    }
    Ok((at, shown))
}

/// Opens a directory in another one; a link is refused with `ENOTDIR` or `ELOOP`.
pub(super) fn open_child(at: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    open(at.as_fd(), name, OFlags::NOFOLLOW)
}

/// Makes a directory for its owner alone (0700), whatever the umask is.
pub(super) fn make_private(at: &OwnedFd, name: &OsStr) -> io::Result<()> {
    mkdirat(at, name, Mode::RWXU)?;
    // If it is gone, another process has removed it.
    let status = statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if Mode::from_raw_mode(status.st_mode).contains(Mode::RWXU) {
        return Ok(());
    }
    give_owner_rights(at, name).map_err(|error| {
        // It is empty, and useless without rights.
        let _ = unlinkat(at, name, AtFlags::REMOVEDIR);
        io::Error::other(format!("{error}; set another umask first, as in `umask 077`"))
    })
}

/// Gives the owner of a new directory the rights that an unusual umask took away.
#[cfg(target_os = "linux")]
fn give_owner_rights(at: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let made = open_child(at, name)?;
    // fchmod(2) takes no descriptor of O_PATH, and fchmodat(2) would follow a link.
    Ok(chmod(format!("/proc/self/fd/{}", made.as_raw_fd()), Mode::RWXU)?)
}

#[cfg(not(target_os = "linux"))]
fn give_owner_rights(at: &OwnedFd, name: &OsStr) -> io::Result<()> {
    Ok(chmodat(at, name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// A part of a path.
#[derive(Debug)]
enum WalkStep {
    Root,
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> impl Iterator<Item = WalkStep> {
    path.components().filter_map(|component| match component {
        Component::RootDir => Some(WalkStep::Root),
        Component::ParentDir => Some(WalkStep::Up),
        Component::Normal(name) => Some(WalkStep::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

fn open(at: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(at, name, DIRECTORY_FLAGS | flags, Mode::empty())
}

/// The place that a link leads to.
enum Followed {
    /// The steps of the link's text, from the directory that holds the link.
    Steps(Vec<WalkStep>),
    /// The directory behind a link of /proc. The link's text is not the way to it (`proc_pid_root(5)`).
    Directory(OwnedFd),
}

fn follow(at: &OwnedFd, shown: &Path, name: &OsStr, trust: LinkTrust) -> io::Result<Followed> {
    let Some(link) = Link::find(at, name)? else { return Err(Errno::NOTDIR.into()) };
    if !is_followed(trust, &fstat(at)?, link.status()) {
        return Err(refused_link(&shown.join(name), link.status()));
    }
    if is_procfs(at) {
        let directory = open(at.as_fd(), name, OFlags::empty())?;
        // The process may have got another owner or another file under this number (proc_pid_fd(5)).
        link.check_name()?;
        return Ok(Followed::Directory(directory));
    }
    Ok(Followed::Steps(steps(Path::new(&link.target()?)).collect()))
}

#[cfg(target_os = "linux")]
pub(super) fn is_procfs(directory: &OwnedFd) -> bool {
    rustix::fs::fstatfs(directory).is_ok_and(|system| system.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_procfs(_: &OwnedFd) -> bool {
    false
}

/// Returns the path one level up.
fn parent(shown: &Path) -> io::Result<PathBuf> {
    let whole = if shown.is_absolute() { shown.to_owned() } else { env::current_dir()?.join(shown) };
    Ok(whole.parent().unwrap_or(&whole).to_owned())
}
