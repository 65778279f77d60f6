//! A study as one HTML file: for each thing that was varied, a curve of every measure, a colour for each
//! size.

use super::{
    format,
    html::fact,
    markup::{Anchor, Canvas, escape, nothing, page, section},
    scale::{Scale, greatest},
    study::{COLUMNS, Column, NOTE, StudyReport, StudyRow},
};

/// A study as a complete HTML document without references to anything outside it.
#[must_use]
pub fn study_html(report: &StudyReport) -> String {
    let sizes = sizes(report);
    let mut body = header(report, &sizes);
    for (name, rows) in report.series() {
        let charts: String = COLUMNS.iter().filter_map(|column| chart(column, &rows, &sizes)).collect();
        let content = if charts.is_empty() {
            nothing("The runs measured nothing.")
        } else {
            format!("<div class=\"small\">{charts}</div>{}", legend(&sizes))
        };
        body += &section("", name, "", &content);
    }
    body += "<footer>Written by here-sim. A seed and the build reproduce a run event for event.</footer>\n";
    page(&format!("Study {}", report.name), &body)
}

/// The sizes, smallest first; the place of one is its colour.
fn sizes(report: &StudyReport) -> Vec<u64> {
    let mut sizes: Vec<u64> = report.rows.iter().map(|row| row.nodes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn header(report: &StudyReport, sizes: &[u64]) -> String {
    let runs = report.rows.iter().map(|row| row.runs.len() as u64).sum();
    let sizes: Vec<_> = sizes.iter().copied().map(format::grouped).collect();
    let commits = report.commits().join(", ");
    let facts = [
        fact("", "runs", &format::grouped(runs)),
        fact("wide", "mesh sizes, in nodes", &sizes.join(", ")),
        fact("wide", "commit", &format!("<code>{}</code>", escape(&commits))),
    ];
    format!(
        "<header><div class=\"top\"><h1>Study {}</h1></div><p>{}.</p><p>{}</p><dl>{}</dl></header>\n",
        escape(&report.name),
        escape(&report.summary),
        escape(NOTE),
        facts.concat()
    )
}

/// One measure against the values of a series; nothing if no run measured it.
fn chart(column: &Column, rows: &[&StudyRow], sizes: &[u64]) -> Option<String> {
    let unit = rows.iter().find_map(|row| row.spread(column))?.unit;
    let most = greatest(rows.iter().filter_map(|row| row.spread(column)).map(|spread| spread.max), 1.0);
    let mut values: Vec<(&str, String)> = Vec::new();
    for row in rows {
        if !values.iter().any(|(value, _)| *value == row.value) {
            values.push((&row.value, row.marked_value()));
        }
    }
    let last = values.len().saturating_sub(1) as f64;
    let x = Scale::linear((-0.4, last + 0.4), (LEFT, WIDTH - RIGHT));
    let y = Scale::linear((0.0, if most > 0.0 { most * 1.08 } else { 1.0 }), (BOTTOM, TOP));
    let show = |value: f64| format::quantity(value, &unit);

    let mut canvas = Canvas::new(WIDTH, BOTTOM + 36.0);
    let label = |value| if format::is_scaled(&unit) { show(value) } else { format::number(value) };
    canvas.rows(&x, &y, &y.ticks(4), label);
    canvas.columns(&x, BOTTOM, &[], format::number);
    for (place, (_, marked)) in values.iter().enumerate() {
        // Long values stand on two heights, so that they do not run into each other.
        let height = if place % 2 == 1 && values.len() > 4 { 29.0 } else { 16.0 };
        canvas.text("tick", (x.at(place as f64), BOTTOM + height), Anchor::Middle, marked);
    }
    for (colour, nodes) in sizes.iter().enumerate() {
        let mut points = Vec::new();
        for row in rows.iter().filter(|row| row.nodes == *nodes) {
            let place = values.iter().position(|(value, _)| *value == row.value).unwrap_or(0) as f64;
            let (Some(value), Some(spread)) = (row.value_of(column), row.spread(column)) else { continue };
            points.push((place, value));
            canvas.line("mark", (x.at(place), y.at(spread.min)), (x.at(place), y.at(spread.max)));
            let nodes = format::counted(*nodes, "node", "nodes");
            let hint = format!("{nodes}, {}: {}", row.value, show(value));
            canvas.dot(&format!("c{colour}"), (x.at(place), y.at(value)), 3.5, &hint);
        }
        canvas.curve(&format!("curve thin l{colour}"), &x, &y, points);
    }
    let picture = canvas.finish(&format!("{} against the value, by size", column.head));
    Some(format!("<div><h3>{}</h3>{picture}</div>", escape(column.head)))
}

fn legend(sizes: &[u64]) -> String {
    let entries: String = sizes
        .iter()
        .enumerate()
        .map(|(colour, nodes)| {
            let nodes = format::counted(*nodes, "node", "nodes");
            format!("<span><i class=\"c{colour}\"></i>{}</span>", escape(&nodes))
        })
        .collect();
    format!("<div class=\"legend\">{entries}</div>")
}

const WIDTH: f64 = 360.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 170.0;

#[cfg(test)]
mod tests {
    use super::{super::study::tests::report, *};

    #[test]
    fn every_measure_of_every_series_is_a_chart_with_a_dot_for_each_point() {
        let page = study_html(&report());
        assert!(page.contains("How many &lt;links&gt;") && !page.contains("<links>"));
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("NaN"));
        // Three measures: three points of the first series, one of the second.
        assert_eq!(page.matches("<circle").count(), 3 * 3 + 3);
        assert!(page.contains("30 nodes, 3: 60 ms") && page.contains(">4 *</text>"));
        assert!(page.contains("300 nodes"));
    }

    #[test]
    fn a_study_that_measured_nothing_is_a_sentence() {
        let mut report = report();
        report.rows.retain(|row| row.nodes == 300 && row.is_default);
        assert!(study_html(&report).contains("measured nothing"));
    }
}
