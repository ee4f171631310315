//! The cgroup controller `dmem` (Linux 6.14): device memory by control group. The doctor uses it as a second
//! source. The devices' figures already contain what is charged to a group.

use std::path::{Path, PathBuf};

use super::sysfs;
use crate::{Roots, Unavailable};

/// Parses `dmem.current` or `dmem.capacity` into amounts by region (`drm/0000:03:00.0/vram0`). `max` is no
/// amount.
pub(super) fn parse(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (region, bytes) = line.rsplit_once(' ')?;
        Some((region.trim(), bytes.parse().ok()?)).filter(|(region, _)| !region.is_empty())
    })
}

/// Reads the amounts in one file of a group.
pub(super) fn read(group: &Path, file: &str) -> Result<Vec<(String, u64)>, Unavailable> {
    let text = sysfs::text(&group.join(file))?;
    Ok(parse(&text).map(|(region, bytes)| (region.to_owned(), bytes)).collect())
}

/// Returns the control group of the calling process (`0::/user.slice/...`), in the hierarchy of `roots`.
pub(super) fn own_group(roots: &Roots) -> Option<PathBuf> {
    let text = sysfs::text(&roots.proc.join("self/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(roots.cgroup.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_and_bytes() {
        let text = "drm/0000:03:00.0/vram0 8514437120\ndrm/0000:03:00.0/stolen max\n\n 5\nx y z\n";
        assert_eq!(parse(text).collect::<Vec<_>>(), [("drm/0000:03:00.0/vram0", 8_514_437_120)]);
    }

    #[test]
    fn the_files_of_a_group() {
        let tree = tempfile::tempdir().unwrap();
        assert_eq!(read(tree.path(), "dmem.current"), Err(Unavailable::NotProvided));
        std::fs::write(tree.path().join("dmem.current"), "drm/0000:03:00.0/vram0 4096\n").unwrap();
        let expected = vec![("drm/0000:03:00.0/vram0".to_owned(), 4096)];
        assert_eq!(read(tree.path(), "dmem.current"), Ok(expected));
    }
}
