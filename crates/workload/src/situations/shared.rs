//! Workers that share one set of pages.

use std::{
    fs::{self, File},
    os::fd::{FromRawFd, OwnedFd},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use super::{
    memory::Block,
    meter,
    own_pages::{PageWalk, shared_page},
    process::{fork_with, ms, sleep, wait},
};

/// The smallest and the largest worker of a pool, in bytes of its own.
const POOL_OWN_BYTES: [usize; 2] = [20 << 20, 150 << 20];

/// The way in which the pages are shared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Private to the parent before the fork, never written after it.
    Cow,
    /// One `MAP_SHARED` mapping, touched by each worker.
    Shared,
    /// The same of a file that has no name (`memfd_create(2)`).
    Memfd,
    /// The same of a file in `/dev/shm`, whose name is gone before it is filled (`shm_overview(7)`).
    Shm,
}

/// When the parent of a pool writes all of its pages anew: the old ones stay with the workers, and no RSS rises.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rewriting {
    Never,
    /// Right after the forks.
    Soon,
    /// Once the pool has stood still for 1.5 s.
    Late,
}

/// Processes that wait for each other, and then add their shares of all pages to the truth.
#[derive(Clone, Copy)]
pub(crate) struct Gathering {
    arrived: &'static AtomicUsize,
    count: usize,
}

impl Gathering {
    pub(crate) fn of(count: usize) -> Self {
        // SAFETY: the page stays mapped; zeroes are a valid atomic.
        Self { arrived: unsafe { &*shared_page().cast() }, count }
    }

    /// Returns once all have come, each with its memory.
    pub(crate) fn meet(self) {
        let number = self.arrived.fetch_add(1, SeqCst) / self.count;
        while self.arrived.load(SeqCst) / self.count == number {
            sleep(ms(1));
        }
    }

    /// Stays for 1.5 s in which all map their pages and none frees them: the shares add up.
    pub(crate) fn stay(self) {
        meter::settle();
        self.meet();
        meter::add_pss(PageWalk::now().pss);
        sleep(ms(1500));
    }
}

/// Lets `count` workers and their parent use the same `size` bytes for 1.5 s, all alive.
pub(crate) fn workers(pages: Pages, count: usize, size: usize) {
    let all = Gathering::of(count + 1);
    let block = match pages {
        Pages::Cow => Block::new(size),
        Pages::Shared => Block::shared(size),
        Pages::Memfd => Block::of_file(&memfd(), size),
        Pages::Shm => Block::of_file(&unnamed_in_shm(), size),
    };
    if pages != Pages::Cow {
        block.touch();
    }
    let pids: Vec<_> = (0..count)
        .map(|_| match pages {
            Pages::Cow => fork_with(size, || all.stay()),
            Pages::Shared | Pages::Memfd | Pages::Shm => fork_with(0, || {
                block.touch();
                all.stay();
            }),
        })
        .collect();
    all.stay();
    pids.into_iter().for_each(wait);
}

/// Lets `count` workers inherit `size` bytes, each beside memory of its own, for 1.5 s once the parent has rewritten its
/// pages.
pub(crate) fn pool(count: usize, size: usize, rewriting: Rewriting) {
    let all = Gathering::of(count + 1);
    let block = Block::new(size);
    let stand_still_before = || {
        if rewriting == Rewriting::Late {
            all.meet();
            sleep(ms(1500));
        }
    };
    let [least, most] = POOL_OWN_BYTES;
    let pids: Vec<_> = (0..count)
        .map(|n| {
            fork_with(size, || {
                let own = Block::new(least + (most - least) * n / count.saturating_sub(1).max(1));
                stand_still_before();
                all.meet();
                all.stay();
                drop(own);
            })
        })
        .collect();
    stand_still_before();
    if rewriting != Rewriting::Never {
        block.rewrite();
    }
    all.meet();
    all.stay();
    pids.into_iter().for_each(wait);
}

pub(crate) fn memfd() -> File {
    // SAFETY: the name is a C string; the descriptor is new and belongs to nothing else.
    unsafe {
        let descriptor = libc::memfd_create(c"workload".as_ptr(), libc::MFD_CLOEXEC);
        assert!(descriptor >= 0, "memfd_create: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(descriptor).into()
    }
}

fn unnamed_in_shm() -> File {
    let path = format!("/dev/shm/workload-{}", std::process::id());
    let file =
        File::options().read(true).write(true).create_new(true).open(&path).expect("a file in /dev/shm");
    fs::remove_file(path).expect("removed");
    file
}
