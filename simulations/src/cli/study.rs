//! `here-sim study`: one thing changed at a time, in several sizes, as tables and curves.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use hereabouts_simulations::{
    report::{self, Outcome, Report, StudyReport, StudyRow},
    scenario::Scenario,
    study,
};

use super::{
    Exit, Misused, children,
    run::{Choice, write_file},
    say,
};

#[derive(Debug, Args)]
pub(super) struct Study {
    /// The study that ships, `gossip`, or a file that ends in .toml.
    study: String,
    /// Only these of its sizes, in nodes, separated by commas.
    #[arg(long, value_delimiter = ',')]
    nodes: Vec<usize>,
    /// Every point once in the small size that the study names for quick tests.
    #[arg(long, conflicts_with = "nodes")]
    small: bool,
    /// Runs at the same time. A run of 10,000 nodes takes 6 GB.
    #[arg(long, default_value_t = NonZeroUsize::MIN)]
    jobs: NonZeroUsize,
    /// Keep the runs in this folder and take from it those that are there, so that a study that broke off
    /// goes on. What it holds of another build is taken as well.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Write the curves, one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// A run of the study: which scenario, by its place among the different ones, and which seed.
type Planned = (usize, u64);

impl Study {
    pub(super) fn run(self) -> Result<Exit> {
        let study = study::Study::load(&self.study)?;
        let study = match (self.small, self.nodes.as_slice()) {
            (true, _) => study.small(),
            (false, []) => study,
            (false, nodes) => study.of_sizes(nodes),
        };
        let cases = study.cases()?;
        let has = |nodes: usize| cases.iter().any(|case| case.scenario.nodes == nodes);
        if let Some(missing) = self.nodes.iter().find(|nodes| !has(**nodes)) {
            return Err(Misused(format!("study {} has no size of {missing} nodes", study.name)).into());
        }
        // Points of several series that come to the same are run once.
        let mut scenarios: Vec<&Scenario> = Vec::new();
        let mut planned: Vec<Planned> = Vec::new();
        for case in &cases {
            if !scenarios.contains(&&case.scenario) {
                planned.extend((1..=case.seeds).map(|seed| (scenarios.len(), seed)));
                scenarios.push(&case.scenario);
            }
        }
        let runs = self.run_all(&scenarios, &planned)?;
        let of = |scenario: &Scenario| {
            let runs = planned.iter().zip(&runs);
            let own = runs.filter(|((place, _), _)| scenarios.get(*place) == Some(&scenario));
            own.map(|(_, run)| run.clone()).collect()
        };
        let rows = cases.iter().map(|case| StudyRow {
            series: case.series.clone(),
            value: case.value.clone(),
            is_default: case.is_default,
            nodes: u64::try_from(case.scenario.nodes).unwrap_or(u64::MAX),
            runs: of(&case.scenario),
        });
        let found = StudyReport { rows: rows.collect(), name: study.name, summary: study.summary };
        say(report::study_text(&found).trim_end());
        if let Some(path) = &self.report {
            write_file(path, &report::study_html(&found))?;
            eprintln!("report: {}", path.display());
        }
        // That a mesh does not converge with some numbers is a finding; that a record is forged is none.
        let unsafe_run = runs.iter().any(|run| run.outcome == Outcome::Safety);
        Ok(if unsafe_run { Exit::Safety } else { Exit::Passed })
    }

    fn run_all(&self, scenarios: &[&Scenario], planned: &[Planned]) -> Result<Vec<Report>> {
        let temporary = tempfile::tempdir().context("cannot make a folder for the scenarios")?;
        let folder = self.keep.as_deref().unwrap_or_else(|| temporary.path());
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut runs: Vec<Option<Report>> = Vec::new();
        let mut missing = Vec::new();
        for (number, (place, seed)) in planned.iter().enumerate() {
            let scenario = scenarios.get(*place).context("every run has a scenario")?;
            let text = scenario.to_toml()?;
            let stem = folder.join(stem(&text));
            let kept = kept(&with_seed(&stem, *seed))?;
            if kept.is_none() {
                let file = stem.with_extension("toml");
                write_file(&file, &text)?;
                let scenario = file.to_str().context("the folder's name is no text")?.to_owned();
                missing.push((number, stem, (Choice { scenario, nodes: None, small: false }, *seed)));
            }
            runs.push(kept);
        }
        let made: Vec<_> = missing.iter().map(|(_, _, run)| run.clone()).collect();
        let made = children::run_all(&made, self.jobs, |place, run| {
            let Some((_, stem, (_, seed))) = missing.get(place) else { return Ok(()) };
            write_file(&with_seed(stem, *seed), &serde_json::to_string(&run.clone().without_series())?)
        })?;
        for ((number, ..), run) in missing.iter().zip(made) {
            if let Some(place) = runs.get_mut(*number) {
                *place = Some(run.without_series());
            }
        }
        runs.into_iter().collect::<Option<_>>().context("every run was made or kept")
    }
}

/// A file name for a scenario: its number of nodes, and a hash of all that it says.
fn stem(scenario: &str) -> String {
    use sha2::{Digest, Sha256};

    let hash = Sha256::digest(scenario.as_bytes());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn with_seed(stem: &Path, seed: u64) -> PathBuf {
    stem.with_extension(format!("{seed}.json"))
}

/// The run in this file, if there is one.
fn kept(path: &Path) -> Result<Option<Report>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut sweep = report::load(&text).with_context(|| format!("{}", path.display()))?;
    Ok(sweep.runs.pop())
}
