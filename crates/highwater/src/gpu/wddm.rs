//! Windows' own account of GPU memory (WDDM), for every vendor: DXGI tells of the adapters and of this process, the
//! performance counters of every process.
//!
//! What a process holds there is what the video memory manager has promised it, and may be more than the card has.

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
        counters::{Amounts, Holder},
        figures::{self, Adapter},
    };
    use crate::{
        Roots, Unavailable,
        gpu::{
            Device, Gap, Listing, Usage,
            backend::{Backend, PidFilter},
        },
    };

    /// DXGI's adapters and the counters, open.
    #[derive(Debug, Default)]
    pub(in super::super) struct Wddm {
        adapters: Vec<Adapter>,
        #[cfg(feature = "dxgi")]
        factory: Option<super::dxgi::Factory>,
        #[cfg(feature = "pdh")]
        counters: Option<Result<super::pdh::Counters, Unavailable>>,
    }

    impl Wddm {
        /// What each process holds on each adapter, by the performance counters.
        #[cfg(feature = "pdh")]
        fn held(&mut self) -> Result<BTreeMap<Holder, Amounts>, Unavailable> {
            match self.counters.get_or_insert_with(super::pdh::Counters::open) {
                Ok(counters) => counters.processes(),
                Err(why) => Err(why.clone()),
            }
        }

        #[cfg(not(feature = "pdh"))]
        #[allow(clippy::unused_self)]
        fn held(&mut self) -> Result<BTreeMap<Holder, Amounts>, Unavailable> {
            Err(Unavailable::NoBackend("built without performance counters".to_owned()))
        }

        /// What is in use on each adapter, by whomever.
        #[cfg(feature = "pdh")]
        fn in_use(&mut self, luid: u64) -> Result<Amounts, Unavailable> {
            match self.counters.get_or_insert_with(super::pdh::Counters::open) {
                Ok(counters) => counters.adapters()?.remove(&luid).ok_or(Unavailable::NotProvided),
                Err(why) => Err(why.clone()),
            }
        }

        #[cfg(not(feature = "pdh"))]
        #[allow(clippy::unused_self)]
        fn in_use(&mut self, _: u64) -> Result<Amounts, Unavailable> {
            Err(Unavailable::NoBackend("built without performance counters".to_owned()))
        }

        /// What this process holds, by DXGI.
        fn own(&self) -> Vec<Usage> {
            #[cfg(feature = "dxgi")]
            if let Some(factory) = &self.factory {
                let own = |adapter: &Adapter| figures::own_usage(adapter, factory.own_memory(adapter.place)?);
                return self.adapters.iter().filter_map(own).collect();
            }
            Vec::new()
        }
    }

    /// The adapters of DXGI, also those that another source knows better.
    #[cfg(feature = "job")]
    pub(crate) fn adapters() -> Result<Vec<Device>, Unavailable> {
        Wddm::default().find(&Roots::default())
    }

    /// How many processes hold some by the performance counters.
    #[cfg(feature = "job")]
    pub(crate) fn counted_holders() -> Result<usize, Unavailable> {
        Ok(super::counters::holding(&Wddm::default().held()?))
    }

    impl Backend for Wddm {
        fn name(&self) -> &'static str {
            "DXGI"
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
            // All of it is told by `complete`: other sources may have found the same devices.
        }

        fn complete(&mut self, _: &Roots, devices: &[Device], whose: PidFilter<'_>, into: &mut Listing) {
            let here = |usage: &Usage| devices.iter().any(|device| device.id == usage.device);
            for usage in self.own().into_iter().filter(|usage| whose.holds(usage.pid) && here(usage)) {
                figures::complete(into, usage);
            }
            if whose.is_only(std::process::id()) {
                return;
            }
            match self.held() {
                Ok(held) => {
                    let usages =
                        held.iter().map(|(holder, held)| figures::usage(&self.adapters, *holder, *held));
                    for usage in usages.flatten().filter(|usage| whose.holds(usage.pid)) {
                        figures::complete(into, usage);
                    }
                }
                // Systems before Windows 10 1709 have none, which is no failure where nothing else is known either.
                Err(Unavailable::NoBackend(_)) if devices.is_empty() => {}
                Err(why) => {
                    into.gaps.push(Gap { what: "performance counters of GPU memory".to_owned(), why });
                }
            }
        }

        fn raw(&mut self, _: &Roots) -> Vec<String> {
            let mut lines: Vec<String> = self.adapters.iter().map(|adapter| format!("{adapter:?}")).collect();
            match self.held() {
                Ok(held) => lines.extend(held.iter().map(|(holder, held)| format!("{holder:?} {held:?}"))),
                Err(why) => lines.push(why.to_string()),
            }
            lines
        }
    }
}
