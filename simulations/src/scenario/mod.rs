//! Scenarios: what a simulated run consists of, written in TOML.
//!
//! Decides: the language (fields, units, defaults, ranges), which settings contradict each other, and how a
//! wrong file is explained. A [`Scenario`] that [`Scenario::parse`] gave is right: the runner checks nothing
//! again. `SCENARIOS.md` is the reference for people who write scenarios.
//!
//! Leaves to others: what the settings do (the runner, the network model, the adversaries), the numbers
//! behind a network profile, how drawn faults are drawn, and which scenarios are shipped. Only the lengths
//! of sessions are drawn here ([`Draw`]), since their distributions are part of the language.
//!
//! Source: the scenario files of tigerbeetle's VOPR and of iroh-gossip's simulations; unlike these,
//! everything is read strictly: no unknown field, no number without its unit.
//!
//! Life cycle: [`Scenario::parse`] reads the TOML, each section its fields, then the relations between
//! them. [`Scenario::small`] and [`Scenario::with_nodes`] scale it. [`Scenario::to_toml`] writes the expanded
//! scenario, with every default, into a failure capsule; it parses back to the same value.
//!
//! Limits: [`NODES_MIN`], [`NODES_MAX`], [`DURATION_MIN`], [`DURATION_MAX`]; every other range is on its
//! field. The first problem in a file ends the reading as a [`ScenarioError`]; there are no warnings.

mod access;
mod contradictions;
mod draw;
mod error;
mod expect;
mod gossip;
mod quantity;
mod reader;
mod settings;
mod trouble;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;
use toml::de::DeTable;

pub use access::Access;
pub use draw::{DRAWN_MAX, DRAWN_MIN, Draw};
pub use error::{Problem, ScenarioError};
pub use expect::{Expect, Failing, Sometimes};
pub use gossip::Gossip;
pub use quantity::{Amount, Skew, parse_duration, parse_share, parse_skew, write_duration, write_share};
pub use settings::{
    DiscoveryKind, DiskSettings, Join, JoinHow, NetworkSettings, NodeSettings, Profile, Small, Workload,
};
pub use trouble::{Adversaries, AdversaryKind, Churn, DrawnFaults, Fault, FaultKind};

use error::Located;
use reader::{Read, Section};

/// One scenario, with every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// Its name, in kebab-case. Required.
    pub name: String,
    /// One line for `here-sim list`. Required; 1 to 120 characters.
    pub summary: String,
    /// Honest nodes. Required; range 2 to 100,000. Time and memory of a run grow faster than the nodes,
    /// since each shows each.
    pub nodes: usize,
    /// Length of the safety phase, after everybody has joined: workload, churn and faults. Default 60 s;
    /// range 1 s to 30 days. Longer: more faults and work meet, the run takes longer.
    #[serde(serialize_with = "quantity::duration_text")]
    pub duration: Duration,
    /// Within this after the last fault is healed, everything must have converged. Default 30 s; range
    /// 100 ms to 1 day. Shorter is stricter.
    #[serde(serialize_with = "quantity::duration_text")]
    pub settle: Duration,
    /// If not everybody knows everybody within this after the first start, the run is a liveness failure.
    /// Default 60 s; range 1 s to 1 day. Shorter is stricter.
    #[serde(serialize_with = "quantity::duration_text")]
    pub join_limit: Duration,
    /// Whether the order of tasks that are ready at the same moment is shuffled by seed. Default no. Finds
    /// more races, and makes logs of two seeds harder to compare.
    pub shuffle: bool,
    /// What CI runs instead.
    #[serde(skip_serializing_if = "Small::is_empty")]
    pub small: Small,
    /// How the nodes start and find the first others.
    pub join: Join,
    /// What each honest node is set to.
    pub node: NodeSettings,
    /// How much each honest node pushes to whom.
    pub gossip: Gossip,
    /// The network between them.
    pub network: NetworkSettings,
    /// The disk of each node.
    pub disk: DiskSettings,
    /// What the nodes do in the safety phase.
    pub workload: Workload,
    /// PRESENTITIES with ACCESS RULES. `None`: everybody shows everything to everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Nodes that come and go. `None`: none do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
    /// Faults in time, in the order of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Faults drawn by seed. `None`: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn_faults: Option<DrawnFaults>,
    /// Nodes beside the honest ones that do not keep to the protocol.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adversaries: Vec<Adversaries>,
    /// What the run is held to.
    pub expect: Expect,
}

impl Scenario {
    /// Reads a scenario from `text`; `file` is only named in errors.
    ///
    /// # Errors
    ///
    /// The first problem found: no TOML, an unknown or missing field, a value of the wrong kind or out of
    /// range, or settings that contradict each other, with or without `[small]`.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        Self::read(text).map_err(|located| located.in_file(file, text))
    }

    /// The scenario that CI runs: `[small]` applied, and no longer part of it.
    #[must_use]
    pub fn small(self) -> Self {
        let small = self.small.clone();
        let duration = small.duration.unwrap_or(self.duration);
        let nodes = small.nodes.unwrap_or(self.nodes);
        Self { duration, small: Small::default(), ..self.with_nodes(nodes) }
    }

    /// The scenario with another number of nodes, kept from [`NODES_MIN`] to [`NODES_MAX`].
    ///
    /// Whatever is too large for that number is made smaller: counts of nodes, `segments`, a burst, a side
    /// of a partition. `records_max` is raised if it held every PRESENTITY before and would not now. The
    /// nodes of `[small]` are dropped, since they were chosen for another size.
    #[must_use]
    pub fn with_nodes(mut self, nodes: usize) -> Self {
        let nodes = nodes.clamp(NODES_MIN, NODES_MAX);
        let held_all = self.node.records_max >= self.node.publishers.of(self.nodes);
        self.nodes = nodes;
        self.small.nodes = None;
        self.network.segments = self.network.segments.min(nodes);
        fit(&mut self.node.publishers, nodes, nodes);
        if held_all {
            self.node.records_max = self.node.records_max.max(self.node.publishers.of(nodes));
        }
        let publishers = self.node.publishers.of(nodes);
        self.workload.burst_changes = self.workload.burst_changes.min(publishers);
        fit(&mut self.join.crowd, nodes, nodes - 1);
        if let Some(access) = &mut self.access {
            fit(&mut access.guarded, nodes, nodes - 1);
        }
        if let Some(churn) = &mut self.churn {
            fit(&mut churn.amount, nodes, nodes);
        }
        for fault in &mut self.faults {
            fit(&mut fault.amount, nodes, if fault.kind.divides() { nodes - 1 } else { nodes });
        }
        for adversaries in &mut self.adversaries {
            fit(&mut adversaries.amount, nodes, nodes);
        }
        self
    }

    /// The whole scenario as TOML, every default written out. [`Scenario::parse`] reads the same value.
    ///
    /// # Errors
    ///
    /// Only if a value cannot be written in TOML, which none that was parsed does.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    const FIELDS: &'static [&'static str] = &[
        "name",
        "summary",
        "nodes",
        "duration",
        "settle",
        "join_limit",
        "shuffle",
        "small",
        "join",
        "node",
        "gossip",
        "network",
        "disk",
        "workload",
        "access",
        "churn",
        "faults",
        "drawn_faults",
        "adversaries",
        "expect",
    ];

    fn read(text: &str) -> Read<Self> {
        let document = DeTable::parse(text).map_err(|error| {
            let message = error.message().to_owned();
            Located::boxed(error.span().unwrap_or(0..0), Problem::Syntax { message })
        })?;
        let root = Section::open("a scenario", 0..0, document.get_ref(), Self::FIELDS)?;
        let scenario = Self::read_fields(&root)?;
        contradictions::check(&scenario, document.get_ref())?;
        Ok(scenario)
    }

    fn read_fields(root: &Section<'_>) -> Read<Self> {
        let nodes = root.count("nodes", NODES_MIN..=NODES_MAX)?;
        let lengths = DURATION_MIN..=DURATION_MAX;
        Ok(Self {
            name: read_name(root)?,
            summary: read_summary(root)?,
            nodes: root.required("nodes", nodes, &format!("an integer from {NODES_MIN} to {NODES_MAX}"))?,
            duration: root.duration("duration", lengths)?.unwrap_or(DURATION),
            settle: root.duration("settle", SETTLE_MIN..=DAY)?.unwrap_or(SETTLE),
            join_limit: root.duration("join_limit", DURATION_MIN..=DAY)?.unwrap_or(JOIN_LIMIT),
            shuffle: root.flag("shuffle")?.unwrap_or(false),
            small: or_default(root.section("small", Small::FIELDS)?, Small::read)?,
            join: or_default(root.section("join", Join::FIELDS)?, Join::read)?,
            node: or_default(root.section("node", NodeSettings::FIELDS)?, NodeSettings::read)?,
            gossip: or_default(root.section("gossip", Gossip::FIELDS)?, Gossip::read)?,
            network: or_default(root.section("network", NetworkSettings::FIELDS)?, NetworkSettings::read)?,
            disk: or_default(root.section("disk", DiskSettings::FIELDS)?, DiskSettings::read)?,
            workload: or_default(root.section("workload", Workload::FIELDS)?, Workload::read)?,
            access: root
                .section("access", Access::FIELDS)?
                .map(|section| Access::read(&section))
                .transpose()?,
            churn: root.section("churn", Churn::FIELDS)?.map(|section| Churn::read(&section)).transpose()?,
            faults: root.sections("faults", Fault::FIELDS)?.iter().map(Fault::read).collect::<Read<_>>()?,
            drawn_faults: root
                .section("drawn_faults", DrawnFaults::FIELDS)?
                .map(|section| DrawnFaults::read(&section))
                .transpose()?,
            adversaries: root
                .sections("adversaries", Adversaries::FIELDS)?
                .iter()
                .map(Adversaries::read)
                .collect::<Read<_>>()?,
            expect: or_default(root.section("expect", Expect::FIELDS)?, Expect::read)?,
        })
    }
}

fn read_name(root: &Section<'_>) -> Read<String> {
    let allowed = "a name in kebab-case such as \"lan-party\", at most 60 characters";
    let text = root.text("name")?;
    let name = root.required("name", text, allowed)?;
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if name.len() <= NAME_CHARACTERS_MAX && name.split('-').all(is_word) {
        return Ok(name.to_owned());
    }
    let kebab: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let suggestion = (!kebab.is_empty()).then(|| format!("name = \"{}\"", kebab.join("-")));
    Err(root.malformed("name", name, "which is no short name in kebab-case", allowed, suggestion))
}

fn read_summary(root: &Section<'_>) -> Read<String> {
    let allowed = "one line of 1 to 120 characters";
    let text = root.text("summary")?;
    let summary = root.required("summary", text, allowed)?;
    let length = summary.chars().count();
    if !summary.trim().is_empty() && length <= SUMMARY_CHARACTERS_MAX && !summary.contains(['\n', '\r']) {
        return Ok(summary.to_owned());
    }
    let why =
        if length > SUMMARY_CHARACTERS_MAX { "which is too long" } else { "which is not one line of text" };
    Err(root.malformed("summary", summary, why, allowed, None))
}

/// A section's value, or its default if it is absent.
fn or_default<T: Default>(section: Option<Section<'_>>, read: fn(&Section<'_>) -> Read<T>) -> Read<T> {
    section.map_or_else(|| Ok(T::default()), |section| read(&section))
}

/// Makes an amount small enough for `total` nodes, of which at most `most` may be concerned.
fn fit(amount: &mut Amount, total: usize, most: usize) {
    match *amount {
        Amount::Count(count) => *amount = Amount::Count(count.min(most)),
        Amount::Share(_) if amount.of(total) > most => *amount = Amount::Count(most),
        Amount::Share(_) => {}
    }
}

/// The only section that has a field of this name, if there is just one.
fn section_with(field: &str) -> Option<&'static str> {
    let sections = [
        ("the scenario itself, above all sections", Scenario::FIELDS),
        ("[join]", Join::FIELDS),
        ("[node]", NodeSettings::FIELDS),
        ("[gossip]", Gossip::FIELDS),
        ("[network]", NetworkSettings::FIELDS),
        ("[disk]", DiskSettings::FIELDS),
        ("[workload]", Workload::FIELDS),
        ("[access]", Access::FIELDS),
        ("[churn]", Churn::FIELDS),
        ("[[faults]]", Fault::FIELDS),
        ("[drawn_faults]", DrawnFaults::FIELDS),
        ("[[adversaries]]", Adversaries::FIELDS),
        ("[expect]", Expect::FIELDS),
    ];
    let mut with = sections.into_iter().filter(|(_, fields)| fields.contains(&field));
    let (first, second) = (with.next(), with.next());
    if second.is_some() { None } else { first.map(|(section, _)| section) }
}

/// The fewest nodes of a scenario: presence needs two.
pub const NODES_MIN: usize = 2;

/// The most nodes of a scenario: more do not fit into the memory of one machine.
pub const NODES_MAX: usize = 100_000;

/// The shortest safety phase.
pub const DURATION_MIN: Duration = Duration::from_secs(1);

/// The longest safety phase: a month, longer than any timer of a node.
pub const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const DURATION: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(30);
const SETTLE_MIN: Duration = Duration::from_millis(100);
const JOIN_LIMIT: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NAME_CHARACTERS_MAX: usize = 60;
const SUMMARY_CHARACTERS_MAX: usize = 120;
