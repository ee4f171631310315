//! Identifies a process across forks. A pid is not enough: a descendant may get the pid of an ended ancestor,
//! and the first process of every pid namespace is 1.

use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The identity of a process: different from that of each ancestor that asked for one, whatever their pids.
/// It says nothing about processes that are no ancestors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForkGeneration(u64);

/// The number of identities given out so far. A forked child counts on from its parent's value.
static GENERATION_COUNT: AtomicU32 = AtomicU32::new(0);

impl ForkGeneration {
    /// Returns its number among its ancestors that asked for one.
    #[cfg(feature = "nvml")]
    pub(crate) fn number(self) -> u32 {
        #[allow(clippy::cast_possible_truncation)] // The low half is the count.
        let number = self.0 as u32;
        number
    }

    /// Returns the identity of the calling process. It takes no lock, which a fork could leave locked.
    pub(crate) fn current() -> Self {
        let stamp = stamp();
        let pid = std::process::id();
        let seen = stamp.load(Ordering::Acquire);
        // The kernel has wiped it if it is zero. If it does not wipe (before Linux 4.14, under emulators),
        // the pid decides.
        if seen != 0 && seen >> 32 == u64::from(pid) {
            return Self(seen);
        }
        let count = GENERATION_COUNT.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let fresh = u64::from(pid) << 32 | u64::from(count);
        match stamp.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Self(fresh),
            // Another thread was first.
            Err(other) => Self(other),
        }
    }
}

/// Returns the place of the identity: memory that is zero again in each forked child, if the system has such.
fn stamp() -> &'static AtomicU64 {
    static STAMP: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
    // The place on systems that wipe nothing.
    static UNWIPED_STAMP: AtomicU64 = AtomicU64::new(0);

    // SAFETY: only `UNWIPED_STAMP` and whole pages of zeros are ever stored, and neither is freed.
    if let Some(stamp) = unsafe { STAMP.load(Ordering::Acquire).as_ref() } {
        return stamp;
    }
    let page = wiped::page();
    let place = page.unwrap_or(&raw const UNWIPED_STAMP).cast_mut();
    match STAMP.compare_exchange(std::ptr::null_mut(), place, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: as above.
        Ok(_) => unsafe { &*place },
        Err(first) => {
            if let Some(page) = page {
                wiped::give_back(page);
            }
            // SAFETY: as above; another thread stored it.
            unsafe { &*first }
        }
    }
}

#[cfg(target_os = "linux")]
mod wiped {
    use std::{ptr::null_mut, sync::atomic::AtomicU64};

    use rustix::{
        mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap},
        param::page_size,
    };

    /// Maps a page of zeros that is zero again in every child (`MADV_WIPEONFORK`, Linux 4.14).
    pub(super) fn page() -> Option<*const AtomicU64> {
        // SAFETY: this is a new mapping, at an address of the kernel's choice.
        let page = unsafe {
            mmap_anonymous(null_mut(), page_size(), ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        };
        let page = page.ok()?;
        // SAFETY: this is all of the mapping above, which no other code knows.
        if unsafe { madvise(page, page_size(), Advice::LinuxWipeOnFork) }.is_err() {
            give_back(page.cast());
            return None;
        }
        Some(page.cast())
    }

    pub(super) fn give_back(page: *const AtomicU64) {
        // SAFETY: the page is from `page`, and no reference to it was made.
        let _ = unsafe { munmap(page.cast_mut().cast(), page_size()) };
    }
}

#[cfg(not(target_os = "linux"))]
mod wiped {
    use std::sync::atomic::AtomicU64;

    pub(super) fn page() -> Option<*const AtomicU64> {
        None
    }

    pub(super) fn give_back(_: *const AtomicU64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_for_all_threads() {
        let of_threads: Vec<_> = (0..8).map(|_| std::thread::spawn(ForkGeneration::current)).collect();
        let here = ForkGeneration::current();
        for thread in of_threads {
            assert_eq!(thread.join().unwrap(), here);
        }
        assert_eq!(ForkGeneration::current(), here);
    }
}
