//! Adversaries: nodes beside the honest ones that do not keep to the protocol.
//!
//! Each is a libp2p swarm of its own on a host of its own, with a key that is its own: to honest nodes it
//! is one of them, until it acts. What it does is its tactic: [`forger`], [`replayer`], [`spammer`],
//! [`accuser`], [`watcher`], or nothing at all, which is what a silent dropper does. None breaks
//! cryptography, none owns the network between others, and each stays itself: a peer that is blocked does not
//! come back under another key.
//!
//! Adversaries start while the others do and go on until the run ends. Faults and churn befall honest nodes
//! only. What comes of an adversary is seen where it cannot lie: in what honest nodes counted as refused
//! ([`Refusals`]), and in their answers on the wire ([`Answers`]). A record that is late is "stale" to a node
//! as one that is sent again is, so that stale ones count only if a replayer gossiped one; what it learned on
//! the wire is beyond doubt.

mod accuser;
mod actor;
mod behaviour;
mod forger;
pub(crate) mod ledger;
mod replayer;
mod spammer;
mod watcher;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_timer::Delay;
use hereabouts::mesh::handle::MeshHandle;
use hereabouts_protocol::identity::{Presentity, Realm};
use libp2p::{Multiaddr, identity::Keypair};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::index};

use self::{
    accuser::Accuser,
    actor::{Actor, Tactic},
    forger::Forger,
    ledger::Ledger,
    replayer::Replayer,
    spammer::Spammer,
    watcher::{Habit, Watcher},
};
use crate::{
    network::{Network, PORT, tcp},
    oracles::Oracles,
    scenario::{AdversaryKind, DiscoveryKind, Scenario, Sometimes},
    virtual_machine::{HostId, executor},
};

/// How many adversaries a scenario has.
pub(crate) fn count(scenario: &Scenario) -> usize {
    scenario.adversaries.iter().map(|adversaries| adversaries.count(scenario.nodes)).sum()
}

/// What an adversary has to know of its world.
pub(crate) struct Surroundings<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) network: &'a Network,
    pub(crate) oracles: &'a Oracles,
    pub(crate) realm: Realm,
    /// Hosts and presentities of the honest nodes.
    pub(crate) honest: Vec<(HostId, Presentity)>,
    /// The presentities of those that are guarded.
    pub(crate) guarded: BTreeSet<Presentity>,
}

/// Puts every adversary on a host of its own, those of the honest nodes being there already, and lets it
/// begin in its time. `key` and `seed` are those of an adversary, by number.
pub(crate) fn start(
    around: &Surroundings<'_>,
    key: impl Fn(usize) -> Keypair,
    seed: impl Fn(usize) -> u64,
) -> Answers {
    let answers = Answers::default();
    let mut number = 0;
    for adversaries in &around.scenario.adversaries {
        for of_kind in 0..adversaries.count(around.scenario.nodes) {
            let random = StdRng::seed_from_u64(seed(number));
            let what = (adversaries.kind, of_kind, adversaries.every);
            start_one(around, number, what, (key(number), random), answers.clone());
            number += 1;
        }
    }
    answers
}

fn start_one(
    around: &Surroundings<'_>,
    number: usize,
    (kind, of_kind, every): (AdversaryKind, usize, Duration),
    (key, mut random): (Keypair, StdRng),
    answers: Answers,
) {
    let (scenario, network) = (around.scenario, around.network.clone());
    let presentity = Presentity::from_public_key(&key.public()).expect("it is an Ed25519 key");
    let segments = scenario.network.segments.max(1);
    let segment = u32::try_from((scenario.nodes + number) % segments).unwrap_or(0);
    let host = network.add_host(key.public().to_peer_id(), segment);
    around.oracles.add_hostile(host, presentity);
    let honest: Vec<_> = around.honest.iter().map(|(_, presentity)| *presentity).collect();
    let begins = scenario.join.within.mul_f64(random.random_range(0.0..=1.0));
    let given = given(around, &mut random);
    let looks = scenario.join.discovery == DiscoveryKind::Mdns;
    let realm = around.realm.clone();
    let guarded = around.guarded.clone();
    let watch =
        |habit, answers, random| Tactic::Watch(Watcher::new(presentity, habit, guarded, answers, random));
    let tactic = match kind {
        AdversaryKind::Forger => {
            // The first gossips and is soon blocked; the second keeps to streams, and is not.
            let gossips = of_kind % 2 == 0;
            Tactic::Forge(Forger::new(
                key.clone(),
                presentity,
                realm.clone(),
                honest.clone(),
                gossips,
                random,
            ))
        }
        AdversaryKind::Replayer => Tactic::Replay(Replayer::new(presentity, realm.clone(), answers, random)),
        AdversaryKind::Spammer => {
            let name = format!("Spammer {number}");
            let address = tcp(network.address(host), PORT);
            Tactic::Spam(Spammer::new(
                (key.clone(), presentity),
                realm.clone(),
                (name, address),
                answers,
                random,
            ))
        }
        AdversaryKind::FalseAccuser => {
            let named = (format!("Accuser {number}"), tcp(network.address(host), PORT));
            Tactic::Accuse(Accuser::new((key.clone(), presentity), realm.clone(), named))
        }
        AdversaryKind::Recorder => watch(Habit::Record, answers, random),
        AdversaryKind::Fetcher => watch(Habit::Fetch, answers, random),
        AdversaryKind::Subscriber => watch(Habit::Subscribe, answers, random),
        AdversaryKind::SilentDropper => Tactic::Drop,
    };
    executor::spawn(
        host,
        Box::pin(async move {
            Delay::new(begins).await;
            let discovery = network.discovery(host, looks);
            let behaviour = behaviour::Behaviour::new(&key, &realm, discovery, tactic.forgets_duplicates());
            let transport = network.transport(host);
            Actor::new((host, key), (transport, behaviour), &realm, honest, given, every, tactic).run().await;
        }),
    );
}

/// Addresses of honest nodes, if the scenario's nodes are given any.
fn given(around: &Surroundings<'_>, random: &mut StdRng) -> Vec<Multiaddr> {
    if around.scenario.join.discovery != DiscoveryKind::Given {
        return Vec::new();
    }
    let count = around.scenario.join.given.min(around.honest.len());
    let drawn = index::sample(random, around.honest.len(), count).into_iter();
    drawn.filter_map(|place| Some(tcp(around.network.address(around.honest.get(place)?.0), PORT))).collect()
}

fn draw<T: Copy>(random: &mut StdRng, among: &[T]) -> Option<T> {
    if among.is_empty() {
        return None;
    }
    among.get(random.random_range(0..among.len())).copied()
}

/// What adversaries learned on the wire of what became of their doings; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers(Arc<Counts>, Ledger);

#[derive(Debug, Default)]
struct Counts {
    /// Superseded records that were gossiped again.
    gossiped_again: AtomicU64,
    /// Replays after which the node still told a newer record.
    replays_refused: AtomicU64,
    /// Messages of spammers that were answered with a failure, and questions of watchers that were put off.
    spam_refused: AtomicU64,
}

impl Answers {
    /// What watchers asked, and what came of it.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.1
    }

    fn gossiped_again(&self) {
        self.0.gossiped_again.fetch_add(1, Ordering::Relaxed);
    }

    fn replay_refused(&self) {
        self.0.replays_refused.fetch_add(1, Ordering::Relaxed);
    }

    fn spam_refused(&self) {
        self.0.spam_refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// What honest nodes say that they refused. Counts are a process's: those of one that was killed are gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    unanswered: usize,
    refused: BTreeMap<&'static str, u64>,
}

impl Refusals {
    /// Asks every node; the answers come while time passes.
    pub(crate) fn ask(nodes: impl Iterator<Item = (HostId, MeshHandle)>) -> Self {
        let asked = Self::default();
        for (host, node) in nodes {
            asked.lock().unanswered += 1;
            let asked = asked.clone();
            executor::spawn(
                host,
                Box::pin(async move {
                    let overview = node.overview().await;
                    let mut asked = asked.lock();
                    asked.unanswered -= 1;
                    for (reason, times) in overview.map(|overview| overview.refused).unwrap_or_default() {
                        *asked.refused.entry(reason).or_default() += times;
                    }
                }),
            );
        }
        asked
    }

    /// Whether all have answered.
    pub(crate) fn is_complete(&self) -> bool {
        self.lock().unanswered == 0
    }

    /// What was refused of the adversaries of `scenario`, and how often.
    pub(crate) fn of_adversaries(&self, scenario: &Scenario, answers: &Answers) -> [(Sometimes, u64); 3] {
        let asked = self.lock();
        let sum =
            |reasons: &[&str]| -> u64 { reasons.iter().filter_map(|reason| asked.refused.get(reason)).sum() };
        let forgers = scenario.adversaries.iter().any(|some| some.kind == AdversaryKind::Forger);
        let counts = &answers.0;
        let gossiped = counts.gossiped_again.load(Ordering::Relaxed) > 0;
        let stale = if gossiped { sum(&["stale"]) } else { 0 };
        [
            (Sometimes::ForgeryRefused, if forgers { sum(&FORGERIES) } else { 0 }),
            (Sometimes::ReplayRefused, stale + counts.replays_refused.load(Ordering::Relaxed)),
            (Sometimes::SpamRefused, counts.spam_refused.load(Ordering::Relaxed)),
        ]
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reasons that no honest node gives another.
const FORGERIES: [&str; 7] = [
    "forged",
    "malformed",
    "oversized",
    "foreign-realm",
    "not-the-sender's",
    "not-the-asked-for",
    "unauthenticated",
];

#[cfg(test)]
mod tests;
