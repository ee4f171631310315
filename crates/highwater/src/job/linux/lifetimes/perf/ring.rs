//! The buffer into which the kernel writes records and from which this process reads them (`perf_event_mmap_page`,
//! `include/uapi/linux/perf_event.h`).

use std::{
    io,
    os::fd::AsFd,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Offsets of the fields in the first page.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;
/// Bytes of `struct perf_event_header`, of which the last two are the record's size.
const HEADER: usize = 8;

/// A mapped buffer: one page for the positions, then the data.
#[derive(Debug)]
pub(super) struct Ring {
    base: NonNull<u8>,
    page_size: usize,
    /// Bytes of the data, a power of two.
    data_size: usize,
}

// SAFETY: the mapping belongs to this value alone; the kernel's side is synchronized by the positions.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps `data_size` bytes, a power of two of pages, of `event`.
    pub(super) fn map(event: &impl AsFd, data_size: usize, page_size: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let base = unsafe {
            mmap(ptr::null_mut(), page_size + data_size, protection, MapFlags::SHARED, event.as_fd(), 0)
        }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap returned null"))?;
        Ok(Self { base, page_size, data_size })
    }

    fn position(&self, at: usize) -> &AtomicU64 {
        // SAFETY: both fields lie in the first page, aligned to eight bytes, as long as the mapping lives.
        unsafe { self.base.add(at).cast::<AtomicU64>().as_ref() }
    }

    /// Hands each available record to `take`. Returns `false` if the data makes no sense and was skipped.
    pub(super) fn drain(&mut self, record: &mut Vec<u8>, mut take: impl FnMut(&[u8])) -> bool {
        // The kernel publishes data before the head, and may overwrite it once the tail shows that it was read.
        let head = self.position(DATA_HEAD).load(Ordering::Acquire);
        let mut tail = self.position(DATA_TAIL).load(Ordering::Relaxed);
        let mut whole = true;
        while tail != head {
            let left = usize::try_from(head.wrapping_sub(tail)).unwrap_or(usize::MAX);
            record.clear();
            self.copy(tail, HEADER.min(self.data_size), record);
            let size = usize::from(u16::from_ne_bytes([record[6], record[7]]));
            whole = (HEADER..=left.min(self.data_size)).contains(&size);
            if !whole {
                tail = head;
                break;
            }
            record.clear();
            self.copy(tail, size, record);
            take(record);
            tail = tail.wrapping_add(size as u64);
        }
        self.position(DATA_TAIL).store(tail, Ordering::Release);
        whole
    }

    /// Appends `length` bytes from position `from` on, around the end of the buffer.
    fn copy(&self, from: u64, length: usize, into: &mut Vec<u8>) {
        #[allow(clippy::cast_possible_truncation)] // only the low bits count
        let start = from as usize & (self.data_size - 1);
        let first = length.min(self.data_size - start);
        for (start, length) in [(start, first), (0, length - first)] {
            // SAFETY: `start + length` is at most `data_size`, so this lies in the mapping. Between tail and head the
            // kernel does not write.
            into.extend_from_slice(unsafe {
                std::slice::from_raw_parts(self.base.add(self.page_size + start).as_ptr(), length)
            });
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: an own mapping, not used again.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.page_size + self.data_size) };
    }
}
