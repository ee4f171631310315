//! One walk over `/proc/PID/fd` finds the clients of all drivers.
//!
//! The link of a descriptor says what it is (`/dev/dri/renderD128`). No file is opened by its name, so a tree that was
//! recorded elsewhere reads the same. `fdinfo` is read only for descriptors of listed devices: it costs the driver work
//! and may wake the device. Nothing is stored for other descriptors and processes.
//!
//! Reading a link may wait for any time, so a [`Sweeper`](super::sweeper::Sweeper) lets a thread walk.

use std::{
    ffi::CStr,
    mem::MaybeUninit,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Mode, OFlags, RawDir, openat, readlinkat_raw, statat},
    io::{Errno, read},
};

use super::{
    cards::{Card, Cards},
    fdinfo::DrmClient,
};
use crate::{
    Unavailable,
    gpu::{DeviceId, Gap, GpuQuerySource, Listing},
};

/// More than any driver writes; the rest of a longer text is not read.
const MAX_FDINFO_BYTES: usize = 1 << 16;
/// More than any device node's link has; a longer one is cut.
const MAX_LINK_BYTES: usize = 128;
/// The most gaps of one walk.
const MAX_GAPS: usize = 16;

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A place for a link.
pub(super) type LinkBuffer = [MaybeUninit<u8>; MAX_LINK_BYTES];
/// Reads a link of a directory.
pub(super) type ReadLink = for<'a> fn(BorrowedFd<'_>, &CStr, &'a mut LinkBuffer) -> Result<&'a [u8], Errno>;

/// The clients of one process on one device.
#[derive(Debug)]
pub(super) struct FoundClients {
    pub(super) pid: u32,
    /// The position of the device among the cards.
    pub(super) card: usize,
    /// Each client once; the reason in place of one whose text could not be read or holds no amount.
    pub(super) clients: Vec<Result<DrmClient, Unavailable>>,
}

/// The results of a walk.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) found: Vec<FoundClients>,
    /// The processes that may not be read.
    refused: Vec<u32>,
    /// The number of processes that ended meanwhile.
    vanished: u32,
    /// Each kind of gap once.
    gaps: Vec<Gap>,
}

impl Findings {
    pub(super) fn gap(&mut self, gap: Gap) {
        if self.gaps.len() < MAX_GAPS && !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
    }

    /// Takes the findings of `other`, which is empty then.
    pub(super) fn take(&mut self, other: &mut Self) {
        self.found.append(&mut other.found);
        self.refused.append(&mut other.refused);
        self.vanished = self.vanished.saturating_add(std::mem::take(&mut other.vanished));
        other.gaps.drain(..).for_each(|gap| self.gap(gap));
    }

    /// Adds all but the clients to `listing`, and returns the clients.
    pub(super) fn report(mut self, listing: &mut Listing) -> Vec<FoundClients> {
        listing.refused.append(&mut self.refused);
        listing.vanished = listing.vanished.saturating_add(self.vanished);
        listing.gaps.append(&mut self.gaps);
        self.found
    }
}

/// Returns the pids of a procfs. Its list waits for no process.
pub(super) fn all_pids(proc: impl AsFd) -> (Vec<u32>, Result<(), Errno>) {
    let mut pids = Vec::new();
    let mut names = [MaybeUninit::uninit(); 16 << 10];
    let mut entries = RawDir::new(proc, &mut names);
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => pids.extend(decimal(entry.file_name().to_bytes())),
            Err(errno) => return (pids, Err(errno)),
        }
    }
    (pids, Ok(()))
}

/// Reads a link of a directory, up to the size of the buffer.
pub(super) fn read_link<'a>(
    directory: BorrowedFd<'_>,
    name: &CStr,
    buffer: &'a mut LinkBuffer,
) -> Result<&'a [u8], Errno> {
    let (link, _) = readlinkat_raw(directory, name, &mut buffer[..])?;
    Ok(link)
}

/// A walk over processes, one after the other.
pub(super) struct Walk<'a> {
    cards: &'a Cards,
    read_link: ReadLink,
    /// The number of reads that were begun.
    reads: &'a AtomicU64,
    text: Vec<u8>,
    /// Clients and gaps of the processes that were read.
    pub(super) findings: Findings,
}

impl<'a> Walk<'a> {
    pub(super) fn new(cards: &'a Cards, read_link: ReadLink, reads: &'a AtomicU64) -> Self {
        Self { cards, read_link, reads, text: Vec::new(), findings: Findings::default() }
    }

    /// Finds the clients of a process.
    pub(super) fn process(&mut self, proc: BorrowedFd<'_>, pid: u32) {
        let start = self.findings.found.len();
        let seen = self.descriptors(proc, pid, &format!("{pid}/fd"));
        let seen = if seen == Ok(0) { self.descriptors_of_threads(proc, pid) } else { seen };
        if let Err(errno) = seen {
            self.failed(pid, errno);
        }
        // The kernel refuses the text: some kernels demand more rights than for the link.
        let is_refused = |found: &FoundClients| found.clients.contains(&Err(Unavailable::PermissionDenied));
        if self.findings.found[start..].iter().any(is_refused) {
            self.findings.refused.push(pid);
        }
    }

    /// Records why the descriptors of a process could not be listed.
    fn failed(&mut self, pid: u32, errno: Errno) {
        match errno {
            // The process is another user's, not dumpable, or (EPERM) hidden by `hidepid=1`.
            Errno::ACCESS | Errno::PERM => self.findings.refused.push(pid),
            Errno::NOENT | Errno::SRCH => self.findings.vanished = self.findings.vanished.saturating_add(1),
            errno => self.findings.gap(gap("/proc/PID/fd", errno)),
        }
    }

    /// Searches the threads of a process whose main thread has exited (`pthread_exit`). It shows no
    /// descriptors, but its other threads still have them.
    fn descriptors_of_threads(&mut self, proc: BorrowedFd<'_>, pid: u32) -> Result<usize, Errno> {
        let task = format!("{pid}/task");
        // The links are `.`, `..` and one for each thread (`proc_task_getattr` in fs/proc/base.c). File systems that do
        // not count say 1. Most processes without a descriptor are kernel threads, and single.
        match statat(proc, &task, AtFlags::empty()).map(|stat| stat.st_nlink) {
            Ok(2 | 3) | Err(_) => return Ok(0),
            Ok(_) => {}
        }
        let directory = openat(proc, &task, DIRECTORY, Mode::empty())?;
        let mut names = [MaybeUninit::uninit(); 4 << 10];
        let mut entries = RawDir::new(&directory, &mut names);
        while let Some(entry) = entries.next() {
            let Some(thread) = decimal(entry?.file_name().to_bytes()).filter(|&thread| thread != pid) else {
                continue;
            };
            match self.descriptors(proc, pid, &format!("{task}/{thread}/fd")) {
                // This thread has exited as well.
                Ok(0) | Err(Errno::NOENT | Errno::SRCH) => {}
                seen => return seen,
            }
        }
        Ok(0)
    }

    /// Reads the clients of all descriptors and returns how many descriptors there are. Clients found before
    /// an error stay.
    fn descriptors(&mut self, proc: BorrowedFd<'_>, pid: u32, path: &str) -> Result<usize, Errno> {
        let start = self.findings.found.len();
        let mut seen = 0;
        let directory = openat(proc, path, DIRECTORY, Mode::empty())?;
        let mut names = [MaybeUninit::uninit(); 8 << 10];
        let mut entries = RawDir::new(&directory, &mut names);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            let Some(number) = decimal(name.to_bytes()) else { continue };
            seen += 1;
            self.begin_read();
            let mut link = [MaybeUninit::uninit(); MAX_LINK_BYTES];
            let link = match (self.read_link)(directory.as_fd(), name, &mut link) {
                Ok(link) => link,
                // The descriptor was just closed, or the process has ended; the end of the list shows which.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            };
            let Some(node) = node(link) else { continue };
            if self.cards.ignored.iter().any(|ignored| ignored == node) {
                continue;
            }
            let client = match self.read(&directory, number) {
                Ok(()) => DrmClient::parse(&self.text).ok_or(Unavailable::NotProvided),
                Err(Errno::NOENT) => continue,
                Err(Errno::ACCESS | Errno::PERM) => Err(Unavailable::PermissionDenied),
                Err(errno) => return Err(errno),
            };
            let Some(card) = self.card_of(node, client.as_ref().ok()) else {
                // Any file may have such a name.
                if client == Err(Unavailable::NotProvided) {
                    continue;
                }
                let what = format!("/dev/{node}");
                let why = Unavailable::Failed("sysfs does not list the device".into());
                self.findings.gap(Gap::of_source(GpuQuerySource::Drm, what, why));
                continue;
            };
            let found = &mut self.findings.found;
            let known = found[start..].iter().position(|found| found.card == card);
            let place = known.map_or(found.len(), |place| start + place);
            if known.is_none() {
                found.push(FoundClients { pid, card, clients: Vec::new() });
            }
            add(&mut found[place].clients, client);
        }
        Ok(seen)
    }

    /// Returns the card that the driver names, else the one that the node means. In a container the node may
    /// have another name.
    fn card_of(&self, node: &str, client: Option<&DrmClient>) -> Option<usize> {
        let pdev = client.and_then(|client| client.pdev.as_deref()).map(DeviceId::new);
        let has_pdev = |card: &Card| Some(&card.id) == pdev.as_ref();
        let is_named = |card: &Card| card.nodes.iter().any(|known| known.path == node);
        let listed = &self.cards.listed;
        listed.iter().position(has_pdev).or_else(|| listed.iter().position(is_named))
    }

    /// Reads the fdinfo of a descriptor through the open directory, so that it cannot be another process's.
    fn read(&mut self, directory: &OwnedFd, number: u32) -> Result<(), Errno> {
        self.begin_read();
        let path = format!("../fdinfo/{number}");
        let fd = openat(directory, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?;
        let mut length = 0;
        loop {
            if self.text.len() < length + 4096 {
                self.text.resize(length + 4096, 0);
            }
            match read(&fd, &mut self.text[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            if length >= MAX_FDINFO_BYTES {
                break;
            }
        }
        self.text.truncate(length);
        Ok(())
    }

    /// Counts a read that may wait. There is one writer.
    fn begin_read(&self) {
        self.reads.store(self.reads.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// Adds a client. One already found through another descriptor reports the same again.
fn add(clients: &mut Vec<Result<DrmClient, Unavailable>>, client: Result<DrmClient, Unavailable>) {
    let is_there = match &client {
        Ok(client) if client.id.is_some() => clients.iter().flatten().any(|known| known.id == client.id),
        // Nothing distinguishes these, so they may be different clients.
        Ok(_) => false,
        Err(why) => clients.iter().any(|known| known.as_ref().err() == Some(why)),
    };
    if !is_there {
        clients.push(client);
    }
}

/// Returns `dri/card0`, `dri/renderD128` or `accel/accel0` of a link. The part before is `/dev` as the
/// process sees it, which may lie elsewhere for this process.
fn node(link: &[u8]) -> Option<&str> {
    // Most are sockets, pipes and files: their last byte decides. A removed node has this mark.
    let link = link.strip_suffix(b" (deleted)").unwrap_or(link);
    if !link.last()?.is_ascii_digit() {
        return None;
    }
    let name = link.iter().rposition(|&byte| byte == b'/')?;
    let directory = link[..name].iter().rposition(|&byte| byte == b'/')?;
    let number = |prefix: &[u8]| {
        let number = link[name + 1..].strip_prefix(prefix)?;
        number.iter().all(u8::is_ascii_digit).then_some(())
    };
    match &link[directory + 1..name] {
        b"dri" => number(b"renderD").or_else(|| number(b"card"))?,
        b"accel" => number(b"accel")?,
        _ => return None,
    }
    std::str::from_utf8(&link[directory + 1..]).ok()
}

fn decimal(text: &[u8]) -> Option<u32> {
    // Most entries of /proc that are no processes begin with a letter.
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(super) fn gap(what: &str, errno: Errno) -> Gap {
    let why = match errno {
        Errno::ACCESS | Errno::PERM => Unavailable::PermissionDenied,
        errno => Unavailable::Failed(std::io::Error::from(errno).to_string()),
    };
    Gap::of_source(GpuQuerySource::Drm, what, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_device_nodes() {
        for (link, expected) in [
            ("/dev/dri/card0", Some("dri/card0")),
            ("/dev/dri/renderD129", Some("dri/renderD129")),
            ("/dev/accel/accel0", Some("accel/accel0")),
            ("/dev/dri/card0 (deleted)", Some("dri/card0")),
            // If the mount is gone, the path begins at its own root.
            ("/dri/renderD128", Some("dri/renderD128")),
            ("/newroot/dev/dri/renderD128", Some("dri/renderD128")),
            ("/dev/dri/by-path/pci-0000:03:00.0-card", None),
            ("/dev/dri/card0-1", None),
            ("/dev/dri/card", None),
            ("/dev/nvidia0", None),
            ("/dev/snd/card0", None),
            ("socket:[12345]", None),
            ("/dmabuf:7", None),
            ("anon_inode:[eventfd]", None),
            ("dri/card0", None),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(node(link.as_bytes()), expected, "{link}");
        }
    }

    #[test]
    fn each_failure_is_reported() {
        let (cards, reads) = (Cards::default(), AtomicU64::new(0));
        let mut walk = Walk::new(&cards, read_link, &reads);
        for (pid, errno) in
            [Errno::ACCESS, Errno::PERM, Errno::NOENT, Errno::SRCH, Errno::MFILE, Errno::MFILE]
                .into_iter()
                .enumerate()
        {
            walk.failed(u32::try_from(pid).unwrap(), errno);
        }
        let Findings { refused, vanished, gaps, .. } = walk.findings;
        assert_eq!((refused, vanished, gaps.len()), (vec![0, 1], 2, 1));
    }

    #[test]
    fn a_client_without_an_id_may_be_another() {
        let mut clients = Vec::new();
        let client = |text: &str| DrmClient::parse(text.as_bytes()).ok_or(Unavailable::NotProvided);
        for text in ["drm-client-id: 5\n", "drm-client-id: 5\n", "drm-driver: x\n", "drm-driver: x\n", "", ""]
        {
            add(&mut clients, client(text));
        }
        assert_eq!(clients.len(), 4);
    }
}
