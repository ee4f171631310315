//! The table of a driver's memory regions, on the card or in system RAM, and the memory of a client that
//! follows from it.
//!
//! | driver | since | on the card | system RAM |
//! |---|---|---|---|
//! | amdgpu | 5.14, 5.19, 6.13 | `vram` (on an APU a carve-out of RAM) | `gtt` (mapped for the GPU), `cpu` (evicted) |
//! | i915 | 6.8 | `local0`, `stolen-local0` | `system0` |
//! | xe | 6.8 | `vram0`, `vram1`, ... (one a tile), `stolen` of a card | `gtt` (mapped for the GPU), `system` (not mapped) |
//! | i915 and xe, integrated | | | all they have, `stolen-system0` and `stolen` (carved out) included |
//! | msm, panfrost, panthor, v3d | 6.5 to 6.15 | | `memory` |
//! | amdxdna, ivpu (NPUs) | 6.19 or so | | `memory` |
//!
//! `gds`, `gws`, `oa`, `doorbell` of amdgpu are not general memory and count nowhere. A driver that is not in
//! the table is read by the same names, since drivers share them.

use super::fdinfo::{DrmClient, Region};
use crate::gpu::AmountKind;

/// The place of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegionPlace {
    /// On the card.
    Card,
    /// Memory set aside by firmware: part of a card's own memory, or of the system's on other devices.
    CarveOut,
    /// System RAM.
    System,
}

struct DriverRegions {
    driver: &'static str,
    card: &'static [&'static str],
    carve_out: &'static [&'static str],
    system: &'static [&'static str],
}

/// Region names without the number at their end.
const DRIVER_TABLE: &[DriverRegions] = &[
    DriverRegions { driver: "amdgpu", card: &["vram"], carve_out: &[], system: &["gtt", "cpu"] },
    DriverRegions {
        driver: "i915",
        card: &["local", "stolen-local"],
        carve_out: &["stolen-system"],
        system: &["system"],
    },
    DriverRegions { driver: "xe", card: &["vram"], carve_out: &["stolen"], system: &["gtt", "system"] },
    memory_only("msm"),
    memory_only("panfrost"),
    memory_only("panthor"),
    memory_only("v3d"),
    memory_only("amdxdna_accel_driver"),
    memory_only("intel_vpu"),
];

/// The regions of drivers that are not in the table.
const UNKNOWN_DRIVER: DriverRegions = DriverRegions {
    driver: "",
    card: &["vram", "local", "stolen-local"],
    carve_out: &["stolen", "stolen-system"],
    system: &["gtt", "system", "cpu", "memory"],
};

const fn memory_only(driver: &'static str) -> DriverRegions {
    DriverRegions { driver, card: &[], carve_out: &[], system: &["memory"] }
}

/// Returns the place of a region; `None` if the region does not count.
pub(super) fn place(driver: Option<&str>, region: &str) -> Option<RegionPlace> {
    let of_driver =
        DRIVER_TABLE.iter().find(|regions| Some(regions.driver) == driver).unwrap_or(&UNKNOWN_DRIVER);
    let kind = region.trim_end_matches(|last: char| last.is_ascii_digit());
    let places = [
        (of_driver.card, RegionPlace::Card),
        (of_driver.carve_out, RegionPlace::CarveOut),
        (of_driver.system, RegionPlace::System),
    ];
    places.into_iter().find(|(names, _)| names.contains(&kind)).map(|(_, place)| place)
}

/// Returns whether the driver accounts memory by client (in some version of it), by the name of its kernel
/// module.
pub(super) fn accounts_memory(driver: &str) -> bool {
    // The table holds DRM names; these modules have names of their own.
    DRIVER_TABLE.iter().any(|regions| regions.driver == driver)
        || matches!(driver, "amdxdna" | "ivpu" | "adreno")
}

/// A client's memory in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) bytes: u64,
    /// The part that certainly no other client has; 0 if the driver does not report it.
    pub(super) private: u64,
    pub(super) kind: AmountKind,
}

/// The memory of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// On a device with memory of its own: there, and in system RAM. `None` if it is not reported.
    Card { card: Option<Amount>, system: Option<Amount> },
    /// On a device that uses the system's RAM.
    Unified(Amount),
    /// The driver reports no memory.
    Unreported,
}

impl Holding {
    /// Classifies a client's memory. `driver` is the kernel module of the device, for old texts that do not
    /// name it.
    pub(super) fn of(client: &DrmClient, driver: Option<&str>) -> Self {
        let driver = client.driver.as_deref().or(driver);
        let in_place = |wanted: &[RegionPlace]| {
            let wanted = wanted.to_vec();
            client
                .regions
                .iter()
                .filter(move |(name, _)| place(driver, name).is_some_and(|place| wanted.contains(&place)))
                .map(|(_, region)| region)
        };
        if in_place(&[RegionPlace::Card]).next().is_some() {
            let card = amount(&in_place(&[RegionPlace::Card, RegionPlace::CarveOut]));
            return Self::Card { card, system: amount(&in_place(&[RegionPlace::System])) };
        }
        amount(&in_place(&[RegionPlace::System, RegionPlace::CarveOut]))
            .map_or(Self::Unreported, Self::Unified)
    }
}

/// Sums over regions what is resident if each region reports it, else what is allocated, which is another
/// kind.
fn amount<'a>(regions: &(impl Iterator<Item = &'a Region> + Clone)) -> Option<Amount> {
    let sum = |read: fn(&Region) -> Option<u64>, kind| {
        let mut sum = Amount { bytes: 0, private: 0, kind };
        for region in regions.clone() {
            let bytes = read(region)?;
            sum.bytes = sum.bytes.saturating_add(bytes);
            // The shared amount relates to the total; as much of it as possible is taken to be resident.
            let private = region.shared.map_or(0, |shared| bytes.saturating_sub(shared));
            sum.private = sum.private.saturating_add(private);
        }
        Some(sum)
    };
    // An empty region has nothing resident. If no region reports it, the resident amount is unknown.
    let says_resident = regions.clone().any(|region| region.resident.is_some());
    let resident = if says_resident {
        sum(|region| region.resident.or(region.total.filter(|&total| total == 0)), AmountKind::Resident)
    } else {
        None
    };
    let some = regions.clone().next().is_some();
    some.then(|| resident.or_else(|| sum(|region| region.total.or(region.memory), AmountKind::Allocated)))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_of_every_driver() {
        type Names = &'static [&'static str];
        let table: [(&str, Names, Names, Names); 5] = [
            ("amdgpu", &["vram"], &["gtt", "cpu"], &["gds", "gws", "oa", "doorbell", "mmio-remap"]),
            ("i915", &["local0", "stolen-local0"], &["system0"], &["memory"]),
            ("xe", &["vram0", "vram1", "vram15"], &["gtt", "system"], &["local0"]),
            ("panthor", &[], &["memory"], &["vram"]),
            ("someday", &["vram0", "local1"], &["gtt", "memory", "system0"], &["cycles", "", "0"]),
        ];
        for (driver, card, system, nowhere) in table {
            let all = |regions: &[&str], expected| {
                for region in regions {
                    assert_eq!(place(Some(driver), region), expected, "{driver} {region}");
                }
            };
            all(card, Some(RegionPlace::Card));
            all(system, Some(RegionPlace::System));
            all(nowhere, None);
        }
        assert_eq!(place(Some("i915"), "stolen-system0"), Some(RegionPlace::CarveOut));
        assert_eq!(place(Some("xe"), "stolen"), Some(RegionPlace::CarveOut));
    }

    #[test]
    fn without_a_resident_figure_it_is_allocated() {
        let reported = Region { total: Some(10), resident: Some(4), shared: Some(1), ..Region::default() };
        let unreported = Region { total: Some(10), ..Region::default() };
        let empty = Region { total: Some(0), ..Region::default() };
        let amount = |regions: &[Region]| super::amount(&regions.iter());
        let expected = |bytes, private, kind| Some(Amount { bytes, private, kind });
        assert_eq!(amount(&[reported]), expected(4, 3, AmountKind::Resident));
        assert_eq!(amount(&[reported, empty]), expected(4, 3, AmountKind::Resident));
        assert_eq!(amount(&[reported, unreported]), expected(20, 9, AmountKind::Allocated));
        assert_eq!(amount(&[empty]), expected(0, 0, AmountKind::Allocated));
        assert_eq!(amount(&[]), None);
        assert_eq!(amount(&[Region { shared: Some(3), ..Region::default() }]), None);
    }
}
