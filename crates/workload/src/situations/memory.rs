//! Memory of exactly known size.

use std::{fs::File, ops::Range, os::fd::AsRawFd};

use super::{
    meter,
    own_pages::{PAGE, map_pages},
};

/// Anonymous memory, all of its pages touched; freed when dropped.
pub(crate) struct Block {
    start: *mut u8,
    size: usize,
}

// SAFETY: the block is plain memory that belongs to the owner of the value.
unsafe impl Send for Block {}

impl Block {
    /// Maps and touches `size` bytes of this process's own.
    pub(crate) fn new(size: usize) -> Self {
        let block = Self::map(size, libc::MAP_PRIVATE);
        block.touch();
        block
    }

    /// As [`new`](Self::new), with a page fault for each page.
    pub(crate) fn faulted(size: usize) -> Self {
        let block = Self::map(size, libc::MAP_PRIVATE);
        block.write_pages();
        meter::grew(size);
        block
    }

    /// Maps `size` bytes of this process's own, and touches none of them.
    pub(crate) fn untouched(size: usize) -> Self {
        Self::map(size, libc::MAP_PRIVATE)
    }

    /// Maps `size` bytes that children share; each process that [`touch`](Self::touch)es them holds them.
    pub(crate) fn shared(size: usize) -> Self {
        Self::map(size, libc::MAP_SHARED)
    }

    /// Maps `size` bytes of `file`, which become as long, as [`shared`](Self::shared) does.
    pub(crate) fn of_file(file: &File, size: usize) -> Self {
        file.set_len(size as u64).expect("a file of that length");
        Self { start: map_file(file, size, libc::PROT_READ | libc::PROT_WRITE), size }
    }

    /// Maps a whole file that others may map too, and reads each page of it.
    pub(crate) fn reading(file: &File) -> Self {
        let size = usize::try_from(file.metadata().expect("its length").len()).expect("it fits");
        let block = Self { start: map_file(file, size, libc::PROT_READ), size };
        for offset in (0..size).step_by(PAGE) {
            // SAFETY: offset < size, inside the mapping.
            unsafe { block.start.add(offset).read_volatile() };
        }
        meter::grew(size);
        block
    }

    /// Writes each page anew: a child that shares it keeps the old one.
    pub(crate) fn rewrite(&self) {
        self.write_pages();
    }

    /// Writes its number to each page, counted from 1.
    pub(crate) fn number_pages(&self) {
        for page in 0..self.size / PAGE {
            let number = (page + 1).to_ne_bytes();
            // SAFETY: the page is inside the mapping, and larger than a number.
            unsafe { self.start.add(page * PAGE).cast::<[u8; size_of::<usize>()]>().write_volatile(number) };
        }
    }

    /// Writes one byte.
    pub(crate) fn write(&self, offset: usize) {
        assert!(offset < self.size);
        // SAFETY: the byte is inside the mapping.
        unsafe { self.start.add(offset).write_volatile(1) };
    }

    /// Returns the first offset whose address is a multiple of `alignment`.
    pub(crate) fn offset_of_alignment(&self, alignment: usize) -> usize {
        self.start.addr().next_multiple_of(alignment) - self.start.addr()
    }

    /// Calls madvise(2) on a part. Advice that frees pages leaves zeroes, or what was there.
    pub(crate) fn advise(&self, part: Range<usize>, advice: libc::c_int) {
        assert!(part.start <= part.end && part.end <= self.size);
        // SAFETY: the range is inside the mapping, to whose bytes no reference exists.
        let status = unsafe { libc::madvise(self.start.add(part.start).cast(), part.len(), advice) };
        assert!(status == 0, "madvise {advice}: {}", std::io::Error::last_os_error());
    }

    fn map(size: usize, sharing: libc::c_int) -> Self {
        let start = map_pages(size, sharing);
        // A huge page would make 4 KiB touched read as 2 MiB. Kernels without huge pages return EINVAL, which
        // does no harm.
        // SAFETY: the range was mapped just above.
        unsafe { libc::madvise(start.cast(), size, libc::MADV_NOHUGEPAGE) };
        Self { start, size }
    }

    /// Faults each page in, and reports it to the meter.
    pub(crate) fn touch(&self) {
        // One call is quicker than a fault a page, so a short spike stays short. madvise(2): Linux 5.14.
        // SAFETY: the range is this mapping.
        let filled = unsafe { libc::madvise(self.start.cast(), self.size, libc::MADV_POPULATE_WRITE) };
        if filled != 0 {
            self.write_pages();
        }
        meter::grew(self.size);
    }

    fn write_pages(&self) {
        for offset in (0..self.size).step_by(PAGE) {
            // SAFETY: offset < size, inside the mapping.
            unsafe { self.start.add(offset).write_volatile(1) };
        }
    }
}

fn map_file(file: &File, size: usize, protection: libc::c_int) -> *mut u8 {
    // SAFETY: this is a fresh mapping of an open file; no existing memory is touched.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert!(start != libc::MAP_FAILED, "mmap of {size} bytes: {}", std::io::Error::last_os_error());
    start.cast()
}

impl Drop for Block {
    fn drop(&mut self) {
        meter::shrank(self.size);
        // SAFETY: the mapping belongs to this value and nothing refers to it any more.
        unsafe { libc::munmap(self.start.cast(), self.size) };
    }
}
