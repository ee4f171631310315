//! Memory whose size is exactly known.

use super::meter;

const PAGE: usize = 4096;

/// Anonymous memory, all of its pages touched; freed when dropped.
pub(crate) struct Block {
    start: *mut u8,
    size: usize,
}

// SAFETY: the block is plain memory that belongs to whoever holds the value.
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

    fn map(size: usize, sharing: libc::c_int) -> Self {
        // SAFETY: a fresh anonymous mapping; no existing memory is touched.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                sharing | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(start != libc::MAP_FAILED, "mmap of {size} bytes: {}", std::io::Error::last_os_error());
        // A huge page would make 4 KiB touched read as 2 MiB. Kernels without huge pages say EINVAL: as good.
        // SAFETY: the range was mapped just above.
        unsafe { libc::madvise(start, size, libc::MADV_NOHUGEPAGE) };
        Self { start: start.cast(), size }
    }

    /// Faults each page in, and tells the meter.
    pub(crate) fn touch(&self) {
        // One call is quicker than a fault a page, so a short spike stays short. madvise(2): Linux 5.14.
        // SAFETY: the range is our mapping.
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

/// A page of zeroes that this process and its later children share for ever.
pub(crate) fn shared_page() -> *mut u8 {
    let page = Block::shared(PAGE);
    let start = page.start;
    std::mem::forget(page);
    start
}

impl Drop for Block {
    fn drop(&mut self) {
        meter::shrank(self.size);
        // SAFETY: the mapping is ours and nothing refers to it any more.
        unsafe { libc::munmap(self.start.cast(), self.size) };
    }
}

/// What the kernel finds of this process by walking its page tables: a witness that shares nothing with the
/// counters behind `VmRSS` and `VmHWM`. proc(5), `/proc/PID/smaps_rollup`.
pub(crate) struct Walk {
    pub(crate) rss: usize,
    pub(crate) pss: usize,
}

impl Walk {
    /// Walks this process; the memory for the text is on the stack, so that looking costs nothing.
    pub(crate) fn now() -> Self {
        let mut text = [0_u8; 2048];
        let mut length = 0;
        // SAFETY: a C string, and a descriptor that lives until the end of this block; reads stay in `text`.
        unsafe {
            let fd = libc::open(c"/proc/self/smaps_rollup".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            assert!(fd >= 0, "smaps_rollup: {}", std::io::Error::last_os_error());
            loop {
                let n = libc::read(fd, text.as_mut_ptr().add(length).cast(), text.len() - length);
                let Ok(n @ 1..) = usize::try_from(n) else { break };
                length += n;
            }
            libc::close(fd);
        }
        let text = std::str::from_utf8(&text[..length]).expect("ASCII");
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect("smaps_rollup has it");
            let kib: usize =
                line.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
            kib << 10
        };
        Self { rss: field("Rss:"), pss: field("Pss:") }
    }
}
