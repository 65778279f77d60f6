//! From values to places on a picture: scales, their ticks, and thinning of long series.

/// The most points a drawn path keeps.
pub const POINTS_MAX: usize = 1500;

/// Maps a range of values to a range of coordinates. Values outside are drawn at the nearer edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    bend: Bend,
    values: (f64, f64),
    places: (f64, f64),
}

/// How a scale spreads its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bend {
    Linear,
    Logarithm,
    SquareRoot,
}

impl Scale {
    /// Equal differences take equal room.
    pub(super) fn linear(values: (f64, f64), places: (f64, f64)) -> Self {
        let high = if values.1 > values.0 { values.1 } else { values.0 + 1.0 };
        Self { bend: Bend::Linear, values: (values.0, high), places }
    }

    /// Equal ratios take equal room; values must be above zero.
    pub(super) fn logarithmic(values: (f64, f64), places: (f64, f64)) -> Self {
        let low = values.0.max(f64::MIN_POSITIVE);
        let high = if values.1 > low { values.1 } else { low * 10.0 };
        Self { bend: Bend::Logarithm, values: (low, high), places }
    }

    /// From zero to `high`, with more room for small values.
    pub(super) fn square_root(high: f64, places: (f64, f64)) -> Self {
        Self { bend: Bend::SquareRoot, values: (0.0, if high > 0.0 { high } else { 1.0 }), places }
    }

    /// Where a value stands.
    pub(super) fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let bent = |value: f64| match self.bend {
            Bend::Linear => value,
            Bend::Logarithm => value.log10(),
            Bend::SquareRoot => value.sqrt(),
        };
        let value = if value.is_finite() { value.clamp(low, high) } else { low };
        let share = (bent(value) - bent(low)) / (bent(high) - bent(low));
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// The least and greatest value.
    pub(super) fn values(&self) -> (f64, f64) {
        self.values
    }

    /// The first and last place.
    pub(super) fn places(&self) -> (f64, f64) {
        self.places
    }

    /// Round values to mark, at most about `count` of them, apart enough to be labelled.
    pub(super) fn ticks(&self, count: u32) -> Vec<f64> {
        let (low, high) = self.values;
        match self.bend {
            Bend::Linear => multiples(low, high, round_step((high - low) / f64::from(count.max(1)))),
            Bend::Logarithm | Bend::SquareRoot => self.spaced_ticks(count),
        }
    }

    /// Round values of a time axis in seconds: whole seconds, minutes and hours.
    pub(super) fn time_ticks(&self, count: u32) -> Vec<f64> {
        let (low, high) = self.values;
        let least = (high - low) / f64::from(count.max(1));
        let step = TIME_STEPS_SECONDS.into_iter().find(|step| *step >= least);
        multiples(low, high, step.unwrap_or_else(|| round_step(least)))
    }

    fn spaced_ticks(&self, count: u32) -> Vec<f64> {
        let (low, high) = self.values;
        let apart = (self.places.1 - self.places.0).abs() / f64::from(count.max(1));
        let mut kept: Vec<f64> = if self.bend == Bend::SquareRoot { vec![0.0] } else { Vec::new() };
        for factors in [&[1.0][..], &[1.0, 2.0, 5.0][..]] {
            for value in
                (-9..15).rev().flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
            {
                let far = |other: &f64| (self.at(value) - self.at(*other)).abs() >= apart;
                if value >= low && value <= high && kept.iter().all(far) {
                    kept.push(value);
                }
            }
        }
        kept.sort_by(f64::total_cmp);
        kept
    }
}

/// The points of a line, at most [`POINTS_MAX`]: of every stretch of neighbours the lowest and the highest.
/// Points that are not finite are left out.
pub(super) fn thinned(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let points: Vec<_> = points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    if points.len() <= POINTS_MAX {
        return points;
    }
    let stretch = points.len().div_ceil(POINTS_MAX / 2 - 1);
    let mut kept = Vec::with_capacity(POINTS_MAX);
    kept.extend(points.first());
    for part in points.chunks(stretch) {
        let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = part.iter().min_by(by_height).zip(part.iter().max_by(by_height));
        if let Some((low, high)) = ends {
            let (early, late) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            kept.push(*early);
            if early != late {
                kept.push(*late);
            }
        }
    }
    kept.extend(points.last());
    kept
}

/// At most `count` of the items, evenly spread, the first among them.
pub(super) fn sampled<T>(items: &[T], count: usize) -> impl Iterator<Item = &T> {
    items.iter().step_by(items.len().div_ceil(count.max(1)).max(1))
}

/// The greatest finite value, or `fallback` if there is none.
pub(super) fn greatest(values: impl IntoIterator<Item = f64>, fallback: f64) -> f64 {
    values.into_iter().filter(|value| value.is_finite()).max_by(f64::total_cmp).unwrap_or(fallback)
}

/// The least finite value, or `fallback` if there is none.
pub(super) fn least(values: impl IntoIterator<Item = f64>, fallback: f64) -> f64 {
    values.into_iter().filter(|value| value.is_finite()).min_by(f64::total_cmp).unwrap_or(fallback)
}

/// The multiples of `step` between two values, at most [`TICKS_MAX`].
fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil();
    (0..TICKS_MAX)
        .map(|index| (first + f64::from(index)) * step)
        .take_while(|value| *value <= high + step * 1e-6)
        .collect()
}

/// The least of 1, 2, 5, 10, 20, 50, … (and 0.5, 0.2, …) that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-12).log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least)
        .unwrap_or(10.0 * power)
}

/// Steps that people count time in, in seconds.
const TIME_STEPS_SECONDS: [f64; 19] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0,
    7200.0, 21_600.0, 86_400.0,
];

/// A limit against an axis with endless ticks.
const TICKS_MAX: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_map_ends_to_ends() {
        let linear = Scale::linear((0.0, 10.0), (100.0, 0.0));
        assert_eq!((linear.at(0.0), linear.at(5.0), linear.at(99.0)), (100.0, 50.0, 0.0));
        assert_eq!(linear.at(f64::NAN), 100.0);
        let log = Scale::logarithmic((1.0, 100.0), (0.0, 2.0));
        assert!((log.at(10.0) - 1.0).abs() < 1e-9);
        assert!((Scale::square_root(100.0, (0.0, 10.0)).at(25.0) - 5.0).abs() < 1e-9);
        assert!(Scale::linear((3.0, 3.0), (0.0, 1.0)).at(3.0).is_finite());
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(Scale::linear((0.0, 1.0), (0.0, 1.0)).ticks(4), [0.0, 0.5, 1.0]);
        assert_eq!(Scale::linear((0.0, 130.0), (0.0, 1.0)).time_ticks(5), [0.0, 30.0, 60.0, 90.0, 120.0]);
        assert_eq!(Scale::logarithmic((1.0, 1000.0), (0.0, 90.0)).ticks(4), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(Scale::square_root(100.0, (0.0, 60.0)).ticks(3), [0.0, 20.0, 100.0]);
    }

    #[test]
    fn thinning_keeps_the_extremes_and_the_limit() {
        let spike = 77_777;
        let points = (0..200_000).map(|index| (f64::from(index), if index == spike { 9.0 } else { 1.0 }));
        let kept = thinned(points);
        assert!(kept.len() <= POINTS_MAX, "{}", kept.len());
        assert!(kept.contains(&(f64::from(spike), 9.0)));
        assert_eq!(kept.first().map(|point| point.0), Some(0.0));
        assert_eq!(kept.last().map(|point| point.0), Some(199_999.0));
        assert!(kept.is_sorted_by(|a, b| a.0 <= b.0));
        assert_eq!(thinned([(0.0, f64::NAN), (1.0, 2.0)]), [(1.0, 2.0)]);
    }
}
