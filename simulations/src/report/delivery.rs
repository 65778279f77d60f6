//! The delivery picture: which share of the changes had arrived after which time.

use super::{
    DeliveryPoint, format,
    markup::{Anchor, Canvas, nothing},
    scale::{Scale, greatest, least, thinned},
};

/// The picture, or a sentence if the run timed no delivery.
pub(super) fn chart(delivery: &[DeliveryPoint]) -> String {
    let mut points: Vec<_> = delivery
        .iter()
        .map(|point| (point.milliseconds, point.share))
        .filter(|(time, share)| time.is_finite() && *time >= 0.0 && share.is_finite())
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let Some(last) = points.last().copied() else {
        return nothing("This run timed no delivery.");
    };
    let time = time_scale(&points);
    let share = Scale::linear((0.0, 1.0), (BOTTOM, TOP));

    let mut canvas = Canvas::new(WIDTH, BOTTOM + 38.0);
    canvas.rows(&time, &share, &[0.0, 0.25, 0.5, 0.75, 1.0], format::percent);
    let ticks = if is_wide(&points) { time.ticks(6) } else { time.ticks(5) };
    canvas.columns(&time, BOTTOM, &ticks, format::milliseconds);
    let axis = if is_wide(&points) { "time to arrive (logarithmic)" } else { "time to arrive" };
    canvas.text("tick", (WIDTH - RIGHT, BOTTOM + 32.0), Anchor::End, axis);

    let line = thinned(steps(&points, time.values().0));
    let floor: Vec<_> = line.iter().map(|(at, _)| (*at, 0.0)).collect();
    canvas.area("fill", &time, &share, &line, &floor);
    canvas.curve("curve", &time, &share, line);
    marks(&mut canvas, &time, &share, &points);
    let missing = if last.1 < 1.0 - 1e-9 {
        nothing(&format!("The curve ends at {}: the other changes did not arrive.", format::percent(last.1)))
    } else {
        String::new()
    };
    canvas.finish("Cumulative distribution of the time a change took to arrive") + &missing
}

/// The quantiles of the distribution that it reaches, with their names: p50, p90, p99 and the greatest.
pub(super) fn quantiles(points: &[(f64, f64)]) -> Vec<(&'static str, f64, f64)> {
    QUANTILES
        .into_iter()
        .filter_map(|(name, wanted)| {
            let reached = points.iter().find(|(_, share)| *share >= wanted - 1e-9)?;
            Some((name, wanted, reached.0))
        })
        .collect()
}

/// Whether the times differ so much that the axis must be logarithmic.
fn is_wide(points: &[(f64, f64)]) -> bool {
    let (low, high) = positive_range(points);
    high > low * WIDE_RATIO
}

fn positive_range(points: &[(f64, f64)]) -> (f64, f64) {
    let positive = || points.iter().map(|point| point.0).filter(|time| *time > 0.0);
    (least(positive(), 1.0), greatest(positive(), 1.0))
}

fn time_scale(points: &[(f64, f64)]) -> Scale {
    let (low, high) = positive_range(points);
    let places = (LEFT, WIDTH - RIGHT);
    if is_wide(points) {
        Scale::logarithmic((low, high * 1.15), places)
    } else {
        Scale::linear((0.0, high * 1.05), places)
    }
}

/// The distribution as a staircase: flat until the next arrival, then up.
fn steps(points: &[(f64, f64)], start: f64) -> Vec<(f64, f64)> {
    let before = std::iter::once(0.0).chain(points.iter().map(|(_, share)| *share));
    let stairs =
        points.iter().zip(before).flat_map(|((time, share), before)| [(*time, before), (*time, *share)]);
    std::iter::once((start, 0.0)).chain(stairs).collect()
}

fn marks(canvas: &mut Canvas, time: &Scale, share: &Scale, points: &[(f64, f64)]) {
    for (index, (name, wanted, at)) in quantiles(points).into_iter().enumerate() {
        let (x, y) = (time.at(at), share.at(wanted));
        let label = format!("{name} {}", format::milliseconds(at));
        canvas.line("mark", (x, y), (x, BOTTOM));
        canvas.dot("dot", (x, y), 4.0, &label);
        let (shift, anchor) = if x + 6.0 + label.len() as f64 * 7.0 > WIDTH {
            (-6.0, Anchor::End)
        } else {
            (6.0, Anchor::Start)
        };
        let row = share.at(0.40 - 0.11 * index as f64);
        canvas.text("label", (x + shift, row), anchor, &label);
    }
}

const WIDTH: f64 = 540.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 280.0;
/// The marked shares, with their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
/// From which ratio of the greatest to the least time on the axis is logarithmic.
const WIDE_RATIO: f64 = 30.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_deliveries_are_a_sentence() {
        assert!(chart(&[]).contains("timed no delivery"));
        assert!(chart(&[DeliveryPoint { milliseconds: f64::NAN, share: 1.0 }]).contains("timed no delivery"));
    }

    #[test]
    fn quantiles_are_the_first_times_that_reach_the_share() {
        let points = [(1.0, 0.5), (2.0, 0.9), (3.0, 0.995)];
        assert_eq!(quantiles(&points), [("p50", 0.5, 1.0), ("p90", 0.9, 2.0), ("p99", 0.99, 3.0)]);
        assert_eq!(quantiles(&[(4.0, 1.0)]).last(), Some(&("max", 1.0, 4.0)));
    }

    #[test]
    fn a_wide_range_gets_a_logarithmic_axis_and_missing_changes_are_said() {
        let points =
            [(1.0, 0.5), (500.0, 0.9)].map(|(milliseconds, share)| DeliveryPoint { milliseconds, share });
        let picture = chart(&points);
        assert!(picture.contains("logarithmic") && picture.contains("ends at 90 %"), "{picture}");
        let same = [DeliveryPoint { milliseconds: 0.0, share: 1.0 }];
        assert!(!chart(&same).contains("NaN"));
    }
}
