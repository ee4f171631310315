//! Pages of this process: mapping them, and counting them by a walk.

pub(crate) const PAGE: usize = 4096;

/// Maps `size` bytes of anonymous memory.
pub(crate) fn map_pages(size: usize, sharing: libc::c_int) -> *mut u8 {
    // SAFETY: this is a fresh anonymous mapping; no existing memory is touched.
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
    start.cast()
}

/// Maps a page of zeroes that this process and its later children share for ever.
pub(crate) fn shared_page() -> *mut u8 {
    map_pages(PAGE, libc::MAP_SHARED)
}

/// The kernel's count of this process by walking its page tables, which shares nothing with the counters
/// behind `VmRSS` and `VmHWM`. proc(5), `/proc/PID/smaps_rollup`.
pub(crate) struct PageWalk {
    pub(crate) rss: usize,
    pub(crate) pss: usize,
    pub(crate) swap: usize,
}

impl PageWalk {
    /// Walks the page tables of this process. The text is read onto the stack, so that the walk costs no memory.
    pub(crate) fn now() -> Self {
        let mut text = [0_u8; 2048];
        let mut length = 0;
        // SAFETY: the name is a C string, and the descriptor lives until the end of this block. Reads stay in `text`.
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
        Self { rss: field("Rss:"), pss: field("Pss:"), swap: field("Swap:") }
    }
}
