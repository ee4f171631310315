//! Memory that the kernel takes away, keeps longer than its process wants it, or lets processes share: swapped, freed
//! lazily, merged by KSM, split huge pages.

use std::{fs, ops::Range, time::Duration};

use super::{
    memory::Block,
    meter,
    own_pages::{PAGE, PageWalk},
    process::{fork, ms, sleep, wait},
    shared::Gathering,
};

/// Size of a transparent huge page (x86-64).
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Part of each huge page that stays mapped.
const KEPT_BYTES: usize = HUGE_PAGE_BYTES / 4;
/// Memory that is swapped out at a time.
const SWAPPED_PART_BYTES: usize = 10 << 20;
/// Attempts to swap a part out. Pages that another processor has just touched are not on a list yet (`folio_add_lru`,
/// mm/swap.c).
const MAX_SWAP_ATTEMPTS: usize = 1_000;
/// Divisor of what may stay in RAM after that.
const SWAP_REST_DIVISOR: usize = 100;

/// Swaps `swapped` bytes out, part by part, and half a second later holds `held` bytes in RAM for `time`.
pub(crate) fn swapped(swapped: usize, held: usize, time: Duration) {
    for _ in 0..swapped / SWAPPED_PART_BYTES {
        let part = Block::new(SWAPPED_PART_BYTES);
        swap_out(&part);
        // It stays mapped.
        std::mem::forget(part);
    }
    sleep(ms(500));
    let block = Block::new(held);
    meter::settle();
    meter::add_swap(PageWalk::now().swap);
    sleep(time);
    drop(block);
}

fn swap_out(part: &Block) {
    let (before, rest) = (PageWalk::now(), SWAPPED_PART_BYTES / SWAP_REST_DIVISOR);
    let mut swapped = 0;
    for _ in 0..MAX_SWAP_ATTEMPTS {
        part.advise(0..SWAPPED_PART_BYTES, libc::MADV_PAGEOUT);
        swapped = PageWalk::now().swap - before.swap;
        if swapped + rest >= SWAPPED_PART_BYTES {
            return meter::shrank(swapped);
        }
        sleep(ms(1));
    }
    panic!("{swapped} of {SWAPPED_PART_BYTES} bytes were swapped out: is there enough swap?");
}

/// Frees `freed` of `size` bytes lazily, and then touches as much anew: the kernel leaves both in place while it needs neither.
pub(crate) fn lazily_freed(size: usize, freed: usize, time: Duration) {
    let block = Block::new(size);
    block.advise(0..freed, libc::MADV_FREE);
    let anew = Block::new(freed);
    meter::settle();
    sleep(time);
    drop((block, anew));
}

/// Lets a process and its child hold `size` bytes of equal pages each, and, once KSM has merged them, the process `own` bytes
/// more for 1.5 s. Root has started KSM (Documentation/admin-guide/mm/ksm.rst).
pub(crate) fn merged(size: usize, own: usize) {
    let all = Gathering::of(2);
    let child = fork(|| {
        let block = mergeable(size);
        all.meet();
        wait_until_merged(size);
        all.meet();
        all.stay();
        drop(block);
    });
    let block = mergeable(size);
    all.meet();
    wait_until_merged(size);
    all.meet();
    let own = Block::new(own);
    all.stay();
    wait(child);
    drop((block, own));
}

/// Returns pages that differ from each other, and are equal to those of another call.
fn mergeable(size: usize) -> Block {
    let block = Block::new(size);
    block.number_pages();
    block.advise(0..size, libc::MADV_MERGEABLE);
    block
}

/// Waits until KSM has merged `size` bytes of this process.
fn wait_until_merged(size: usize) {
    let merged = || {
        let pages = fs::read_to_string("/proc/self/ksm_merging_pages").expect("Linux 5.19 with KSM");
        pages.trim().parse::<usize>().expect("a number") * PAGE
    };
    while merged() < size {
        sleep(ms(20));
    }
}

/// Touches transparent huge pages, and gives back three quarters of each, so that `kept` bytes stay mapped for `time`. The
/// kernel frees the other pages when memory is short (Documentation/mm/transhuge.rst, "Partial
/// unmap and `deferred_split_folio()`").
pub(crate) fn split_huge(kept: usize, time: Duration) {
    let pages = kept / KEPT_BYTES;
    let block = Block::untouched((pages + 1) * HUGE_PAGE_BYTES);
    let first = block.offset_of_alignment(HUGE_PAGE_BYTES);
    let whole = first..first + pages * HUGE_PAGE_BYTES;
    meter::allow_huge_pages(true);
    block.advise(whole.clone(), libc::MADV_HUGEPAGE);
    for start in whole.clone().step_by(HUGE_PAGE_BYTES) {
        let before = PageWalk::now().rss;
        block.write(start);
        let brought = PageWalk::now().rss - before;
        assert!(
            brought > KEPT_BYTES,
            "the fault at {start} brought in {brought} bytes: are there huge pages?"
        );
        meter::grew(HUGE_PAGE_BYTES);
        block.advise(given_back(start), libc::MADV_DONTNEED);
        meter::shrank(HUGE_PAGE_BYTES - KEPT_BYTES);
    }
    // Otherwise the kernel may collapse them again (mm/khugepaged.c).
    block.advise(whole, libc::MADV_NOHUGEPAGE);
    meter::allow_huge_pages(false);
    meter::settle();
    sleep(time);
    // It was never touched as a whole, so it cannot be dropped as such.
    std::mem::forget(block);
}

/// Returns the part of the huge page at `start` that is given back.
fn given_back(start: usize) -> Range<usize> {
    start + KEPT_BYTES..start + HUGE_PAGE_BYTES
}
