//! Memory of exactly known size.

use std::{fs::File, os::fd::AsRawFd};

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
