//! The tables of a report page, each with a sentence in its place when it has no rows.

use super::{
    Drawn, Failure, FaultSpan, Metric, OracleCount, SometimesCount, format,
    markup::{escape, nothing},
};

/// What was measured, what is demanded, what theory allows.
pub(super) fn metrics(metrics: &[Metric]) -> String {
    let rows = metrics.iter().map(|metric| {
        let (mark, class) = match metric.keeps_bound() {
            Some(true) => ("ok", "ok"),
            Some(false) => ("over", "over"),
            None => ("", "quiet"),
        };
        let mark = if mark == "over" && metric.better == super::Better::Higher { "under" } else { mark };
        let bound = format::bound(metric).unwrap_or_else(|| "none".to_owned());
        row(&[
            cell(&metric.name),
            number(&format::quantity(metric.value, &metric.unit)),
            fixed(&bound),
            format!("<td class=\"{class}\">{mark}</td>"),
            cell(metric.theory.as_deref().unwrap_or("")),
        ])
    });
    let head = ["metric", "#value", "the scenario demands", "", "theoretical limit"];
    table(&head, rows, "This run measured nothing.")
}

/// How often each oracle looked and objected.
pub(super) fn oracles(oracles: &[OracleCount]) -> String {
    let rows = oracles.iter().map(|oracle| {
        let class = if oracle.violations > 0 { "number bad" } else { "number" };
        let violations = format!("<td class=\"{class}\">{}</td>", format::grouped(oracle.violations));
        row(&[cell(&oracle.name), number(&format::grouped(oracle.checked)), violations])
    });
    table(&["oracle", "#checked", "#violations"], rows, "No oracle looked at this run.")
}

/// How often each thing that should sometimes happen did.
pub(super) fn sometimes(counts: &[SometimesCount]) -> String {
    let rows = counts.iter().map(|count| {
        let (mark, class) = match (count.times > 0, count.wanted) {
            (true, _) => ("seen", "ok"),
            (false, true) => ("wanted, never seen", "bad"),
            (false, false) => ("not seen", "quiet"),
        };
        let mark = format!("<td class=\"fixed {class}\">{mark}</td>");
        row(&[cell(&count.name), number(&format::grouped(count.times)), mark])
    });
    table(
        &["it happened that", "#times", ""],
        rows,
        "This run kept no count of what should sometimes happen.",
    )
}

/// The injected faults, first come first.
pub(super) fn faults(faults: &[FaultSpan]) -> String {
    let mut sorted: Vec<_> = faults.iter().collect();
    sorted.sort_by(|a, b| a.from_seconds.total_cmp(&b.from_seconds));
    let rows = sorted.iter().take(ROWS_MAX).map(|fault| {
        let until = fault.until_seconds.map_or_else(|| "the end".to_owned(), format::seconds);
        row(&[
            cell(&fault.kind),
            cell(&fault.what),
            number(&format::seconds(fault.from_seconds)),
            number(&until),
        ])
    });
    let shown = table(&["fault", "what", "#from", "#until"], rows, "This run injected no fault.");
    shown + &rest(faults.len(), "faults")
}

/// The options that were drawn or set.
pub(super) fn drawn(drawn: &[Drawn]) -> String {
    let rows = drawn.iter().map(|drawn| row(&[cell(&drawn.option), code(&drawn.value)]));
    table(&["option", "value"], rows, "This run drew no options.")
}

/// What the oracles found wrong.
pub(super) fn failures(failures: &[Failure]) -> String {
    let rows = failures.iter().take(ROWS_MAX).map(|failure| {
        row(&[number(&format::seconds(failure.at_seconds)), fixed(&failure.oracle), cell(&failure.what)])
    });
    let shown = table(&["#at", "oracle", "what it saw"], rows, "No oracle found anything wrong.");
    shown + &rest(failures.len(), "failures")
}

/// A table from finished rows; a heading that begins with `#` stands over numbers.
pub(super) fn table(head: &[&str], rows: impl Iterator<Item = String>, empty: &str) -> String {
    let rows: String = rows.collect();
    if rows.is_empty() {
        return nothing(empty);
    }
    let head: String = head
        .iter()
        .map(|name| match name.strip_prefix('#') {
            Some(name) => format!("<th class=\"number\">{}</th>", escape(name)),
            None => format!("<th>{}</th>", escape(name)),
        })
        .collect();
    format!("<div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>")
}

/// One row from finished cells.
pub(super) fn row(cells: &[String]) -> String {
    format!("<tr>{}</tr>", cells.concat())
}

/// A cell of words.
pub(super) fn cell(text: &str) -> String {
    format!("<td>{}</td>", escape(text))
}

/// A cell of a number.
pub(super) fn number(text: &str) -> String {
    format!("<td class=\"number\">{}</td>", escape(text))
}

/// A cell of words that are not broken into lines.
pub(super) fn fixed(text: &str) -> String {
    format!("<td class=\"fixed\">{}</td>", escape(text))
}

fn code(text: &str) -> String {
    format!("<td><code>{}</code></td>", escape(text))
}

fn rest(rows: usize, noun: &str) -> String {
    match rows.saturating_sub(ROWS_MAX) {
        0 => String::new(),
        more => nothing(&format!("{} more {noun} are in the report file.", format::grouped(more as u64))),
    }
}

/// The most rows of a list of faults or failures; the report file holds all.
const ROWS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::{
        super::{Better, sample},
        *,
    };

    #[test]
    fn empty_tables_are_sentences() {
        let sentences = [metrics(&[]), oracles(&[]), sometimes(&[]), faults(&[]), drawn(&[]), failures(&[])];
        assert!(sentences.iter().all(|sentence| sentence.starts_with("<p class=\"nothing\">")));
    }

    #[test]
    fn metrics_that_miss_their_bound_are_marked() {
        let over = metrics(&[sample::metric("m", 11.0, Better::Lower)]);
        assert!(over.contains(">over<") && over.contains("at most 10 s"), "{over}");
        let under = metrics(&[sample::metric("m", 9.0, Better::Higher)]);
        assert!(under.contains(">under<") && under.contains("at least 10 s"), "{under}");
        assert!(metrics(&[sample::metric("m", 9.0, Better::Lower)]).contains(">ok<"));
    }

    #[test]
    fn cells_are_escaped_and_long_lists_end() {
        let mut report = sample::failed(1, 30, super::super::Outcome::Safety);
        assert!(failures(&report.failures).contains("node 3 &lt;b&gt;&amp;&lt;/b&gt; &quot;4&quot;"));
        report.failures = std::iter::repeat_n(report.failures.remove(0), ROWS_MAX + 5).collect();
        assert!(failures(&report.failures).contains("5 more failures"));
    }
}
