//! `here-sim sweep`: many runs, each in a process of its own, as many at a time as there are processors.

use std::{
    env, fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use clap::Args;
use hereabouts_simulations::{
    report::{self, FORMAT, Report},
    world,
};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Exit,
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
        let runs = self.run_all(&jobs)?;
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

    fn run_all(&self, jobs: &[(Choice, u64)]) -> Result<Vec<Report>> {
        let folder = tempfile::tempdir().context("cannot make a folder for the reports")?;
        let bar = ProgressBar::new(u64::try_from(jobs.len()).unwrap_or(u64::MAX));
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} runs  {elapsed}, {eta} to go");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let workers = self.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            for _ in 0..workers.min(jobs.len()) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some((choice, seed)) = jobs.get(number) else { return };
                        let run = run_one(choice, *seed, &folder.path().join(format!("{number}.json")));
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((number, run));
                        bar.inc(1);
                    }
                });
            }
        });
        bar.finish_and_clear();
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, run)| run).collect()
    }
}

fn run_one(choice: &Choice, seed: u64, json: &Path) -> Result<Report> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["run", "--quiet", "--seed", &seed.to_string(), &choice.scenario, "--json"]).arg(json);
    if choice.small {
        command.arg("--small");
    }
    if let Some(nodes) = choice.nodes {
        command.args(["--nodes", &nodes.to_string()]);
    }
    let output = command.stdin(Stdio::null()).output()?;
    let text = fs::read_to_string(json).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("seed {seed} broke off ({}): {}", output.status, said.trim())
    })?;
    Ok(serde_json::from_str(&text)?)
}
