//! Studies: one scenario in several sizes, with one thing changed at a time.
//!
//! **Decides** which runs a study consists of. A study is a TOML file with a scenario (`[scenario]`,
//! written as in `SCENARIOS.md` but for `name`, `summary` and `nodes`), sizes, and series of points. A
//! run's scenario is that one, with what the size changes laid over it, then what the series and then what
//! the point changes: tables are merged, anything else is replaced. **Leaves** the running to the command
//! line and the showing to [`report::study_text`](crate::report::study_text).
//!
//! Limits: every scenario is read before anything runs. Points that come to the same scenario are one run.

use std::{fs, io};

use serde::Deserialize;
use thiserror::Error;
use toml::Table;

use crate::scenario::{Scenario, ScenarioError};

/// What is varied over what.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Its name, in kebab-case.
    pub name: String,
    /// What is asked, in one line.
    pub summary: String,
    /// What every run starts from.
    scenario: Table,
    /// The sizes of the mesh.
    sizes: Vec<Size>,
    /// What is run instead for tests: every point in this size alone.
    small: Size,
    /// What is varied, one thing each.
    series: Vec<Series>,
}

/// A size of the mesh.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    /// Nodes.
    nodes: usize,
    /// How many seeds are run, from 1 on.
    seeds: u64,
    /// What is laid over the scenario.
    #[serde(default)]
    with: Table,
}

/// One thing that is varied.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    name: String,
    /// What is laid over the scenario for all its points.
    #[serde(default)]
    with: Table,
    /// The sizes in which it is run; all of them if there is none.
    #[serde(default)]
    nodes: Vec<usize>,
    points: Vec<Point>,
}

/// One value of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    /// The value, for people.
    value: String,
    /// What is laid over the scenario.
    #[serde(default)]
    with: Table,
    /// The sizes of its series in which it is run; all of them if there is none.
    #[serde(default)]
    nodes: Vec<usize>,
}

/// One point in one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The series it belongs to.
    pub series: String,
    /// The point's value.
    pub value: String,
    /// Whether that is what the series has without the point.
    pub is_default: bool,
    /// The scenario.
    pub scenario: Scenario,
    /// How many seeds of it are run, from 1 on.
    pub seeds: u64,
}

impl Study {
    /// Reads a study from `text`; `file` is only named in errors.
    ///
    /// # Errors
    /// What is wrong with the file or with the first of its scenarios.
    pub fn parse(file: &str, text: &str) -> Result<Self, StudyError> {
        let wrong = |error: toml::de::Error| StudyError::Malformed { file: file.to_owned(), error };
        let study: Self = toml::from_str(text).map_err(wrong)?;
        study.cases()?;
        study.clone().small().cases()?;
        Ok(study)
    }

    /// The study that ships under this name, or is in the file of this name if it ends in `.toml`.
    ///
    /// # Errors
    /// If there is none, or what is wrong with it.
    pub fn load(name: &str) -> Result<Self, StudyError> {
        if name.ends_with(".toml") {
            let text = fs::read_to_string(name)
                .map_err(|source| StudyError::Unreadable { file: name.to_owned(), source })?;
            return Self::parse(name, &text);
        }
        let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) else {
            return Err(StudyError::Unknown { name: name.to_owned() });
        };
        Self::parse(&format!("{name}.toml"), text)
    }

    /// The study in its size for tests.
    #[must_use]
    pub fn small(mut self) -> Self {
        for series in &mut self.series {
            series.nodes.clear();
            series.points.iter_mut().for_each(|point| point.nodes.clear());
        }
        Self { sizes: vec![self.small.clone()], ..self }
    }

    /// The study in those of its sizes that are among `nodes`.
    #[must_use]
    pub fn of_sizes(mut self, nodes: &[usize]) -> Self {
        self.sizes.retain(|size| nodes.contains(&size.nodes));
        self
    }

    /// Every point in every size in which it is run, in the order of the file, sizes within a series.
    ///
    /// # Errors
    /// What is wrong with the first scenario that cannot be.
    pub fn cases(&self) -> Result<Vec<Case>, StudyError> {
        let mut cases = Vec::new();
        for series in &self.series {
            let is_among = |nodes: &[usize], size: &Size| nodes.is_empty() || nodes.contains(&size.nodes);
            for size in self.sizes.iter().filter(|size| is_among(&series.nodes, size)) {
                let default = self.scenario(size, series, None)?;
                for point in series.points.iter().filter(|point| is_among(&point.nodes, size)) {
                    let scenario = self.scenario(size, series, Some(point))?;
                    cases.push(Case {
                        series: series.name.clone(),
                        value: point.value.clone(),
                        is_default: scenario == default,
                        scenario,
                        seeds: size.seeds,
                    });
                }
            }
        }
        Ok(cases)
    }

    fn scenario(&self, size: &Size, series: &Series, point: Option<&Point>) -> Result<Scenario, StudyError> {
        let mut merged = Table::new();
        merged.insert("name".to_owned(), self.name.clone().into());
        merged.insert("summary".to_owned(), self.summary.clone().into());
        merged.insert("nodes".to_owned(), i64::try_from(size.nodes).unwrap_or(i64::MAX).into());
        lay_over(&mut merged, &self.scenario);
        lay_over(&mut merged, &size.with);
        lay_over(&mut merged, &series.with);
        if let Some(point) = point {
            lay_over(&mut merged, &point.with);
        }
        let text = toml::to_string(&merged).map_err(StudyError::Unwritable)?;
        let value = point.map_or("the default", |point| &point.value);
        Ok(Scenario::parse(&format!("study {}, {} nodes, {value}", self.name, size.nodes), &text)?)
    }
}

/// Lays a table over another: tables in both are merged, anything else is replaced.
fn lay_over(below: &mut Table, above: &Table) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Why there is no study. Nothing was run.
#[derive(Debug, Error)]
pub enum StudyError {
    /// No such study ships.
    #[error("no study `{name}` ships with the simulator, only `gossip`; a file ends in .toml")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It is no study.
    #[error("{file} is no study: {error}")]
    Malformed {
        /// The file.
        file: String,
        /// Where and why.
        error: toml::de::Error,
    },
    /// A scenario cannot be written as TOML, such as one with a value before a table of the same name.
    #[error("a scenario of the study cannot be written: {0}")]
    Unwritable(toml::ser::Error),
    /// One of its scenarios cannot be.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// Name and text of each study that ships.
const SHIPPED: &[(&str, &str)] = &[("gossip", include_str!("../studies/gossip.toml"))];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TEXT: &str = r#"
        name = "links"
        summary = "Links"
        [scenario]
        duration = "5s"
        node = { neighbours = 8 }
        workload = { changes = 3 }
        [small]
        nodes = 4
        seeds = 1
        [[sizes]]
        nodes = 10
        seeds = 3
        [[sizes]]
        nodes = 20
        seeds = 2
        with.node = { publishers = 5 }
        [[series]]
        name = "mesh"
        points = [
            { value = "3", with.gossip.mesh_peers = 3 },
            { value = "5", with.gossip = { mesh_peers = 5 }, nodes = [20] },
        ]
        [[series]]
        name = "loss"
        nodes = [20]
        with = { duration = "9s" }
        points = [{ value = "none" }, { value = "5%", with.network.loss = "5%" }]
    "#;

    #[test]
    fn a_point_is_laid_over_its_size_and_that_over_the_scenario() {
        let cases = Study::parse("links.toml", TEXT).unwrap().cases().unwrap();
        let found: Vec<_> = cases
            .iter()
            .map(|case| {
                let Case { series, value, scenario, .. } = case;
                (series.as_str(), scenario.nodes, value.as_str(), case.is_default, case.seeds)
            })
            .collect();
        let expected = [
            ("mesh", 10, "3", true, 3),
            ("mesh", 20, "3", true, 2),
            ("mesh", 20, "5", false, 2),
            ("loss", 20, "none", true, 2),
            ("loss", 20, "5%", false, 2),
        ];
        assert_eq!(found, expected);
        let last = &cases.last().unwrap().scenario;
        assert_eq!((last.node.neighbours, last.node.publishers.of(20)), (8, 5));
        assert_eq!((last.network.loss, last.duration), (Some(0.05), Duration::from_secs(9)));
        assert_eq!(last.workload.changes, 3);
    }

    #[test]
    fn small_runs_every_point_in_one_size() {
        let cases = Study::parse("links.toml", TEXT).unwrap().small().cases().unwrap();
        assert!(cases.iter().all(|case| case.scenario.nodes == 4 && case.seeds == 1));
        assert_eq!(cases.len(), 4);
        let one = Study::parse("links.toml", TEXT).unwrap().of_sizes(&[20]).cases().unwrap();
        assert!(one.iter().all(|case| case.scenario.nodes == 20));
    }

    #[test]
    fn what_cannot_be_is_told_with_its_place() {
        let said = |text: &str| Study::parse("links.toml", text).unwrap_err().to_string();
        assert!(said("name = 3").starts_with("links.toml is no study: "));
        assert!(said(&TEXT.replace("seeds = 3", "sedes = 3")).contains("unknown field `sedes`"));
        let wrong = said(&TEXT.replace("mesh_peers = 5", "mesh_peers = 7"));
        assert!(wrong.contains("study links, 20 nodes, 5") && wrong.contains("mesh_peers_max"), "{wrong}");
        assert!(Study::load("gosip").unwrap_err().to_string().contains("no study `gosip`"));
        assert!(Study::load("none.toml").unwrap_err().to_string().starts_with("cannot read none.toml"));
    }

    #[test]
    fn the_studies_that_ship_can_be() {
        for (name, _) in SHIPPED {
            let study = Study::load(name).unwrap();
            assert_eq!(study.name, *name);
            let cases = study.cases().unwrap();
            let sizes = cases.iter().map(|case| (&case.series, case.scenario.nodes));
            for size in sizes {
                let of_size = cases.iter().filter(|case| (&case.series, case.scenario.nodes) == size);
                assert!(of_size.filter(|case| case.is_default).count() <= 1, "{size:?}");
            }
        }
    }
}
