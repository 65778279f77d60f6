//! What a person reads in the terminal when a run ends: the verdict first, how to repeat it last.

use super::{
    Metric, OracleCount, Outcome, Report, SometimesCount,
    columns::{Side, aligned},
    format,
};

/// The report of one run as plain text, without colour codes, ending in a line break.
#[must_use]
pub fn summary(report: &Report) -> String {
    let parts = [
        verdict(report),
        metrics(&report.metrics),
        oracles(&report.oracles) + &sometimes(&report.sometimes),
        origin(report),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn verdict(report: &Report) -> String {
    let nodes = format::counted(report.nodes, "node", "nodes");
    let mut text =
        format!("{}: {} with {nodes}, seed {}\n", shout(report.outcome), report.scenario, report.seed);
    for failure in report.failures.iter().take(FAILURES_MAX) {
        text += &format!("  {}, {}: {}\n", format::seconds(failure.at_seconds), failure.oracle, failure.what);
    }
    if let Some(rest) = report.failures.len().checked_sub(FAILURES_MAX + 1) {
        text += &format!("  and {} more in the report\n", rest + 1);
    }
    text
}

fn shout(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "PASSED",
        Outcome::Safety => "SAFETY VIOLATION",
        Outcome::Liveness => "LIVENESS FAILURE",
    }
}

fn metrics(metrics: &[Metric]) -> String {
    if metrics.is_empty() {
        return String::new();
    }
    let head = ["metric", "value", "bound", "", "theory"].map(str::to_owned).to_vec();
    let rows = metrics.iter().map(|metric| {
        let mark = match metric.keeps_bound() {
            Some(true) => "ok",
            Some(false) => "NOT KEPT",
            None => "",
        };
        vec![
            metric.name.clone(),
            format::quantity(metric.value, &metric.unit),
            format::bound(metric).unwrap_or_default(),
            mark.to_owned(),
            metric.theory.clone().unwrap_or_default(),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    aligned(&[Side::Left, Side::Right, Side::Left, Side::Left, Side::Left], &rows)
}

fn oracles(oracles: &[OracleCount]) -> String {
    if oracles.is_empty() {
        return "No oracle looked at this run.\n".to_owned();
    }
    let checked = oracles.iter().fold(0u64, |sum, oracle| sum.saturating_add(oracle.checked));
    let names: Vec<_> =
        oracles.iter().map(|oracle| format!("{} {}", oracle.name, format::grouped(oracle.checked))).collect();
    let objected: Vec<_> = oracles
        .iter()
        .filter(|oracle| oracle.violations > 0)
        .map(|oracle| format!("{} {}", oracle.name, format::grouped(oracle.violations)))
        .collect();
    let objections = if objected.is_empty() {
        "no violation".to_owned()
    } else {
        format!("violations: {}", objected.join(", "))
    };
    let checks = format::counted(checked, "check", "checks");
    format!("Oracles: {checks} ({}); {objections}.\n", names.join(", "))
}

fn sometimes(counts: &[SometimesCount]) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let happened: Vec<_> = counts
        .iter()
        .filter(|count| count.times > 0)
        .map(|count| format!("{} {}×", count.name, format::grouped(count.times)))
        .collect();
    let missed: Vec<_> = counts
        .iter()
        .filter(|count| count.wanted && count.times == 0)
        .map(|count| count.name.as_str())
        .collect();
    let happened = if happened.is_empty() { "nothing".to_owned() } else { happened.join(", ") };
    let missed = if missed.is_empty() {
        String::new()
    } else {
        format!(" Wanted, but never seen: {}.", missed.join(", "))
    };
    format!("Happened: {happened}.{missed}\n")
}

fn origin(report: &Report) -> String {
    let build = &report.build;
    let ratio = report.speed().map(|speed| format!(", {} times real time", format::number(speed)));
    let drawn: Vec<_> =
        report.drawn.iter().map(|drawn| format!("{}={}", drawn.option, drawn.value)).collect();
    let rows = [
        ("scenario", report.scenario.clone()),
        ("seed", report.seed.to_string()),
        ("nodes", format::grouped(report.nodes)),
        ("options", if drawn.is_empty() { "none".to_owned() } else { drawn.join("; ") }),
        (
            "build",
            format!(
                "{}, commit {}, lock file {}, rustc {}",
                build.version, build.commit, build.lock_hash, build.rustc
            ),
        ),
        (
            "trace",
            format!("{} over {}", report.trace_hash, format::counted(report.trace_events, "event", "events")),
        ),
        ("virtual time", format::seconds(report.virtual_seconds)),
        ("wall time", format::seconds(report.wall_seconds) + &ratio.unwrap_or_default()),
        ("peak memory", format::bytes(report.peak_memory_bytes as f64, "")),
    ];
    aligned(&[], &rows.map(|(name, value)| vec![name.to_owned(), value]))
}

/// How many failures are printed; one broken invariant often trips an oracle at every later check.
const FAILURES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn a_passed_run_says_so_first() {
        let text = summary(&sample::report(7, 1000));
        assert!(text.starts_with("PASSED: split with 1,000 nodes, seed 7\n"), "{text}");
        assert!(text.contains("converged in    4 s  at most 10 s  ok  2 s: two gossip rounds"), "{text}");
        assert!(text.contains("no violation"), "{text}");
        assert!(text.contains("a link was cut 3×"), "{text}");
        assert!(text.contains("20 times real time"), "{text}");
        assert!(text.contains("42 MB"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_failed_run_lists_its_failures_but_not_without_end() {
        let mut report = sample::failed(7, 30, Outcome::Safety);
        report.failures = std::iter::repeat_n(report.failures.remove(0), 8).collect();
        let text = summary(&report);
        assert!(text.starts_with("SAFETY VIOLATION: "), "{text}");
        assert_eq!(text.matches("node 3 <b>").count(), FAILURES_MAX);
        assert!(text.contains("and 3 more in the report"), "{text}");
        report.failures.truncate(FAILURES_MAX);
        assert!(!summary(&report).contains("more in the report"));
        report.outcome = Outcome::Liveness;
        assert!(summary(&report).starts_with("LIVENESS FAILURE: "));
    }

    #[test]
    fn an_empty_report_is_still_readable() {
        let mut report = sample::bare(1, 0);
        report.metrics.clear();
        report.oracles.clear();
        report.sometimes = vec![SometimesCount { name: "a crash".to_owned(), times: 0, wanted: true }];
        report.wall_seconds = 0.0;
        let text = summary(&report);
        assert!(text.contains("No oracle looked"), "{text}");
        assert!(text.contains("never seen: a crash."), "{text}");
        assert!(!text.contains("real time"), "{text}");
    }
}
