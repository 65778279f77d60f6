//! A run: nodes on hosts, what is done to them, and what must come of it.
//!
//! [`run`] makes the calling thread a simulation ([`Machine`]), puts a node on every host of a [`Network`]
//! and lets the scenario happen in three phases. *Join*: the nodes start, until all show all. *Safety*:
//! workload, churn and faults, during which the oracles only watch for what must never happen. *Liveness*:
//! everything that can be healed is, nothing new happens, and within the scenario's bound everybody must
//! agree. What runs on the hosts is `hereabouts::mesh` with the libp2p that a machine runs; only what
//! [`MeshConfig`](hereabouts::mesh::MeshConfig) takes is the simulation's.
//!
//! Everything that is drawn is drawn from generators that the seed starts, one for each purpose, so that a
//! change in one place does not change what another draws.

mod access;
mod hardware;
mod measure;
mod people;
mod plan;
mod process;
mod watching;
mod work;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hereabouts_protocol::{
    identity::{Presentity, Realm},
    presence::record::Version,
};
use libp2p::identity::Keypair;
use rand::{RngExt, SeedableRng, rngs::StdRng};

pub(crate) use self::plan::{Action, describe};
pub use self::{hardware::Hardware, measure::ended_as_wanted};
use self::{
    measure::{Healing, Measurements},
    plan::Plan,
    process::Node,
};
use crate::{
    adversaries::{self, Refusals},
    disk::{RecordInterner, SimulatedDisk},
    faults::Faults,
    network::{Network, links::LinkSettings, spread::Spread},
    oracles::{self, Oracles},
    report::Report,
    scenario::{DiscoveryKind, Profile, Scenario},
    trace::{Trace, TraceEvent},
    virtual_machine::{HostId, Machine, now},
};

/// What is to be run, beside the scenario.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Where everything that happens goes.
    pub trace: Trace,
    /// Where others can see how far it is.
    pub progress: Arc<Progress>,
}

/// How far a run is; may be read from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// Virtual milliseconds so far.
    pub virtual_millis: AtomicU64,
    /// Pairs that disagree at the moment.
    pub disagreeing: AtomicU64,
    /// The phase: 0 join, 1 safety, 2 liveness, 3 done.
    pub phase: AtomicU64,
}

/// Runs `scenario`, on a thread of its own.
///
/// # Panics
/// If the simulator itself is wrong; what the nodes do wrong is in the report.
pub fn run(scenario: &Scenario, options: &Options) -> Report {
    run_on(Hardware::default(), scenario, options)
}

/// [`run`], on other machines.
///
/// # Panics
/// As there.
pub fn run_on(hardware: Hardware, scenario: &Scenario, options: &Options) -> Report {
    let started = real_now();
    std::thread::scope(|scope| {
        let simulation = std::thread::Builder::new()
            .name("simulation".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || World::new(hardware, scenario, options).run());
        let mut report = simulation
            .expect("the system gives a thread")
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        report.wall_seconds = started.elapsed().as_secs_f64();
        report
    })
}

fn real_now() -> Instant {
    Instant::now()
}

/// A run under way.
pub(crate) struct World {
    scenario: Scenario,
    options: Options,
    hardware: Hardware,
    pub(crate) network: Network,
    pub(crate) oracles: Oracles,
    pub(crate) nodes: Vec<Node>,
    pub(crate) agenda: BTreeMap<(u64, u64), Action>,
    planned: u64,
    pub(crate) faults: Faults,
    measurements: Measurements,
    random: StdRng,
    last_start: u64,
    /// Nodes whose processes have ended by themselves.
    ended: Arc<Mutex<Vec<usize>>>,
    /// What guarded nodes grant, by their numbers.
    guards: BTreeMap<usize, access::Guard>,
    /// What adversaries learned on the wire.
    answers: adversaries::Answers,
    /// The last: what the others hold is dropped while it still runs.
    pub(crate) machine: Machine,
}

impl World {
    fn new(hardware: Hardware, scenario: &Scenario, options: &Options) -> Self {
        let seed = options.seed;
        let mut machine = Machine::start(purpose(seed, 1), scenario.shuffle);
        hardware.set_up(&mut machine);
        let trace = options.trace.clone();
        let hosts = scenario.nodes + adversaries::count(scenario);
        let network = Network::new(links(scenario), hosts, purpose(seed, 2), trace.clone());
        network.set_handshake(hardware.handshake);
        let interner = RecordInterner::default();
        let publishers = publishers(scenario, seed);
        let guarded = access::guarded(scenario, |number| publishers.contains(&number));
        let segments = u32::try_from(scenario.network.segments).unwrap_or(1).max(1);
        let nodes: Vec<Node> = (0..scenario.nodes)
            .map(|number| {
                let key = key(seed, number);
                let presentity = Presentity::from_public_key(&key.public()).expect("it is an Ed25519 key");
                let segment = u32::try_from(number).unwrap_or(0) % segments;
                let host = network.add_host(key.public().to_peer_id(), segment);
                let disk = SimulatedDisk::new(interner.clone(), scenario.disk.fsync, scenario.disk.lies);
                let place = guarded.iter().position(|guarded| *guarded == number);
                let kind = (publishers.contains(&number), place.and_then(|place| u8::try_from(place).ok()));
                Node::new(number, host, key, presentity, disk, kind)
            })
            .collect();
        let known = nodes.iter().map(Node::known).collect();
        let oracles = Oracles::new(network.clone(), trace, known, scenario.expect.departures);
        let around = adversaries::Surroundings {
            scenario,
            network: &network,
            oracles: &oracles,
            realm: realm(),
            honest: nodes.iter().map(|node| (node.host, node.presentity)).collect(),
            guarded: nodes.iter().filter(|node| node.guarded.is_some()).map(|node| node.presentity).collect(),
        };
        if !guarded.is_empty() {
            network.capture();
        }
        let answers = adversaries::start(
            &around,
            |number| key(seed, scenario.nodes + number),
            |number| purpose(seed, ADVERSARIES + u64::try_from(number).unwrap_or(0)),
        );
        let mut world = Self {
            scenario: scenario.clone(),
            options: options.clone(),
            hardware,
            network,
            oracles,
            nodes,
            agenda: BTreeMap::new(),
            planned: 0,
            faults: Faults::default(),
            measurements: Measurements::default(),
            random: StdRng::seed_from_u64(purpose(seed, 3)),
            last_start: 0,
            ended: Arc::default(),
            guards: BTreeMap::new(),
            answers,
            machine,
        };
        let plan = Plan::of(scenario, seed);
        world.faults.all = plan.faults;
        for (at, start) in plan.starts {
            world.last_start = world.last_start.max(at);
            world.plan(at, start);
        }
        world.measurements.drawn = plan.drawn;
        world
    }

    fn run(mut self) -> Report {
        self.begin_phase(0, "join");
        let limit = nanoseconds(self.scenario.join_limit);
        let joined = self.advance_until(limit, |world| world.has_joined());
        if joined {
            self.measurements.joined = Some(now().saturating_sub(self.last_start));
            self.measurements.join_announcements = Some(self.network.traffic().announcements().total());
            self.measure_idle();
            self.safety_phase();
            self.liveness_phase();
        } else {
            let what = format!(
                "after {:?} not everybody shows everybody: {} pairs disagree ({})",
                self.scenario.join_limit,
                self.oracles.disagreeing(),
                self.oracles.disagreements()
            );
            self.oracles.violate(oracles::AGREEMENT, what);
        }
        self.begin_phase(3, "end");
        self.check_watching();
        self.count_refusals();
        self.check_messages();
        self.report()
    }

    /// What became of the adversaries' doings, which honest nodes know.
    fn count_refusals(&mut self) {
        if self.scenario.adversaries.is_empty() {
            return;
        }
        let nodes = self.nodes.iter().filter_map(|node| Some((node.host, node.handle()?)));
        let refusals = Refusals::ask(nodes);
        self.advance_until(now() + ASKING, |_| refusals.is_complete());
        for (what, times) in refusals.of_adversaries(&self.scenario, &self.answers) {
            for _ in 0..times {
                self.oracles.count(what);
            }
        }
    }

    fn has_joined(&self) -> bool {
        now() >= self.last_start && self.oracles.disagreeing() == 0 && self.nodes.iter().all(Node::is_running)
    }

    fn safety_phase(&mut self) {
        self.begin_phase(1, "faults");
        self.measurements.gossip_before = self.gossip_bytes();
        self.network.with_spread(Spread::begin_changes);
        let begin = now();
        let plan = Plan::of(&self.scenario, self.options.seed);
        for (at, action) in plan.actions {
            self.plan(begin + at, action);
        }
        self.begin_contacts();
        self.begin_access();
        self.begin_watches();
        self.advance_until(begin + nanoseconds(self.scenario.duration), |_| false);
    }

    fn liveness_phase(&mut self) {
        self.begin_phase(2, "heal");
        self.answers.ledger().end();
        self.heal_all();
        let begin = now();
        let traffic = self.network.traffic();
        // A thousand nodes have a million: what nobody was kept from needs no count.
        let versions = (!self.faults.spans.is_empty()).then(|| self.record_versions());
        let converged = self.advance_until(begin + nanoseconds(self.scenario.settle), |world| {
            world.oracles.disagreeing() == 0 && world.oracles.waiting_messages() == 0
        });
        if converged {
            self.measurements.converged = Some(now() - begin);
            let learned = versions.map_or(0, |before| {
                let after = self.record_versions();
                after.iter().filter(|(pair, version)| before.get(pair) < Some(version)).count()
            });
            let sent = self.network.traffic().since(&traffic);
            self.measurements.healing = Some(Healing { sent, learned });
        } else {
            let what = format!(
                "{:?} after healing {} pairs disagree ({}), and {} messages wait",
                self.scenario.settle,
                self.oracles.disagreeing(),
                self.oracles.disagreements(),
                self.oracles.waiting_messages(),
            );
            self.oracles.violate(oracles::AGREEMENT, what);
        }
    }

    fn measure_idle(&mut self) {
        let expect = &self.scenario.expect;
        let (bytes, announcements) =
            (expect.idle_bytes_per_second.is_some(), expect.idle_announcements_per_second.is_some());
        if !bytes && !announcements {
            return;
        }
        // What still goes on after joining is not idleness: repairs, IHAVE of the last records.
        self.advance_until(now() + IDLE_SETTLE, |_| false);
        let begin = now();
        let announced = self.network.traffic().announcements().total();
        if bytes {
            self.measure_idle_bytes();
        }
        if announcements {
            self.advance_until(begin + IDLE_ANNOUNCEMENTS_WINDOW, |_| false);
            let announced = self.network.traffic().announcements().total() - announced;
            let seconds = IDLE_ANNOUNCEMENTS_WINDOW as f64 / 1e9;
            self.measurements.idle_announcements = Some(announced as f64 / seconds);
        }
    }

    fn measure_idle_bytes(&mut self) {
        let before: Vec<_> = self.nodes.iter().map(|node| self.network.sent_bytes(node.host)).collect();
        self.advance_until(now() + IDLE_WINDOW, |_| false);
        let sent = self.nodes.iter().zip(before).map(|(node, before)| {
            let sent = (self.network.sent_bytes(node.host) - before) as f64 / (IDLE_WINDOW as f64 / 1e9);
            let what = format!("idle, sent {sent:.1} bytes a second");
            self.options.trace.add(&TraceEvent::Told { at: now(), host: node.host, what: &what });
            sent
        });
        self.measurements.idle = sent.collect();
    }

    /// Lets time pass until `until`, or until `done` holds; whether it came to hold.
    fn advance_until(&mut self, until: u64, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            if now() >= until {
                return false;
            }
            self.step(until);
        }
    }

    fn step(&mut self, until: u64) {
        self.machine.executor.run_until_idle();
        let next = [self.network.next_event(), self.agenda.first_key_value().map(|((at, _), _)| *at)];
        let next = next.into_iter().flatten().chain([until, self.measurements.next_sample]).min();
        self.machine.advance(next.unwrap_or(until));
        let polls = self.machine.executor.polls();
        self.options.trace.add(&TraceEvent::Step { at: now(), polls });
        self.network.handle_due();
        self.oracles.handle_received(&self.network.take_received());
        while self.agenda.first_key_value().is_some_and(|((at, _), _)| *at <= now())
            && let Some((_, action)) = self.agenda.pop_first()
        {
            self.act(action);
        }
        self.reap();
        if now() >= self.measurements.next_sample {
            self.sample();
        }
    }

    /// The host of a node.
    pub(crate) fn host(&self, node: usize) -> HostId {
        self.nodes.get(node).map_or(HostId::MAX, |node| node.host)
    }

    pub(crate) fn plan(&mut self, at: u64, action: Action) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), action);
    }

    fn begin_phase(&mut self, number: u64, name: &'static str) {
        self.sample();
        self.measurements.begin_phase(name);
        self.options.progress.phase.store(number, Ordering::Relaxed);
    }

    /// Which version every node has of every presentity.
    fn record_versions(&self) -> BTreeMap<(HostId, Presentity), Version> {
        let of_node = |node: &Node| {
            let host = node.host;
            node.disk.record_versions().into_iter().map(move |(of, version)| ((host, of), version))
        };
        self.nodes.iter().flat_map(of_node).collect()
    }

    fn check_messages(&self) {
        let inboxes: Vec<BTreeMap<_, usize>> = self
            .nodes
            .iter()
            .map(|node| {
                let mut counts = BTreeMap::new();
                for key in node.disk.inbox_ids() {
                    *counts.entry(key.id).or_default() += 1;
                }
                counts
            })
            .collect();
        self.oracles.check_messages(|node, id| {
            inboxes.get(node).and_then(|inbox| inbox.get(id)).copied().unwrap_or(0)
        });
    }
}

fn links(scenario: &Scenario) -> LinkSettings {
    let network = &scenario.network;
    let (latency, jitter, loss, multicast_loss, bandwidth) = match network.profile {
        Profile::Wired => (Duration::from_micros(100), Duration::from_micros(30), 0.0, 0.001, 1e9),
        Profile::Wifi => (Duration::from_micros(1_500), Duration::from_millis(1), 0.005, 0.10, 1e8),
        Profile::Wan => (Duration::from_millis(4), Duration::from_micros(500), 0.001, 1.0, 1e8),
    };
    LinkSettings {
        latency: network.latency.unwrap_or(latency),
        jitter: network.jitter.unwrap_or(jitter),
        loss: network.loss.unwrap_or(loss),
        multicast_loss,
        bandwidth: network.bandwidth_mbit.map_or(bandwidth, |megabits| megabits * 1e6),
        stalls: network.stalls,
        router_latency: network.router_latency,
        regions: network.profile == Profile::Wan,
    }
}

fn publishers(scenario: &Scenario, seed: u64) -> std::collections::BTreeSet<usize> {
    let count = scenario.node.publishers.of(scenario.nodes);
    let mut random = StdRng::seed_from_u64(purpose(seed, 4));
    rand::seq::index::sample(&mut random, scenario.nodes, count).into_iter().collect()
}

fn key(seed: u64, number: usize) -> Keypair {
    let mut random = StdRng::seed_from_u64(purpose(seed, KEYS + u64::try_from(number).unwrap_or(0)));
    let bytes: [u8; 32] = random.random();
    Keypair::ed25519_from_bytes(bytes).expect("any 32 bytes are the secret of an Ed25519 key")
}

/// A seed for one purpose.
fn purpose(seed: u64, purpose: u64) -> u64 {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

fn realm() -> Realm {
    Realm::default()
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether nodes look for others on their segment.
fn looks(scenario: &Scenario) -> bool {
    scenario.join.discovery == DiscoveryKind::Mdns
}

/// Purposes from here on are the keys of the nodes.
const KEYS: u64 = 1 << 32;
/// And these the seeds of the adversaries.
const ADVERSARIES: u64 = 1 << 33;
/// No node takes that long to say what it refused, in nanoseconds.
const ASKING: u64 = 1_000_000_000;
/// Futures of libp2p are large, and are polled within each other.
const STACK_BYTES: usize = 32 * 1024 * 1024;
const IDLE_SETTLE: u64 = 10_000_000_000;
/// Four comparisons and eight turns of probes.
const IDLE_WINDOW: u64 = 120_000_000_000;
/// Two of mDNS' intervals between questions.
const IDLE_ANNOUNCEMENTS_WINDOW: u64 = 600_000_000_000;

#[cfg(test)]
mod tests;
