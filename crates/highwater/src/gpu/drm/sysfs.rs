//! Small files of sysfs: one value each, or `KEY=value` lines.

use std::{fs, io, path::Path};

use crate::{
    Unavailable,
    bounded::{self, MAX_VALUE_BYTES},
};

/// Reads the text of a file, without the space around it.
pub(super) fn text(path: &Path) -> Result<String, Unavailable> {
    match bounded::read(path, MAX_VALUE_BYTES) {
        Ok(bytes) => Ok(String::from_utf8_lossy(bytes.trim_ascii()).into_owned()),
        Err(error) => Err(why(&error)),
    }
}

/// Reads a decimal number of bytes.
pub(super) fn number(path: &Path) -> Result<u64, Unavailable> {
    let text = text(path)?;
    text.parse().map_err(|_| Unavailable::Implausible(text.chars().take(80).collect()))
}

/// Returns the value of a key of a `uevent` file.
pub(super) fn of_uevent<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).filter(|value| !value.is_empty())
}

pub(super) fn why(error: &io::Error) -> Unavailable {
    match error.kind() {
        io::ErrorKind::NotFound => Unavailable::NotProvided,
        io::ErrorKind::PermissionDenied => Unavailable::PermissionDenied,
        _ => Unavailable::Failed(error.to_string()),
    }
}

/// Lists the names in a directory; none if there is no such directory.
pub(super) fn names(path: &Path) -> Result<Vec<String>, Unavailable> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(why(&error)),
    }
}

/// Reads `MemTotal` of `meminfo`, in bytes.
pub(super) fn ram(proc: &Path) -> Result<u64, Unavailable> {
    let text = text(&proc.join("meminfo"))?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok()?.checked_mul(1024)).ok_or(Unavailable::LayoutUnknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uevent_keys_are_whole() {
        let text = "DRIVER=amdgpu\nPCI_CLASS=38000\nPCI_ID=1002:150E\nPCI_SLOT_NAME=0000:c5:00.0\nPCI=\n";
        assert_eq!(of_uevent(text, "PCI_SLOT_NAME"), Some("0000:c5:00.0"));
        assert_eq!(of_uevent(text, "PCI_SLOT"), None);
        assert_eq!(of_uevent(text, "PCI"), None);
    }

    #[test]
    fn absent_is_not_0() {
        let tree = tempfile::tempdir().unwrap();
        let file = tree.path().join("mem_info_vram_used");
        assert_eq!(number(&file), Err(Unavailable::NotProvided));
        fs::write(&file, "\n").unwrap();
        assert_eq!(number(&file), Err(Unavailable::Implausible(String::new())));
        fs::write(&file, "17163091968\n").unwrap();
        assert_eq!(number(&file), Ok(17_163_091_968));
    }
}
