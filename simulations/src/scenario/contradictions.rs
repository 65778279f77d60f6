//! Settings that are right one by one, but cannot hold together.
//!
//! The relations are looked at on the [`Scenario`] after all defaults are filled in, and once more as
//! [`Scenario::small`] makes it, where only the length of the safety phase can newly be too short. A
//! contradiction is shown at the field that is named for it, at its section if that field is a default, or
//! at the first line.

use std::ops::Range;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use hereabouts::mesh::gossip::GossipSettingsError;

use super::error::{Located, Problem};
use super::quantity::write_duration;
use super::reader::Read;
use super::{
    Adversaries, AdversaryKind, Amount, DiscoveryKind, Expect, Failing, FaultKind, JoinHow, Scenario,
    Sometimes,
};
use crate::oracles::PRESENTITIES_MAX;

/// Refuses the first contradiction in a scenario, which was read from `document`.
pub(super) fn check(scenario: &Scenario, document: &DeTable<'_>) -> Read<()> {
    let found = (|| {
        check_join(scenario)?;
        check_amounts(scenario)?;
        check_gossip(scenario)?;
        check_workload(scenario)?;
        check_access(scenario)?;
        check_faults(scenario)?;
        check_bounds(scenario)?;
        check_sometimes(scenario)?;
        check_small(scenario)
    })();
    found.map_err(|contradiction| contradiction.located(document))
}

/// Two settings that cannot hold together, at one of them.
#[derive(Debug)]
struct Contradiction {
    section: &'static str,
    /// Which table of a list of them.
    index: usize,
    field: &'static str,
    words: String,
    remedy: String,
}

type Check = Result<(), Contradiction>;

impl Contradiction {
    fn located(self, document: &DeTable<'_>) -> Box<Located> {
        let span = self.span(document).unwrap_or(0..0);
        Located::boxed(span, Problem::Contradiction { words: self.words, remedy: self.remedy })
    }

    fn span(&self, document: &DeTable<'_>) -> Option<Range<usize>> {
        if self.section.is_empty() {
            return document.get(self.field).map(|value| value.span());
        }
        let section = document.get(self.section)?;
        let section = match section.get_ref() {
            DeValue::Array(tables) => tables.get(self.index)?,
            _ => section,
        };
        let field = section.get_ref().as_table().and_then(|table| table.get(self.field));
        Some(field.map_or_else(|| section.span(), |value| value.span()))
    }
}

/// A contradiction at a field of a section (`""`: at the top).
fn contradiction(section: &'static str, field: &'static str, words: String, remedy: &str) -> Contradiction {
    Contradiction { section, index: 0, field, words, remedy: remedy.to_owned() }
}

fn check_join(scenario: &Scenario) -> Check {
    let Scenario { join, nodes, join_limit, .. } = scenario;
    let limit = write_duration(*join_limit);
    let starts_over = join.crowd_at.saturating_add(join.within);
    if starts_over >= *join_limit {
        let field = if join.crowd_at > join.within { "crowd_at" } else { "within" };
        let words = format!("the last node may start {} after the first", write_duration(starts_over));
        let words = format!("{words}, but everybody must know everybody by `join_limit`, {limit}");
        return Err(contradiction("join", field, words, "an earlier start, or a longer `join_limit`"));
    }
    if join.how == JoinHow::FlashCrowd {
        let crowd = join.crowd.of(*nodes);
        if crowd == 0 || crowd == *nodes {
            let who = if crowd == 0 { "nobody is" } else { "all nodes are" };
            let words = format!("{who} in the crowd of a flash crowd");
            return Err(contradiction("join", "crowd", words, "at least one node, and not all of them"));
        }
    }
    let apart = scenario.network.segments > 1 && join.discovery == DiscoveryKind::Mdns;
    if apart && scenario.expect.fails != Some(Failing::Liveness) {
        let words = "announcements do not leave a segment: the nodes of several would never meet".to_owned();
        return Err(contradiction(
            "network",
            "segments",
            words,
            "segments = 1, or discovery = \"given\" in [join]",
        ));
    }
    Ok(())
}

fn check_amounts(scenario: &Scenario) -> Check {
    let nodes = scenario.nodes;
    let fits = |section, index, field, amount: Amount, what: &str| {
        let words = match amount {
            Amount::Count(count) if count > nodes => format!("{what} {count} of only {nodes} nodes"),
            _ => return Ok(()),
        };
        let remedy = format!("at most {nodes}, or a share such as \"50%\"");
        Err(Contradiction { section, index, field, words, remedy })
    };
    let somebody = |section, index, amount: Amount, what: &str| {
        if amount.of(nodes) > 0 {
            return Ok(());
        }
        let remedy = "at least one node, or no such section".to_owned();
        Err(Contradiction { section, index, field: "amount", words: format!("{what} nobody"), remedy })
    };
    fits("node", 0, "publishers", scenario.node.publishers, "the publishers are")?;
    fits("join", 0, "crowd", scenario.join.crowd, "the crowd is")?;
    if scenario.network.segments > nodes {
        let words = format!("{} segments for {nodes} nodes: some would be empty", scenario.network.segments);
        return Err(contradiction("network", "segments", words, &format!("at most {nodes}")));
    }
    if let Some(churn) = &scenario.churn {
        fits("churn", 0, "amount", churn.amount, "the churn is of")?;
        somebody("churn", 0, churn.amount, "the churn is of")?;
    }
    for (index, adversaries) in scenario.adversaries.iter().enumerate() {
        somebody("adversaries", index, adversaries.amount, "the adversaries are")?;
        if let Amount::Count(count) = adversaries.amount
            && count > ADVERSARIES_MAX
        {
            let words = format!("{count} adversaries are more than a run has room for");
            let remedy = format!("at most {ADVERSARIES_MAX}");
            return Err(Contradiction { section: "adversaries", index, field: "amount", words, remedy });
        }
    }
    for (index, fault) in scenario.faults.iter().enumerate() {
        let what = format!("the {} befalls", fault.kind);
        fits("faults", index, "amount", fault.amount, &what)?;
        somebody("faults", index, fault.amount, &what)?;
        if fault.kind.divides() && fault.amount.of(nodes) == nodes {
            let words = format!("a {} of everybody leaves nobody on the other side", fault.kind);
            let remedy = format!("less than all {nodes} nodes");
            return Err(Contradiction { section: "faults", index, field: "amount", words, remedy });
        }
    }
    Ok(())
}

fn check_gossip(scenario: &Scenario) -> Check {
    scenario.gossip.0.check().map_err(|error| match error {
        GossipSettingsError::Above { field, limit, most, .. } => {
            contradiction("gossip", field, error.to_string(), &format!("at most {most}, or a higher {limit}"))
        }
        GossipSettingsError::OutOfRange { field } => {
            contradiction("gossip", field, error.to_string(), "a value in its range")
        }
    })
}

fn check_workload(scenario: &Scenario) -> Check {
    let workload = &scenario.workload;
    let counts = [
        ("changes", workload.changes),
        ("bursts", workload.bursts),
        ("messages", workload.messages),
        ("watches", workload.watches),
    ];
    for (field, count) in counts {
        if count > 0 && scenario.node.publishers.of(scenario.nodes) == 0 {
            let words = format!("{count} {field}, but no node publishes: there is no PRESENTITY for them");
            return Err(contradiction("workload", field, words, "0, or `publishers` in [node] above 0"));
        }
    }
    let publishers = scenario.node.publishers.of(scenario.nodes);
    if workload.bursts > 0 && workload.burst_changes > publishers {
        let words = format!("a burst is of {} of only {publishers} publishers", workload.burst_changes);
        return Err(contradiction("workload", "burst_changes", words, &format!("at most {publishers}")));
    }
    let (kept, published) = (scenario.node.records_max, scenario.node.publishers.of(scenario.nodes));
    if kept < published && scenario.expect.fails != Some(Failing::Liveness) {
        let words = format!("each node keeps {kept} PRESENTITIES of {published}: none could show them all");
        let field = "records_max";
        return Err(contradiction(
            "node",
            field,
            words,
            &format!("at least {published}, or fewer `publishers`"),
        ));
    }
    Ok(())
}

fn check_access(scenario: &Scenario) -> Check {
    let Some(access) = &scenario.access else {
        let watches = |adversaries: &Adversaries| WATCHERS.contains(&adversaries.kind);
        if let Some(index) = scenario.adversaries.iter().position(watches) {
            let kind = scenario.adversaries.get(index).map_or("", |adversaries| adversaries.kind.name());
            let words = format!("a {kind} watches those that are guarded, and nobody is");
            let remedy = "a section [access]".to_owned();
            return Err(Contradiction { section: "adversaries", index, field: "kind", words, remedy });
        }
        return Ok(());
    };
    let guarded = access.guarded.of(scenario.nodes);
    let most = scenario.node.publishers.of(scenario.nodes).min(scenario.nodes - 1).min(PRESENTITIES_MAX);
    if guarded > most {
        let words = format!("{guarded} PRESENTITIES are guarded, and {most} can be");
        return Err(contradiction("access", "guarded", words, &format!("at most {most}")));
    }
    Ok(())
}

fn check_faults(scenario: &Scenario) -> Check {
    for (index, adversaries) in scenario.adversaries.iter().enumerate() {
        if let Some(at) = adversaries.denied_at.filter(|at| *at >= scenario.duration) {
            let (at, duration) = (write_duration(at), write_duration(scenario.duration));
            let words = format!("they are denied at {at}, but the safety phase ends at {duration}");
            let remedy = format!("`denied_at` before {duration}, or a longer `duration`");
            return Err(Contradiction { section: "adversaries", index, field: "denied_at", words, remedy });
        }
    }
    for (index, fault) in scenario.faults.iter().enumerate() {
        if fault.at >= scenario.duration {
            let (at, duration) = (write_duration(fault.at), write_duration(scenario.duration));
            let words = format!("the {} begins at {at}, but the safety phase ends at {duration}", fault.kind);
            let remedy = format!("`at` before {duration}, or a longer `duration`");
            return Err(Contradiction { section: "faults", index, field: "at", words, remedy });
        }
    }
    Ok(())
}

fn check_bounds(scenario: &Scenario) -> Check {
    let Scenario { expect, workload, .. } = scenario;
    let beyond = |field, bound: Option<Duration>, limit: Duration, limit_name: &str| match bound {
        Some(bound) if bound > limit => {
            let (bound, limit) = (write_duration(bound), write_duration(limit));
            let words = format!("`{field}` allows {bound}, but the run fails after `{limit_name}`, {limit}");
            Err(contradiction(
                "expect",
                field,
                words,
                &format!("at most {limit}, or a longer `{limit_name}`"),
            ))
        }
        _ => Ok(()),
    };
    beyond("joined_within", expect.joined_within, scenario.join_limit, "join_limit")?;
    beyond("converged_within", expect.converged_within, scenario.settle, "settle")?;
    if let (Some(median), Some(tail)) = (expect.change_p50, expect.change_p99)
        && median > tail
    {
        let words = "the median of the changes cannot be above their 99th percentile".to_owned();
        return Err(contradiction("expect", "change_p50", words, "`change_p50` at most `change_p99`"));
    }
    let measured = [
        ("change_p50", expect.change_p50.is_some(), workload.all_changes(), "changes"),
        ("change_p99", expect.change_p99.is_some(), workload.all_changes(), "changes"),
        ("change_all", expect.change_all.is_some(), workload.all_changes(), "changes"),
        ("message_p99", expect.message_p99.is_some(), workload.messages, "messages"),
    ];
    let guarded = scenario.access.as_ref().map_or(0, |access| access.changes);
    if expect.guarded_change_p99.is_some() && guarded == 0 {
        let words = "`guarded_change_p99` is demanded, but no guarded PRESENTITY changes".to_owned();
        let remedy = "`changes` in [access] above 0";
        return Err(contradiction("expect", "guarded_change_p99", words, remedy));
    }
    for (field, is_demanded, count, what) in measured {
        if is_demanded && count == 0 {
            let words = format!("`{field}` is demanded, but there are no {what} to measure");
            return Err(contradiction("expect", field, words, &format!("`{what}` in [workload] above 0")));
        }
    }
    check_ends(scenario, expect)
}

/// Bounds on how soon ends are seen need nodes that end.
fn check_ends(scenario: &Scenario, expect: &Expect) -> Check {
    let churn = scenario.churn.as_ref();
    let leaves =
        churn.is_some_and(|churn| churn.graceful > 0.0) || may_fault(scenario, &[FaultKind::Restart]);
    if expect.leave_seen.is_some() && !leaves {
        let words = "`leave_seen` is demanded, but no node ever says goodbye".to_owned();
        return Err(contradiction(
            "expect",
            "leave_seen",
            words,
            "with a restart or a graceful [churn] only",
        ));
    }
    let gone =
        [FaultKind::Crash, FaultKind::PowerCut, FaultKind::Suspend, FaultKind::Pause, FaultKind::CablePull];
    let dies = churn.is_some_and(|churn| churn.graceful < 1.0) || may_fault(scenario, &gone);
    if expect.loss_seen.is_some() && !dies {
        let words = "`loss_seen` is demanded, but no node ever dies without a goodbye".to_owned();
        return Err(contradiction("expect", "loss_seen", words, "with a crash or a [churn] that kills only"));
    }
    let cuts = [FaultKind::Partition, FaultKind::OneWayCut, FaultKind::CablePull];
    if expect.heal_cost.is_some() && !may_fault(scenario, &cuts) {
        let words = "`heal_cost` is demanded, but nobody is ever cut off".to_owned();
        return Err(contradiction("expect", "heal_cost", words, "with a partition or a pulled cable only"));
    }
    Ok(())
}

/// What is demanded to happen must be able to.
fn check_sometimes(scenario: &Scenario) -> Check {
    for sometimes in &scenario.expect.sometimes {
        if let Some(needed) = needed_for(scenario, *sometimes) {
            let words = format!("`sometimes` demands {sometimes}, which cannot happen in this scenario");
            return Err(contradiction("expect", "sometimes", words, needed));
        }
    }
    Ok(())
}

/// What a thing needs to happen at all, unless the scenario has it.
fn needed_for(scenario: &Scenario, sometimes: Sometimes) -> Option<&'static str> {
    let churn = scenario.churn.as_ref();
    let is_among = |kind| scenario.adversaries.iter().any(|adversaries| adversaries.kind == kind);
    let faults = |kinds: &[FaultKind]| may_fault(scenario, kinds);
    let loses_disk = churn.is_some_and(|churn| churn.keep_disk < 1.0)
        || scenario.faults.iter().any(|fault| !fault.keep_disk)
        || scenario.drawn_faults.is_some();
    let (is_possible, needed) = match sometimes {
        Sometimes::Partition => (faults(&[FaultKind::Partition]), "with a fault of kind partition only"),
        Sometimes::Crash => (
            churn.is_some_and(|churn| churn.graceful < 1.0)
                || faults(&[FaultKind::Crash, FaultKind::PowerCut]),
            "with a fault of kind crash or a [churn] that kills only",
        ),
        Sometimes::Restart => (
            churn.is_some() || faults(&[FaultKind::Crash, FaultKind::PowerCut, FaultKind::Restart]),
            "with a fault of kind restart or crash or with [churn] only",
        ),
        Sometimes::Pause => (faults(&[FaultKind::Pause]), "with a fault of kind pause only"),
        Sometimes::Suspend => (faults(&[FaultKind::Suspend]), "with a fault of kind suspend only"),
        Sometimes::DiskLoss => {
            (loses_disk, "with `keep_disk` = false in a fault or below 100% in [churn] only")
        }
        Sometimes::ForgeryRefused => {
            (is_among(AdversaryKind::Forger), "with adversaries of kind forger only")
        }
        Sometimes::ReplayRefused => {
            (is_among(AdversaryKind::Replayer), "with adversaries of kind replayer only")
        }
        Sometimes::SpamRefused => (
            is_among(AdversaryKind::Spammer) || WATCHERS.into_iter().any(is_among),
            "with adversaries of kind spammer, recorder, fetcher or subscriber only",
        ),
        Sometimes::ContactDenied => (
            scenario.adversaries.iter().any(|adversaries| adversaries.denied_at.is_some()),
            "with `denied_at` in [[adversaries]] only",
        ),
        Sometimes::QueuedMessage => (
            scenario.workload.messages > 0 && scenario.workload.queued,
            "with `messages` above 0 and `queued` = true in [workload] only",
        ),
        Sometimes::Redelivery
        | Sometimes::DuplicateRecord
        | Sometimes::Reconciliation
        | Sometimes::FalseSuspicion
        | Sometimes::RefusedConnection
        | Sometimes::Suspected
        | Sometimes::Lost
        | Sometimes::Returned => (true, ""),
    };
    (!is_possible).then_some(needed)
}

/// Adversaries of one section: each has links with many nodes.
const ADVERSARIES_MAX: usize = 1000;

/// Adversaries that watch those that are guarded.
const WATCHERS: [AdversaryKind; 3] =
    [AdversaryKind::Recorder, AdversaryKind::Fetcher, AdversaryKind::Subscriber];

/// Whether a fault of one of these kinds is written or may be drawn.
fn may_fault(scenario: &Scenario, kinds: &[FaultKind]) -> bool {
    let drawn = scenario.drawn_faults.iter().flat_map(|drawn| &drawn.kinds);
    scenario.faults.iter().map(|fault| &fault.kind).chain(drawn).any(|kind| kinds.contains(kind))
}

/// `[small]` must be smaller, and still hold together.
fn check_small(scenario: &Scenario) -> Check {
    let small = &scenario.small;
    if let Some(nodes) = small.nodes.filter(|nodes| *nodes > scenario.nodes) {
        let words = format!("[small] has {nodes} nodes, more than the scenario's {}", scenario.nodes);
        return Err(contradiction("small", "nodes", words, &format!("at most {}", scenario.nodes)));
    }
    let Some(duration) = small.duration else { return Ok(()) };
    if duration > scenario.duration {
        let (short, long) = (write_duration(duration), write_duration(scenario.duration));
        let words = format!("[small] lasts {short}, longer than the scenario's {long}");
        return Err(contradiction("small", "duration", words, &format!("at most {long}")));
    }
    check_faults(&scenario.clone().small()).map_err(|found| {
        contradiction("small", "duration", format!("with [small], {}", found.words), &found.remedy)
    })
}
