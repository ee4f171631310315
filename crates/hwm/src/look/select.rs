//! Which rows are wanted, and in which order.

use std::{cmp::Ordering, collections::HashSet, fmt};

use clap::ValueEnum;
use highwater::{Unavailable, gpu::Figure};
use regex_lite::Regex;

use super::Row;

/// What the rows are sorted by: amounts from the highest down, pid and name up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Order {
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

/// Which rows are wanted.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Empty: all.
    pub(crate) pids: HashSet<u32>,
    pub(crate) device: Option<u32>,
    /// Less than this is left out.
    pub(crate) min: Option<u64>,
    pub(crate) filter: Option<Regex>,
    /// Those without GPU memory too.
    pub(crate) all: bool,
    pub(crate) order: Order,
}

impl Selection {
    pub(crate) fn may_be(&self, pid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid)
    }

    /// What is unknown is kept: it may be what is looked for.
    pub(super) fn keeps(&self, row: &Row) -> bool {
        self.would_keep_named(row)
            && self
                .filter
                .as_ref()
                .is_none_or(|regex| row.name.as_ref().is_ok_and(|name| regex.is_match(name)))
    }

    /// Whether it would be kept if its name matched.
    pub(super) fn would_keep_named(&self, row: &Row) -> bool {
        self.may_be(row.pid)
            && self.device.is_none_or(|index| row.device.as_ref().is_some_and(|of| of.index == Some(index)))
            && self.min.is_none_or(|min| self.may_reach(row, min))
    }

    fn may_reach(&self, row: &Row, min: u64) -> bool {
        let figure = |figure: Option<&Figure>| {
            figure.is_some_and(|figure| figure.reading.upper().is_none_or(|upper| upper >= min))
        };
        let is_known = |figure: Option<&Figure>| figure.is_some_and(|figure| figure.bytes().is_some());
        // Where one of the two is known, an unknown other one (VRAM of what has none) does not keep the row.
        let gpu = match (is_known(row.vram.as_ref()), is_known(row.gtt.as_ref())) {
            (true, false) => figure(row.vram.as_ref()),
            (false, true) => figure(row.gtt.as_ref()),
            _ => figure(row.vram.as_ref()) || figure(row.gtt.as_ref()),
        };
        let ram = match &row.rss {
            Ok(rss) => *rss >= min,
            Err(why) => row.vram.is_none() && *why == Unavailable::PermissionDenied,
        };
        gpu || self.all && ram
    }

    pub(super) fn sort(&self, rows: &mut [Row]) {
        rows.sort_by(|a, b| {
            let by = match self.order {
                Order::Vram => bytes(b.vram.as_ref()).cmp(&bytes(a.vram.as_ref())),
                Order::Gtt => bytes(b.gtt.as_ref()).cmp(&bytes(a.gtt.as_ref())),
                Order::Rss => rss(b).cmp(&rss(a)),
                Order::Cpu => percent(b).total_cmp(&percent(a)),
                Order::Pid => Ordering::Equal,
                Order::Name => {
                    let name = |row: &Row| (row.name.is_err(), row.name.clone().unwrap_or_default());
                    name(a).cmp(&name(b))
                }
            };
            let by_memory = || {
                let of = |row: &Row| (bytes(row.vram.as_ref()), bytes(row.gtt.as_ref()), rss(row));
                if self.order == Order::Pid { Ordering::Equal } else { of(b).cmp(&of(a)) }
            };
            by.then_with(by_memory).then_with(|| (a.pid, index(a)).cmp(&(b.pid, index(b))))
        });
    }
}

/// What is unknown stands below every amount, but above what is not held.
fn bytes(figure: Option<&Figure>) -> (bool, Option<u64>) {
    (figure.is_some(), figure.and_then(Figure::bytes))
}

fn rss(row: &Row) -> Option<u64> {
    row.rss.as_ref().ok().copied()
}

fn percent(row: &Row) -> f64 {
    row.cpu.map_or(-1.0, |cpu| cpu.percent)
}

fn index(row: &Row) -> Option<u32> {
    row.device.as_ref().and_then(|device| device.index)
}

/// The filters as the summary names them: ` matching pid=99 device=0`.
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        let mut pids: Vec<_> = self.pids.iter().collect();
        pids.sort_unstable();
        if !pids.is_empty() {
            words.push(format!("pid={}", pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")));
        }
        words.extend(self.device.map(|index| format!("device={index}")));
        words.extend(self.min.map(|min| format!("min={}", crate::text::size(min).replace(' ', ""))));
        words.extend(self.filter.as_ref().map(|regex| format!("filter={regex}")));
        if words.is_empty() { Ok(()) } else { write!(f, " matching {}", words.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use highwater::gpu::{Kind, Pool, Reading, Scope, Source};

    use super::*;

    fn row(pid: u32, name: &str, vram: Reading, gtt: Reading, rss: u64) -> Row {
        let figure =
            |reading| Figure::new(reading, Scope::Process, Pool::Dedicated, Kind::Resident, Source::Nvml);
        Row {
            name: Ok(name.to_owned()),
            vram: Some(figure(vram)),
            gtt: Some(figure(gtt)),
            rss: Ok(rss),
            ..Row::without_usage(pid, false)
        }
    }

    fn unknown() -> Reading {
        Reading::Unknown(Unavailable::NotSupported)
    }

    #[test]
    fn only_what_is_surely_less_is_left_out() {
        let selection = Selection { min: Some(100), ..Selection::default() };
        let keeps = |vram, gtt| selection.keeps(&row(1, "x", vram, gtt, 1000));
        assert!(keeps(Reading::Known(100), unknown()));
        assert!(!keeps(Reading::Known(99), unknown()), "NVIDIA's driver never tells the other");
        assert!(keeps(Reading::Known(0), Reading::Known(100)), "an APU's memory is all there");
        assert!(keeps(unknown(), unknown()));
        assert!(keeps(Reading::AtLeast(1), Reading::Known(0)));
        assert!(!keeps(Reading::AtMost(99), Reading::Known(0)));
        assert!(keeps(Reading::Between { lower: 1, upper: 100 }, Reading::Known(0)));
        let with_ram = Selection { min: Some(100), all: true, ..Selection::default() };
        assert!(with_ram.keeps(&row(1, "x", Reading::Known(0), unknown(), 1000)));
        let ram = |rss| with_ram.keeps(&Row { rss: Err(rss), ..Row::without_usage(1, false) });
        assert!(ram(Unavailable::PermissionDenied), "who is protected may hold that much");
        assert!(!ram(Unavailable::NoMemoryMap), "a thread of the kernel holds none");
    }

    #[test]
    fn orders() {
        let rows = || {
            let unheld = Row { rss: Ok(7), name: Ok("init".to_owned()), ..Row::without_usage(9, false) };
            let unnamed = Row { name: Err(String::new()), ..row(3, "", unknown(), Reading::Known(1), 5) };
            vec![
                unheld,
                unnamed,
                row(2, "b", Reading::Known(10), unknown(), 1),
                row(1, "a", Reading::Known(20), unknown(), 3),
            ]
        };
        let sorted = |order| {
            let mut rows = rows();
            Selection { order, ..Selection::default() }.sort(&mut rows);
            rows.iter().map(|row| row.pid).collect::<Vec<_>>()
        };
        assert_eq!(sorted(Order::Vram), [1, 2, 3, 9], "unknown, then none");
        assert_eq!(sorted(Order::Gtt), [3, 1, 2, 9]);
        assert_eq!(sorted(Order::Rss), [9, 3, 1, 2]);
        assert_eq!(sorted(Order::Pid), [1, 2, 3, 9]);
        assert_eq!(sorted(Order::Name), [1, 2, 9, 3]);
    }

    #[test]
    fn said() {
        assert_eq!(Selection::default().to_string(), "");
        let selection = Selection { pids: [7, 5].into(), device: Some(1), all: true, ..Selection::default() };
        assert_eq!(selection.to_string(), " matching pid=5,7 device=1");
    }
}
