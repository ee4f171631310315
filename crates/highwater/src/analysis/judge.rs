//! The rule that judges one quantity: several readings on each side, each with an interval.

use serde::Serialize;

use super::figure::{FigureInterval, FigureReading};

/// The judgement of one quantity, or of all that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It did not grow by more than is allowed.
    Fine,
    /// It seems to have grown by more than is allowed, but the measurements do not prove it.
    NoEvidence,
    /// It grew by more than is allowed.
    Regression,
    /// It is unknown on one side, so it cannot be judged.
    Unknown,
}

/// The reason of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It is smaller, the same, or grown by no more than one of the two thresholds.
    WithinThresholds,
    /// It grew beyond both thresholds and the spread, and the intervals do not overlap.
    Grew,
    /// The base's true value may be as high as the candidate's.
    IntervalsOverlap,
    /// The runs of one side differ among themselves by as much.
    WithinSpread,
    /// It is unknown in the base (or in more than half of its runs).
    UnknownInBase,
    /// It is unknown in the candidate (or in more than half of its runs).
    UnknownInCandidate,
    /// It is unknown on both sides.
    UnknownInBoth,
    /// The two sides do not count the same.
    NotTheSame,
    /// There is no such group in the base.
    New,
    /// There is no such group in the candidate.
    Gone,
}

/// The allowed growth, and the rows that decide.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rules {
    /// The allowed growth in percent of the base.
    pub max_increase_percent: f64,
    /// The allowed growth in bytes. A regression exceeds both.
    pub floor_bytes: u64,
    /// True if a group that grew makes the whole a regression. Otherwise groups explain, and totals decide.
    pub groups_decide: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_increase_percent: 5.0, floor_bytes: 10 << 20, groups_decide: false }
    }
}

impl Rules {
    /// Returns whether growth from `base` by `more` exceeds both thresholds.
    fn exceeded_by(&self, base: u64, more: u64) -> bool {
        // A percentage that is no number allows nothing.
        let allowed = base as f64 * self.max_increase_percent.max(0.0) / 100.0;
        more > 0 && more > self.floor_bytes && more as f64 > allowed
    }
}

/// One quantity in the records of one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Side {
    /// The number of records.
    pub runs: usize,
    /// The number of records in which it is known.
    pub known: usize,
    /// The number of records without such a group.
    pub absent: usize,
    /// Median of the best estimates, in bytes; `null` if it is known in less than half of the runs.
    pub bytes: Option<u64>,
    /// Median of the lower bounds, in bytes.
    pub lower_bytes: Option<u64>,
    /// Median of the upper bounds, in bytes; `null` if there is no upper bound.
    pub upper_bytes: Option<u64>,
    /// Spread of the best estimates in bytes: 1.4826 times their median distance from the median, which for a
    /// normal distribution is the standard deviation. `null` for a single run.
    pub spread_bytes: Option<u64>,
}

impl Side {
    pub(super) fn of(readings: &[FigureReading]) -> Self {
        let known: Vec<FigureInterval> = readings.iter().filter_map(FigureReading::figure).collect();
        let absent = readings.iter().filter(|seen| matches!(seen, FigureReading::Absent)).count();
        let mut side = Self { runs: readings.len(), known: known.len(), absent, ..Self::default() };
        // A record without such a group has no reading.
        if known.is_empty() || known.len() * 2 < readings.len() - absent {
            return side;
        }
        let mut bytes: Vec<u64> = known.iter().map(|figure| figure.bytes).collect();
        let middle = median(&mut bytes);
        side.bytes = Some(middle);
        side.lower_bytes = Some(median(&mut known.iter().map(|figure| figure.lower).collect::<Vec<_>>()));
        side.upper_bytes = upper_median(&known);
        if known.len() > 1 {
            let mut distances: Vec<u64> = bytes.iter().map(|bytes| bytes.abs_diff(middle)).collect();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // The value is positive, and casts saturate.
            let spread = (median(&mut distances) as f64 * 1.4826).round() as u64;
            side.spread_bytes = Some(spread);
        }
        side
    }
}

/// Returns the middle value, or the mean of the two; 0 for an empty list.
fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    if values.is_empty() {
        return 0;
    }
    let (one, two) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    one + (two - one) / 2
}

/// Returns the median of upper bounds; a missing bound is above all others.
fn upper_median(known: &[FigureInterval]) -> Option<u64> {
    let mut ends: Vec<u64> = known.iter().map(|figure| figure.upper.unwrap_or(u64::MAX)).collect();
    ends.sort_unstable();
    let (one, two) = (*ends.get(ends.len().checked_sub(1)? / 2)?, *ends.get(ends.len() / 2)?);
    let bounded = known.iter().filter(|figure| figure.upper.is_some()).count();
    (bounded > ends.len() / 2).then(|| one + (two - one) / 2)
}

/// The number of standard errors that two medians must be apart.
const STANDARD_ERRORS: f64 = 3.0;

/// Judges one quantity.
pub(super) fn judge(base: &Side, candidate: &Side, rules: &Rules) -> (Verdict, Reason) {
    let (before, after) = match (base.bytes, candidate.bytes) {
        (Some(before), Some(after)) => (before, after),
        (None, Some(_)) => return (Verdict::Unknown, Reason::UnknownInBase),
        (Some(_), None) => return (Verdict::Unknown, Reason::UnknownInCandidate),
        (None, None) => return (Verdict::Unknown, Reason::UnknownInBoth),
    };
    let more = after.saturating_sub(before);
    if !rules.exceeded_by(before, more) {
        return (Verdict::Fine, Reason::WithinThresholds);
    }
    if more as f64 <= STANDARD_ERRORS * standard_error(base, candidate) {
        return (Verdict::NoEvidence, Reason::WithinSpread);
    }
    let apart = match (base.upper_bytes, candidate.lower_bytes) {
        (Some(highest_before), Some(lowest_after)) => lowest_after > highest_before,
        _ => false,
    };
    if apart { (Verdict::Regression, Reason::Grew) } else { (Verdict::NoEvidence, Reason::IntervalsOverlap) }
}

/// Judges a new group: from no process to some.
pub(super) fn judge_new(candidate: &Side, base_saw_all: bool, rules: &Rules) -> (Verdict, Reason) {
    match candidate.bytes {
        None => (Verdict::Unknown, Reason::UnknownInCandidate),
        Some(bytes) if bytes <= rules.floor_bytes => (Verdict::Fine, Reason::New),
        Some(_) if base_saw_all => (Verdict::Regression, Reason::New),
        Some(_) => (Verdict::NoEvidence, Reason::New),
    }
}

/// Returns the standard error of the difference of the medians. A side with a single run is taken to scatter
/// like the other. With a single run on both sides the scatter is unknown, and nothing is subtracted.
fn standard_error(base: &Side, candidate: &Side) -> f64 {
    let spread = |side: &Side, other: &Side| side.spread_bytes.or(other.spread_bytes).unwrap_or(0) as f64;
    let variance = |side: &Side, other: &Side| {
        // For several values it is the error of a normal distribution's median; for a single value, its own.
        let factor = if side.known > 1 { std::f64::consts::FRAC_PI_2 / side.known as f64 } else { 1.0 };
        spread(side, other).powi(2) * factor
    };
    (variance(base, candidate) + variance(candidate, base)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn points(mib: &[u64]) -> Side {
        let seen: Vec<_> =
            mib.iter().map(|mib| FigureReading::Known(FigureInterval::point(mib * MIB))).collect();
        Side::of(&seen)
    }

    fn interval(lower: u64, bytes: u64, upper: Option<u64>) -> Side {
        let upper = upper.map(|upper| upper * MIB);
        Side::of(&[FigureReading::Known(FigureInterval { bytes: bytes * MIB, lower: lower * MIB, upper })])
    }

    fn verdict(base: &Side, candidate: &Side) -> (Verdict, Reason) {
        judge(base, candidate, &Rules::default())
    }

    #[test]
    fn both_thresholds_must_be_exceeded() {
        let grown = |from: u64, to: u64| verdict(&points(&[from]), &points(&[to])).0;
        assert_eq!(grown(1000, 1049), Verdict::Fine, "49 MiB, but not 5 %");
        assert_eq!(grown(100, 110), Verdict::Fine, "10 %, but not more than 10 MiB");
        assert_eq!(grown(100, 111), Verdict::Regression);
        assert_eq!(grown(1000, 1051), Verdict::Regression);
        assert_eq!(grown(1000, 10), Verdict::Fine);
        assert_eq!(grown(0, 11), Verdict::Regression);
    }

    #[test]
    fn without_thresholds_every_growth_counts_and_nothing_else() {
        let none = Rules { max_increase_percent: 0.0, floor_bytes: 0, groups_decide: false };
        let side = |bytes| Side::of(&[FigureReading::Known(FigureInterval::point(bytes))]);
        assert_eq!(judge(&side(1000), &side(1000), &none).0, Verdict::Fine);
        assert_eq!(judge(&side(1000), &side(1001), &none).0, Verdict::Regression);
    }

    #[test]
    fn intervals_that_overlap_prove_nothing() {
        let (base, near, far) =
            (interval(90, 100, Some(140)), interval(120, 150, Some(160)), interval(141, 150, Some(160)));
        assert_eq!(verdict(&base, &near), (Verdict::NoEvidence, Reason::IntervalsOverlap));
        assert_eq!(verdict(&base, &far), (Verdict::Regression, Reason::Grew));
        assert_eq!(verdict(&interval(90, 100, None), &far), (Verdict::NoEvidence, Reason::IntervalsOverlap));
    }

    #[test]
    fn noise_is_no_regression() {
        let noisy = [100, 130, 90, 120, 105];
        assert_eq!(verdict(&points(&noisy), &points(&[118, 125, 99])).0, Verdict::NoEvidence);
        assert_eq!(verdict(&points(&noisy), &points(&[125])).1, Reason::WithinSpread);
        assert_eq!(verdict(&points(&noisy), &points(&[250, 230, 240])).0, Verdict::Regression);
        assert_eq!(verdict(&points(&[100, 101, 99]), &points(&[125])).0, Verdict::Regression);
        // One outlier does not count.
        assert_eq!(verdict(&points(&[100, 101, 99]), &points(&[100, 900, 101])).0, Verdict::Fine);
    }

    #[test]
    fn what_is_not_known_is_not_0() {
        let unknown = Side::of(&[FigureReading::Unknown]);
        assert_eq!(verdict(&unknown, &points(&[100])), (Verdict::Unknown, Reason::UnknownInBase));
        assert_eq!(verdict(&points(&[100]), &unknown), (Verdict::Unknown, Reason::UnknownInCandidate));
        assert_eq!(verdict(&Side::of(&[]), &unknown), (Verdict::Unknown, Reason::UnknownInBoth));
        let seldom = [
            FigureReading::Known(FigureInterval::point(MIB)),
            FigureReading::Unknown,
            FigureReading::Unknown,
        ];
        assert_eq!(Side::of(&seldom).bytes, None);
        assert_eq!(Side::of(&seldom[..2]).bytes, Some(MIB));
    }

    #[test]
    fn medians() {
        assert_eq!(median(&mut [3, 1, 2]), 2);
        assert_eq!(median(&mut [u64::MAX, u64::MAX - 2]), u64::MAX - 1);
        let ends = |ends: &[Option<u64>]| {
            let known: Vec<_> =
                ends.iter().map(|&upper| FigureInterval { bytes: 0, lower: 0, upper }).collect();
            upper_median(&known)
        };
        assert_eq!(ends(&[Some(3), None, Some(5)]), Some(5));
        assert_eq!(ends(&[Some(3), None]), None);
        assert_eq!(ends(&[]), None);
    }
}
