//! What is measured, and the report that comes of it.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{World, nanoseconds};
use crate::{
    build,
    network::{spread::Tree, traffic::Class},
    oracles::{self, Findings},
    report::{
        AgreementPoint, Better, DeliveryPoint, DisseminationTree, Drawn, FORMAT, Metric, Outcome, Phase,
        Report, SometimesCount, TrafficPoint, TreeEdge,
    },
    scenario::{DiscoveryKind, Failing, Scenario, Sometimes},
    virtual_machine::now,
};

/// What is noted while a run goes on.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    pub(super) drawn: Vec<Drawn>,
    pub(super) joined: Option<u64>,
    pub(super) converged: Option<u64>,
    pub(super) healing: Option<Healing>,
    /// What gossip had sent when the changes began.
    pub(super) gossip_before: u64,
    pub(super) idle: Vec<f64>,
    pub(super) join_announcements: Option<u64>,
    pub(super) idle_announcements: Option<f64>,
    pub(super) followed_at: Option<u64>,
    pub(super) next_sample: u64,
    interval: u64,
    agreement: Vec<AgreementPoint>,
    traffic: Vec<TrafficPoint>,
    last_traffic: (u64, BTreeMap<Class, u64>),
    phases: Vec<Phase>,
}

/// What it took from the last heal until all agreed.
#[derive(Debug)]
pub(super) struct Healing {
    /// Bytes sent.
    pub(super) sent: BTreeMap<Class, u64>,
    /// Pairs of a node and a presentity of whom it has a newer record than before.
    pub(super) learned: usize,
}

impl Measurements {
    pub(super) fn begin_phase(&mut self, name: &str) {
        let at = now() as f64 / 1e9;
        if let Some(before) = self.phases.last_mut() {
            before.until_seconds = at;
        }
        self.phases.push(Phase { name: name.to_owned(), from_seconds: at, until_seconds: at });
        // What happens right after a phase begins is over soon: looked at closely at first.
        self.interval = SAMPLE_MIN;
    }
}

impl World {
    pub(super) fn sample(&mut self) {
        let at = now();
        let (agreeing_share, live_nodes) = self.oracles.agreeing();
        let disagreeing_pairs = self.oracles.disagreeing();
        let measured = &mut self.measurements;
        let at_seconds = at as f64 / 1e9;
        measured.agreement.push(AgreementPoint { at_seconds, live_nodes, agreeing_share, disagreeing_pairs });
        let (since, before) = &measured.last_traffic;
        if at >= since + TRAFFIC_INTERVAL {
            let traffic = self.network.traffic();
            let seconds = (at - since) as f64 / 1e9;
            let nodes = live_nodes.max(1) as f64;
            let rate = |(class, bytes): (&Class, &u64)| {
                let new = bytes - before.get(class).copied().unwrap_or(0);
                (class.name().to_owned(), new as f64 / seconds / nodes)
            };
            let bytes_per_node_second = traffic.bytes().iter().map(rate).collect();
            measured.traffic.push(TrafficPoint { at_seconds, bytes_per_node_second });
            measured.last_traffic = (at, traffic.bytes().clone());
        }
        let longest = nanoseconds(self.scenario.duration) / SAMPLES;
        measured.interval = (measured.interval + measured.interval / 20).min(longest.max(SAMPLE_MIN));
        measured.next_sample = at + measured.interval;
        let progress = &self.options.progress;
        progress.virtual_millis.store(at / 1_000_000, Ordering::Relaxed);
        progress.disagreeing.store(disagreeing_pairs, Ordering::Relaxed);
    }

    /// The report, when the run is over.
    pub(super) fn report(mut self) -> Report {
        let virtual_nanoseconds = now();
        let metrics = self.metrics(&self.oracles.findings());
        self.hold_bounds(&metrics);
        let findings = self.oracles.findings();
        let sometimes = self.sometimes(&findings);
        let outcome = outcome(&findings);
        let tree = self.network.with_spread(|spread| spread.tree().map(|tree| self.tree(tree)));
        let measured = std::mem::take(&mut self.measurements);
        let scenario = &self.scenario;
        let set = [
            ("nodes", scenario.nodes.to_string()),
            ("duration", crate::scenario::write_duration(scenario.duration)),
        ];
        let drawn = set.into_iter().map(|(option, value)| Drawn { option: option.to_owned(), value });
        let gossip = scenario.gossip.set().into_iter();
        let gossip = gossip.map(|(field, value)| Drawn { option: format!("gossip, {field}"), value });
        Report {
            format: FORMAT,
            scenario: scenario.name.clone(),
            summary: scenario.summary.clone(),
            seed: self.options.seed,
            nodes: count(scenario.nodes),
            build: build::build(),
            outcome,
            failures: findings.failures,
            trace_hash: self.options.trace.hash(),
            trace_events: self.options.trace.events(),
            drawn: drawn.chain(gossip).chain(measured.drawn).collect(),
            virtual_seconds: virtual_nanoseconds as f64 / 1e9,
            wall_seconds: 0.0,
            peak_memory_bytes: build::peak_memory_bytes(),
            metrics,
            oracles: findings.counts,
            sometimes,
            agreement: measured.agreement,
            phases: measured.phases,
            faults: std::mem::take(&mut self.faults.spans),
            delivery: distribution(findings.changes),
            traffic: measured.traffic,
            tree,
        }
    }

    fn metrics(&self, findings: &Findings) -> Vec<Metric> {
        let expect = &self.scenario.expect;
        let measured = &self.measurements;
        let millis = |bound: Option<std::time::Duration>| bound.map(|bound| bound.as_secs_f64() * 1e3);
        let mut metrics = Metrics(Vec::new());
        let at = |nanoseconds: Option<u64>| nanoseconds.map(|nanoseconds| nanoseconds as f64 / 1e6);
        metrics.add("joined", "ms", at(measured.joined), millis(expect.joined_within), None);
        metrics.quantiles(
            "change",
            &findings.changes,
            [millis(expect.change_p50), millis(expect.change_p99)],
        );
        metrics.add("change, last node", "ms", most(&findings.changes), millis(expect.change_all), None);
        let bound = millis(expect.guarded_change_p99);
        metrics.quantiles("guarded change", &findings.guarded_changes, [None, bound]);
        metrics.add("leave seen by all", "ms", most(&findings.leaves), millis(expect.leave_seen), None);
        let least = "no less than a round trip and a timeout".to_owned();
        metrics.add("death seen by all", "ms", most(&findings.losses), millis(expect.loss_seen), Some(least));
        metrics.add(
            "converged after heal",
            "ms",
            at(measured.converged),
            millis(expect.converged_within),
            None,
        );
        self.heal_metrics(&mut metrics);
        self.capture_metrics(&mut metrics);
        let bound = expect.false_lost.map(|most| most as f64);
        metrics.add("falsely shown lost", "times", Some(findings.false_lost as f64), bound, None);
        metrics.quantiles("message", &findings.messages, [None, millis(expect.message_p99)]);
        for (outcome, times) in &findings.message_outcomes {
            metrics.neither(&format!("messages {outcome}"), "messages", *times as f64);
        }
        self.gossip_metrics(&mut metrics, findings.changes.len());
        self.traffic_metrics(&mut metrics);
        self.discovery_metrics(&mut metrics);
        metrics.0
    }

    fn capture_metrics(&self, metrics: &mut Metrics) {
        let (bytes, opened) = self.oracles.captured();
        if self.scenario.access.is_some() {
            metrics.neither("received bytes looked through", "B", bytes as f64);
            metrics.neither("sealed views opened", "views", opened as f64);
            for (what, most) in self.oracles.kept() {
                metrics.neither(&format!("most {what} at a node"), what, most as f64);
            }
        }
    }

    fn heal_metrics(&self, metrics: &mut Metrics) {
        let Some(healing) = &self.measurements.healing else { return };
        let sent = |wanted: &dyn Fn(&Class) -> bool| {
            let classes = healing.sent.iter().filter(|(class, _)| wanted(class));
            classes.map(|(_, bytes)| *bytes as f64).sum::<f64>()
        };
        metrics.add("bytes spent after heal", "B", Some(sent(&|_| true)), None, None);
        for (class, bytes) in healing.sent.iter().filter(|(_, bytes)| **bytes > 0) {
            let name = format!("bytes spent after heal, {}", class.name());
            metrics.add(&name, "B", Some(*bytes as f64), None, None);
        }
        let record = self.network.with_spread(|spread| spread.record_bytes()).unwrap_or_default();
        let differed = healing.learned as f64 * record;
        metrics.neither("records to be learned after heal", "B", differed);
        let spent = sent(&|class| matches!(class, Class::Gossip | Class::Presence));
        let (cost, bound) = ((differed > 0.0).then(|| spent / differed), self.scenario.expect.heal_cost);
        let theory = "1, each record once".to_owned();
        metrics.add("spent for each byte to be learned", "bytes", cost, bound, Some(theory));
    }

    fn gossip_metrics(&self, metrics: &mut Metrics, deliveries: usize) {
        let (copies, hops) = self.network.with_spread(|spread| (spread.copies_per_receipt(), spread.hops()));
        let copies_per_change = self.network.with_spread(|spread| spread.copies_per_change());
        let degree = self.scenario.gossip.0.mesh_peers as f64;
        let theory = format!("{} to {} for degree {degree}", degree / 2.0, degree - 1.0);
        metrics.add(
            "copies per record and node",
            "copies",
            copies,
            self.scenario.expect.copies,
            Some(theory),
        );
        metrics.add("copies per change and node", "copies", copies_per_change, None, None);
        let bytes = self.gossip_bytes() - self.measurements.gossip_before;
        let per_delivery = (deliveries > 0).then(|| bytes as f64 / deliveries as f64);
        metrics.add("gossip sent per delivery of a change", "B", per_delivery, None, None);
        let nodes = self.scenario.nodes as f64;
        let theory = (degree > 2.0)
            .then(|| format!("ln N / ln(degree - 1) = {:.1}", nodes.ln() / (degree - 1.0).ln()));
        metrics.add("hops, mean", "hops", hops.map(|(mean, _)| mean), None, theory);
        metrics.add("hops, most", "hops", hops.map(|(_, most)| f64::from(most)), None, None);
    }

    /// What gossip has sent so far.
    pub(super) fn gossip_bytes(&self) -> u64 {
        self.network.traffic().bytes().get(&Class::Gossip).copied().unwrap_or(0)
    }

    fn traffic_metrics(&self, metrics: &mut Metrics) {
        let idle = &self.measurements.idle;
        let mean = (!idle.is_empty()).then(|| idle.iter().sum::<f64>() / idle.len() as f64);
        let bound = self.scenario.expect.idle_bytes_per_second;
        metrics.add(
            "idle, sent per node",
            "B/s",
            mean,
            bound,
            Some("flat in the number of nodes".to_owned()),
        );
        let traffic = self.network.traffic();
        let node_seconds = self.scenario.nodes as f64 * now() as f64 / 1e9;
        metrics.add("sent per node", "B/s", Some(traffic.total() as f64 / node_seconds), None, None);
        for (class, bytes) in traffic.bytes() {
            let name = format!("sent per node, {}", class.name());
            metrics.add(&name, "B/s", Some(*bytes as f64 / node_seconds), None, None);
        }
        let connections = self.network.connections() as f64 * 2.0 / self.scenario.nodes as f64;
        metrics.neither("connections per node", "connections", connections);
        let memory = build::peak_memory_bytes() as f64 / self.scenario.nodes as f64;
        metrics.neither("memory per node", "B", memory);
    }

    fn discovery_metrics(&self, metrics: &mut Metrics) {
        let Scenario { expect, join, .. } = &self.scenario;
        let measured = &self.measurements;
        if join.discovery == DiscoveryKind::Mdns {
            let each = measured.join_announcements.map(|packets| packets as f64 / self.scenario.nodes as f64);
            let bound = expect.join_announcements;
            metrics.add("discovery packets per node, join", "packets", each, bound, None);
            let most = self.network.traffic().announcements().most_in_a_second() as f64;
            metrics.add("discovery packets, busiest second", "packets", Some(most), None, None);
            let (idle, bound) = (measured.idle_announcements, expect.idle_announcements_per_second);
            metrics.add("discovery packets, idle", "1/s", idle, bound, None);
        }
        let dials = self.nodes.iter().map(|node| self.network.dials(node.host).most_in_a_second());
        let (most, bound) = (dials.max().map(|most| most as f64), expect.dials_per_second);
        metrics.add("dials of a node, busiest second", "dials", most, bound.map(|bound| bound as f64), None);
    }

    /// Turns every bound that does not hold into a failure.
    fn hold_bounds(&self, metrics: &[Metric]) {
        for metric in metrics {
            let Some(bound) = metric.bound.filter(|bound| metric.value > *bound) else { continue };
            let what =
                format!("{} is {:.1} {}, at most {bound} is allowed", metric.name, metric.value, metric.unit);
            self.oracles.violate(oracles::BOUND, what);
        }
        let findings = self.oracles.findings();
        for wanted in self.missing(&findings) {
            let what = format!("{wanted} never happened, so that the run proves nothing about it");
            self.oracles.violate(oracles::BOUND, what);
        }
    }

    fn missing(&self, findings: &Findings) -> Vec<Sometimes> {
        let wanted = self.scenario.expect.sometimes.iter().copied();
        wanted.filter(|wanted| self.times(*wanted, findings) == 0).collect()
    }

    fn sometimes(&self, findings: &Findings) -> Vec<SometimesCount> {
        let expect = &self.scenario.expect;
        let all = Sometimes::ALL.iter().copied();
        let count = all.map(|what| SometimesCount {
            name: what.to_string(),
            times: self.times(what, findings),
            wanted: expect.sometimes.contains(&what),
        });
        count.filter(|count| count.times > 0 || count.wanted).collect()
    }

    fn times(&self, what: Sometimes, findings: &Findings) -> u64 {
        match what {
            Sometimes::RefusedConnection => self.network.refused_connections(),
            Sometimes::DuplicateRecord => self.network.with_spread(|spread| spread.duplicates()),
            Sometimes::Reconciliation => self.network.exchanges(),
            Sometimes::Redelivery => self.nodes.iter().map(|node| node.disk.duplicates()).sum(),
            Sometimes::FalseSuspicion => findings.false_lost,
            _ => findings.sometimes.get(&what).copied().unwrap_or(0),
        }
    }

    fn tree(&self, tree: &Tree) -> DisseminationTree {
        let origin = tree.edges.first().map_or(0, |(_, _, at, _)| *at);
        let begun = self.measurements.followed_at.unwrap_or(origin);
        let edges = tree.edges.iter().map(|(node, parent, at, hop)| TreeEdge {
            node: *node,
            parent: *parent,
            at_milliseconds: at.saturating_sub(begun) as f64 / 1e6,
            hop: u32::from(*hop),
        });
        let record =
            format!("the first change, of node {}", tree.edges.first().map_or(0, |(node, ..)| *node));
        DisseminationTree { record, edges: edges.collect() }
    }
}

/// Whether a run ended as its scenario wants it to: passed or, for a canary, failed.
pub fn ended_as_wanted(scenario: &Scenario, report: &Report) -> bool {
    let wanted = match scenario.expect.fails {
        None => Outcome::Passed,
        Some(Failing::Safety) => Outcome::Safety,
        Some(Failing::Liveness) => Outcome::Liveness,
    };
    report.outcome == wanted
}

fn outcome(findings: &Findings) -> Outcome {
    let violated = |oracles: &[&str]| {
        findings.counts.iter().any(|count| count.violations > 0 && oracles.contains(&count.name.as_str()))
    };
    if violated(&oracles::SAFETY) {
        Outcome::Safety
    } else if violated(&oracles::LIVENESS) {
        Outcome::Liveness
    } else {
        Outcome::Passed
    }
}

struct Metrics(Vec<Metric>);

impl Metrics {
    fn add(
        &mut self,
        name: &str,
        unit: &str,
        value: Option<f64>,
        bound: Option<f64>,
        theory: Option<String>,
    ) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            let (name, unit) = (name.to_owned(), unit.to_owned());
            self.0.push(Metric { name, unit, value, bound, theory, better: Better::Lower });
        }
    }

    fn neither(&mut self, name: &str, unit: &str, value: f64) {
        let (name, unit) = (name.to_owned(), unit.to_owned());
        self.0.push(Metric { name, unit, value, bound: None, theory: None, better: Better::Neither });
    }

    /// p50, p90 and p99 of latencies in milliseconds; bounds of the first and the last.
    fn quantiles(&mut self, name: &str, latencies: &[f64], bounds: [Option<f64>; 2]) {
        let mut sorted = latencies.to_vec();
        sorted.sort_by(f64::total_cmp);
        let [p50, p99] = bounds;
        for (percent, bound) in [(50, p50), (90, None), (99, p99)] {
            self.add(&format!("{name}, p{percent}"), "ms", quantile(&sorted, percent), bound, None);
        }
    }
}

/// Nearest rank: the smallest value that at least so many percent do not exceed.
fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn most(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}

fn distribution(mut latencies: Vec<f64>) -> Vec<DeliveryPoint> {
    latencies.sort_by(f64::total_cmp);
    let count = latencies.len();
    let step = (count / DISTRIBUTION_POINTS).max(1);
    let places = (0..count).step_by(step).chain(count.checked_sub(1));
    let point = |place: usize| {
        let share = (place + 1) as f64 / count as f64;
        latencies.get(place).map(|milliseconds| DeliveryPoint { milliseconds: *milliseconds, share })
    };
    places.filter_map(point).collect()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

const SAMPLE_MIN: u64 = 2_000_000;
/// Samples of the safety phase.
const SAMPLES: u64 = 400;
const TRAFFIC_INTERVAL: u64 = 100_000_000;
const DISTRIBUTION_POINTS: usize = 500;
