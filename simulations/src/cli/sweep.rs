//! `here-sim sweep`: many runs, each in a process of its own, as many at a time as there are processors.

use std::{num::NonZeroUsize, path::PathBuf, thread};

use anyhow::Result;
use clap::Args;
use hereabouts_simulations::{
    report::{self, FORMAT, Report},
    world,
};

use super::{
    Exit, children,
    run::{Choice, write_file},
    say,
};

#[derive(Debug, Args)]
pub(super) struct Sweep {
    /// A scenario that ships, or a file that ends in .toml.
    scenario: String,
    /// Numbers of nodes, separated by commas. [default: the scenario's]
    #[arg(long, value_delimiter = ',')]
    nodes: Vec<usize>,
    /// How many seeds for each number of nodes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// The small size that the scenario names for quick tests.
    #[arg(long, conflicts_with = "nodes")]
    small: bool,
    /// Runs at the same time. [default: one per processor]
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Write a report to look at, one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the same content as JSON, for `here-sim compare`.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Sweep {
    pub(super) fn run(self) -> Result<Exit> {
        let sizes: Vec<Option<usize>> =
            if self.nodes.is_empty() { vec![None] } else { self.nodes.iter().copied().map(Some).collect() };
        let choice = |nodes| Choice { scenario: self.scenario.clone(), nodes, small: self.small };
        // A wrong scenario is told of once, before anything runs.
        let scenario = choice(None).load()?;
        for size in &sizes {
            choice(*size).load()?;
        }
        let seeds = self.first_seed..self.first_seed.saturating_add(self.seeds);
        let jobs: Vec<_> =
            sizes.iter().flat_map(|size| seeds.clone().map(|seed| (choice(*size), seed))).collect();
        let at_a_time =
            self.jobs.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        let runs = children::run_all(&jobs, at_a_time, |_, _| Ok(()))?;
        let failed = runs.iter().filter(|run| !world::ended_as_wanted(&scenario, run)).count();
        let sweep = report::Sweep {
            format: FORMAT,
            scenario: scenario.name,
            runs: runs.into_iter().map(Report::without_series).collect(),
        };
        say(sweep.table());
        if let Some(path) = &self.json {
            write_file(path, &serde_json::to_string(&sweep)?)?;
        }
        if let Some(path) = &self.report {
            write_file(path, &report::sweep_html(&sweep))?;
            eprintln!("report: {}", path.display());
        }
        let unsafe_run = sweep.runs.iter().any(|run| run.outcome == report::Outcome::Safety);
        Ok(match (failed, unsafe_run) {
            (0, _) => Exit::Passed,
            (_, true) => Exit::Safety,
            (_, false) => Exit::Liveness,
        })
    }
}
