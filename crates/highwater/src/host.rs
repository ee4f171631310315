//! The machine that a job runs on, as far as it matters to memory.

#[cfg(target_os = "macos")]
mod macos;
#[cfg(windows)]
mod windows;

use std::env;

use crate::{
    Error, Roots,
    bounded::{self, MAX_VALUE_BYTES},
    record::Host,
};

/// The RAM of the machine at one instant, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // The unit belongs to the name.
#[non_exhaustive]
pub struct Ram {
    /// Physical memory. Linux: without what the kernel's image and firmware took (`MemTotal`); macOS: all of
    /// it (`hw.memsize`); Windows: what Windows may use (`ullTotalPhys`).
    pub total_bytes: Option<u64>,
    /// Memory that programs can still get without swapping: free memory, and caches that can be dropped. It
    /// is the kernel's estimate (`MemAvailable`, Linux 3.14) or `ullAvailPhys` on Windows. On macOS this
    /// library estimates it from free, file-backed and purgeable pages.
    pub available_bytes: Option<u64>,
    /// The memory limit of the container of this process, if it is less than the machine's memory.
    pub container_limit_bytes: Option<u64>,
}

impl Ram {
    /// Reads the RAM of the machine whose procfs `roots` names.
    ///
    /// # Errors
    /// [`Error::Read`] if `meminfo` cannot be read.
    pub fn read(roots: &Roots) -> Result<Self, Error> {
        #[cfg(target_os = "macos")]
        if *roots == Roots::default() {
            return Ok(macos::ram());
        }
        #[cfg(windows)]
        if *roots == Roots::default() {
            return Ok(windows::ram());
        }
        let path = roots.proc.join("meminfo");
        let text =
            bounded::read_to_string(&path, MAX_VALUE_BYTES).map_err(|source| Error::Read { path, source })?;
        let total_bytes = kib_of(&text, "MemTotal:");
        #[cfg(target_os = "linux")]
        let container_limit_bytes = crate::cgroup::memory_limit(roots, total_bytes);
        #[cfg(not(target_os = "linux"))]
        let container_limit_bytes = None;
        Ok(Self { total_bytes, available_bytes: kib_of(&text, "MemAvailable:"), container_limit_bytes })
    }

    /// Returns the memory that is not available: total minus available.
    #[must_use]
    pub fn used_bytes(&self) -> Option<u64> {
        self.total_bytes?.checked_sub(self.available_bytes?)
    }
}

/// Returns all that the record contains about the machine; unknown values are `None`.
pub(crate) fn host(roots: &Roots) -> Host {
    let memory_bytes = memory_bytes(roots);
    Host {
        name: host_name(),
        os: env::consts::OS.to_owned(),
        #[cfg(unix)]
        kernel: Some(rustix::system::uname().release().to_string_lossy().into_owned()),
        #[cfg(windows)]
        kernel: windows::release(),
        cpus: cpus(),
        memory_bytes,
        #[cfg(target_os = "linux")]
        container_limit_bytes: crate::cgroup::memory_limit(roots, memory_bytes),
        #[cfg(not(target_os = "linux"))]
        container_limit_bytes: None,
        rank: rank(),
    }
}

/// Returns the name of this machine (`uname -n`), without a look-up in the network.
pub fn host_name() -> Option<String> {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = env::var("COMPUTERNAME").ok()?;
    (!name.is_empty()).then_some(name)
}

/// Returns the rank of this process in a parallel job, from the environment of its launcher; `None` outside
/// of one.
///
/// The innermost launcher wins: under `mpirun` or `torchrun` inside a Slurm allocation, Slurm's variable
/// numbers the nodes' daemons. `RANK` is torchrun's if `WORLD_SIZE` is set too; alone, it counts last.
pub fn rank() -> Option<u32> {
    rank_in(|name| env::var(name).ok())
}

fn rank_in(variable: impl Fn(&str) -> Option<String>) -> Option<u32> {
    let number = |name: &str| variable(name)?.trim().parse().ok();
    ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"]
        .into_iter()
        .find_map(number)
        .or_else(|| variable("WORLD_SIZE").and_then(|_| number("RANK")))
        .or_else(|| number("SLURM_PROCID"))
        .or_else(|| number("RANK"))
}

/// Returns the number of processors that this process may run on (`taskset`, cpusets). A quota of CPU time
/// does not count.
fn cpus() -> Option<u32> {
    #[cfg(target_os = "linux")]
    if let Ok(set) = rustix::thread::sched_getaffinity(None) {
        return Some(set.count());
    }
    // The fixed-size set is refused beyond 1024 processors.
    std::thread::available_parallelism().ok().and_then(|count| u32::try_from(count.get()).ok())
}

fn memory_bytes(roots: &Roots) -> Option<u64> {
    Ram::read(roots).ok()?.total_bytes
}

/// Returns a value of `meminfo` in bytes.
fn kib_of(text: &str, key: &str) -> Option<u64> {
    let kib = text.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?;
    kib.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn rank_with(variables: &[(&str, &str)]) -> Option<u32> {
        rank_in(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn rank_of_each_launcher() {
        for name in ["SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "RANK"] {
            assert_eq!(rank_with(&[(name, "3")]), Some(3), "{name}");
        }
        assert_eq!(rank_with(&[]), None);
        assert_eq!(rank_with(&[("RANK", "first")]), None);
    }

    #[test]
    fn innermost_launcher_wins() {
        assert_eq!(rank_with(&[("SLURM_PROCID", "0"), ("OMPI_COMM_WORLD_RANK", "5")]), Some(5));
        assert_eq!(rank_with(&[("SLURM_PROCID", "0"), ("RANK", "5"), ("WORLD_SIZE", "8")]), Some(5));
        assert_eq!(rank_with(&[("SLURM_PROCID", "2"), ("RANK", "5")]), Some(2));
    }

    #[test]
    fn physical_memory() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots { proc: tree.path().to_owned(), ..Roots::default() };
        assert_eq!(memory_bytes(&roots), None);
        fs::write(tree.path().join("meminfo"), "MemTotal:       24689732 kB\nMemFree:  1 kB\n").unwrap();
        assert_eq!(memory_bytes(&roots), Some(24_689_732 * 1024));
        let ram = Ram::read(&roots).unwrap();
        assert_eq!((ram.available_bytes, ram.used_bytes()), (None, None), "unknown is never 0");
        fs::write(tree.path().join("meminfo"), "MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 60 kB\n")
            .unwrap();
        assert_eq!(Ram::read(&roots).unwrap().used_bytes(), Some(40 * 1024));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine() {
        let host = host(&Roots::default());
        assert_eq!(host.os, "linux");
        assert!(host.name.is_some() && host.kernel.is_some());
        assert!(host.cpus.is_some_and(|cpus| cpus > 0));
        let memory = host.memory_bytes.unwrap();
        assert!(host.container_limit_bytes.is_none_or(|limit| limit <= memory));
    }
}
