//! A failure capsule: all that it takes to see a failed run again, in one small file.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    report::{Build, Drawn, Failure, Outcome, Report},
    scenario::{Scenario, ScenarioError},
};

/// What a failed run leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capsule {
    /// The version of this file, [`FORMAT`].
    pub capsule_format: u32,
    /// The seed.
    pub seed: u64,
    /// The build, which alone is sure to repeat the run.
    pub build: Build,
    /// How it ended.
    pub outcome: Outcome,
    /// The oracles that were broken.
    pub failures: Vec<Failure>,
    /// Every option that was drawn, the faults among them.
    pub drawn: Vec<Drawn>,
    /// The hash of the trace.
    pub trace_hash: String,
    /// The scenario with every default, as TOML.
    pub scenario: String,
}

impl Capsule {
    /// The capsule of a run.
    ///
    /// # Errors
    /// If the scenario cannot be written, which none that was read does.
    pub fn of(scenario: &Scenario, report: &Report) -> Result<Self, toml::ser::Error> {
        Ok(Self {
            capsule_format: FORMAT,
            seed: report.seed,
            build: report.build.clone(),
            outcome: report.outcome,
            failures: report.failures.clone(),
            drawn: report.drawn.clone(),
            trace_hash: report.trace_hash.clone(),
            scenario: scenario.to_toml()?,
        })
    }

    /// Reads a capsule, and the scenario in it.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(text: &str) -> Result<(Self, Scenario), CapsuleError> {
        let capsule: Self = serde_json::from_str(text)?;
        if capsule.capsule_format != FORMAT {
            return Err(CapsuleError::Format { found: capsule.capsule_format });
        }
        let scenario = Scenario::parse("the capsule's scenario", &capsule.scenario)?;
        Ok((capsule, scenario))
    }
}

/// Why a file is no capsule.
#[derive(Debug, Error)]
pub enum CapsuleError {
    /// It is not one at all.
    #[error("this is no failure capsule: {0}")]
    Json(#[from] serde_json::Error),
    /// It was written by another version.
    #[error("a capsule of format {found}; this build reads format {FORMAT}")]
    Format {
        /// The format.
        found: u32,
    },
    /// Its scenario is of another version.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// The version of the file that this code writes and reads.
pub const FORMAT: u32 = 1;
