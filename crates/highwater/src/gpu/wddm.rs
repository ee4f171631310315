//! Windows' own account of GPU memory (WDDM), for every vendor. DXGI reports the adapters and this process;
//! the performance counters report every process.
//!
//! A process's amount is what the video memory manager has promised it, and may be more than the card has.

#[cfg(all(windows, feature = "dxgi"))]
mod address;
mod counters;
#[cfg(all(windows, feature = "dxgi"))]
mod dxgi;
mod figures;
#[cfg(all(windows, feature = "pdh"))]
mod pdh;

#[cfg(windows)]
pub(super) use self::backend::Wddm;
#[cfg(all(windows, feature = "job"))]
pub(crate) use self::backend::{adapters, counted_holders};

#[cfg(windows)]
mod backend {
    use std::collections::BTreeMap;

    use super::{
        counters::{CounterAmounts, Holder},
        figures::{self, Adapter},
    };
    #[cfg(feature = "dxgi")]
    use crate::gpu::GpuUsage;
    use crate::{
        Roots, Unavailable,
        gpu::{
            Device, Gap, GpuQuerySource, Listing,
            backend::{GpuBackend, PidFilter},
        },
    };

    /// DXGI's adapters and the counters, open.
    #[derive(Debug, Default)]
    pub(in super::super) struct Wddm {
        adapters: Vec<Adapter>,
        #[cfg(feature = "dxgi")]
        factory: Option<super::dxgi::Factory>,
        #[cfg(feature = "pdh")]
        counters: Option<Result<super::pdh::GpuCounters, Unavailable>>,
    }

    impl Wddm {
        /// Returns the memory of each process on each adapter, from the performance counters.
        #[cfg(feature = "pdh")]
        fn process_memory(&mut self) -> Result<BTreeMap<Holder, CounterAmounts>, Unavailable> {
            match self.counters.get_or_insert_with(super::pdh::GpuCounters::open) {
                Ok(counters) => counters.processes(),
                Err(why) => Err(why.clone()),
            }
        }

        #[cfg(not(feature = "pdh"))]
        #[allow(clippy::unused_self)]
        fn process_memory(&mut self) -> Result<BTreeMap<Holder, CounterAmounts>, Unavailable> {
            Err(Unavailable::NoBackend("built without performance counters".to_owned()))
        }

        /// Returns the memory in use on an adapter, by all processes.
        #[cfg(feature = "pdh")]
        fn in_use(&mut self, luid: u64) -> Result<CounterAmounts, Unavailable> {
            match self.counters.get_or_insert_with(super::pdh::GpuCounters::open) {
                Ok(counters) => counters.adapters()?.remove(&luid).ok_or(Unavailable::NotProvided),
                Err(why) => Err(why.clone()),
            }
        }

        #[cfg(not(feature = "pdh"))]
        #[allow(clippy::unused_self)]
        fn in_use(&mut self, _: u64) -> Result<CounterAmounts, Unavailable> {
            Err(Unavailable::NoBackend("built without performance counters".to_owned()))
        }

        /// Iterates over this process's memory on each adapter, from DXGI.
        #[cfg(feature = "dxgi")]
        fn own(&self) -> impl Iterator<Item = GpuUsage> + '_ {
            self.factory.iter().flat_map(|factory| {
                let own = |adapter: &Adapter| figures::own_usage(adapter, factory.own_memory(adapter.place)?);
                self.adapters.iter().filter_map(own)
            })
        }
    }

    /// Returns DXGI's adapters, also those that another source knows better.
    #[cfg(feature = "job")]
    pub(crate) fn adapters() -> Result<Vec<Device>, Unavailable> {
        Wddm::default().find(&Roots::default())
    }

    /// Returns how many processes have memory in the performance counters.
    #[cfg(feature = "job")]
    pub(crate) fn counted_holders() -> Result<usize, Unavailable> {
        Ok(super::counters::holder_count(&Wddm::default().process_memory()?))
    }

    impl GpuBackend for Wddm {
        fn name(&self) -> &'static str {
            "DXGI"
        }

        fn source(&self) -> GpuQuerySource {
            GpuQuerySource::Dxgi
        }

        fn find(&mut self, _: &Roots) -> Result<Vec<Device>, Unavailable> {
            #[cfg(feature = "dxgi")]
            {
                let factory = super::dxgi::Factory::open()?;
                self.adapters = factory.adapters();
                self.factory = Some(factory);
            }
            self.adapters.retain(|adapter| !adapter.is_software());
            Ok(self.adapters.iter().map(figures::device).collect())
        }

        fn read(&mut self, _: &Roots, device: &mut Device) {
            let luid =
                self.adapters.iter().find(|adapter| adapter.id() == device.id).map(|adapter| adapter.luid);
            if let Some(luid) = luid {
                let in_use = self.in_use(luid);
                figures::set_used(device, &in_use);
            }
        }

        fn usages(&mut self, _: &Roots, _: &[Device], _: PidFilter<'_>, _: &mut Listing) {
            // `complete` reports all of it: other sources may have found the same devices.
        }

        fn complete(&mut self, _: &Roots, devices: &[Device], whose: PidFilter<'_>, into: &mut Listing) {
            #[cfg(feature = "dxgi")]
            {
                let here = |usage: &GpuUsage| devices.iter().any(|device| device.id == usage.device);
                for usage in self.own().filter(|usage| whose.holds(usage.pid) && here(usage)) {
                    figures::complete(into, usage);
                }
            }
            if whose.is_only(std::process::id()) {
                return;
            }
            match self.process_memory() {
                Ok(memory) => {
                    let usages = memory
                        .iter()
                        .map(|(holder, amounts)| figures::usage(&self.adapters, *holder, *amounts));
                    for usage in usages.flatten().filter(|usage| whose.holds(usage.pid)) {
                        figures::complete(into, usage);
                    }
                }
                // Systems before Windows 10 1709 have no counters; without other devices that is no fault.
                Err(Unavailable::NoBackend(_)) if devices.is_empty() => {}
                Err(why) => {
                    into.gaps.push(Gap::of_source(
                        GpuQuerySource::Pdh,
                        "performance counters of GPU memory",
                        why,
                    ));
                }
            }
        }

        fn raw(&mut self, _: &Roots) -> Vec<String> {
            let mut lines: Vec<String> = self.adapters.iter().map(|adapter| format!("{adapter:?}")).collect();
            match self.process_memory() {
                Ok(memory) => {
                    lines.extend(memory.iter().map(|(holder, amounts)| format!("{holder:?} {amounts:?}")));
                }
                Err(why) => lines.push(why.to_string()),
            }
            lines
        }
    }
}
