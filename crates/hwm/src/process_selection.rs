//! The rows that `hwm ps` and `hwm watch` show, and their order.

use std::{cmp::Ordering, fmt};

use clap::ValueEnum;
use highwater::{
    Unavailable,
    gpu::Figure,
    listing::{ListScope, ProcessRow},
};
use regex_lite::Regex;

use crate::text;

/// The order of the rows: amounts from the highest down, pid and name up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum RowOrder {
    /// Memory on the card.
    #[default]
    Vram,
    /// System RAM mapped for the GPU.
    Gtt,
    /// Resident set.
    Rss,
    /// Use of the processors.
    Cpu,
    /// Process id.
    Pid,
    /// Name.
    Name,
}

/// The rows that are wanted.
#[derive(Debug, Default)]
pub(crate) struct ProcessSelection {
    pub(crate) scope: ListScope,
    /// Less than this is left out.
    pub(crate) min: Option<u64>,
    pub(crate) filter: Option<Regex>,
    pub(crate) order: RowOrder,
}

impl ProcessSelection {
    /// Returns whether the row is selected. A row with an unknown value is kept: it may be the one that is looked for.
    pub(crate) fn keeps(&self, row: &ProcessRow) -> bool {
        self.would_keep_named(row)
            && self
                .filter
                .as_ref()
                .is_none_or(|regex| row.name.as_ref().is_ok_and(|name| regex.is_match(name)))
    }

    /// Returns whether it would be kept if its name matched.
    pub(crate) fn would_keep_named(&self, row: &ProcessRow) -> bool {
        self.min.is_none_or(|min| self.may_reach(row, min))
    }

    fn may_reach(&self, row: &ProcessRow, min: u64) -> bool {
        let figure = |figure: Option<&Figure>| {
            figure.is_some_and(|figure| figure.reading.upper().is_none_or(|upper| upper >= min))
        };
        let is_known = |figure: Option<&Figure>| figure.is_some_and(|figure| figure.bytes().is_some());
        // If one of the two is known, an unknown other one (VRAM of a process that holds none) does not keep the row.
        let gpu = match (is_known(row.vram()), is_known(row.gpu_system_memory())) {
            (true, false) => figure(row.vram()),
            (false, true) => figure(row.gpu_system_memory()),
            _ => figure(row.vram()) || figure(row.gpu_system_memory()),
        };
        let ram = match &row.rss_bytes {
            Ok(rss) => *rss >= min,
            // Only kernel threads and zombies hold nothing for certain.
            Err(why) => *why != Unavailable::NoMemoryMap,
        };
        gpu || self.scope.without_gpu && ram
    }

    pub(crate) fn sort(&self, rows: &mut [ProcessRow]) {
        rows.sort_by(|a, b| {
            let by = match self.order {
                RowOrder::Vram => bytes(b.vram()).cmp(&bytes(a.vram())),
                RowOrder::Gtt => bytes(b.gpu_system_memory()).cmp(&bytes(a.gpu_system_memory())),
                RowOrder::Rss => rss(b).cmp(&rss(a)),
                RowOrder::Cpu => percent(b).total_cmp(&percent(a)),
                RowOrder::Pid => Ordering::Equal,
                RowOrder::Name => {
                    let name = |row: &ProcessRow| (row.name.is_err(), row.name.clone().unwrap_or_default());
                    name(a).cmp(&name(b))
                }
            };
            let by_memory = || {
                let of = |row: &ProcessRow| (bytes(row.vram()), bytes(row.gpu_system_memory()), rss(row));
                if self.order == RowOrder::Pid { Ordering::Equal } else { of(b).cmp(&of(a)) }
            };
            by.then_with(by_memory).then_with(|| (a.pid, index(a)).cmp(&(b.pid, index(b))))
        });
    }
}

/// Returns the key for sorting. An unknown amount stands below every amount, but above an amount that is not held.
fn bytes(figure: Option<&Figure>) -> (bool, Option<u64>) {
    (figure.is_some(), figure.and_then(Figure::bytes))
}

fn rss(row: &ProcessRow) -> Option<u64> {
    row.rss_bytes.as_ref().ok().copied()
}

fn percent(row: &ProcessRow) -> f64 {
    row.cpu.map_or(-1.0, |cpu| cpu.percent)
}

fn index(row: &ProcessRow) -> Option<u32> {
    row.gpu.as_ref().and_then(|holding| holding.device.index)
}

/// The filters as the summary names them: ` matching pid=99 device=0`.
impl fmt::Display for ProcessSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        let mut pids: Vec<_> = self.scope.pids.iter().collect();
        pids.sort_unstable();
        if !pids.is_empty() {
            words.push(format!("pid={}", pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")));
        }
        words.extend(self.scope.device.map(|index| format!("device={index}")));
        words.extend(self.min.map(|min| format!("min={}", text::size(min).replace(' ', ""))));
        words.extend(self.filter.as_ref().map(|regex| format!("filter={regex}")));
        if words.is_empty() { Ok(()) } else { write!(f, " matching {}", words.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use highwater::{
        gpu::{AmountKind, DeviceId, FigureScope, FigureSource, GpuUsage, Pool, Reading},
        listing::{GpuHolding, HoldingDevice},
    };

    use super::*;

    fn row(pid: u32, name: &str, vram: Reading, gtt: Reading, rss: u64) -> ProcessRow {
        let figure = |reading| {
            Figure::new(
                reading,
                FigureScope::Process,
                Pool::Dedicated,
                AmountKind::Resident,
                FigureSource::Nvml,
            )
        };
        let device = DeviceId::new("0000:03:00.0");
        let usage = GpuUsage::new(pid, device.clone(), figure(vram), figure(gtt));
        let mut row = ProcessRow::new(pid);
        row.name = Ok(name.to_owned());
        row.rss_bytes = Ok(rss);
        row.gpu = Some(GpuHolding::new(HoldingDevice::unlisted(&device), usage));
        row
    }

    fn all() -> ProcessSelection {
        ProcessSelection { scope: ListScope::all(), ..ProcessSelection::default() }
    }

    fn unknown() -> Reading {
        Reading::Unknown(Unavailable::NotSupported)
    }

    #[test]
    fn only_what_is_surely_less_is_left_out() {
        let selection = ProcessSelection { min: Some(100), ..ProcessSelection::default() };
        let keeps = |vram, gtt| selection.keeps(&row(1, "x", vram, gtt, 1000));
        assert!(keeps(Reading::Known(100), unknown()));
        assert!(!keeps(Reading::Known(99), unknown()), "NVIDIA's driver never reports the other");
        assert!(keeps(Reading::Known(0), Reading::Known(100)), "an APU's memory is all there");
        assert!(keeps(unknown(), unknown()));
        assert!(keeps(Reading::AtLeast(1), Reading::Known(0)));
        assert!(!keeps(Reading::AtMost(99), Reading::Known(0)));
        assert!(keeps(Reading::Between { lower: 1, upper: 100 }, Reading::Known(0)));
        let with_ram = ProcessSelection { min: Some(100), ..all() };
        assert!(with_ram.keeps(&row(1, "x", Reading::Known(0), unknown(), 1000)));
        let ram = |why| {
            let mut row = ProcessRow::new(1);
            row.rss_bytes = Err(why);
            with_ram.keeps(&row)
        };
        assert!(ram(Unavailable::PermissionDenied), "a protected process may hold that much");
        assert!(
            ram(Unavailable::Failed("no fields".to_owned())),
            "a process of unknown size may hold that much"
        );
        assert!(!ram(Unavailable::NoMemoryMap), "a thread of the kernel holds none");
        let mut protected_holder = row(1, "x", Reading::Known(0), Reading::Known(0), 0);
        protected_holder.rss_bytes = Err(Unavailable::PermissionDenied);
        assert!(with_ram.keeps(&protected_holder), "its RAM is unknown");
        assert!(!selection.keeps(&protected_holder), "its GPU memory is known, and RAM was not asked for");
    }

    #[test]
    fn orders() {
        let rows = || {
            let mut unheld = ProcessRow::new(9);
            (unheld.rss_bytes, unheld.name) = (Ok(7), Ok("init".to_owned()));
            let mut unnamed = row(3, "", unknown(), Reading::Known(1), 5);
            unnamed.name = Err(Unavailable::PermissionDenied);
            vec![
                unheld,
                unnamed,
                row(2, "b", Reading::Known(10), unknown(), 1),
                row(1, "a", Reading::Known(20), unknown(), 3),
            ]
        };
        let sorted = |order| {
            let mut rows = rows();
            ProcessSelection { order, ..ProcessSelection::default() }.sort(&mut rows);
            rows.iter().map(|row| row.pid).collect::<Vec<_>>()
        };
        assert_eq!(sorted(RowOrder::Vram), [1, 2, 3, 9], "unknown, then none");
        assert_eq!(sorted(RowOrder::Gtt), [3, 1, 2, 9]);
        assert_eq!(sorted(RowOrder::Rss), [9, 3, 1, 2]);
        assert_eq!(sorted(RowOrder::Pid), [1, 2, 3, 9]);
        assert_eq!(sorted(RowOrder::Name), [1, 2, 9, 3]);
    }

    #[test]
    fn described() {
        assert_eq!(ProcessSelection::default().to_string(), "");
        let mut selection = all();
        selection.scope.pids = [7, 5].into();
        selection.scope.device = Some(1);
        assert_eq!(selection.to_string(), " matching pid=5,7 device=1");
    }
}
