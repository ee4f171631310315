//! Estimates with 95 % confidence intervals.
//!
//! A ratio is formed inside each pair (A then B, a moment apart), so that a slow phase of the machine slows
//! both. The ratios' logarithms are averaged and given Student's t interval. Back from the logarithm that is
//! the geometric mean, in which twice as slow and twice as quick cancel out. Plain figures get the arithmetic
//! mean and the same kind of interval.

/// A figure and the interval in which it lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// The estimate itself.
    pub(crate) mid: f64,
    /// Lower end of the interval; -infinity for a single value.
    pub(crate) low: f64,
    /// Upper end of the interval.
    pub(crate) high: f64,
}

impl Estimate {
    /// The same estimate in another unit.
    pub(crate) fn map(self, convert: impl Fn(f64) -> f64) -> Self {
        Self { mid: convert(self.mid), low: convert(self.low), high: convert(self.high) }
    }
}

/// Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
const T_95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// Returns the two-sided 95 % quantile of Student's t. Beyond the table it is the first term of its expansion about the
/// normal quantile z: z + (z^3 + z) / 4n (Abramowitz and Stegun 26.7.5).
fn t_95(degrees: usize) -> f64 {
    let Some(index) = degrees.checked_sub(1) else { return f64::INFINITY };
    T_95.get(index).copied().unwrap_or_else(|| {
        let z = 1.959_964_f64;
        z + (z.powi(3) + z) / (4.0 * degrees as f64)
    })
}

/// Returns the arithmetic mean with its interval; `None` without values.
pub(crate) fn mean(values: &[f64]) -> Option<Estimate> {
    if values.is_empty() {
        return None;
    }
    let n = values.len() as f64;
    let mid = values.iter().sum::<f64>() / n;
    if values.len() == 1 {
        return Some(Estimate { mid, low: f64::NEG_INFINITY, high: f64::INFINITY });
    }
    let variance = values.iter().map(|value| (value - mid).powi(2)).sum::<f64>() / (n - 1.0);
    let half = t_95(values.len() - 1) * (variance / n).sqrt();
    Some(Estimate { mid, low: mid - half, high: mid + half })
}

/// Returns the geometric mean of B / A over the pairs (A, B), with its interval. `None` without pairs, or if
/// a value is not above 0 and so has no ratio.
pub(crate) fn ratio(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Estimate> {
    let mut logs = Vec::new();
    for (a, b) in pairs {
        if !(a > 0.0 && b > 0.0) {
            return None;
        }
        logs.push((b / a).ln());
    }
    mean(&logs).map(|estimate| estimate.map(f64::exp))
}

/// The smallest value that at least `share` of the values do not exceed (nearest rank); `None` without values.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-3 * expected.abs().max(1.0), "{value}, expected {expected}");
    }

    #[test]
    fn mean_has_students_interval() {
        // Mean 3, standard deviation sqrt(2.5), t(4) = 2.776: half width 2.776 * sqrt(0.5) = 1.963.
        let estimate = mean(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        near(estimate.mid, 3.0);
        near(estimate.low, 1.037);
        near(estimate.high, 4.963);
    }

    #[test]
    fn one_value_has_no_interval() {
        let estimate = mean(&[7.0]).unwrap();
        near(estimate.mid, 7.0);
        assert!(estimate.low.is_infinite() && estimate.high.is_infinite());
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn halving_and_doubling_cancel_out() {
        let estimate = ratio([(1.0, 2.0), (2.0, 1.0), (3.0, 6.0), (6.0, 3.0)]).unwrap();
        near(estimate.mid, 1.0);
        assert!(estimate.low < 1.0 && estimate.high > 1.0);
    }

    #[test]
    fn ratio_is_of_the_second_to_the_first() {
        let estimate = ratio([(1.0, 1.5), (10.0, 15.0), (100.0, 150.0)]).unwrap();
        near(estimate.mid, 1.5);
        near(estimate.low, 1.5);
        near(estimate.high, 1.5);
    }

    #[test]
    fn ratio_with_nothing_measured_is_unknown() {
        assert_eq!(ratio([(1.0, 1.0), (0.0, 1.0)]), None);
        assert_eq!(ratio([]), None);
    }

    #[test]
    fn quantile_takes_the_nearest_rank() {
        let values: Vec<f64> = (1..=30).rev().map(f64::from).collect();
        near(quantile(&values, 0.95).unwrap(), 29.0);
        near(quantile(&values, 0.5).unwrap(), 15.0);
        near(quantile(&values, 1.0).unwrap(), 30.0);
        near(quantile(&values, 0.0).unwrap(), 1.0);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn t_falls_towards_the_normal_quantile() {
        assert!(t_95(0).is_infinite());
        near(t_95(14), 2.145);
        near(t_95(60), 2.000);
        near(t_95(100_000), 1.960);
        assert!((1..200).all(|degrees| t_95(degrees) >= t_95(degrees + 1)));
    }
}
