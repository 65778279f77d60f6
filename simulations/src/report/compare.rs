//! Base against head: which metrics moved, and which runs newly fail.
//!
//! A metric counts as moved when the ranges over the seeds do not overlap. One run on each side has no range;
//! there a change of more than [`CHANGE_MIN_SHARE`] counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    Better, Outcome, Spread, Sweep,
    columns::{Side, aligned},
    format,
    sweep::{first_failure, outcome_word, spreads},
};

/// Two sweeps beside each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Name of the base scenario.
    pub base_scenario: String,
    /// Name of the head scenario; a comparison of two different scenarios says so when printed.
    pub head_scenario: String,
    /// Every metric at every size that either sweep has, smallest mesh first.
    pub changes: Vec<Change>,
    /// The runs that fail in the head and did not fail in the same way in the base.
    pub new_failures: Vec<NewFailure>,
    /// How many runs fail in the base.
    pub base_failed: usize,
    /// How many runs fail in the head.
    pub head_failed: usize,
}

/// One metric at one size, before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Number of nodes of the runs.
    pub nodes: u64,
    /// Name of the metric.
    pub metric: String,
    /// The base, or `None` if it did not measure this.
    pub base: Option<Spread>,
    /// The head, or `None` if it did not measure this.
    pub head: Option<Spread>,
    /// Change of the median as a share of the base (0.1 is 10 % more), or `None` if the base has none or 0.
    pub change_share: Option<f64>,
    /// What the change means.
    pub verdict: Verdict,
}

/// What a change of a metric means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Moved in the good direction.
    Better,
    /// Did not move further than the seeds scatter.
    Same,
    /// Moved in the bad direction.
    Worse,
    /// Moved, in a metric without a good direction.
    Moved,
    /// Only one of the sweeps measured it.
    Unmatched,
}

/// A run that fails in the head and did not fail in the same way in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFailure {
    /// Number of nodes of the run.
    pub nodes: u64,
    /// Seed of the run.
    pub seed: u64,
    /// How it fails.
    pub outcome: Outcome,
    /// What went wrong first, in words.
    pub what: String,
}

impl Comparison {
    /// Sets `head` beside `base`.
    #[must_use]
    pub fn of(base: &Sweep, head: &Sweep) -> Self {
        let known: BTreeSet<_> =
            base.failed().map(|run| (run.nodes, run.seed, outcome_word(run.outcome))).collect();
        let new_failures = head
            .failed()
            .filter(|run| !known.contains(&(run.nodes, run.seed, outcome_word(run.outcome))))
            .map(|run| NewFailure {
                nodes: run.nodes,
                seed: run.seed,
                outcome: run.outcome,
                what: first_failure(run),
            })
            .collect();
        Self {
            base_scenario: base.scenario.clone(),
            head_scenario: head.scenario.clone(),
            changes: changes(base, head),
            new_failures,
            base_failed: base.failed().count(),
            head_failed: head.failed().count(),
        }
    }

    /// Whether a metric is worse or a run newly fails.
    #[must_use]
    pub fn got_worse(&self) -> bool {
        !self.new_failures.is_empty() || self.changes.iter().any(|change| change.verdict == Verdict::Worse)
    }

    /// The comparison as a plain-text table, followed by the new failures and a verdict.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = if self.base_scenario == self.head_scenario {
            format!("Scenario {}: base against head\n\n", self.base_scenario)
        } else {
            format!("Two scenarios: base {} against head {}\n\n", self.base_scenario, self.head_scenario)
        };
        let head = ["nodes", "metric", "base [min..max]", "head [min..max]", "change", ""]
            .map(str::to_owned)
            .to_vec();
        let rows: Vec<_> = std::iter::once(head).chain(self.changes.iter().map(Change::row)).collect();
        let sides = [Side::Right, Side::Left, Side::Left, Side::Left, Side::Right, Side::Left];
        text += &if self.changes.is_empty() { "  No metrics.\n".to_owned() } else { aligned(&sides, &rows) };
        text +=
            &format!("\nFailed runs: {} in the base, {} in the head.\n", self.base_failed, self.head_failed);
        for failure in &self.new_failures {
            text += &format!(
                "  NEW: {}, seed {}: {}, {}\n",
                format::counted(failure.nodes, "node", "nodes"),
                failure.seed,
                outcome_word(failure.outcome),
                failure.what
            );
        }
        text += &self.conclusion();
        text
    }

    fn conclusion(&self) -> String {
        let count = |verdict| self.changes.iter().filter(|change| change.verdict == verdict).count();
        let (better, worse) = (count(Verdict::Better), count(Verdict::Worse));
        let opening = if self.got_worse() { "The head is WORSE" } else { "The head is not worse" };
        let worse = format::counted(worse as u64, "metric", "metrics");
        let failures = format::counted(self.new_failures.len() as u64, "new failure", "new failures");
        format!("{opening}: {worse} worse, {better} better, {failures}.\n")
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.table())
    }
}

impl Change {
    fn row(&self) -> Vec<String> {
        let change = self.change_share.map_or_else(String::new, |share| {
            let share = if share.abs() < 5e-4 { 0.0 } else { share * 100.0 };
            format!("{share:+.1} %")
        });
        let verdict = match self.verdict {
            Verdict::Better => "better",
            Verdict::Same => "same",
            Verdict::Worse => "WORSE",
            Verdict::Moved => "moved",
            Verdict::Unmatched if self.base.is_none() => "only in the head",
            Verdict::Unmatched => "only in the base",
        };
        let side = |spread: &Option<Spread>| spread.as_ref().map_or_else(|| "-".to_owned(), range);
        vec![
            format::grouped(self.nodes),
            self.metric.clone(),
            side(&self.base),
            side(&self.head),
            change,
            verdict.to_owned(),
        ]
    }
}

fn changes(base: &Sweep, head: &Sweep) -> Vec<Change> {
    let mut pairs: Vec<(u64, String, Option<Spread>, Option<Spread>)> = Vec::new();
    let (base_sizes, head_sizes) = (base.sizes(), head.sizes());
    let sizes: BTreeSet<u64> = base_sizes.keys().chain(head_sizes.keys()).copied().collect();
    for nodes in sizes {
        let of =
            |sizes: &BTreeMap<u64, _>| sizes.get(&nodes).map_or_else(Vec::new, |runs: &Vec<_>| spreads(runs));
        let mut after = of(&head_sizes);
        for (name, spread) in of(&base_sizes) {
            let found = after.iter().position(|(other, _)| *other == name).map(|index| after.remove(index).1);
            pairs.push((nodes, name, Some(spread), found));
        }
        pairs.extend(after.into_iter().map(|(name, spread)| (nodes, name, None, Some(spread))));
    }
    pairs.into_iter().map(|(nodes, metric, base, head)| change(nodes, metric, base, head)).collect()
}

fn change(nodes: u64, metric: String, base: Option<Spread>, head: Option<Spread>) -> Change {
    let medians = base.as_ref().zip(head.as_ref());
    let change_share = medians
        .filter(|(base, _)| base.median != 0.0)
        .map(|(base, head)| (head.median - base.median) / base.median.abs());
    let verdict = medians.map_or(Verdict::Unmatched, |(base, head)| verdict(base, head));
    Change { nodes, metric, base, head, change_share, verdict }
}

fn verdict(base: &Spread, head: &Spread) -> Verdict {
    let moved = if base.runs == 1 && head.runs == 1 {
        (head.median - base.median).abs() > CHANGE_MIN_SHARE * base.median.abs()
    } else {
        head.min > base.max || head.max < base.min
    };
    match (moved, head.better, head.median > base.median) {
        (false, _, _) => Verdict::Same,
        (true, Better::Neither, _) => Verdict::Moved,
        (true, Better::Lower, false) | (true, Better::Higher, true) => Verdict::Better,
        (true, Better::Lower, true) | (true, Better::Higher, false) => Verdict::Worse,
    }
}

/// `15.7 [14.7..18] s`: the unit once, where all three numbers have the same.
fn range(spread: &Spread) -> String {
    if spread.runs == 1 {
        return spread.show(spread.median);
    }
    let shown = [spread.median, spread.min, spread.max].map(|value| spread.show(value));
    let [median, min, max] = shown.each_ref().map(|text| text.split_once(' ').unwrap_or((text, "")));
    let plain = median.1.split(' ').all(|word| word.parse::<f64>().is_err());
    if plain && median.1 == min.1 && median.1 == max.1 {
        return format!("{} [{}..{}] {}", median.0, min.0, max.0, median.1).trim_end().to_owned();
    }
    let [median, min, max] = shown;
    format!("{median} [{min}..{max}]")
}

/// From which change on two single runs count as different, as a share of the base.
const CHANGE_MIN_SHARE: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::{
        super::{FORMAT, Report, sample},
        *,
    };

    fn sweep(runs: Vec<Report>) -> Sweep {
        Sweep { format: FORMAT, scenario: "split".to_owned(), runs }
    }

    fn measured(better: Better, values: &[f64]) -> Sweep {
        let run = |(seed, value): (u64, &f64)| Report {
            metrics: vec![sample::metric("m", *value, better)],
            ..sample::bare(seed, 30)
        };
        sweep((1..).zip(values).map(run).collect())
    }

    fn verdict_of(better: Better, base: &[f64], head: &[f64]) -> Verdict {
        Comparison::of(&measured(better, base), &measured(better, head)).changes[0].verdict
    }

    #[test]
    fn single_runs_differ_from_5_percent_on() {
        assert_eq!(verdict_of(Better::Lower, &[100.0], &[104.0]), Verdict::Same);
        assert_eq!(verdict_of(Better::Lower, &[100.0], &[106.0]), Verdict::Worse);
        assert_eq!(verdict_of(Better::Lower, &[100.0], &[94.0]), Verdict::Better);
        assert_eq!(verdict_of(Better::Higher, &[100.0], &[106.0]), Verdict::Better);
        assert_eq!(verdict_of(Better::Higher, &[100.0], &[94.0]), Verdict::Worse);
        assert_eq!(verdict_of(Better::Neither, &[100.0], &[194.0]), Verdict::Moved);
        assert_eq!(verdict_of(Better::Lower, &[0.0], &[0.0]), Verdict::Same);
        assert_eq!(verdict_of(Better::Lower, &[0.0], &[1.0]), Verdict::Worse);
    }

    #[test]
    fn sweeps_differ_when_their_ranges_do_not_overlap() {
        assert_eq!(verdict_of(Better::Lower, &[1.0, 5.0], &[4.0, 9.0]), Verdict::Same);
        assert_eq!(verdict_of(Better::Lower, &[1.0, 5.0], &[6.0, 9.0]), Verdict::Worse);
        assert_eq!(verdict_of(Better::Lower, &[6.0, 9.0], &[1.0, 5.0]), Verdict::Better);
        assert_eq!(verdict_of(Better::Higher, &[6.0, 9.0], &[1.0, 5.0]), Verdict::Worse);
        assert_eq!(verdict_of(Better::Lower, &[1.0, 5.0], &[2.0]), Verdict::Same);
    }

    #[test]
    fn what_only_one_side_measured_is_not_worse() {
        let other = sweep(vec![sample::bare(1, 100)]);
        let comparison = Comparison::of(&measured(Better::Lower, &[1.0]), &other);
        assert_eq!(comparison.changes.len(), 2);
        assert!(comparison.changes.iter().all(|change| change.verdict == Verdict::Unmatched));
        assert!(!comparison.got_worse());
        let text = comparison.to_string();
        assert!(text.contains("only in the base") && text.contains("only in the head"), "{text}");
    }

    #[test]
    fn only_new_failures_count() {
        let base = sweep(vec![sample::failed(1, 30, Outcome::Safety), sample::bare(2, 30)]);
        assert!(!Comparison::of(&base, &base).got_worse());
        let head =
            sweep(vec![sample::failed(1, 30, Outcome::Safety), sample::failed(2, 30, Outcome::Liveness)]);
        let comparison = Comparison::of(&base, &head);
        assert!(comparison.got_worse());
        assert_eq!(comparison.new_failures.iter().map(|failure| failure.seed).collect::<Vec<_>>(), [2]);
        assert!(comparison.table().contains("NEW: 30 nodes, seed 2: liveness failed"), "{comparison}");
        assert!(comparison.table().contains("The head is WORSE"), "{comparison}");
    }

    #[test]
    fn a_unit_is_shared_only_if_it_holds_no_number() {
        let shown = |values: &[f64]| {
            range(
                &changes(&measured(Better::Lower, values), &measured(Better::Lower, &[]))[0]
                    .base
                    .clone()
                    .unwrap(),
            )
        };
        assert_eq!(shown(&[4.0, 5.0, 6.0]), "5 [4..6] s");
        assert_eq!(shown(&[190.0, 250.0, 310.0]), "4 min 10 s [3 min 10 s..5 min 10 s]");
    }

    #[test]
    fn the_table_shows_ranges_and_change() {
        let text =
            Comparison::of(&measured(Better::Lower, &[1.0, 2.0, 3.0]), &measured(Better::Lower, &[4.0]))
                .table();
        assert!(text.contains("30  m       2 [1..3] s       4 s              +100.0 %  WORSE"), "{text}");
    }
}
