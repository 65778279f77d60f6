//! A sweep: the same scenario over many seeds and sizes, and what its runs have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Better, Metric, Outcome, Report,
    columns::{Side, aligned},
    format,
};

/// Many runs of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Version of the file, [`super::FORMAT`] when written by this code.
    pub format: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// The runs, each stored through [`Report::without_series`].
    pub runs: Vec<Report>,
}

impl Sweep {
    /// A plain-text table: by number of nodes, the median, least and greatest value of every metric over the
    /// seeds, and which runs failed.
    #[must_use]
    pub fn table(&self) -> String {
        if self.runs.is_empty() {
            return format!("Scenario {}: the sweep holds no runs.\n", self.scenario);
        }
        let mut text = format!("Scenario {}\n", self.scenario);
        let head = ["metric", "median", "min", "max", "bound", "runs over"].map(str::to_owned).to_vec();
        for (nodes, runs) in self.sizes() {
            text += &format!("\n{}\n", size_line(nodes, &runs));
            let rows: Vec<_> = std::iter::once(head.clone())
                .chain(spreads(&runs).into_iter().map(|(_, spread)| spread.row()))
                .collect();
            text += &aligned(
                &[Side::Left, Side::Right, Side::Right, Side::Right, Side::Left, Side::Right],
                &rows,
            );
            for run in runs.iter().filter(|run| run.outcome != Outcome::Passed) {
                text += &format!("  {}\n", failed_line(run));
            }
        }
        text
    }

    /// The runs by number of nodes, smallest mesh first.
    pub(super) fn sizes(&self) -> BTreeMap<u64, Vec<&Report>> {
        let mut sizes: BTreeMap<u64, Vec<&Report>> = BTreeMap::new();
        for run in &self.runs {
            sizes.entry(run.nodes).or_default().push(run);
        }
        sizes
    }

    /// The runs that did not pass.
    pub(super) fn failed(&self) -> impl Iterator<Item = &Report> {
        self.runs.iter().filter(|run| run.outcome != Outcome::Passed)
    }
}

/// One metric over several runs of the same size.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Name of the metric.
    pub name: String,
    /// Unit of the values.
    pub unit: String,
    /// Which direction is an improvement.
    pub better: Better,
    /// What the scenario demands, in the unit of the values.
    pub bound: Option<f64>,
    /// How many runs measured it.
    pub runs: usize,
    /// How many runs did not keep the bound.
    pub over: usize,
    /// Least value.
    pub min: f64,
    /// Median; the mean of the two middle values if there is no single one.
    pub median: f64,
    /// Greatest value.
    pub max: f64,
}

impl Spread {
    /// The spread of the values of one metric, or `None` if no run has a finite value.
    pub(super) fn of(metrics: &[&Metric]) -> Option<Self> {
        let first = metrics.first()?;
        let mut values: Vec<f64> =
            metrics.iter().map(|metric| metric.value).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values.get(values.len() / 2)?;
        let lower = values.get((values.len() - 1) / 2)?;
        Some(Self {
            name: first.name.clone(),
            unit: first.unit.clone(),
            better: first.better,
            bound: first.bound,
            runs: values.len(),
            over: metrics.iter().filter(|metric| metric.keeps_bound() == Some(false)).count(),
            min,
            median: f64::midpoint(*lower, *upper),
            max,
        })
    }

    /// A value in the unit of this metric.
    pub(super) fn show(&self, value: f64) -> String {
        format::quantity(value, &self.unit)
    }

    fn row(&self) -> Vec<String> {
        let demand = if self.better == Better::Higher { "at least" } else { "at most" };
        let bound = self.bound.map(|bound| format!("{demand} {}", self.show(bound)));
        let over = if self.bound.is_some() { self.over.to_string() } else { String::new() };
        let name = self.name.clone();
        vec![
            name,
            self.show(self.median),
            self.show(self.min),
            self.show(self.max),
            bound.unwrap_or_default(),
            over,
        ]
    }
}

/// The spread of each metric by name, in the order in which the runs list them.
pub(super) fn spreads(runs: &[&Report]) -> Vec<(String, Spread)> {
    let mut names: Vec<&str> = Vec::new();
    let mut values: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
    for metric in runs.iter().flat_map(|run| &run.metrics) {
        let known = values.entry(&metric.name).or_default();
        if known.is_empty() {
            names.push(&metric.name);
        }
        known.push(metric);
    }
    names.into_iter().filter_map(|name| Some((name.to_owned(), Spread::of(values.get(name)?)?))).collect()
}

/// How many runs of one size there are and how many of them failed.
fn size_line(nodes: u64, runs: &[&Report]) -> String {
    let failed = runs.iter().filter(|run| run.outcome != Outcome::Passed).count();
    let failed = if failed == 0 { "none failed".to_owned() } else { format!("{failed} FAILED") };
    let (nodes, runs) =
        (format::counted(nodes, "node", "nodes"), format::counted(runs.len() as u64, "run", "runs"));
    format!("{nodes}: {runs}, {failed}")
}

/// One failed run in a line: seed, outcome, first failure.
fn failed_line(run: &Report) -> String {
    format!("seed {}: {}, {}", run.seed, outcome_word(run.outcome), first_failure(run))
}

/// An outcome in a sentence.
pub(super) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Safety => "safety violated",
        Outcome::Liveness => "liveness failed",
    }
}

/// What went wrong first in a run, in words.
pub(super) fn first_failure(run: &Report) -> String {
    let failure = run.failures.first();
    failure.map_or_else(
        || "no oracle said why".to_owned(),
        |failure| format!("{} at {}: {}", failure.oracle, format::seconds(failure.at_seconds), failure.what),
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::{FORMAT, sample},
        *,
    };

    #[test]
    fn the_table_groups_by_size_and_names_failed_seeds() {
        let mut runs =
            vec![sample::bare(1, 100), sample::bare(2, 30), sample::failed(3, 100, Outcome::Liveness)];
        runs[2].metrics[0].value = 20.0;
        let text = Sweep { format: FORMAT, scenario: "split".to_owned(), runs }.table();
        assert!(text.contains("30 nodes: 1 run, none failed"), "{text}");
        assert!(text.contains("100 nodes: 2 runs, 1 FAILED"), "{text}");
        assert!(text.contains("converged in    12 s  4 s  20 s  at most 10 s          1"), "{text}");
        assert!(text.contains("seed 3: liveness failed, no ghost at 21 s"), "{text}");
        assert!(text.find("30 nodes") < text.find("100 nodes"));
    }

    #[test]
    fn an_empty_sweep_is_a_sentence() {
        let sweep = Sweep { format: FORMAT, scenario: "split".to_owned(), runs: Vec::new() };
        assert!(sweep.table().contains("no runs"));
    }

    #[test]
    fn values_that_are_not_numbers_are_left_out() {
        let mut metrics = [1.0, 3.0, f64::NAN].map(|value| sample::metric("m", value, Better::Lower));
        let spread = Spread::of(&metrics.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!((spread.min, spread.median, spread.max, spread.runs), (1.0, 2.0, 3.0, 2));
        metrics.iter_mut().for_each(|metric| metric.value = f64::NAN);
        assert_eq!(Spread::of(&metrics.iter().collect::<Vec<_>>()), None);
    }

    #[test]
    fn storing_a_run_drops_only_the_long_series() {
        let run = sample::report(1, 30).without_series();
        assert!(run.agreement.is_empty() && run.delivery.is_empty() && run.traffic.is_empty());
        assert_eq!(run.tree, None);
        assert!(!run.faults.is_empty() && !run.metrics.is_empty());
    }
}
