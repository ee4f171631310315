//! Names of PCI devices, from the database that many systems have installed (package `pciutils` or `hwdata`).

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use super::sysfs;
use crate::Roots;

/// The database has 1.5 MiB.
const MAX_DATABASE_BYTES: u64 = 16 << 20;

/// Returns the device's name: `Navi 31 [Radeon RX 7900 XT]`.
pub(super) fn name(roots: &Roots, directory: &Path) -> Option<String> {
    let id = |file| Some(sysfs::text(&directory.join(file)).ok()?.strip_prefix("0x")?.to_ascii_lowercase());
    let (vendor, device) = (id("vendor")?, id("device")?);
    // A recorded tree has no database, but this machine's holds the same names.
    let database = crate::roots::PCI_IDS
        .iter()
        .find_map(|path| File::open(path).ok())
        .filter(|_| roots.is_this_machine())?;
    find(BufReader::new(database.take(MAX_DATABASE_BYTES)), &vendor, &device)
}

/// Finds a device: `1002  Advanced Micro Devices...`, below it `\t744c  Navi 31 [...]`, below that subsystems
/// with two tabs.
fn find(mut database: impl BufRead, vendor: &str, device: &str) -> Option<String> {
    let mut line = Vec::new();
    let mut is_vendor = false;
    loop {
        line.clear();
        if database.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let entry = match line.as_slice() {
            [b'#' | b'\n', ..] | [b'\t', b'\t', ..] => continue,
            [b'\t', entry @ ..] if is_vendor => entry,
            [b'\t', ..] => continue,
            // A vendor's devices follow it directly: none follow another vendor.
            _ if is_vendor => return None,
            entry => {
                is_vendor = entry.starts_with(vendor.as_bytes());
                continue;
            }
        };
        if let Some(name) = entry.strip_prefix(device.as_bytes()).and_then(|rest| rest.strip_prefix(b"  ")) {
            return Some(String::from_utf8_lossy(name.trim_ascii()).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_device_of_its_vendor() {
        let database = "# comment\n1001  Kolter\n\t744c  Not this\n1002  AMD\n\t744b  Other\n\t\t744c 1  Sub\n\
                        \t744c  Navi 31 [Radeon RX 7900 XT]\n\t\t1002 0e3b  RX 7900 GRE\n1003  ULSI\n\t0201  US201\n";
        let name = |vendor, device| find(database.as_bytes(), vendor, device);
        assert_eq!(name("1002", "744c").as_deref(), Some("Navi 31 [Radeon RX 7900 XT]"));
        assert_eq!(name("1002", "0201"), None);
        assert_eq!(name("1003", "0201").as_deref(), Some("US201"));
        assert_eq!(name("ffff", "0201"), None);
    }
}
