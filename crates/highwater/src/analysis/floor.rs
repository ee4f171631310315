//! The floor of a series: the memory that stayed, without what came and went above it.

/// The number of windows of a series; their minima remove spikes and short teeth.
const FLOOR_WINDOWS: usize = 64;

/// A moment and the memory at that moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FloorPoint {
    pub(super) at: f64,
    pub(super) bytes: f64,
}

/// Returns the minima of up to 64 windows of equal length, each at the moment of its lowest point.
pub(super) fn window_minima(points: &[FloorPoint]) -> Vec<FloorPoint> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let length = (last.at - first.at) / FLOOR_WINDOWS as f64;
    let mut minima: Vec<FloorPoint> = Vec::with_capacity(FLOOR_WINDOWS);
    let mut end = f64::NEG_INFINITY;
    for point in points {
        match minima.last_mut() {
            Some(lowest) if point.at < end => {
                if point.bytes <= lowest.bytes {
                    *lowest = *point;
                }
            }
            _ => {
                let window = ((point.at - first.at) / length).floor() + 1.0;
                // The last moment belongs to the last window.
                end = if window < FLOOR_WINDOWS as f64 { first.at + length * window } else { f64::INFINITY };
                minima.push(*point);
            }
        }
    }
    minima
}

/// The teeth of a series: rises whose gain was released again.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Teeth {
    /// The largest release: how far the series had been above a later value.
    pub(super) height: f64,
    /// The index of the bottom after the last large release.
    pub(super) last_bottom: Option<usize>,
    /// The longest time from one bottom to the next.
    pub(super) longest: f64,
}

/// Finds the teeth. A release is large if it has at least half of the largest one's height.
pub(super) fn teeth(points: &[FloorPoint]) -> Teeth {
    let mut highest = f64::NEG_INFINITY;
    let height = points.iter().fold(0.0_f64, |height, point| {
        highest = highest.max(point.bytes);
        height.max(highest - point.bytes)
    });
    let mut found = Teeth { height, ..Teeth::default() };
    if height <= 0.0 {
        return found;
    }
    let large = height / 2.0;
    let (mut peak, mut bottom, mut falling) = (f64::NEG_INFINITY, 0, false);
    let mut former_bottom = points.first().map_or(0.0, |point| point.at);
    for (index, point) in points.iter().enumerate() {
        if falling {
            if point.bytes <= points[bottom].bytes {
                bottom = index;
            } else if point.bytes - points[bottom].bytes >= large {
                (falling, peak) = (false, point.bytes);
                found.longest = found.longest.max(points[bottom].at - former_bottom);
                former_bottom = points[bottom].at;
            }
        } else {
            peak = peak.max(point.bytes);
            if peak - point.bytes >= large {
                (falling, bottom) = (true, index);
            }
        }
        if falling {
            found.last_bottom = Some(bottom);
        }
    }
    if let Some(last) = found.last_bottom {
        found.longest = found.longest.max(points[last].at - former_bottom);
    }
    found
}

/// Returns the floor at each point: the least value of the series from there on, in straight lines between
/// bottoms.
///
/// After the last large release the series may be in the middle of another tooth. Its gain there counts only
/// beyond the height of the earlier teeth. If no more than the longest tooth's time has passed since, the
/// floor ends there.
pub(super) fn kept(points: &[FloorPoint]) -> Vec<FloorPoint> {
    let teeth = teeth(points);
    let mut lowest_after = f64::INFINITY;
    // From the end, these are the points that no later one undercuts.
    let mut bottoms: Vec<FloorPoint> = points
        .iter()
        .rev()
        .filter(|point| {
            let is_bottom = point.bytes <= lowest_after;
            lowest_after = lowest_after.min(point.bytes);
            is_bottom
        })
        .copied()
        .collect();
    bottoms.reverse();
    let Some(last) = teeth.last_bottom.and_then(|index| points.get(index)) else { return bottoms };
    let end = bottoms.last().map_or(last.at, |point| point.at);
    if end - last.at <= teeth.longest {
        bottoms.retain(|point| point.at <= last.at);
    } else {
        for point in bottoms.iter_mut().filter(|point| point.at > last.at) {
            point.bytes = last.bytes + (point.bytes - last.bytes - teeth.height).max(0.0);
        }
    }
    bottoms
}

/// Returns the floor at a moment: in a straight line between its points. Between points farther apart than
/// `farthest` it is a step at the later one.
pub(super) fn at(floor: &[FloorPoint], moment: f64, farthest: f64) -> f64 {
    let after = floor.partition_point(|point| point.at < moment);
    match (after.checked_sub(1).and_then(|before| floor.get(before)), floor.get(after)) {
        (Some(before), Some(after)) if after.at - before.at > farthest && moment < after.at => before.bytes,
        (Some(before), Some(after)) => {
            let part = (moment - before.at) / (after.at - before.at);
            before.bytes + (after.bytes - before.bytes) * part.clamp(0.0, 1.0)
        }
        (Some(only), None) | (None, Some(only)) => only.bytes,
        (None, None) => 0.0,
    }
}

/// Returns the median of the slopes between all pairs of points (Theil-Sen), in bytes per second.
pub(super) fn slope(points: &[FloorPoint]) -> Option<f64> {
    let pairs = points.iter().enumerate().flat_map(|(index, one)| {
        let later = points[index + 1..].iter().filter(move |two| two.at > one.at);
        later.map(move |two| (two.bytes - one.bytes) / (two.at - one.at))
    });
    let mut slopes: Vec<f64> = pairs.filter(|slope| slope.is_finite()).collect();
    if slopes.is_empty() {
        return None;
    }
    let middle = slopes.len() / 2;
    Some(*slopes.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // These are whole numbers, which floats represent exactly.
mod tests {
    use super::*;

    fn series(bytes: &[f64]) -> Vec<FloorPoint> {
        bytes.iter().enumerate().map(|(at, &bytes)| FloorPoint { at: at as f64, bytes }).collect()
    }

    #[test]
    fn minima_of_windows() {
        let points: Vec<_> =
            (0..6400).map(|i| FloorPoint { at: f64::from(i), bytes: f64::from(i % 10) }).collect();
        let minima = window_minima(&points);
        assert_eq!(minima.len(), 64);
        assert!(minima.iter().all(|point| point.bytes == 0.0));
        assert_eq!(window_minima(&points[..1]), points[..1]);
        assert!(window_minima(&[]).is_empty());
    }

    #[test]
    fn teeth_are_what_was_released() {
        let found = teeth(&series(&[1.0, 5.0, 9.0, 1.0, 5.0, 9.0, 1.0, 5.0]));
        assert_eq!(found, Teeth { height: 8.0, last_bottom: Some(6), longest: 3.0 });
        assert_eq!(teeth(&series(&[1.0, 2.0, 3.0])), Teeth::default());
    }

    #[test]
    fn a_tooth_in_progress_is_not_kept() {
        let flat = kept(&series(&[1.0, 5.0, 9.0, 1.0, 5.0, 9.0, 1.0, 5.0]));
        assert!(flat.iter().all(|point| point.bytes == 1.0), "{flat:?}");
        let rising = kept(&series(&[1.0, 9.0, 2.0, 10.0, 3.0, 11.0]));
        assert_eq!(rising.iter().map(|point| point.bytes).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
        let beyond = kept(&series(&[1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(beyond.last().map(|point| point.bytes), Some(5.0));
    }

    #[test]
    fn slopes_withstand_outliers() {
        let mut points = series(&[0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0]);
        points[4].bytes = 1e9;
        assert_eq!(slope(&points), Some(2.0));
        assert_eq!(slope(&points[..1]), None);
    }

    #[test]
    fn between_points_the_floor_is_straight() {
        let floor = series(&[0.0, 10.0]);
        assert_eq!([-1.0, 0.25, 7.0].map(|moment| at(&floor, moment, 1.0)), [0.0, 2.5, 10.0]);
        assert_eq!([0.25, 0.99, 1.0].map(|moment| at(&floor, moment, 0.5)), [0.0, 0.0, 10.0]);
    }
}
