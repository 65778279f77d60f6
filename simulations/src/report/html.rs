//! One run as one HTML file: self-contained, offline, light or dark as the reader's screen is.

use super::{
    Metric, Outcome, Report, convergence, delivery, format,
    markup::{escape, page, section},
    sweep::{first_failure, outcome_word},
    tables, traffic, tree,
};

/// The report of one run as a complete HTML document without references to anything outside it.
#[must_use]
pub fn html(report: &Report) -> String {
    let nodes = format::counted(report.nodes, "node", "nodes");
    let mut body = header(report, &nodes);
    body += &tiles(&report.metrics);
    if !report.failures.is_empty() {
        body += &section("", "Failures", "", &tables::failures(&report.failures));
    }
    body += &section("", "Convergence", CONVERGENCE_NOTE, &convergence::chart(report));
    body += &section("half", "Delivery", DELIVERY_NOTE, &delivery::chart(&report.delivery));
    body += &section("half", "Traffic of a node", TRAFFIC_NOTE, &traffic::chart(&report.traffic));
    body += &section("", "How one record spread", TREE_NOTE, &tree::chart(report.tree.as_ref()));
    body += &section("", "Metrics", "", &tables::metrics(&report.metrics));
    body += &section("half", "Oracles", ORACLES_NOTE, &tables::oracles(&report.oracles));
    body += &section("half", "Sometimes", SOMETIMES_NOTE, &tables::sometimes(&report.sometimes));
    body += &section("half", "Faults", FAULTS_NOTE, &tables::faults(&report.faults));
    body += &section("half", "Options", OPTIONS_NOTE, &tables::drawn(&report.drawn));
    body +=
        "<footer>Written by here-sim. The seed and the build reproduce this run event for event.</footer>\n";
    page(&format!("{}: {nodes}, {}", report.scenario, outcome_word(report.outcome)), &body)
}

/// The badge that shows an outcome.
pub(super) fn badge(outcome: Outcome) -> String {
    let class = if outcome == Outcome::Passed { "passed" } else { "failed" };
    format!("<span class=\"badge {class}\">{}</span>", outcome_word(outcome))
}

/// A term and its value for a list of facts; `value` is already markup.
pub(super) fn fact(class: &str, term: &str, value: &str) -> String {
    format!("<div class=\"{class}\"><dt>{}</dt><dd>{value}</dd></div>", escape(term))
}

fn header(report: &Report, nodes: &str) -> String {
    let reason = match report.outcome {
        Outcome::Passed => String::new(),
        Outcome::Safety | Outcome::Liveness => {
            format!("<div class=\"reason\">{}</div>", escape(&first_failure(report)))
        }
    };
    format!(
        "<header><div class=\"top\"><h1>{}</h1>{}</div><p>{}</p>{reason}<dl>{}</dl></header>\n",
        escape(&report.scenario),
        badge(report.outcome),
        escape(&report.summary),
        facts(report, nodes)
    )
}

fn facts(report: &Report, nodes: &str) -> String {
    let build = &report.build;
    let speed = report.speed().map(|speed| format!("{} × real time", format::number(speed)));
    let speed = speed.unwrap_or_else(|| format::UNKNOWN.to_owned());
    let code = |text: &str| format!("<code>{}</code>", escape(text));
    [
        fact("", "mesh", nodes),
        fact("", "seed", &code(&report.seed.to_string())),
        fact("", "virtual time", &format::seconds(report.virtual_seconds)),
        fact("", "wall time", &format::seconds(report.wall_seconds)),
        fact("", "speed", &speed),
        fact("", "peak memory", &format::bytes(report.peak_memory_bytes as f64, "")),
        fact("", "trace events", &format::grouped(report.trace_events)),
        fact("", "version", &code(&build.version)),
        fact("wide", "compiler", &code(&build.rustc)),
        fact("wide", "commit", &code(&build.commit)),
        fact("wide", "lock file", &code(&build.lock_hash)),
        fact("whole", "trace hash", &code(&report.trace_hash)),
    ]
    .concat()
}

/// The first metrics that have a bound, in large figures.
fn tiles(metrics: &[Metric]) -> String {
    let tiles: String = metrics
        .iter()
        .filter_map(|metric| Some((metric, metric.keeps_bound()?, format::bound(metric)?)))
        .take(TILES_MAX)
        .map(|(metric, kept, bound)| {
            let (class, mark) = if kept {
                ("tile", "<span class=\"ok\">✓</span>")
            } else {
                ("tile missed", "<span class=\"bad\">✗</span>")
            };
            format!(
                "<div class=\"{class}\"><div class=\"name\">{}</div><div class=\"value\">{}</div>\
                 <div class=\"under\">{mark} {}</div></div>",
                escape(&metric.name),
                escape(&format::quantity(metric.value, &metric.unit)),
                escape(&bound)
            )
        })
        .collect();
    if tiles.is_empty() { tiles } else { format!("<div class=\"tiles\">{tiles}</div>\n") }
}

const TILES_MAX: usize = 6;
const CONVERGENCE_NOTE: &str = "The share of (node, presentity) pairs in which a node's view equals the \
    truth, above the faults on the same time axis. Point at a curve for its values.";
const DELIVERY_NOTE: &str = "The share of changes that had arrived after a given time.";
const TRAFFIC_NOTE: &str = "What one node sends, averaged over the live nodes, by protocol.";
const TREE_NOTE: &str = "From which node each node first got the record: the origin stands in the middle, \
    each ring is one hop, and the colour tells when the record arrived.";
const ORACLES_NOTE: &str = "Checkers outside the code under test.";
const SOMETIMES_NOTE: &str = "Proof that the faults really bit.";
const FAULTS_NOTE: &str = "What was done to the mesh.";
const OPTIONS_NOTE: &str = "Drawn from the seed or set by hand.";

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn the_page_refers_to_nothing_outside_itself() {
        for report in [sample::report(7, 30), sample::bare(7, 30), sample::failed(7, 30, Outcome::Safety)] {
            let page = html(&report).replace("http://www.w3.org/2000/svg", "");
            for reference in ["http://", "https://", "url(", "@import", "<script", "<link", "src="] {
                assert!(!page.contains(reference), "{reference}");
            }
        }
    }

    #[test]
    fn texts_of_the_report_are_escaped_everywhere() {
        let evil = "<i>\"evil\"&'";
        let text = serde_json::to_string(&sample::report(7, 30)).unwrap();
        let mut report: Report =
            serde_json::from_str(&text.replace("split", "<i>&'").replace("half <from> half", "<i>&'"))
                .unwrap();
        report.summary = evil.to_owned();
        report.build.commit = evil.to_owned();
        report.metrics[0].name = evil.to_owned();
        report.metrics[0].unit = evil.to_owned();
        report.metrics[0].theory = Some(evil.to_owned());
        report.oracles[0].name = evil.to_owned();
        report.sometimes[0].name = evil.to_owned();
        report.drawn[0].value = evil.to_owned();
        report.phases[0].name = evil.to_owned();
        report.failures = sample::failed(1, 1, Outcome::Safety).failures;
        report.failures[0].oracle = evil.to_owned();
        let page = html(&report);
        assert!(!page.contains("<i>") && !page.contains("evil\"") && !page.contains("<one>"));
        assert!(page.contains("&lt;i&gt;"));
    }

    #[test]
    fn a_failed_run_says_why_at_the_top() {
        let page = html(&sample::failed(7, 30, Outcome::Liveness));
        assert!(page.contains("badge failed\">liveness failed"));
        assert!(page.contains("class=\"reason\">no ghost at 21 s"));
        assert!(html(&sample::bare(7, 30)).contains("badge passed\">passed"));
    }

    #[test]
    fn every_empty_data_set_is_a_sentence() {
        let page = html(&sample::bare(7, 30));
        for sentence in
            ["measured no agreement", "timed no delivery", "counted no traffic", "followed no record"]
        {
            assert!(page.contains(sentence), "{sentence}");
        }
        assert!(!page.contains("<svg"));
    }
}
