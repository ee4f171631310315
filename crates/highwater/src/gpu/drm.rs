//! The kernel's account of DRM clients: AMD, Intel, Arm and all others whose drivers write fdinfo (Linux).
//!
//! One sweep over `/proc` serves all drivers ([`sweep`]), on a thread that may be abandoned ([`sweeper`]). A pure parser reads the texts ([`fdinfo`]), and a table
//! classifies their regions ([`regions`]). Files of sysfs list the devices ([`cards`]) and the figures of some of them
//! ([`totals`]). Files of a recorded tree are never mixed with those of this machine: drivers are queried only if the
//! tree is this machine's.
//!
//! - A client that several processes hold (an inherited or passed descriptor) is in the figures of each.
//!   [`GpuUsage::shared_with`] names the others, as far as they were asked for.
//! - A process with a descriptor of a device whose driver reports no memory has a row with unknown figures.
//! - Processes choose the names of their clients, at most 64 bytes. The caller must escape them before
//!   printing.

mod cards;
mod dmem;
mod fdinfo;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz_entry;
mod holdings;
mod kfd;
mod pci_ids;
mod query;
mod regions;
mod sweep;
mod sweeper;
mod sysfs;
mod totals;

use std::{collections::HashMap, sync::Arc};

use self::{cards::Cards, fdinfo::Id, sweeper::Sweeper};
use super::{
    AmountKind, Device, Figure, FigureScope, FigureSource, Gap, GpuQuerySource, GpuUsage, Listing, Pool,
    Reading,
    backend::{GpuBackend, PidFilter},
    plausible,
};
use crate::{Roots, Unavailable};

/// All devices of `/sys/class/drm` and `/sys/class/accel`.
#[derive(Debug, Default)]
pub(super) struct Drm {
    cards: Arc<Cards>,
    sweeper: Sweeper,
}

impl GpuBackend for Drm {
    fn name(&self) -> &'static str {
        "drm"
    }

    fn source(&self) -> GpuQuerySource {
        GpuQuerySource::Drm
    }

    fn find(&mut self, roots: &Roots) -> Result<Vec<Device>, Unavailable> {
        self.cards = Arc::new(Cards::find(roots)?);
        if self.cards.listed.is_empty() && !roots.sys.join("class").exists() {
            // A machine without a GPU shows other classes.
            let what = format!("{} is not sysfs, so the GPUs are unknown", roots.sys.display());
            return Err(Unavailable::Failed(what));
        }
        if self.cards.listed.is_empty() {
            return Err(Unavailable::NoBackend("the kernel has no GPU in /sys/class/drm".into()));
        }
        Ok(self.cards.listed.iter().map(totals::device).collect())
    }

    fn read(&mut self, roots: &Roots, device: &mut Device) {
        if let Some(card) = self.cards.listed.iter().find(|card| card.id == device.id) {
            totals::read(roots, card, device);
        }
    }

    fn usages(&mut self, roots: &Roots, devices: &[Device], whose: PidFilter<'_>, into: &mut Listing) {
        // A device that another backend knows better is reported there, so it is left out here.
        let cards: Vec<_> =
            self.cards.listed.iter().map(|card| devices.iter().find(|device| device.id == card.id)).collect();
        let mut is_reported = false;
        for (card, device) in self.cards.listed.iter().zip(&cards) {
            match device {
                Some(device) if card.is_nvidia() => {
                    let why =
                        Unavailable::NoBackend("NVIDIA's driver reports only to its own library".into());
                    into.gaps.push(Gap::of_device(GpuQuerySource::Drm, &device.id, device.label(), why));
                }
                Some(_) => is_reported = true,
                None => {}
            }
        }
        if !is_reported {
            return;
        }

        let found = self.sweeper.sweep(roots, &self.cards, whose, into);
        let mut holders = HashMap::<(usize, Id), Vec<u32>>::new();
        for found in &found {
            for client in found.clients.iter().flatten() {
                if let Some(id) = client.id {
                    holders.entry((found.card, id)).or_default().push(found.pid);
                }
            }
        }
        let mut usages = Vec::new();
        for found in &found {
            let Some(Some(device)) = cards.get(found.card) else { continue };
            let mut usage = holdings::usage(found.pid, device, &found.clients);
            let ids = found.clients.iter().flatten().filter_map(|client| client.id);
            usage.shared_with =
                ids.filter_map(|id| holders.get(&(found.card, id))).flatten().copied().collect();
            usage.shared_with.retain(|&pid| pid != found.pid);
            usage.shared_with.sort_unstable();
            usage.shared_with.dedup();
            plausible::check_usage(&mut usage, device.total.reading.upper());
            usages.push(usage);
        }
        self.add_kfd(roots, &cards, whose, &into.refused, &mut usages);
        into.usages.append(&mut usages);
    }

    fn raw(&mut self, roots: &Roots) -> Vec<String> {
        let mut lines = Vec::new();
        for card in &self.cards.listed {
            let nodes: Vec<&str> = card.nodes.iter().map(|node| node.path.as_str()).collect();
            let (id, driver) = (&card.id, card.driver.as_deref().unwrap_or("no driver"));
            lines.push(format!("{id} {driver} {:?} {nodes:?} unified: {:?}", card.name, card.unified));
            for file in
                ["vram_total", "vram_used", "vis_vram_total", "vis_vram_used", "gtt_total", "gtt_used"]
            {
                let file = format!("mem_info_{file}");
                if let Ok(bytes) = sysfs::number(&card.directory.join(&file)) {
                    lines.push(format!("{id} {file} {bytes}"));
                }
            }
            if let Some(driver) =
                query::Driver::called(card.driver.as_deref()).filter(|_| roots.is_this_machine())
            {
                let answer = query::regions(driver, std::path::Path::new(crate::roots::DEV), &card.nodes);
                lines.push(format!("{id} query {answer:?}"));
            }
        }
        for node in &self.cards.ignored {
            lines.push(format!("{node} is a display or made of software: left out"));
        }
        if !self.cards.listed.is_empty() {
            let mut listing = Listing::default();
            for found in self.sweeper.sweep(roots, &self.cards, PidFilter::All, &mut listing) {
                let id = &self.cards.listed[found.card].id;
                lines.extend(found.clients.iter().map(|client| format!("{id} pid {} {client:?}", found.pid)));
            }
            let (refused, vanished) = (listing.refused.len(), listing.vanished);
            lines.push(format!("refused {refused}, vanished {vanished}, gaps {:?}", listing.gaps));
        }
        for row in kfd::memory(roots, &self.cards.listed) {
            let id = &self.cards.listed[row.card].id;
            lines.push(format!("{id} kfd pid {} vram_{} {}", row.pid, row.gpu, row.bytes));
        }
        let own = dmem::own_group(roots);
        for group in [Some(roots.cgroup.clone()), own].into_iter().flatten() {
            for file in ["dmem.capacity", "dmem.current"] {
                for (region, bytes) in dmem::read(&group, file).unwrap_or_default() {
                    lines.push(format!("{file} of {}: {region} {bytes}", group.display()));
                }
            }
        }
        lines
    }
}

impl Drm {
    /// Adds KFD's figures for processes whose fdinfo shows no client or no amount on a device.
    fn add_kfd(
        &self,
        roots: &Roots,
        devices: &[Option<&Device>],
        whose: PidFilter<'_>,
        refused: &[u32],
        usages: &mut Vec<GpuUsage>,
    ) {
        if !kfd::has_host_pids(roots) {
            return;
        }
        // Partitions of a device are one device here.
        let mut sums = HashMap::<(u32, usize), u64>::new();
        for row in kfd::memory(roots, &self.cards.listed) {
            if whose.holds(row.pid) {
                let sum = sums.entry((row.pid, row.card)).or_default();
                *sum = sum.saturating_add(row.bytes);
            }
        }
        for ((pid, card), bytes) in sums {
            let Some(Some(device)) = devices.get(card) else { continue };
            // Memory of graphics is not included. On APUs the amount lies in GTT (since 6.10), not in the
            // carve-out.
            let reading = Reading::AtLeast(bytes);
            let pool = if device.unified == Some(true) { Pool::Unified } else { device.total.pool };
            let vram =
                Figure::new(reading, FigureScope::Process, pool, AmountKind::Allocated, FigureSource::Kfd);
            match usages.iter_mut().find(|usage| usage.pid == pid && usage.device == device.id) {
                Some(usage) if usage.vram.reading.unknown().is_some() => usage.vram = vram,
                Some(_) => {}
                // Every process that opens KFD is listed there for each device.
                None if bytes == 0 => {}
                None => {
                    let why = if refused.contains(&pid) {
                        Unavailable::PermissionDenied
                    } else {
                        Unavailable::NotProvided
                    };
                    let system = Figure::new(
                        Reading::Unknown(why),
                        FigureScope::Process,
                        Pool::System,
                        AmountKind::Resident,
                        FigureSource::Kfd,
                    );
                    usages.push(GpuUsage::new(pid, device.id.clone(), vram, system));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
