//! A sweep as one HTML file: each metric against the size of the mesh, and the runs that failed.

use super::{
    Outcome, Report, Spread, Sweep, format,
    html::fact,
    markup::{Anchor, Canvas, escape, nothing, page, section},
    scale::{Scale, greatest, least},
    sweep::{first_failure, outcome_word, spreads},
    tables,
};

/// A sweep as a complete HTML document without references to anything outside it.
#[must_use]
pub fn sweep_html(sweep: &Sweep) -> String {
    let mut body = header(sweep);
    body += &section("", "Failed runs", "", &failed(sweep));
    body += &section("", "Metrics against the size of the mesh", CHARTS_NOTE, &charts(sweep));
    body += &section("", "Numbers", "", &numbers(sweep));
    body += "<footer>Written by here-sim. A seed and the build reproduce a run event for event.</footer>\n";
    page(&format!("{}: {}", sweep.scenario, format::counted(sweep.runs.len() as u64, "run", "runs")), &body)
}

fn header(sweep: &Sweep) -> String {
    let failed = sweep.failed().count();
    let badge = match failed {
        _ if sweep.runs.is_empty() => String::new(),
        0 => "<span class=\"badge passed\">all passed</span>".to_owned(),
        failed => format!("<span class=\"badge failed\">{} of {} failed</span>", failed, sweep.runs.len()),
    };
    let first = sweep.runs.first();
    let summary = first.map_or("", |run| run.summary.as_str());
    let sizes: Vec<_> = sweep.sizes().into_keys().map(format::grouped).collect();
    let virtual_seconds: f64 = sweep.runs.iter().map(|run| run.virtual_seconds).sum();
    let wall_seconds: f64 = sweep.runs.iter().map(|run| run.wall_seconds).sum();
    let facts = [
        fact("", "runs", &format::grouped(sweep.runs.len() as u64)),
        fact(
            "wide",
            "mesh sizes, in nodes",
            &if sizes.is_empty() { "none".to_owned() } else { sizes.join(", ") },
        ),
        fact("", "virtual time in all", &format::seconds(virtual_seconds)),
        fact("", "wall time in all", &format::seconds(wall_seconds)),
        first.map_or_else(String::new, |run| {
            fact("wide", "commit", &format!("<code>{}</code>", escape(&run.build.commit)))
        }),
    ];
    format!(
        "<header><div class=\"top\"><h1>{}</h1>{badge}</div><p>{}</p><dl>{}</dl></header>\n",
        escape(&sweep.scenario),
        escape(summary),
        facts.concat()
    )
}

fn failed(sweep: &Sweep) -> String {
    let rows = sweep.failed().map(|run| {
        tables::row(&[
            tables::number(&format::grouped(run.nodes)),
            tables::number(&run.seed.to_string()),
            format!("<td class=\"fixed bad\">{}</td>", outcome_word(run.outcome)),
            tables::cell(&first_failure(run)),
        ])
    });
    let empty = if sweep.runs.is_empty() { "The sweep holds no runs." } else { "Every run passed." };
    tables::table(&["#nodes", "#seed", "outcome", "first failure"], rows, empty)
}

fn numbers(sweep: &Sweep) -> String {
    let rows = sweep.sizes().into_iter().flat_map(|(nodes, runs)| {
        let failed = runs.iter().filter(|run| run.outcome != Outcome::Passed).count();
        let total = runs.len();
        spreads(&runs).into_iter().map(move |(name, spread)| {
            let over = match (spread.bound, spread.over) {
                (None, _) => "<td></td>".to_owned(),
                (Some(_), 0) => "<td class=\"ok\">ok</td>".to_owned(),
                (Some(_), over) => format!("<td class=\"fixed bad\">{over} of {} not kept</td>", spread.runs),
            };
            tables::row(&[
                tables::number(&format::grouped(nodes)),
                tables::cell(&name),
                tables::number(&spread.show(spread.median)),
                tables::number(&spread.show(spread.min)),
                tables::number(&spread.show(spread.max)),
                over,
                tables::number(&format!("{failed} of {total}")),
            ])
        })
    });
    let head = ["#nodes", "metric", "#median", "#least", "#greatest", "bound", "#runs failed"];
    tables::table(&head, rows, "The runs measured nothing.")
}

fn charts(sweep: &Sweep) -> String {
    let runs: Vec<&Report> = sweep.runs.iter().collect();
    let sizes: Vec<_> =
        sweep.sizes().into_iter().map(|(nodes, runs)| (nodes as f64, spreads(&runs))).collect();
    let charts: String = spreads(&runs)
        .into_iter()
        .map(|(name, overall)| {
            let points: Vec<_> = sizes
                .iter()
                .filter_map(|(nodes, spreads)| {
                    let found = spreads.iter().find(|(other, _)| *other == name)?;
                    Some((*nodes, &found.1))
                })
                .collect();
            let shown = if overall.unit.is_empty() || format::is_scaled(&overall.unit) {
                escape(&name)
            } else {
                format!("{} <span class=\"quiet\">in {}</span>", escape(&name), escape(&overall.unit))
            };
            format!("<div><h3>{shown}</h3>{}</div>", chart(&overall, &points, &runs))
        })
        .collect();
    if charts.is_empty() {
        nothing("The runs measured nothing.")
    } else {
        format!("<div class=\"small\">{charts}</div>")
    }
}

/// One metric: a dot per run, the band from least to greatest, the medians as a line, the bound.
fn chart(overall: &Spread, sizes: &[(f64, &Spread)], runs: &[&Report]) -> String {
    let smallest = least(sizes.iter().map(|(nodes, _)| *nodes), 1.0).max(1.0);
    let largest = greatest(sizes.iter().map(|(nodes, _)| *nodes), 1.0).max(smallest);
    let nodes = Scale::logarithmic((smallest / 1.25, largest * 1.25), (LEFT, WIDTH - RIGHT));
    let near_bound = overall.bound.filter(|bound| *bound <= overall.max * NEAR_BOUND_RATIO);
    let values = Scale::linear(value_range(overall, near_bound), (BOTTOM, TOP));

    let mut canvas = Canvas::new(WIDTH, BOTTOM + 36.0);
    let scaled = format::is_scaled(&overall.unit);
    let label = |value| if scaled { overall.show(value) } else { format::number(value) };
    canvas.rows(&nodes, &values, &values.ticks(4), label);
    let labels: Vec<_> = sizes.iter().map(|(nodes, _)| *nodes).collect();
    let ticks = if labels.len() <= 5 { apart(&labels, &nodes) } else { nodes.ticks(5) };
    canvas.columns(&nodes, BOTTOM, &ticks, format::number);
    canvas.text("tick", (WIDTH - RIGHT, BOTTOM + 31.0), Anchor::End, "nodes");
    let line =
        |of: fn(&Spread) -> f64| sizes.iter().map(|(nodes, spread)| (*nodes, of(spread))).collect::<Vec<_>>();
    canvas.area("fill", &nodes, &values, &line(|spread| spread.max), &line(|spread| spread.min));
    canvas.curve("curve", &nodes, &values, line(|spread| spread.median));
    if let Some(bound) = near_bound {
        let height = values.at(bound);
        canvas.line("limit", (LEFT, height), (WIDTH - RIGHT, height));
        let label = format!("bound {}", overall.show(bound));
        canvas.text("limit-text", (WIDTH - RIGHT, height - 4.0), Anchor::End, &label);
    }
    for run in runs.iter().take(DOTS_MAX) {
        for metric in
            run.metrics.iter().filter(|metric| metric.name == overall.name && metric.value.is_finite())
        {
            let class = if run.outcome == Outcome::Passed { "dot" } else { "dot bad" };
            let hint = format!(
                "{}, seed {}: {}, {}",
                format::counted(run.nodes, "node", "nodes"),
                run.seed,
                overall.show(metric.value),
                outcome_word(run.outcome)
            );
            canvas.dot(class, (nodes.at(run.nodes as f64), values.at(metric.value)), 3.0, &hint);
        }
    }
    let far = overall.bound.filter(|_| near_bound.is_none());
    let far = far.map(|bound| {
        format!("<p class=\"note\">The bound, {}, is far above.</p>", escape(&overall.show(bound)))
    });
    canvas.finish(&format!("{} against the number of nodes", overall.name)) + &far.unwrap_or_default()
}

/// What the axis of values covers: from zero on, unless everything to show lies close together far from zero.
fn value_range(overall: &Spread, bound: Option<f64>) -> (f64, f64) {
    let low = bound.unwrap_or(overall.min).min(overall.min);
    let high = bound.unwrap_or(overall.max).max(overall.max);
    let margin = (high - low) * 0.25;
    if low > high * CLOSE_SHARE && margin > 0.0 {
        (low - margin, high + margin)
    } else {
        (low.min(0.0), high + high.abs() * 0.08)
    }
}

/// Those of the sizes whose labels do not run into each other.
fn apart(sizes: &[f64], scale: &Scale) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::new();
    for size in sizes {
        if kept.last().is_none_or(|last| scale.at(*size) - scale.at(*last) >= 34.0) {
            kept.push(*size);
        }
    }
    kept
}

const CHARTS_NOTE: &str = "A dot is a run (red if it failed), the line joins the medians, the band reaches \
    from the least to the greatest value over the seeds. The axis of nodes is logarithmic.";
const WIDTH: f64 = 360.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 170.0;
/// Up to which multiple of the greatest value a bound is drawn; a higher one would flatten the curve.
const NEAR_BOUND_RATIO: f64 = 3.0;
/// From which share of the greatest value the least is close to it.
const CLOSE_SHARE: f64 = 0.9;
/// The most dots of one chart; the band and the medians always cover every run.
const DOTS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::{
        super::{FORMAT, sample},
        *,
    };

    fn sweep(runs: Vec<Report>) -> Sweep {
        Sweep { format: FORMAT, scenario: "split <in> two".to_owned(), runs }
    }

    #[test]
    fn the_page_names_failed_seeds_and_refers_to_nothing_outside() {
        let page = sweep_html(&sweep(vec![sample::bare(1, 30), sample::failed(99, 1000, Outcome::Safety)]));
        assert!(
            page.contains("1 of 2 failed") && page.contains(">99</td>") && page.contains("safety violated")
        );
        assert!(page.contains("split &lt;in&gt; two") && !page.contains("<in>"));
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("NaN"));
        assert_eq!(page.matches("<circle").count(), 2);
    }

    #[test]
    fn an_empty_sweep_is_sentences() {
        let page = sweep_html(&sweep(Vec::new()));
        assert!(page.contains("holds no runs") && page.contains("measured nothing"));
        assert!(sweep_html(&sweep(vec![sample::bare(1, 30)])).contains("Every run passed."));
    }
}
