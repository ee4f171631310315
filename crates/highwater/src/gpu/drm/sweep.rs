//! One walk over `/proc/PID/fd` finds the clients of all drivers.
//!
//! The link of a descriptor says what it is (`/dev/dri/renderD128`). No file is opened by its name, so a tree that was
//! recorded elsewhere reads the same. `fdinfo` is read only for descriptors of listed devices: it costs the driver work
//! and may wake the device. Nothing is stored for other descriptors and processes.

use std::mem::MaybeUninit;

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, readlinkat_raw, statat},
    io::{Errno, read},
};

use super::{
    cards::{Card, Cards},
    fdinfo::DrmClient,
};
use crate::{
    Roots, Unavailable,
    gpu::{DeviceId, Gap, GpuQuerySource, Listing, backend::PidFilter},
};

/// More than any driver writes; the rest of a longer text is not read.
const MAX_FDINFO_BYTES: usize = 1 << 16;

/// The clients of one process on one device.
#[derive(Debug)]
pub(super) struct FoundClients {
    pub(super) pid: u32,
    /// The position of the device among the cards.
    pub(super) card: usize,
    /// Each client once; the reason in place of one whose text could not be read or holds no amount.
    pub(super) clients: Vec<Result<DrmClient, Unavailable>>,
}

/// Finds the clients of the processes asked for, and adds to `listing` the pids that could not be read.
pub(super) fn sweep(
    roots: &Roots,
    cards: &Cards,
    whose: PidFilter<'_>,
    listing: &mut Listing,
) -> Vec<FoundClients> {
    let mut found = Vec::new();
    let proc = match openat(CWD, &roots.proc, DIRECTORY, Mode::empty()) {
        Ok(proc) => proc,
        Err(errno) => {
            listing.gaps.push(gap(&roots.proc.to_string_lossy(), errno));
            return found;
        }
    };
    let mut walk = Walk::new(cards);
    match whose {
        PidFilter::All => {
            let mut names = [MaybeUninit::uninit(); 16 << 10];
            let mut entries = RawDir::new(&proc, &mut names);
            let mut sees_init = false;
            while let Some(entry) = entries.next() {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(errno) => {
                        listing.gaps.push(gap(&roots.proc.to_string_lossy(), errno));
                        break;
                    }
                };
                let Some(pid) = decimal(entry.file_name().to_bytes()) else { continue };
                sees_init |= pid == 1;
                walk.process(proc.as_fd(), pid, listing, &mut found);
            }
            if !sees_init {
                // Every pid namespace has a process 1, as long as it lives.
                let what = "processes of other users (hidepid)";
                listing.gaps.push(Gap::of_source(GpuQuerySource::Drm, what, Unavailable::PermissionDenied));
            }
        }
        PidFilter::Of(pids) => {
            for &pid in pids {
                walk.process(proc.as_fd(), pid, listing, &mut found);
            }
        }
    }
    listing.gaps.append(&mut walk.gaps);
    found
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

struct Walk<'a> {
    cards: &'a Cards,
    text: Vec<u8>,
    /// Each kind of gap once.
    gaps: Vec<Gap>,
}

impl<'a> Walk<'a> {
    fn new(cards: &'a Cards) -> Self {
        Self { cards, text: Vec::new(), gaps: Vec::new() }
    }

    fn process(
        &mut self,
        proc: BorrowedFd<'_>,
        pid: u32,
        listing: &mut Listing,
        found: &mut Vec<FoundClients>,
    ) {
        let start = found.len();
        let seen = self.descriptors(proc, pid, &format!("{pid}/fd"), found);
        let seen = if seen == Ok(0) { self.descriptors_of_threads(proc, pid, found) } else { seen };
        if let Err(errno) = seen {
            self.failed(pid, errno, listing);
        }
        // The kernel refuses the text: some kernels demand more rights than for the link.
        let is_refused = |found: &FoundClients| found.clients.contains(&Err(Unavailable::PermissionDenied));
        if found[start..].iter().any(is_refused) {
            listing.refused.push(pid);
        }
    }

    /// Records why the descriptors of a process could not be listed.
    fn failed(&mut self, pid: u32, errno: Errno, listing: &mut Listing) {
        match errno {
            // The process is another user's, not dumpable, or (EPERM) hidden by `hidepid=1`.
            Errno::ACCESS | Errno::PERM => listing.refused.push(pid),
            Errno::NOENT | Errno::SRCH => listing.vanished = listing.vanished.saturating_add(1),
            errno => self.gap(gap("/proc/PID/fd", errno)),
        }
    }

    /// Searches the threads of a process whose main thread has exited (`pthread_exit`). It shows no
    /// descriptors, but its other threads still have them.
    fn descriptors_of_threads(
        &mut self,
        proc: BorrowedFd<'_>,
        pid: u32,
        found: &mut Vec<FoundClients>,
    ) -> Result<usize, Errno> {
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
            match self.descriptors(proc, pid, &format!("{task}/{thread}/fd"), found) {
                // This thread has exited as well.
                Ok(0) | Err(Errno::NOENT | Errno::SRCH) => {}
                seen => return seen,
            }
        }
        Ok(0)
    }

    /// Reads the clients of all descriptors and returns how many descriptors there are. Clients found before
    /// an error stay.
    fn descriptors(
        &mut self,
        proc: BorrowedFd<'_>,
        pid: u32,
        path: &str,
        found: &mut Vec<FoundClients>,
    ) -> Result<usize, Errno> {
        let start = found.len();
        let mut seen = 0;
        let directory = openat(proc, path, DIRECTORY, Mode::empty())?;
        let mut names = [MaybeUninit::uninit(); 8 << 10];
        let mut entries = RawDir::new(&directory, &mut names);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            let Some(number) = decimal(name.to_bytes()) else { continue };
            seen += 1;
            let mut link = [MaybeUninit::uninit(); 128];
            let link = match readlinkat_raw(&directory, name, &mut link) {
                Ok((link, _)) => link,
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
                self.gap(Gap::of_source(GpuQuerySource::Drm, what, why));
                continue;
            };
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

    fn gap(&mut self, gap: Gap) {
        if self.gaps.len() < 16 && !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
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

fn gap(what: &str, errno: Errno) -> Gap {
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
        let (cards, mut listing) = (Cards::default(), Listing::default());
        let mut walk = Walk::new(&cards);
        for (pid, errno) in
            [Errno::ACCESS, Errno::PERM, Errno::NOENT, Errno::SRCH, Errno::MFILE, Errno::MFILE]
                .into_iter()
                .enumerate()
        {
            walk.failed(u32::try_from(pid).unwrap(), errno, &mut listing);
        }
        assert_eq!((listing.refused, listing.vanished, walk.gaps.len()), (vec![0, 1], 2, 1));
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
