//! The scenarios that ship with the simulator, and how a scenario is named.

use std::{fs, io};

use thiserror::Error;

use crate::scenario::{Scenario, ScenarioError};

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each.
        const SHIPPED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),*];
    };
}

shipped![
    "lan-party",
    "office",
    "flash-crowd",
    "campus",
    "join-storm",
    "crowded-segment",
    "city",
    "rolling-restart",
    "idle",
    "sudden-death",
    "power-loss",
    "half-massacre",
    "massacre",
    "crash-everything",
    "partition-heal",
    "half-and-half",
    "one-way",
    "long-split",
    "lossy-wifi",
    "laptop-lids",
    "one-starved-node",
    "starved-nodes",
    "churn",
    "fault-mix",
    "watchers",
    "revocation",
    "recorders",
    "message-storm",
    "spam-flood",
    "fetch-storm",
    "subscription-storm",
    "forgers",
    "false-accusers",
    "canary",
    "access-canary",
];

/// All of them, in the order in which they are to be read.
///
/// # Errors
/// If one cannot be read, which a test rules out.
pub fn all() -> Result<Vec<Scenario>, ScenarioError> {
    SHIPPED.iter().map(|(name, text)| Scenario::parse(&format!("{name}.toml"), text)).collect()
}

/// The scenario of this name, or in the file of this name if it ends in `.toml`.
///
/// # Errors
/// If there is no such scenario, or what is wrong with it.
pub fn load(name: &str) -> Result<Scenario, LoadError> {
    if name.ends_with(".toml") {
        let text = fs::read_to_string(name)
            .map_err(|source| LoadError::Unreadable { file: name.to_owned(), source })?;
        return Ok(Scenario::parse(name, &text)?);
    }
    let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    let Some((_, text)) = shipped else {
        let near = SHIPPED.iter().map(|(shipped, _)| (strsim::jaro_winkler(name, shipped), *shipped));
        let nearest = near.max_by(|one, other| one.0.total_cmp(&other.0)).filter(|(near, _)| *near > 0.7);
        return Err(LoadError::Unknown {
            name: name.to_owned(),
            suggestion: nearest.map(|(_, name)| format!("did you mean `{name}`? ")).unwrap_or_default(),
        });
    };
    Ok(Scenario::parse(&format!("{name}.toml"), text)?)
}

/// Why there is no scenario.
#[derive(Debug, Error)]
pub enum LoadError {
    /// No such scenario ships.
    #[error(
        "no scenario `{name}` ships with the simulator; {suggestion}`here-sim list` names them all, and a \
         file ends in .toml"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// One that is named alike, in words.
        suggestion: String,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It is no scenario.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_in_order_bears_its_files_name_and_has_a_small_size() {
        for (name, text) in SHIPPED {
            let scenario =
                Scenario::parse(&format!("{name}.toml"), text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, *name);
            assert!(text.starts_with("# "), "{name} says what it shows");
            assert!(scenario.small.nodes.is_some() || scenario.nodes <= 30, "{name} has no [small]");
        }
    }

    #[test]
    fn every_file_ships() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let files = fs::read_dir(folder).unwrap().count();
        assert_eq!(files, SHIPPED.len());
    }

    #[test]
    fn a_name_that_is_nearly_right_is_told_which_is_meant() {
        let error = load("lanparty").unwrap_err().to_string();
        assert!(error.contains("did you mean `lan-party`?"), "{error}");
        assert!(load("./none.toml").unwrap_err().to_string().starts_with("cannot read ./none.toml"));
    }
}
