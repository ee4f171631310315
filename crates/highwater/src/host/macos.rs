//! The RAM of a Mac, from sysctl(3).

use super::Ram;
use crate::process::macos::calls::sysctl;

/// Reads the RAM. The available amount is an estimate: pages that are free, that only cache files, or that
/// their owners gave up (`vm_page_free_count`, `vm_page_pageable_external_count`, `vm_page_purgeable_count`
/// of `osfmk/vm`). The kernel may count a page among the last two that it cannot take at once.
pub(super) fn ram() -> Ram {
    let pages = |name| sysctl(name)?.checked_mul(rustix::param::page_size() as u64);
    let total_bytes = sysctl(c"hw.memsize");
    let parts = [c"vm.page_free_count", c"vm.page_pageable_external_count", c"vm.page_purgeable_count"];
    let available_bytes = parts.into_iter().map(pages).sum::<Option<u64>>();
    Ram {
        total_bytes,
        available_bytes: available_bytes.zip(total_bytes).map(|(available, total)| available.min(total)),
        container_limit_bytes: None,
    }
}
