//! GPUs of Macs: Metal lists them, I/O Kit has their statistics, the kernel's ledgers charge each process.
//!
//! - Memory in use on the whole device is `PerformanceStatistics` of its `IOAccelerator`, which Apple does
//!   not document.
//! - `recommendedMaxWorkingSetSize` is a budget, and stands nowhere else.
//! - This process's memory is `currentAllocatedSize`. Other processes' is the ledger `graphics_footprint`.
//!   A ledger knows no device, and only root may read those of other users' processes.
//!
//! The interpretation of the answers is pure, and tested on recorded ones.

#[cfg(target_os = "macos")]
mod devices;
mod figures;
mod ledger;

#[cfg(target_os = "macos")]
pub(super) use self::of_the_system::Metal;
#[cfg(all(feature = "job", target_os = "macos"))]
pub(crate) use self::of_the_system::own_ledger;

#[cfg(target_os = "macos")]
mod of_the_system {
    use super::{
        devices::{self, MetalDevice},
        figures,
        ledger::{self, Template},
    };
    use crate::{
        Roots, Unavailable,
        gpu::{
            Device, Gap, GpuQuerySource, Listing,
            backend::{GpuBackend, PidFilter},
        },
        process::macos::calls,
    };

    /// Returns the graphics memory in this process's ledger.
    #[cfg(feature = "job")]
    pub(crate) fn own_ledger() -> Result<i64, Unavailable> {
        ledger::system::balance(std::process::id(), &ledger::system::template()?)
    }

    /// All devices that Metal knows.
    #[derive(Debug, Default)]
    pub(in crate::gpu) struct Metal {
        found: Vec<MetalDevice>,
    }

    impl GpuBackend for Metal {
        fn name(&self) -> &'static str {
            "metal"
        }

        fn source(&self) -> GpuQuerySource {
            GpuQuerySource::Metal
        }

        fn find(&mut self, _: &Roots) -> Result<Vec<Device>, Unavailable> {
            self.found = devices::all();
            if self.found.is_empty() {
                return Err(Unavailable::NoBackend("Metal lists no device".into()));
            }
            Ok(self.found.iter().map(|found| figures::device(&found.identity)).collect())
        }

        fn read(&mut self, _: &Roots, device: &mut Device) {
            if let Some(found) = self.found.iter().find(|found| found.identity.id() == device.id) {
                figures::read(&found.statistics(), calls::sysctl(c"hw.memsize"), found.budget(), device);
            }
        }

        fn usages(&mut self, _: &Roots, devices: &[Device], whose: PidFilter<'_>, into: &mut Listing) {
            let own = std::process::id();
            if whose.holds(own) {
                for device in devices {
                    let found = self.found.iter().find(|found| found.identity.id() == device.id);
                    let allocated = found.map(MetalDevice::allocated_here).filter(|&bytes| bytes > 0);
                    into.usages.extend(allocated.map(|bytes| figures::own(own, device, bytes)));
                }
            }
            let pids = match whose {
                PidFilter::All => calls::all().map_err(|error| Unavailable::Failed(error.to_string())),
                PidFilter::Of(pids) => Ok(pids.iter().copied().collect()),
            };
            let others: Vec<u32> = match pids {
                Ok(pids) => pids.into_iter().filter(|&pid| pid != own && pid != 0).collect(),
                Err(why) => {
                    into.gaps.push(Gap::of_source(GpuQuerySource::Metal, "the list of processes", why));
                    return;
                }
            };
            if others.is_empty() {
                return;
            }
            let template = match ledger::system::template() {
                Ok(template) => template,
                Err(why) => {
                    into.gaps.push(Gap::of_source(
                        GpuQuerySource::Metal,
                        "GPU memory of other processes",
                        why,
                    ));
                    return;
                }
            };
            for pid in others {
                match ledger::system::balance(pid, &template) {
                    Ok(balance) => into.usages.extend(figures::of_ledger(pid, devices, balance)),
                    Err(Unavailable::PermissionDenied) => into.refused.push(pid),
                    Err(Unavailable::Vanished) => into.vanished += 1,
                    Err(why) => {
                        let what = format!("the ledger of process {pid}");
                        into.gaps.push(Gap::of_source(GpuQuerySource::Metal, what, why));
                    }
                }
            }
        }

        fn raw(&mut self, _: &Roots) -> Vec<String> {
            let mut lines = Vec::new();
            for found in &self.found {
                let (identity, statistics) = (&found.identity, found.statistics());
                let (budget, own) = (found.budget(), found.allocated_here());
                lines.push(format!("{identity:?} {statistics:?} budget {budget} allocated here {own}"));
            }
            match ledger::system::template() {
                Ok(template @ Template { .. }) => lines.push(format!("{template:?}")),
                Err(why) => lines.push(format!("the ledgers' names: {why}")),
            }
            lines
        }
    }
}
