//! Turns the clients of one process on one device into one [`GpuUsage`].

use super::{
    fdinfo::{DrmClient, EngineTime},
    regions::{Amount, Holding},
};
use crate::{
    Unavailable,
    gpu::{AmountKind, Device, Engine, Figure, FigureScope, FigureSource, GpuUsage, Pool, Reading},
};

/// Returns the memory of `pid` on `device` through `clients`, each of which is listed once. `Err` in place of
/// a client means that its text could not be read or has no amount, so its memory is unknown.
pub(super) fn usage(pid: u32, device: &Device, clients: &[Result<DrmClient, Unavailable>]) -> GpuUsage {
    let reported = |client: &DrmClient| Holding::of(client, device.driver.as_deref());
    let holdings: Vec<Holding> =
        clients.iter().map(|client| client.as_ref().map_or(Holding::Unreported, reported)).collect();
    // Two texts without a client id may describe one client.
    let anonymous = clients.iter().flatten().filter(|client| client.id.is_none()).count() > 0;
    let sum_up = |pool, of: fn(&Holding) -> Option<Amount>| {
        let amounts: Vec<_> = holdings.iter().map(of).collect();
        let (reading, kind) = sum(&amounts, anonymous && clients.len() > 1);
        // If all that failed has one reason, it is the reason of the sum.
        let reading = match (reading, clients.iter().find_map(|client| client.as_ref().err())) {
            (Reading::Unknown(_), Some(why)) => Reading::Unknown(why.clone()),
            (reading, _) => reading,
        };
        Figure::new(reading, FigureScope::Process, pool, kind, FigureSource::Fdinfo)
    };

    let has_card = holdings.iter().any(|holding| matches!(holding, Holding::Card { .. }));
    let has_unified = holdings.iter().any(|holding| matches!(holding, Holding::Unified(_)));
    let is_unified = !has_card && (has_unified || device.total.pool == Pool::Unified);
    let (vram, system) = if is_unified {
        let vram = sum_up(Pool::Unified, |holding| match holding {
            Holding::Unified(amount) => Some(*amount),
            _ => None,
        });
        // The same memory is not shown twice.
        let none = Reading::Unknown(Unavailable::NotSupported);
        let system = Figure::new(none, FigureScope::Process, Pool::System, vram.kind, FigureSource::Fdinfo);
        (vram, system)
    } else {
        let vram = sum_up(Pool::Dedicated, |holding| match holding {
            Holding::Card { card, .. } => *card,
            _ => None,
        });
        let system = sum_up(Pool::System, |holding| match holding {
            Holding::Card { system, .. } => *system,
            _ => None,
        });
        (vram, system)
    };

    let mut usage = GpuUsage::new(pid, device.id.clone(), vram, system);
    usage.engines = engines(clients.iter().flatten());
    usage.client_names = clients.iter().flatten().filter_map(|client| client.name.clone()).collect();
    usage.client_names.sort_unstable();
    usage.client_names.dedup();
    usage
}

/// Sums the clients. Buffers shared between clients of one process count in each, so the sum is an upper
/// bound. The lower bound is all of one client plus the private memory of the others.
fn sum(amounts: &[Option<Amount>], may_be_one: bool) -> (Reading, AmountKind) {
    let known: Vec<Amount> = amounts.iter().flatten().copied().collect();
    let kinds = |kind| known.iter().any(|amount| amount.kind == kind);
    let (is_allocated, is_mixed) =
        (kinds(AmountKind::Allocated), kinds(AmountKind::Allocated) && kinds(AmountKind::Resident));
    let kind = if is_allocated { AmountKind::Allocated } else { AmountKind::Resident };
    if known.is_empty() {
        return (Reading::Unknown(Unavailable::NotProvided), kind);
    }
    let upper = known.iter().fold(0_u64, |sum, amount| sum.saturating_add(amount.bytes));
    let largest = known.iter().map(|amount| amount.bytes).max().unwrap_or_default();
    let private = known.iter().fold(0_u64, |sum, amount| sum.saturating_add(amount.private));
    let shared =
        known.iter().map(|amount| amount.bytes.saturating_sub(amount.private)).max().unwrap_or_default();
    let lower = if may_be_one { largest } else { private.saturating_add(shared).clamp(largest, upper) };
    if known.len() < amounts.len() || is_mixed {
        // Unknown clients add to the sum, and what is resident is part of what is allocated.
        return (Reading::AtLeast(lower), kind);
    }
    (Reading::between(lower, upper), kind)
}

/// Sums engine times by name over all clients.
fn engines<'a>(clients: impl Iterator<Item = &'a DrmClient>) -> Vec<Engine> {
    let mut engines = Vec::<Engine>::new();
    for (name, time) in clients.flat_map(|client| &client.engines) {
        let Some(engine) = engine(name, time) else { continue };
        match engines
            .iter_mut()
            .find(|known| known.name == engine.name && known.of.is_some() == engine.of.is_some())
        {
            Some(sum) => {
                sum.busy = sum.busy.saturating_add(engine.busy);
                // All readings are of one clock of the device, one moment apart.
                sum.of = sum.of.max(engine.of);
                sum.capacity = sum.capacity.max(engine.capacity);
            }
            None => engines.push(engine),
        }
    }
    engines.sort_by(|a, b| a.name.cmp(&b.name));
    engines
}

/// Returns an engine's time; `None` if the unit is unknown, as for cycles without their clock.
fn engine(name: &str, time: &EngineTime) -> Option<Engine> {
    let (busy, of) = match (time.ns, time.cycles, time.total_cycles) {
        (Some(ns), ..) => (ns, None),
        (None, Some(cycles), Some(total)) => (cycles, Some(total)),
        _ => return None,
    };
    let capacity = time.capacity.and_then(|capacity| u32::try_from(capacity).ok()).unwrap_or(1);
    Some(Engine { name: name.to_owned(), busy, of, capacity })
}

#[cfg(test)]
mod tests;
