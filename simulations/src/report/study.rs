//! What a study found, as text: a Markdown table for each thing that was varied.

use super::{Metric, Outcome, Report, Spread, format};

/// What a study found.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyReport {
    /// Name of the study.
    pub name: String,
    /// What it asks.
    pub summary: String,
    /// Every point in every size, in the order of the study: series, size, value.
    pub rows: Vec<StudyRow>,
}

/// One point in one size.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRow {
    /// What was varied.
    pub series: String,
    /// Its value.
    pub value: String,
    /// Whether that is the default.
    pub is_default: bool,
    /// How many nodes.
    pub nodes: u64,
    /// The run of each seed.
    pub runs: Vec<Report>,
}

impl StudyReport {
    /// The rows by series, in order.
    pub(super) fn series(&self) -> Vec<(&str, Vec<&StudyRow>)> {
        let mut series: Vec<(&str, Vec<&StudyRow>)> = Vec::new();
        for row in &self.rows {
            match series.iter_mut().find(|(name, _)| *name == row.series) {
                Some((_, rows)) => rows.push(row),
                None => series.push((&row.series, vec![row])),
            }
        }
        series
    }

    /// The commits of the runs: one, unless a kept run is of another.
    pub(super) fn commits(&self) -> Vec<&str> {
        let mut commits: Vec<_> =
            self.rows.iter().flat_map(|row| &row.runs).map(|run| run.build.commit.as_str()).collect();
        commits.sort_unstable();
        commits.dedup();
        commits
    }
}

impl StudyRow {
    /// What the runs measured in one column, over the seeds.
    pub(super) fn spread(&self, column: &Column) -> Option<Spread> {
        let metrics: Vec<&Metric> =
            self.runs.iter().flat_map(|run| &run.metrics).filter(|one| one.name == column.metric).collect();
        Spread::of(&metrics)
    }

    /// The number that stands for all seeds.
    pub(super) fn value_of(&self, column: &Column) -> Option<f64> {
        let spread = self.spread(column)?;
        Some(if column.of_all_the_greatest { spread.max } else { spread.median })
    }

    /// The value, with a mark if it is the default.
    pub(super) fn marked_value(&self) -> String {
        format!("{}{}", self.value, if self.is_default { " *" } else { "" })
    }

    fn failed(&self) -> usize {
        self.runs.iter().filter(|run| run.outcome != Outcome::Passed).count()
    }

    fn cells(&self) -> Vec<String> {
        let measured = COLUMNS.iter().map(|column| {
            let unit = self.spread(column).map(|spread| spread.unit);
            match (self.value_of(column), unit.as_deref()) {
                (Some(value), Some("copies")) => format!("{value:.2}"),
                (Some(value), Some(unit)) => format::quantity(value, unit),
                _ => String::new(),
            }
        });
        let failed = match self.failed() {
            0 => String::new(),
            failed => format!("{failed} of {}", self.runs.len()),
        };
        let (nodes, seeds) = (format::grouped(self.nodes), self.runs.len().to_string());
        [nodes, self.marked_value()].into_iter().chain(measured).chain([seeds, failed]).collect()
    }
}

/// What is shown of every point.
#[derive(Debug)]
pub(super) struct Column {
    /// The metric of a run.
    pub(super) metric: &'static str,
    /// How the column is headed.
    pub(super) head: &'static str,
    /// Whether the greatest value over the seeds counts instead of the median.
    pub(super) of_all_the_greatest: bool,
}

const fn median(metric: &'static str, head: &'static str) -> Column {
    Column { metric, head, of_all_the_greatest: false }
}

/// What is shown of every point.
pub(super) const COLUMNS: [Column; 6] = [
    median("change, p50", "change p50"),
    median("change, p99", "change p99"),
    Column { metric: "change, last node", head: "last node", of_all_the_greatest: true },
    median("copies per change and node", "copies"),
    median("gossip sent per delivery of a change", "sent per delivery"),
    median("idle, sent per node", "idle"),
];

/// The report of a study as Markdown that can be read as it stands.
#[must_use]
pub fn study_text(report: &StudyReport) -> String {
    let mut text = format!("# Study {}\n\n{}.\n\n{NOTE}", report.name, report.summary);
    text += &format!(" Commit {}.\n", report.commits().join(", "));
    for (name, rows) in report.series() {
        let head = ["nodes", name].into_iter().chain(COLUMNS.iter().map(|column| column.head));
        let head = head.chain(["seeds", "failed"]).map(str::to_owned).collect();
        let cells: Vec<Vec<String>> =
            std::iter::once(head).chain(rows.iter().map(|row| row.cells())).collect();
        text += &format!("\n## {name}\n\n{}", markdown(&cells));
    }
    text
}

/// A Markdown table whose columns are as wide as their widest cell.
fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            // The value is a word, all else are numbers.
            let padded = if place == 1 { format!("{cell}{padding}") } else { format!("{padding}{cell}") };
            text += &format!("| {padded} ");
        }
        text += "|\n";
        if number == 0 {
            for (place, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                text += &if place == 1 { format!("|{dashes}-") } else { format!("|{dashes}:") };
            }
            text += "|\n";
        }
    }
    text
}

/// What the numbers of a study mean.
pub(super) const NOTE: &str = "Of several seeds the median stands for all, of the last node's time the \
    greatest. Times are from the change to its sight, by each node that sees it; copies are those that a \
    node receives of a change; what is sent per delivery is all that gossip sends, as counted at the network \
    interface, for each sight of a change. * is the default.";

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{Better, sample},
        *,
    };

    /// A report of two series, the first in two sizes.
    pub(in crate::report) fn report() -> StudyReport {
        let run = |seed, nodes, p99: f64, copies: f64| {
            let metric = |name: &str, unit: &str, value| Metric {
                unit: unit.to_owned(),
                bound: None,
                ..sample::metric(name, value, Better::Lower)
            };
            Report {
                metrics: vec![
                    metric("change, p99", "ms", p99),
                    metric("change, last node", "ms", p99 * 10.0),
                    metric("copies per change and node", "copies", copies),
                ],
                ..sample::bare(seed, nodes)
            }
        };
        let row = |series: &str, value: &str, nodes, runs| StudyRow {
            series: series.to_owned(),
            value: value.to_owned(),
            is_default: value == "4",
            nodes,
            runs,
        };
        StudyReport {
            name: "links".to_owned(),
            summary: "How many <links>".to_owned(),
            rows: vec![
                row("mesh", "3", 30, vec![run(1, 30, 4.0, 2.0), run(2, 30, 6.0, 2.2), run(3, 30, 5.0, 2.1)]),
                row("mesh", "4", 30, vec![run(1, 30, 3.0, 3.0)]),
                row("mesh", "3", 300, vec![run(1, 300, 9.0, 2.5)]),
                row("mesh", "4", 300, vec![sample::failed(1, 300, Outcome::Liveness)]),
                row("loss", "none", 30, vec![run(1, 30, 3.0, 3.0)]),
            ],
        }
    }

    #[test]
    fn each_series_is_a_table_of_medians_with_the_default_marked() {
        let text = study_text(&report());
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows[0][..4], ["nodes", "mesh", "change p50", "change p99"]);
        assert_eq!(rows[2], ["30", "3", "", "5 ms", "60 ms", "2.10", "", "", "3", ""]);
        assert_eq!(rows[3][..4], ["30", "4 *", "", "3 ms"]);
        assert_eq!(rows[5], ["300", "4 *", "", "", "", "", "", "", "1", "1 of 1"]);
        assert!(text.contains("## mesh\n") && text.contains("## loss\n") && text.contains("Commit abc123."));
    }

    #[test]
    fn the_columns_of_a_table_are_straight() {
        let text = study_text(&report());
        for table in text.split("## ").skip(1) {
            let lines = table.lines().filter(|line| line.starts_with('|'));
            let places: Vec<Vec<usize>> = lines
                .map(|line| line.match_indices('|').map(|(at, _)| line[..at].chars().count()).collect())
                .collect();
            assert!(places.len() > 2 && places.iter().all(|one| *one == places[0]), "{table}");
        }
    }
}
