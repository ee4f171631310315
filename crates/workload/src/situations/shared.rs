//! Workers that share one set of pages.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::{
    memory::Block,
    meter,
    own_pages::{PageWalk, shared_page},
    process::{fork_with, ms, sleep, wait},
};

/// The way in which the pages are shared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Private to the parent before the fork, never written after it.
    Cow,
    /// One `MAP_SHARED` mapping, touched by each worker.
    Shared,
}

/// Lets `count` workers and their parent use the same `size` bytes for 1.5 s, all alive.
pub(crate) fn workers(pages: Pages, count: usize, size: usize) {
    // SAFETY: the page stays mapped; zeroes are a valid atomic.
    let arrived: &AtomicUsize = unsafe { &*shared_page().cast() };
    let block = match pages {
        Pages::Cow => Block::new(size),
        Pages::Shared => Block::shared(size),
    };
    if pages == Pages::Shared {
        block.touch();
    }
    let look = || {
        meter::settle();
        arrived.fetch_add(1, SeqCst);
        while arrived.load(SeqCst) <= count {
            sleep(ms(1));
        }
        // All map the pages now, and none frees them for more than a second: the shares add up.
        meter::add_pss(PageWalk::now().pss);
        sleep(ms(1500));
    };
    let pids: Vec<_> = (0..count)
        .map(|_| match pages {
            Pages::Cow => fork_with(size, look),
            Pages::Shared => fork_with(0, || {
                block.touch();
                look();
            }),
        })
        .collect();
    look();
    pids.into_iter().for_each(wait);
}
