//! Nodes as processes: how they start, end, and are found dead.

use std::sync::{Arc, Mutex, PoisonError};

use futures_timer::Delay;
use hereabouts::mesh::{
    self, MeshConfig, addresses::GivenAddress, circuits::Relaying, clock::Clock, events::EventLog,
    handle::MeshHandle,
};
use hereabouts_protocol::{
    identity::Presentity,
    node::NodeLimits,
    overlay::address::{Address, Transport},
    presence::publication::Publishes,
    time::{Timestamp, UnixTime, WallClock},
};
use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::index};

use super::{Action, World, hardware::START_SYNCS, looks, purpose, realm};
use crate::{
    disk::{Loss, SimulatedDisk},
    network::PORT,
    oracles::{self, Known},
    scenario::{DiscoveryKind, NodeSettings, Sometimes},
    verify,
    virtual_machine::{HostId, UNIX_START_MILLIS, executor, now},
};

/// A node of a run, whether or not its process runs.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) number: usize,
    pub(crate) host: HostId,
    key: Keypair,
    pub(super) presentity: Presentity,
    pub(crate) disk: SimulatedDisk,
    pub(super) publishes: bool,
    /// Its number among those that have ACCESS RULES, if it has.
    pub(super) guarded: Option<u8>,
    /// Milliseconds by which its wall clock is off.
    pub(crate) skew_millis: i64,
    pub(super) process: Option<Process>,
    /// Its process was told to end and has not yet.
    leaving: bool,
    /// Its disk goes with its process.
    loses_disk: bool,
    starts: u64,
}

/// A process that runs, starts or ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    state: Arc<Mutex<State>>,
    /// One change of status at a time: of two that a stopped node made on waking nobody could say which
    /// stands.
    pub(super) changing: Arc<futures::lock::Mutex<()>>,
    /// One after the other too: a SUBSCRIPTION is begun again before the next is ended.
    pub(super) flipping: Arc<futures::lock::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    handle: Option<MeshHandle>,
    ended: bool,
}

impl Process {
    pub(super) fn handle(&self) -> Option<MeshHandle> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).handle.clone()
    }

    fn has_ended(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ended
    }
}

impl Node {
    pub(super) fn new(
        number: usize,
        host: HostId,
        key: Keypair,
        presentity: Presentity,
        disk: SimulatedDisk,
        (publishes, guarded): (bool, Option<u8>),
    ) -> Self {
        Self {
            number,
            host,
            key,
            presentity,
            disk,
            publishes,
            guarded,
            skew_millis: 0,
            process: None,
            leaving: false,
            loses_disk: false,
            starts: 0,
        }
    }

    pub(super) fn known(&self) -> Known {
        Known {
            host: self.host,
            presentity: self.presentity,
            name: self.name(),
            publishes: self.publishes,
            guarded: self.guarded,
        }
    }

    fn name(&self) -> String {
        format!("Node {}", self.number)
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.handle().is_some())
    }

    pub(super) fn handle(&self) -> Option<MeshHandle> {
        self.process.as_ref()?.handle()
    }
}

impl World {
    /// Starts the process of a node, if none runs; if it is ending, when it has ended.
    pub(crate) fn start(&mut self, number: usize) {
        let peers = self.given_peers(number);
        let oracles = self.oracles.clone();
        let Some(node) = self.nodes.get_mut(number) else { return };
        if node.process.is_some() {
            if node.leaving {
                // It was stopped or is slow, so that its goodbye takes longer.
                self.plan(now() + START_RETRY, Action::Start(number));
            }
            return;
        }
        if node.starts > 0 {
            oracles.count(Sometimes::Restart);
        }
        node.starts += 1;
        let tap = {
            let oracles = oracles.clone();
            Box::new(move |event: &mesh::events::LoggedEvent| oracles.handle_event(number, &event.event))
        };
        let seed =
            purpose(self.options.seed, (node.starts << 40) | u64::try_from(number).unwrap_or(0) | SEEDS);
        let config = MeshConfig {
            key: node.key.clone(),
            realm: realm(),
            display_name: Some(node.name()),
            listen: vec![everywhere()],
            peers,
            transport: self.network.transport(node.host),
            reach: self.network.reach(node.host),
            relaying: Relaying::default(),
            discovery: self.network.discovery(node.host, looks(&self.scenario)),
            spawner: {
                let host = node.host;
                Box::new(move |task| executor::spawn(host, task))
            },
            storage: node.disk.clone(),
            restored: node.disk.open(),
            clock: HostClock { started: now(), skew_millis: node.skew_millis },
            seed: StdRng::seed_from_u64(seed).random(),
            limits: limits(&self.scenario.node),
            neighbours: self.scenario.node.neighbours,
            gossip: self.scenario.gossip.0.clone(),
            keeps_inbox: true,
            serves_cache: true,
            publishes: if node.publishes { Publishes::Changes } else { Publishes::Nothing },
            verify: verify::once,
            events: EventLog::new(1, Some(tap)),
        };
        let change = config.restored.information.as_ref().and_then(oracles::change_of).unwrap_or(0);
        let state = Arc::new(Mutex::new(State::default()));
        let ended = self.ended.clone();
        let [new, known] = START_SYNCS;
        let syncs = if node.starts == 1 { new } else { known } * self.scenario.disk.fsync;
        let works = self.hardware.start_work;
        node.process = Some(Process { state: state.clone(), ..Process::default() });
        executor::spawn(
            node.host,
            Box::pin(async move {
                Delay::new(syncs).await;
                executor::work(works).await;
                match mesh::start(config).await {
                    Ok((handle, running)) => {
                        oracles.handle_started(number, change);
                        state.lock().unwrap_or_else(PoisonError::into_inner).handle = Some(handle);
                        running.await;
                    }
                    // Its disk is full, say. Somebody starts it again later.
                    Err(error) => tracing::debug!(number, %error, "not started"),
                }
                state.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
                ended.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            }),
        );
    }

    /// Ends the process of a node without a goodbye. Of what was not synced, `loss` says what becomes.
    pub(crate) fn kill(&mut self, number: usize, loss: Loss) {
        let Some(node) = self.nodes.get_mut(number) else { return };
        if node.process.take().is_none() {
            return;
        }
        // A machine without power says nothing, one whose process is killed resets its connections.
        self.network.kill_process(node.host);
        self.machine.executor.kill(node.host);
        self.machine.executor.set_paused(node.host, false);
        node.disk.crash(loss, &mut self.random);
        if loss == Loss::Power {
            self.oracles.handle_power_cut(number, &node.disk.record_versions());
        }
        self.oracles.count(Sometimes::Crash);
        self.oracles.handle_ended(number, false);
        self.forget_process(number);
    }

    /// Lets a node say goodbye and end.
    pub(crate) fn shut_down(&mut self, number: usize) {
        let Some(node) = self.nodes.get(number) else { return };
        let Some(handle) = node.handle() else {
            // It has not started yet, so that there is nobody to say goodbye.
            self.kill(number, Loss::Process);
            return;
        };
        self.oracles.handle_ended(number, true);
        executor::spawn(node.host, Box::pin(async move { handle.shut_down().await }));
        if let Some(node) = self.nodes.get_mut(number) {
            node.leaving = true;
        }
    }

    /// Takes away the processes that have ended by themselves.
    pub(super) fn reap(&mut self) {
        let ended = std::mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner));
        for number in ended {
            let Some(node) = self.nodes.get_mut(number) else { continue };
            if node.process.as_ref().is_some_and(Process::has_ended) {
                node.process = None;
                self.network.kill_process(node.host);
                self.machine.executor.kill(node.host);
                self.oracles.handle_ended(number, true);
                self.forget_process(number);
            }
        }
    }

    /// The disk of a node is gone, as soon as its process is.
    pub(crate) fn wipe(&mut self, number: usize) {
        let Some(node) = self.nodes.get_mut(number) else { return };
        node.loses_disk = node.process.is_some();
        if !node.loses_disk {
            node.disk.wipe();
            self.oracles.handle_disk_lost(number);
        }
    }

    fn forget_process(&mut self, number: usize) {
        let Some(node) = self.nodes.get_mut(number) else { return };
        node.leaving = false;
        if std::mem::take(&mut node.loses_disk) {
            self.wipe(number);
        }
    }

    fn given_peers(&mut self, number: usize) -> Vec<GivenAddress> {
        if self.scenario.join.discovery != DiscoveryKind::Given {
            return Vec::new();
        }
        // Whoever starts first gives the addresses of those that come right after it.
        let among = if number < self.scenario.join.given { self.scenario.nodes } else { number };
        let count = (self.scenario.join.given + 1).min(among);
        let drawn = index::sample(&mut self.random, among, count).into_iter().filter(|peer| *peer != number);
        let given = |node: &Node| {
            let ip = self.network.address(node.host).into();
            GivenAddress { address: Address { ip, port: PORT, transport: Transport::Tcp }, peer: None }
        };
        drawn.take(self.scenario.join.given).filter_map(|peer| self.nodes.get(peer).map(given)).collect()
    }
}

fn everywhere() -> Multiaddr {
    Multiaddr::empty().with(Protocol::Ip4([0, 0, 0, 0].into())).with(Protocol::Tcp(PORT))
}

fn limits(settings: &NodeSettings) -> NodeLimits {
    NodeLimits {
        presentities_max: settings.records_max,
        inbox_messages_max: u64::try_from(settings.inbox_max).unwrap_or(u64::MAX),
    }
}

/// The clock of a host: boot time, which goes on while it is suspended.
#[derive(Debug, Clone, Copy)]
struct HostClock {
    started: u64,
    skew_millis: i64,
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(now().saturating_sub(self.started) / 1_000_000)
    }

    fn wall_clock(&self) -> WallClock {
        let at_start = (UNIX_START_MILLIS + self.started / 1_000_000).saturating_add_signed(self.skew_millis);
        WallClock { at_start: UnixTime::from_millis(at_start) }
    }
}

const SEEDS: u64 = 1 << 63;
/// Nanoseconds until a node whose process is still ending is looked at again.
const START_RETRY: u64 = 1_000_000_000;
