//! Guards against a fork while a thread is inside the system's loader.
//!
//! dlopen(3) and dlclose(3) change lists. A child forked at that time by another thread finds them half
//! changed, and its own dlopen may crash. So the threads inside are counted, beside the process that counts.
//! A child that inherits a count other than zero never goes inside.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::fork::ForkGeneration;

/// The number of threads inside (low half), and the process that counts (high half).
static INSIDE: AtomicU64 = AtomicU64::new(0);

/// A guard that marks this thread as inside.
pub(super) struct Loading(());

impl Loading {
    /// Enters; `None` in a process that was forked while another thread was inside.
    pub(super) fn begin() -> Option<Self> {
        let own = ForkGeneration::current().number();
        let mut seen = INSIDE.load(Ordering::Acquire);
        loop {
            let count = after(seen, own)?;
            let now = u64::from(own) << 32 | u64::from(count);
            match INSIDE.compare_exchange(seen, now, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(Self(())),
                Err(other) => seen = other,
            }
        }
    }
}

/// Returns how many are inside after one more enters; `None` if some can never leave.
fn after(seen: u64, own: u32) -> Option<u32> {
    #[allow(clippy::cast_possible_truncation)] // These are the two halves.
    let (process, count) = ((seen >> 32) as u32, seen as u32);
    match count {
        0 => Some(1),
        _ if process == own => count.checked_add(1),
        _ => None,
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inherited_loading_is_not_entered() {
        assert_eq!(after(0, 7), Some(1));
        assert_eq!(after(7 << 32 | 1, 7), Some(2));
        assert_eq!(after(6 << 32, 7), Some(1), "no thread was inside at the fork");
        assert_eq!(after(6 << 32 | 1, 7), None);
    }

    #[test]
    fn in_and_out_again() {
        let (one, two) = (Loading::begin(), Loading::begin());
        assert!(one.is_some() && two.is_some());
        drop((one, two));
        assert!(Loading::begin().is_some());
    }
}
