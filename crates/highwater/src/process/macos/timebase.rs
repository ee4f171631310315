//! The length of a tick of `mach_absolute_time`, in which the kernel counts CPU time.

use std::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Nanoseconds of a tick, as a fraction: 1 / 1 on Intel, 125 / 3 on Apple silicon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timebase {
    numer: u64,
    denom: u64,
}

impl Timebase {
    /// Determines the timebase; `None` if no source has it. For a program that Rosetta 2 translates,
    /// `mach_timebase_info` returns an Intel's 1 / 1, while libproc returns ticks of the real processor. The
    /// kernel derives its timebase from `hw.tbfrequency`, for every caller (`sysctl_tbfrequency` in
    /// `bsd/kern/kern_mib.c`, `PE_call_timebase_callback` in `pexpert/arm/pe_init.c`;
    /// `pexpert/i386/pe_identify_machine.c` for Intel).
    ///
    /// `frequency` is `hw.tbfrequency`, ticks a second. `is_translated` means that `sysctl.proc_translated`
    /// is 1. `said` is the result of `mach_timebase_info`, nanoseconds of a tick as a fraction.
    pub(crate) fn of(frequency: Option<u64>, is_translated: bool, said: Option<(u32, u32)>) -> Option<Self> {
        let by_frequency = frequency.map(|frequency| (NANOS_PER_SECOND, frequency)).filter(is_fraction);
        let said = said.filter(|_| !is_translated).map(|(numer, denom)| (numer.into(), denom.into()));
        let (numer, denom) = by_frequency.or_else(|| said.filter(is_fraction))?;
        Some(Self { numer, denom })
    }

    pub(crate) fn time(self, ticks: u64) -> Duration {
        let nanos = u128::from(ticks) * u128::from(self.numer) / u128::from(self.denom);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Returns whether the fraction is a length above 0.
fn is_fraction(&(numer, denom): &(u64, u64)) -> bool {
    numer > 0 && denom > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEL: u64 = 1_000_000_000;
    const APPLE: u64 = 24_000_000;
    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    /// Converts ticks to time.
    fn time(
        ticks: u64,
        frequency: Option<u64>,
        is_translated: bool,
        said: Option<(u32, u32)>,
    ) -> Option<Duration> {
        Timebase::of(frequency, is_translated, said).map(|timebase| timebase.time(ticks))
    }

    #[test]
    fn both_processors_by_their_frequency() {
        assert_eq!(time(INTEL, Some(INTEL), false, Some((1, 1))), SECOND);
        assert_eq!(time(APPLE, Some(APPLE), false, Some((125, 3))), SECOND);
        assert_eq!(time(3, Some(APPLE), false, None), Some(Duration::from_nanos(125)), "125 / 3");
    }

    #[test]
    fn to_a_translated_program_the_ticks_are_not_an_intels() {
        assert_eq!(time(APPLE, Some(APPLE), true, Some((1, 1))), SECOND);
        assert_eq!(time(APPLE, None, true, Some((1, 1))), None, "what is said there is not so");
    }

    #[test]
    fn without_a_frequency_what_is_said() {
        assert_eq!(time(INTEL, None, false, Some((1, 1))), SECOND);
        assert_eq!(time(APPLE, Some(0), false, Some((125, 3))), SECOND);
    }

    #[test]
    fn unknown_if_not_reported() {
        assert_eq!(time(APPLE, None, false, None), None);
        assert_eq!(time(APPLE, None, true, None), None);
        assert_eq!(time(APPLE, Some(0), false, Some((1, 0))), None);
        assert_eq!(time(APPLE, None, false, Some((0, 1))), None);
    }

    #[test]
    fn more_than_fits() {
        assert_eq!(time(u64::MAX, None, false, Some((u32::MAX, 1))), Some(Duration::from_nanos(u64::MAX)));
    }
}
