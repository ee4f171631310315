//! Amounts that only grow, column by column: CPU time, bytes read and written.

use std::collections::BTreeMap;

use super::TimelineColumn;
use crate::{
    job::{
        identity::MemberId,
        resource_use::{ResourceUse, UsageWanted},
    },
    record::{Counter, CounterMetric, CounterUnit, Scope},
};

/// Usage of the job, and of each member that was read, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsedAt {
    pub(crate) total: ResourceUse,
    pub(crate) members: Vec<(MemberId, ResourceUse)>,
}

const CPU: [CounterMetric; 1] = [CounterMetric::CpuTime];
const IO: [CounterMetric; 4] =
    [CounterMetric::Read, CounterMetric::Written, CounterMetric::StorageRead, CounterMetric::StorageWritten];

/// Returns the counters of the job, then those of each member that `row_of` knows and `is_kept`.
pub(super) fn counters(
    columns: &[TimelineColumn],
    wanted: UsageWanted,
    is_kept: impl Fn(MemberId) -> bool,
    row_of: impl Fn(MemberId) -> Option<u64>,
) -> Vec<Counter> {
    let cpu = CPU.iter().filter(|_| wanted.cpu);
    let metrics: Vec<CounterMetric> = cpu.chain(IO.iter().filter(|_| wanted.io)).copied().collect();
    let mut all = Vec::new();
    for &metric in &metrics {
        let mut total = new(metric, Scope::Total, None, 0);
        let mut members: BTreeMap<MemberId, Counter> = BTreeMap::new();
        for (index, column) in columns.iter().enumerate() {
            let Some(used) = &column.used else { continue };
            put(&mut total, index, value(metric, &used.total));
            for (id, used) in used.members.iter().filter(|(id, _)| is_kept(*id)) {
                let line =
                    members.entry(*id).or_insert_with(|| new(metric, Scope::Process, row_of(*id), index));
                put(line, index, value(metric, used));
            }
        }
        all.push(total);
        all.extend(members.into_values());
    }
    all
}

fn new(metric: CounterMetric, scope: Scope, id: Option<u64>, first: usize) -> Counter {
    let unit = match metric {
        CounterMetric::CpuTime => CounterUnit::Microseconds,
        _ => CounterUnit::Bytes,
    };
    Counter { metric, unit, scope, id, first, values: Vec::new() }
}

fn put(line: &mut Counter, index: usize, value: Option<u64>) {
    line.values.resize(index - line.first, None);
    line.values.push(value);
}

fn value(metric: CounterMetric, used: &ResourceUse) -> Option<u64> {
    match metric {
        CounterMetric::CpuTime => Some(u64::try_from(used.cpu?.time().as_micros()).unwrap_or(u64::MAX)),
        CounterMetric::Read => used.io?.read,
        CounterMetric::Written => used.io?.written,
        CounterMetric::StorageRead => used.io?.storage_read,
        CounterMetric::StorageWritten => used.io?.storage_written,
        CounterMetric::Other => None,
    }
}
