//! Parses the output of `nvidia-smi --format=csv,noheader,nounits`. Cells in brackets (`[N/A]`) are unknown,
//! never 0.

use super::super::memory::MemoryAmounts;
use crate::{Unavailable, gpu::Reading};

/// The query of devices. The name comes last: it alone may hold a comma.
pub(super) const GPUS: [&str; 2] = [
    "--query-gpu=uuid,pci.bus_id,driver_version,memory.total,memory.used,memory.free,memory.reserved,name",
    "--format=csv,noheader,nounits",
];

/// The same query for drivers that lack `memory.reserved`.
pub(super) const GPUS_BEFORE_R510: [&str; 2] = [
    "--query-gpu=uuid,pci.bus_id,driver_version,memory.total,memory.used,memory.free,name",
    "--format=csv,noheader,nounits",
];

/// The query of processes.
pub(super) const APPS: [&str; 2] =
    ["--query-compute-apps=gpu_uuid,pid,used_memory", "--format=csv,noheader,nounits"];

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gpu {
    pub(super) uuid: String,
    pub(super) bus_id: String,
    pub(super) driver_version: Option<String>,
    pub(super) amounts: MemoryAmounts,
    pub(super) name: Option<String>,
}

/// A process on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct App {
    pub(super) uuid: String,
    pub(super) pid: u32,
    pub(super) used: Reading,
}

/// Parses the devices. `has_reserved` follows from the query.
///
/// # Errors
/// [`Unavailable::LayoutUnknown`] if a line has another number of cells.
pub(super) fn gpus(text: &str, has_reserved: bool) -> Result<Vec<Gpu>, Unavailable> {
    lines(text).map(|line| gpu(line, has_reserved).ok_or(Unavailable::LayoutUnknown)).collect()
}

/// Parses the processes.
///
/// # Errors
/// [`Unavailable::LayoutUnknown`] if a line is no process.
pub(super) fn apps(text: &str) -> Result<Vec<App>, Unavailable> {
    lines(text).map(|line| app(line).ok_or(Unavailable::LayoutUnknown)).collect()
}

/// Skips "No devices were found" and "No running processes found", which stand in the place of rows.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("No "))
}

fn gpu(line: &str, has_reserved: bool) -> Option<Gpu> {
    let mut cells = line.splitn(if has_reserved { 8 } else { 7 }, ',').map(str::trim);
    let mut next = || cells.next();
    let (uuid, bus_id, version) = (next()?, next()?, next()?);
    let (total, used, free) = (mib(next()?), mib(next()?), mib(next()?));
    let reserved = if has_reserved { mib(next()?) } else { Reading::Unknown(Unavailable::NotSupported) };
    let name = next()?;
    Some(Gpu {
        uuid: uuid.to_owned(),
        bus_id: bus_id.to_owned(),
        driver_version: said(version),
        amounts: MemoryAmounts { total, used, free, reserved },
        name: said(name),
    })
}

fn app(line: &str) -> Option<App> {
    let mut cells = line.splitn(3, ',').map(str::trim);
    let (uuid, pid) = (cells.next()?, cells.next()?.parse().ok()?);
    Some(App { uuid: uuid.to_owned(), pid, used: mib(cells.next()?) })
}

/// Returns a cell's text, unless it stands for none.
fn said(cell: &str) -> Option<String> {
    (!cell.is_empty() && !cell.starts_with('[') && cell != "N/A").then(|| cell.to_owned())
}

/// Returns bounds of an amount printed in whole MiB.
fn mib(cell: &str) -> Reading {
    let digits = cell.strip_suffix("MiB").unwrap_or(cell).trim();
    let bytes = |mib: u64| mib.checked_mul(1 << 20);
    let bounds = digits
        .parse::<u64>()
        .ok()
        .and_then(|mib| Some((bytes(mib.saturating_sub(1))?, bytes(mib.checked_add(1)?)?)));
    if let Some((lower, upper)) = bounds {
        return Reading::between(lower, upper);
    }
    let text = cell.trim_matches(['[', ']']).trim();
    Reading::Unknown(match text.to_ascii_lowercase().as_str() {
        "n/a" => Unavailable::DriverSaysNotAvailable,
        "not supported" => Unavailable::NotSupported,
        "insufficient permissions" | "insufficient permission" => Unavailable::PermissionDenied,
        _ => {
            Unavailable::Failed(format!("nvidia-smi printed: {}", text.chars().take(80).collect::<String>()))
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn about(mib: u64) -> Reading {
        Reading::between((mib.saturating_sub(1)) << 20, (mib + 1) << 20)
    }

    #[test]
    fn devices() {
        let text = "GPU-6f0e, 00000000:3B:00.0, 570.133.20, 81559, 612, 80946, 530, NVIDIA H100 80GB, PCIe\n";
        let found = gpus(text, true).unwrap();
        assert_eq!((found[0].uuid.as_str(), found[0].bus_id.as_str()), ("GPU-6f0e", "00000000:3B:00.0"));
        assert_eq!(found[0].name.as_deref(), Some("NVIDIA H100 80GB, PCIe"));
        let amounts = &found[0].amounts;
        assert_eq!((&amounts.total, &amounts.used), (&about(81559), &about(612)));
        assert_eq!((&amounts.free, &amounts.reserved), (&about(80946), &about(530)));
    }

    #[test]
    fn a_driver_without_reserved_memory() {
        let found = gpus("GPU-1, 0000:01:00.0, 470.82, 8000, 0, 8000, Tesla T4", false).unwrap();
        assert_eq!(found[0].amounts.reserved, Reading::Unknown(Unavailable::NotSupported));
        assert_eq!(found[0].amounts.used, Reading::Between { lower: 0, upper: 1 << 20 });
    }

    #[test]
    fn unknown_is_not_nothing() {
        let text =
            "GPU-1, 0000:01:00.0, 580.1, [N/A], [Not Supported], [Insufficient Permissions], N/A, [N/A]";
        let found = gpus(text, true).unwrap();
        let amounts = &found[0].amounts;
        assert_eq!(amounts.total, Reading::Unknown(Unavailable::DriverSaysNotAvailable));
        assert_eq!(amounts.used, Reading::Unknown(Unavailable::NotSupported));
        assert_eq!(amounts.free, Reading::Unknown(Unavailable::PermissionDenied));
        assert_eq!(amounts.reserved, Reading::Unknown(Unavailable::DriverSaysNotAvailable));
        assert_eq!(found[0].name, None);
        assert!(matches!(mib("[Unknown Error]"), Reading::Unknown(Unavailable::Failed(_))));
        assert!(matches!(mib("17592186044416"), Reading::Unknown(Unavailable::Failed(_))), "too large");
    }

    #[test]
    fn processes() {
        let found = apps("GPU-1, 4242, 612\nGPU-1, 4300, [N/A]\n").unwrap();
        assert_eq!(found[0], App { uuid: "GPU-1".into(), pid: 4242, used: about(612) });
        assert_eq!(found[1].used, Reading::Unknown(Unavailable::DriverSaysNotAvailable));
        assert_eq!(apps("\nNo running processes found\n"), Ok(Vec::new()));
        assert_eq!(apps("GPU-1, unreadable, 5"), Err(Unavailable::LayoutUnknown));
    }

    proptest! {
        #[test]
        fn fuzz_entry(text in "(?s).{0,200}") {
            let _ = (gpus(&text, true), gpus(&text, false), apps(&text));
        }
    }
}
