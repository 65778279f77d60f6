//! The report of a simulation: what one run, or a sweep of runs, found, as data and as pages to read.
//!
//! * **What it decides.** The shape of the report file ([`Report`], [`Sweep`], format [`FORMAT`]), how a
//!   report is shown (in a terminal by [`summary()`] and [`study_text()`], as one offline HTML file by
//!   [`html()`], [`sweep_html()`] and [`study_html()`]) and whether one sweep is worse than another
//!   ([`Comparison`]).
//! * **What it leaves.** Measuring, judging and writing files belong to the runner and its oracles. Nothing
//!   here reads a clock or a file; each function maps data to text, so equal data gives equal text.
//! * **Source.** Base against head as in iroh-gossip's simulation workflow; bounds and theoretical limits
//!   come from the scenario and are only shown here.
//! * **Life cycle.** The runner fills a [`Report`]; a sweep stores each run through
//!   [`Report::without_series`]; [`load()`] reads either kind back; [`Comparison::of`] sets two beside each
//!   other.
//! * **Limits.** A drawn path keeps at most [`POINTS_MAX`] points, with the extremes of what it drops.
//! * **How it ends.** Drawing never fails: a data set that is empty, or holds numbers that are not finite,
//!   becomes a sentence saying so. Only [`load()`] can refuse, with a [`ReportError`].

mod columns;
mod compare;
mod convergence;
mod delivery;
mod format;
mod html;
mod load;
mod markup;
#[cfg(test)]
mod sample;
mod scale;
mod study;
mod study_page;
mod sweep;
mod sweep_page;
mod tables;
mod text;
mod traffic;
mod tree;
mod tree_layout;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    compare::{Change, Comparison, NewFailure, Verdict},
    html::html,
    load::{ReportError, load},
    scale::POINTS_MAX,
    study::{StudyReport, StudyRow, study_text},
    study_page::study_html,
    sweep::{Spread, Sweep},
    sweep_page::sweep_html,
    text::summary,
};

/// The version of the report file that this code writes and reads.
pub const FORMAT: u32 = 1;

/// Everything one run of a scenario found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the file, [`FORMAT`] when written by this code.
    pub format: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// What the scenario shows, in a sentence or two.
    pub summary: String,
    /// The seed: with the build, it reproduces the run.
    pub seed: u64,
    /// How many nodes took part.
    pub nodes: u64,
    /// Which code ran.
    pub build: Build,
    /// The verdict.
    pub outcome: Outcome,
    /// What the oracles found wrong, first in virtual time first.
    pub failures: Vec<Failure>,
    /// Hash over the trace of the run: equal hashes mean equal runs.
    pub trace_hash: String,
    /// Number of events in the trace.
    pub trace_events: u64,
    /// Every option that was drawn from the seed or set by hand.
    pub drawn: Vec<Drawn>,
    /// Virtual time the run covered, in seconds.
    pub virtual_seconds: f64,
    /// Real time the run took, in seconds.
    pub wall_seconds: f64,
    /// Largest resident memory of the process, in bytes.
    pub peak_memory_bytes: u64,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// How often each oracle looked and objected.
    pub oracles: Vec<OracleCount>,
    /// How often each thing that should sometimes happen did happen.
    pub sometimes: Vec<SometimesCount>,
    /// How far the nodes' views agreed with the truth, over virtual time.
    pub agreement: Vec<AgreementPoint>,
    /// The parts of the run.
    pub phases: Vec<Phase>,
    /// The faults that were injected.
    pub faults: Vec<FaultSpan>,
    /// Cumulative distribution of the time a change took to reach a watcher.
    pub delivery: Vec<DeliveryPoint>,
    /// What a node sent, by protocol, over virtual time.
    pub traffic: Vec<TrafficPoint>,
    /// How one record spread, if the run followed one.
    pub tree: Option<DisseminationTree>,
}

impl Report {
    /// This report without its long series (agreement, delivery, traffic, tree), as a sweep stores it.
    #[must_use]
    pub fn without_series(self) -> Self {
        Self { agreement: Vec::new(), delivery: Vec::new(), traffic: Vec::new(), tree: None, ..self }
    }

    /// How many virtual seconds passed in one real second, or `None` if no real time was measured.
    #[must_use]
    pub fn speed(&self) -> Option<f64> {
        let ratio = self.virtual_seconds / self.wall_seconds;
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }
}

/// Which code ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// Version of the simulator crate.
    pub version: String,
    /// Commit the simulator was built from.
    pub commit: String,
    /// Hash of the lock file, which fixes every dependency.
    pub lock_hash: String,
    /// Version of the compiler.
    pub rustc: String,
}

/// The verdict on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every oracle agreed and every bound was kept.
    Passed,
    /// Something happened that must never happen.
    Safety,
    /// Something that must happen did not happen in time.
    Liveness,
}

/// One objection of an oracle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the oracle.
    pub oracle: String,
    /// When it objected, in virtual seconds.
    pub at_seconds: f64,
    /// What it saw, in words.
    pub what: String,
}

/// One option of a run, drawn from the seed or set by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// Name of the option.
    pub option: String,
    /// Its value, as text with its unit.
    pub value: String,
}

/// One measured number, beside what the scenario demands and what theory allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Name, as words.
    pub name: String,
    /// Unit of `value` and `bound`. Seconds (`s`, `ms`), bytes (`B`, `B/s`, `B/…`) and shares (`share`, from
    /// 0 to 1) are scaled for reading; any other unit is printed as it stands.
    pub unit: String,
    /// The number; must be finite, since JSON has no other numbers.
    pub value: f64,
    /// What the scenario demands: at most this much, or at least this much where higher is better.
    pub bound: Option<f64>,
    /// The theoretical limit, in words with its number.
    pub theory: Option<String>,
    /// Which direction is an improvement.
    pub better: Better,
}

impl Metric {
    /// Whether the value keeps the bound, or `None` if the scenario demands nothing.
    #[must_use]
    pub fn keeps_bound(&self) -> Option<bool> {
        self.bound.map(|bound| match self.better {
            Better::Higher => self.value >= bound,
            Better::Lower | Better::Neither => self.value <= bound,
        })
    }
}

/// Which direction of a metric is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// A smaller value is better.
    Lower,
    /// A larger value is better.
    Higher,
    /// The value only describes the run.
    Neither,
}

/// How often an oracle looked and objected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OracleCount {
    /// Name of the oracle.
    pub name: String,
    /// How often it looked.
    pub checked: u64,
    /// How often it objected.
    pub violations: u64,
}

/// How often something that should sometimes happen did happen: the proof that a fault really bit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SometimesCount {
    /// What should happen, in words.
    pub name: String,
    /// How often it happened.
    pub times: u64,
    /// Whether this scenario wants it at least once.
    pub wanted: bool,
}

/// How far the nodes agreed at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgreementPoint {
    /// The moment, in virtual seconds.
    pub at_seconds: f64,
    /// How many nodes were alive.
    pub live_nodes: u64,
    /// Share, from 0 to 1, of the (node, presentity) pairs whose view equals the truth.
    pub agreeing_share: f64,
    /// Number of (node, presentity) pairs whose view differs from the truth.
    pub disagreeing_pairs: u64,
}

/// One part of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name, such as `join`, `faults` or `heal`.
    pub name: String,
    /// When it began, in virtual seconds.
    pub from_seconds: f64,
    /// When it ended, in virtual seconds.
    pub until_seconds: f64,
}

/// One injected fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultSpan {
    /// Its kind, such as `partition`: faults of a kind share a lane in the picture.
    pub kind: String,
    /// What exactly was done to whom, in words.
    pub what: String,
    /// When it began, in virtual seconds.
    pub from_seconds: f64,
    /// When it ended, in virtual seconds, or `None` if it lasted to the end of the run.
    pub until_seconds: Option<f64>,
}

/// One point of the cumulative distribution of delivery times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryPoint {
    /// Time from the change to its arrival, in milliseconds.
    pub milliseconds: f64,
    /// Share, from 0 to 1, of the deliveries that took at most this long.
    pub share: f64,
}

/// What a node sent at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrafficPoint {
    /// The moment, in virtual seconds.
    pub at_seconds: f64,
    /// Mean over the live nodes, in bytes per second, by protocol (`gossip`, `presence`, `message`,
    /// `identify`, `liveness`, `discovery`, `transport`).
    pub bytes_per_node_second: BTreeMap<String, f64>,
}

/// How one record spread from node to node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DisseminationTree {
    /// Which record, in words.
    pub record: String,
    /// One edge for each node the record reached.
    pub edges: Vec<TreeEdge>,
}

/// How one node got a record for the first time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeEdge {
    /// The node.
    pub node: u32,
    /// The node it came from, or `None` at the origin.
    pub parent: Option<u32>,
    /// When it arrived, in milliseconds after the origin had it.
    pub at_milliseconds: f64,
    /// Number of hops from the origin.
    pub hop: u32,
}
