//! The cost of one sweep over all GPU clients of a machine. A plain walk beside it reads the link of every descriptor
//! and ignores it. It runs over a tree of files and over the processes of this machine. The tree has 5,000 processes
//! with 20 descriptors each, 50 of them with a GPU client. Asked: at most 1.2 times the plain walk.

use std::{fs, mem::MaybeUninit, os::unix::fs::symlink, path::Path};

use anyhow::{Context, Result};
use highwater::{Roots, gpu::Monitor};
use rustix::{
    fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw},
    thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

use super::{Setup, sample_cost};
use crate::{
    stats,
    table::{ResultRow, digits},
};

const DESCRIPTORS: usize = 20;
/// One process in this many has a client, held through two descriptors.
const CLIENT_EVERY: usize = 100;

pub(super) fn run(setup: &Setup) -> Result<Vec<ResultRow>> {
    let tree = tempfile::tempdir()?;
    let processes = setup.sized(5_000, 200);
    let made = Roots { proc: tree.path().join("proc"), sys: tree.path().join("sys"), ..Roots::default() };
    make(&made, processes).context("making a tree of processes")?;
    // The tree has a device, so that there is a reason to sweep. No process here has a client of it.
    let real = Roots { sys: made.sys.clone(), ..Roots::default() };
    let mut rows = compare(setup, &made, &format!("{processes} processes of {DESCRIPTORS} descriptors"), 1)?;
    rows.extend(compare(setup, &real, "this machine", 10)?);
    Ok(rows)
}

fn compare(setup: &Setup, roots: &Roots, what: &str, times: u32) -> Result<Vec<ResultRow>> {
    let _one_processor = OneProcessor::stay()?;
    let mut monitor = Monitor::with_roots(roots.clone());
    let seen = monitor.usages().usages.len();
    let descriptors = plain(&roots.proc)?;
    let (mut swept, mut walked, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.pairs {
        walked.push(sample_cost::time(times, || plain(&roots.proc).unwrap_or(0)));
        bare.push(sample_cost::time(times, || fewest_calls(&roots.proc).unwrap_or(0)));
        // A thread of the monitor sweeps.
        let clock = ClockId::ProcessCPUTime;
        let started = clock_gettime(clock);
        for _ in 0..times {
            std::hint::black_box(monitor.usages());
        }
        swept.push(sample_cost::since(clock, started, times));
    }
    let against = |base: &[f64]| stats::ratio(base.iter().copied().zip(swept.iter().copied()));
    let bare = against(&bare).context("a walk took no time")?;
    let to_ms = |us: &[f64]| stats::mean(us).map(|us| us.map(|us| us / 1e3));
    Ok(vec![
        ResultRow::new(format!("sweep for GPU clients / plain walk, {what}"), "x", against(&walked))
            .at_most(1.2)
            .note(format!(
                "{descriptors} descriptors; beside a walk of the fewest calls {} ({} .. {})",
                digits(bare.mid),
                digits(bare.low),
                digits(bare.high)
            )),
        ResultRow::new(format!("sweep for GPU clients, {what}"), "ms", to_ms(&swept))
            .note(format!("{seen} rows found")),
    ])
}

/// Keeps this thread, and those that it starts, on one processor until it is dropped. Otherwise the thread of the monitor
/// would find caches that the walks beside it have not filled.
struct OneProcessor(CpuSet);

impl OneProcessor {
    fn stay() -> Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        sched_setaffinity(None, &here)?;
        Ok(Self(before))
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// Walks with `read_dir` and `read_link`, and returns how many links were read.
fn plain(proc: &Path) -> Result<u64> {
    let mut links = 0;
    for process in fs::read_dir(proc)?.flatten() {
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten() {
            // If a process refuses one, it refuses all.
            let Ok(link) = fs::read_link(descriptor.path()) else { break };
            links += u64::from(!std::hint::black_box(link).as_os_str().is_empty());
        }
    }
    Ok(links)
}

/// Walks without any avoidable call or allocation.
fn fewest_calls(proc: &Path) -> Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = openat(CWD, proc, flags, Mode::empty())?;
    let mut links = 0;
    let mut names = [MaybeUninit::uninit(); 8 << 10];
    let mut processes = RawDir::new(&proc, &mut names);
    while let Some(process) = processes.next() {
        let process = process?;
        let name = process.file_name().to_bytes();
        if !name.iter().all(u8::is_ascii_digit) {
            continue;
        }
        let mut path = name.to_vec();
        path.extend(b"/fd");
        let Ok(directory) = openat(&proc, path, flags, Mode::empty()) else { continue };
        let mut names = [MaybeUninit::uninit(); 8 << 10];
        let mut descriptors = RawDir::new(&directory, &mut names);
        while let Some(descriptor) = descriptors.next() {
            let Ok(descriptor) = descriptor else { break };
            if descriptor.file_name().to_bytes().starts_with(b".") {
                continue;
            }
            let mut link = [MaybeUninit::uninit(); 128];
            if readlinkat_raw(&directory, descriptor.file_name(), &mut link).is_err() {
                break;
            }
            links += 1;
        }
    }
    Ok(links)
}

fn make(roots: &Roots, processes: usize) -> Result<()> {
    let node = roots.sys.join("class/drm/renderD128");
    fs::create_dir_all(node.join("device"))?;
    fs::write(node.join("device/uevent"), "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:03:00.0\n")?;
    for pid in 1..=processes {
        let process = roots.proc.join(pid.to_string());
        fs::create_dir_all(process.join("fd"))?;
        fs::create_dir(process.join("fdinfo"))?;
        let has_client = pid % CLIENT_EVERY == 0;
        for fd in 0..DESCRIPTORS {
            let link = match fd {
                0..=2 => "/dev/null".to_owned(),
                3 | 4 if has_client => "/dev/dri/renderD128".to_owned(),
                3..=8 => format!("socket:[{}]", pid * DESCRIPTORS + fd),
                9..=12 => "anon_inode:[eventpoll]".to_owned(),
                _ => format!("/usr/lib/x86_64-linux-gnu/some-program/file-{fd}.so.{fd}"),
            };
            symlink(link, process.join(format!("fd/{fd}")))?;
            if has_client && (fd == 3 || fd == 4) {
                let text = format!(
                    "pos:\t0\nflags:\t02100002\nmnt_id:\t24\nino:\t1239\ndrm-driver:\tamdgpu\ndrm-client-id:\t{pid}\n\
                     drm-pdev:\t0000:03:00.0\ndrm-total-vram:\t44564 KiB\ndrm-shared-vram:\t0\n\
                     drm-resident-vram:\t44564 KiB\ndrm-resident-gtt:\t2 MiB\ndrm-engine-gfx:\t46464671 ns\n"
                );
                fs::write(process.join(format!("fdinfo/{fd}")), text)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_walks_see_all_and_the_sweep_sees_the_clients() {
        let tree = tempfile::tempdir().unwrap();
        let roots =
            Roots { proc: tree.path().join("proc"), sys: tree.path().join("sys"), ..Roots::default() };
        make(&roots, 200).unwrap();
        assert_eq!(plain(&roots.proc).unwrap(), 4_000);
        assert_eq!(fewest_calls(&roots.proc).unwrap(), 4_000);
        assert_eq!(Monitor::with_roots(roots).usages().usages.len(), 2);
    }
}
