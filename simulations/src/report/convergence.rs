//! The convergence picture: agreement, disagreement and live nodes over virtual time, above the faults.
//!
//! All panels share one time axis. Phases are shaded behind them, and an oracle's objections cut through as
//! vertical lines. Faults of a kind share up to [`LANES_MAX`] rows; later overlaps are drawn over each other.

use super::{
    AgreementPoint, FaultSpan, Phase, Report, format,
    markup::{Anchor, Canvas, nothing},
    scale::{Scale, greatest, sampled, thinned},
};

/// The picture, or a sentence if the run measured no agreement.
pub(super) fn chart(report: &Report) -> String {
    let points: Vec<_> = report
        .agreement
        .iter()
        .filter(|point| point.at_seconds.is_finite() && point.agreeing_share.is_finite())
        .collect();
    if points.is_empty() && report.faults.is_empty() {
        return nothing("This run measured no agreement over time and injected no fault.");
    }
    let end = greatest(ends(report), 1.0);
    let time = Scale::linear((0.0, end), (LEFT, WIDTH - RIGHT));
    let lanes = lanes(&report.faults, end);
    let panels_bottom = if points.is_empty() { TOP } else { TOP + PANELS_HEIGHT };
    let lanes_top = panels_bottom + if lanes.is_empty() { 0.0 } else { 26.0 };
    let lanes_height = lanes.iter().map(|lane| lane.rows.len() as f64 * LANE_HEIGHT + LANE_GAP).sum::<f64>();
    let bottom = lanes_top + lanes_height;

    let mut canvas = Canvas::new(WIDTH, bottom + 38.0);
    phases(&mut canvas, &time, &report.phases, bottom);
    if !points.is_empty() {
        panels(&mut canvas, &time, &points);
    }
    draw_lanes(&mut canvas, &time, &lanes, lanes_top);
    canvas.columns(&time, bottom, &time.time_ticks(10), format::tick_seconds);
    canvas.text("tick", (WIDTH - RIGHT, bottom + 32.0), Anchor::End, "virtual time");
    failures(&mut canvas, &time, report, bottom);
    if !points.is_empty() {
        readouts(&mut canvas, &time, &points);
    }
    let sentence =
        if points.is_empty() { nothing("This run measured no agreement over time.") } else { String::new() };
    let picture = canvas.finish("Agreement between the nodes over virtual time, with phases and faults");
    format!("{sentence}<div class=\"scroll broad\">{picture}</div>")
}

fn ends(report: &Report) -> impl Iterator<Item = f64> {
    let phases = report.phases.iter().map(|phase| phase.until_seconds);
    let points = report.agreement.iter().map(|point| point.at_seconds);
    phases.chain(points).chain([report.virtual_seconds]).filter(|end| *end > 0.0)
}

fn phases(canvas: &mut Canvas, time: &Scale, phases: &[Phase], bottom: f64) {
    for (index, phase) in phases.iter().enumerate() {
        let (from, until) = (time.at(phase.from_seconds), time.at(phase.until_seconds));
        let class = match phase.name.as_str() {
            "join" | "start" => "phase-join",
            "faults" => "phase-faults",
            "heal" | "converge" => "phase-heal",
            _ if index % 2 == 0 => "phase-other",
            _ => "phase-plain",
        };
        let span = format!(
            "{}: {} to {}",
            phase.name,
            format::seconds(phase.from_seconds),
            format::seconds(phase.until_seconds)
        );
        canvas.rectangle(class, (from, TOP - 20.0), (until, bottom), &span);
        if until - from > text_width(&phase.name) {
            canvas.text("name", (f64::midpoint(from, until), TOP - 6.0), Anchor::Middle, &phase.name);
        }
    }
}

fn panels(canvas: &mut Canvas, time: &Scale, points: &[&AgreementPoint]) {
    let share = Scale::linear((0.0, 1.0), (TOP + SHARE_HEIGHT, TOP + 12.0));
    canvas.rows(time, &share, &[0.0, 0.25, 0.5, 0.75, 1.0], format::percent);
    let line = thinned(points.iter().map(|point| (point.at_seconds, point.agreeing_share)));
    let floor: Vec<_> = line.iter().map(|(at, _)| (*at, 0.0)).collect();
    canvas.area("fill", time, &share, &line, &floor);
    canvas.curve("curve", time, &share, line);
    panel_name(canvas, TOP + 12.0, &["views that", "are right"]);

    let top = TOP + SHARE_HEIGHT + PANEL_GAP;
    let pairs = |point: &&AgreementPoint| (point.at_seconds, point.disagreeing_pairs as f64);
    let most = greatest(points.iter().map(|point| point.disagreeing_pairs as f64), 1.0).max(1.0);
    let scale = Scale::square_root(most, (top + PAIRS_HEIGHT, top));
    canvas.rows(time, &scale, &scale.ticks(5), format::number);
    let line = thinned(points.iter().map(pairs));
    let floor: Vec<_> = line.iter().map(|(at, _)| (*at, 0.0)).collect();
    canvas.area("fill bad", time, &scale, &line, &floor);
    canvas.curve("curve thin bad", time, &scale, line);
    panel_name(canvas, top, &["pairs that", "disagree", "(root scale)"]);

    let top = top + PAIRS_HEIGHT + PANEL_GAP;
    let live = |point: &&AgreementPoint| (point.at_seconds, point.live_nodes as f64);
    let most = greatest(points.iter().map(|point| point.live_nodes as f64), 1.0).max(1.0);
    let scale = Scale::linear((0.0, most), (top + LIVE_HEIGHT, top));
    canvas.rows(time, &scale, &[0.0, most], format::number);
    canvas.curve("curve thin calm", time, &scale, points.iter().map(live));
    panel_name(canvas, top, &["live nodes"]);
}

fn panel_name(canvas: &mut Canvas, top: f64, lines: &[&str]) {
    for (index, line) in lines.iter().enumerate() {
        let class = if line.starts_with('(') { "tick" } else { "name" };
        canvas.text(class, (0.0, top + 10.0 + index as f64 * 15.0), Anchor::Start, line);
    }
}

fn failures(canvas: &mut Canvas, time: &Scale, report: &Report, bottom: f64) {
    for failure in sampled(&report.failures, 40) {
        let place = time.at(failure.at_seconds);
        canvas.line("failure", (place, TOP), (place, bottom));
    }
    if let Some(first) = report.failures.first() {
        let place = time.at(first.at_seconds);
        let (shift, anchor) = if place > WIDTH * 0.6 { (-5.0, Anchor::End) } else { (5.0, Anchor::Start) };
        let label = format!("✗ {}", first.oracle);
        canvas.text("failure-text", (place + shift, TOP + SHARE_HEIGHT * 0.45), anchor, &label);
    }
}

/// Bands that cannot be seen and say under the pointer what the curves are worth there.
fn readouts(canvas: &mut Canvas, time: &Scale, points: &[&AgreementPoint]) {
    let shown: Vec<_> = sampled(points, READOUTS_MAX).collect();
    let last = shown.last().map(|point| (time.values().1, *point));
    let nexts = shown
        .iter()
        .skip(1)
        .map(|point| (point.at_seconds, point))
        .map(|(at, point)| (at, *point))
        .chain(last);
    for (point, (until, _)) in shown.iter().zip(nexts) {
        let hint = format!(
            "at {}: {} of the views are right, {}, {}",
            format::seconds(point.at_seconds),
            format::percent(point.agreeing_share),
            format::counted(point.disagreeing_pairs, "pair disagrees", "pairs disagree"),
            format::counted(point.live_nodes, "live node", "live nodes"),
        );
        canvas.rectangle(
            "hover",
            (time.at(point.at_seconds), TOP),
            (time.at(until), TOP + PANELS_HEIGHT),
            &hint,
        );
    }
}

/// The faults of one kind, in rows without overlap as far as [`LANES_MAX`] allows.
#[derive(Debug)]
struct Lane<'a> {
    kind: &'a str,
    rows: Vec<Vec<(&'a FaultSpan, f64)>>,
    count: u64,
}

fn lanes(faults: &[FaultSpan], end: f64) -> Vec<Lane<'_>> {
    let mut sorted: Vec<_> = faults.iter().filter(|fault| fault.from_seconds.is_finite()).collect();
    sorted.sort_by(|a, b| a.from_seconds.total_cmp(&b.from_seconds));
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for fault in sorted {
        let until = fault.until_seconds.filter(|until| until.is_finite()).unwrap_or(end);
        let index = lanes.iter().position(|lane| lane.kind == fault.kind).unwrap_or_else(|| {
            lanes.push(Lane { kind: &fault.kind, rows: Vec::new(), count: 0 });
            lanes.len() - 1
        });
        let Some(lane) = lanes.get_mut(index) else { continue };
        lane.count += 1;
        let free =
            |row: &Vec<(&FaultSpan, f64)>| row.last().is_none_or(|(_, until)| *until <= fault.from_seconds);
        let row = lane.rows.iter().position(free).unwrap_or(lane.rows.len());
        if row >= LANES_MAX {
            lane.rows.last_mut().expect("LANES_MAX is above zero").push((fault, until));
        } else if let Some(free) = lane.rows.get_mut(row) {
            free.push((fault, until));
        } else {
            lane.rows.push(vec![(fault, until)]);
        }
    }
    lanes
}

fn draw_lanes(canvas: &mut Canvas, time: &Scale, lanes: &[Lane<'_>], mut top: f64) {
    for lane in lanes {
        let label =
            if lane.count > 1 { format!("{} ×{}", lane.kind, lane.count) } else { lane.kind.to_owned() };
        canvas.text("name", (0.0, top + 12.0), Anchor::Start, &shortened(&label, LEFT - 12.0));
        for row in &lane.rows {
            for (fault, until) in row {
                let from = time.at(fault.from_seconds);
                let to = time.at(*until).max(from + 3.0);
                let ended = fault.until_seconds.map_or_else(
                    || "to the end of the run".to_owned(),
                    |until| format!("to {}", format::seconds(until)),
                );
                let hint = format!(
                    "{}: {}, {} {ended}",
                    fault.kind,
                    fault.what,
                    format::seconds(fault.from_seconds)
                );
                canvas.rectangle("bar", (from, top + 1.0), (to, top + LANE_HEIGHT - 1.0), &hint);
                if to - from > text_width(&fault.what) {
                    canvas.text("in", (from + 5.0, top + LANE_HEIGHT - 4.5), Anchor::Start, &fault.what);
                }
            }
            top += LANE_HEIGHT;
        }
        top += LANE_GAP;
    }
}

/// A text cut to what fits into a width.
fn shortened(text: &str, width: f64) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let mut short = text.to_owned();
    while short.pop().is_some() && text_width(&short) + 8.0 > width {}
    short.push('…');
    short
}

/// About how wide a text in a picture is.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 6.6 + 8.0
}

const WIDTH: f64 = 1120.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 24.0;
const SHARE_HEIGHT: f64 = 230.0;
const PAIRS_HEIGHT: f64 = 90.0;
const LIVE_HEIGHT: f64 = 48.0;
const PANEL_GAP: f64 = 24.0;
const PANELS_HEIGHT: f64 = SHARE_HEIGHT + PAIRS_HEIGHT + LIVE_HEIGHT + 2.0 * PANEL_GAP;
const LANE_HEIGHT: f64 = 16.0;
const LANE_GAP: f64 = 5.0;
/// Rows for the overlapping faults of one kind.
const LANES_MAX: usize = 4;
/// How many read-outs lie over the curves.
const READOUTS_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn nothing_measured_is_a_sentence() {
        assert!(chart(&sample::bare(1, 30)).starts_with("<p class=\"nothing\">"));
        let mut faults_only = sample::report(1, 30);
        faults_only.agreement.clear();
        let picture = chart(&faults_only);
        assert!(picture.contains("measured no agreement") && picture.contains("partition"), "{picture}");
    }

    #[test]
    fn overlapping_faults_of_a_kind_take_rows_up_to_the_limit() {
        let fault = |from: f64, until| FaultSpan {
            kind: "crash".to_owned(),
            what: String::new(),
            from_seconds: from,
            until_seconds: until,
        };
        let apart = [fault(5.0, Some(6.0)), fault(0.0, Some(5.0))];
        assert_eq!(lanes(&apart, 10.0)[0].rows.len(), 1);
        let open = vec![fault(0.0, None); 20];
        let lanes = lanes(&open, 10.0);
        assert_eq!((lanes.len(), lanes[0].rows.len(), lanes[0].count), (1, LANES_MAX, 20));
    }

    #[test]
    fn a_long_run_is_no_larger_picture() {
        let mut report = sample::report(1, 30);
        let point = report.agreement.remove(0);
        let points = (0..200_000).map(|at| AgreementPoint { at_seconds: f64::from(at), ..point.clone() });
        report.agreement = points.collect();
        assert!(chart(&report).len() < 200_000);
    }

    #[test]
    fn numbers_that_are_not_finite_do_not_reach_the_picture() {
        let mut report = sample::report(1, 30);
        report.agreement[1].agreeing_share = f64::NAN;
        report.faults[0].until_seconds = Some(f64::INFINITY);
        report.virtual_seconds = f64::NAN;
        let picture = chart(&report);
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    }
}
