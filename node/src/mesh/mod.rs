//! The mesh: `protocol`'s node, driven over libp2p.
//!
//! [`start`] makes the swarm and the driver and gives back the [`handle::MeshHandle`] and the future that
//! is the node; whoever calls it polls the future. Everything that differs between a machine and a
//! simulation is handed in ([`MeshConfig`]): transport, discovery, storage, clock, the executor of the
//! connections' tasks, and the seed of every random choice. Timers are `futures_timer::Delay`, as in libp2p
//! itself; nothing here spawns a thread or asks a runtime for anything.
//!
//! Source: RFC 2778 with every node its own PRESENTITY and INSTANT INBOX; gossipsub v1.1 to v1.3. The
//! parts: [`transport`] and [`discovery`] reach peers, [`addresses`] reads and writes where they are,
//! [`circuits`] are for those who cannot dial each other, [`gossip`] says how much is pushed, [`probe`] sends
//! signs of life, `behaviour` speaks, `driver` routes.
//! Whom to link with, whom to dial and when to take part in discovery is decided by the machines of
//! [`hereabouts_protocol::overlay`]. A mesh ends when its handle says so, after its goodbye, or when its
//! future is dropped, which is as a crash to everybody else.

pub mod addresses;
pub mod circuits;
pub mod clock;
pub mod discovery;
pub mod events;
pub mod gossip;
pub mod handle;
pub mod probe;
pub mod transport;

mod behaviour;
mod codec;
mod direct;
mod driver;
mod link_local;
mod twice;

use std::{io, pin::Pin, sync::Arc, time::Duration};

use hereabouts_protocol::{
    durable::{Change, Durability, Restored},
    identity::{InboxAddress, Presentity, Realm},
    node::{Node, NodeConfig, NodeLimits},
    overlay::{duty::Duty, links::Overlay},
    presence::{
        information::PresenceInformation,
        publication::Publishes,
        record::{NodeAddress, Verifier},
    },
};
use libp2p::{Multiaddr, Swarm, identity::Keypair, swarm};
use rand::{SeedableRng, rngs::StdRng};
use thiserror::Error;

use self::{
    addresses::GivenAddress,
    behaviour::Behaviour,
    circuits::{Members, Relaying},
    clock::Clock,
    discovery::Discovery,
    driver::{Driver, RelaysInUse},
    events::EventLog,
    gossip::{GossipSettings, GossipSettingsError},
    handle::{MeshHandle, Role},
    transport::{MeshTransport, ReachHost},
};
use crate::storage::{Storage, StorageError};

/// What a mesh is made of.
pub struct MeshConfig<D, S, C> {
    /// The Ed25519 key of the node.
    pub key: Keypair,
    /// The realm it is in.
    pub realm: Realm,
    /// What the PRINCIPAL calls itself; the last name used, or else `somebody`, if none is given.
    pub display_name: Option<String>,
    /// Where to listen; port 0 is a free port.
    pub listen: Vec<Multiaddr>,
    /// Peers to dial.
    pub peers: Vec<GivenAddress>,
    /// How peers are connected.
    pub transport: MeshTransport,
    /// Tells whether a peer's host is there when the peer itself says nothing.
    pub reach: ReachHost,
    /// Which relays it uses, and whether it is one.
    pub relaying: Relaying,
    /// How peers are found.
    pub discovery: D,
    /// Runs the tasks of connections.
    pub spawner: Spawner,
    /// Keeps what must outlive the process.
    pub storage: S,
    /// What the storage gave back.
    pub restored: Restored,
    /// Tells the time.
    pub clock: C,
    /// What random choices are drawn from.
    pub seed: [u8; 32],
    /// Sizes.
    pub limits: NodeLimits,
    /// Links that the node dials on its own, [`NEIGHBOURS`](hereabouts_protocol::overlay::links::NEIGHBOURS)
    /// unless there is a reason. While a realm has no more nodes than that, each is linked with every other;
    /// in a larger one a dozen links are enough.
    pub neighbours: usize,
    /// How much is pushed to whom, the default unless there is a reason.
    pub gossip: GossipSettings,
    /// When it publishes, if it is a PRESENTITY.
    pub publishes: Publishes,
    /// Whether it keeps an INSTANT INBOX.
    pub keeps_inbox: bool,
    /// Whether it gives what it knows of others to whoever asks.
    pub serves_cache: bool,
    /// How records are verified: [`PresenceRecord::verify`](
    /// hereabouts_protocol::presence::record::PresenceRecord::verify), on a machine.
    pub verify: Verifier,
    /// What is kept of what happens, and who is told of it at once.
    pub events: EventLog,
}

impl<D, S, C> std::fmt::Debug for MeshConfig<D, S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the key, not the seed.
        f.debug_struct("MeshConfig")
            .field("realm", &self.realm)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Runs a task in the background, on whatever runtime there is.
pub type Spawner = Box<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send>;

/// Stores the new incarnation, begins to listen, and returns the handle and the node itself, which runs
/// while its future is polled.
///
/// # Errors
/// If the settings contradict each other, the store fails or no address can be listened on. Nothing was
/// published.
pub async fn start<D: Discovery, S: Storage, C: Clock>(
    config: MeshConfig<D, S, C>,
) -> Result<(MeshHandle, impl Future<Output = ()> + Send + use<D, S, C>), StartError>
where
    swarm::THandler<D>: Send,
{
    let presentity = Presentity::from_public_key(&config.key.public()).ok_or(StartError::Key)?;
    let gossip = config.gossip.config()?;
    let incarnation = config.restored.incarnation.saturating_add(1);
    let information = information(&config, presentity);
    let changes = vec![Change::Incarnation(incarnation), Change::Information(information.clone())];
    config.storage.commit(changes, Durability::Durable).await?;

    let roles = roles(&config);
    let Relaying { circuits, by, only, serves } = config.relaying;
    let own = presentity.peer_id();
    let members = serves.is_some().then(Members::default);
    let relaying = RelaysInUse::new(&by, only, members.clone());
    let behaviour = Behaviour::new(&config.key, &config.realm, gossip, config.discovery).with_circuits(
        circuits,
        own,
        serves.zip(members),
    );
    let swarm = swarm(&config.key, behaviour, config.transport, config.spawner, &config.listen)?;
    let mut random = StdRng::from_seed(config.seed);
    let mut overlay = Overlay::new(*swarm.local_peer_id(), config.neighbours, StdRng::from_rng(&mut random));
    let now = config.clock.now();
    for given in by.into_iter().chain(config.peers) {
        overlay.handle_given(now, given.address, given.peer);
    }
    for known in config.restored.known_peers.iter().filter(|_| !only) {
        if let Some(address) = addresses::told(&NodeAddress(known.address.clone())) {
            overlay.handle_remembered(now, known.presentity.peer_id(), address);
        }
    }
    let node = NodeConfig {
        clock: config.clock.wall_clock(),
        key: config.key,
        realm: config.realm.clone(),
        incarnation,
        information,
        seed: rand::RngExt::random(&mut random),
        limits: config.limits,
        publishes: config.publishes,
        keeps_inbox: config.keeps_inbox,
        serves_cache: config.serves_cache,
        verify: config.verify,
    };
    let node = Node::new(now, node, config.restored);
    let duty = Duty::new(now, StdRng::from_rng(&mut random));
    let events = Arc::new(config.events.of_run(incarnation));
    let (handle, commands) = MeshHandle::new(presentity, config.realm, roles, events.clone());
    let driver = Driver::new(
        swarm,
        config.reach,
        node,
        overlay,
        duty,
        relaying,
        config.storage,
        config.clock,
        commands,
        events,
    );
    Ok((handle, driver.run()))
}

fn roles<D, S, C>(config: &MeshConfig<D, S, C>) -> Arc<[Role]> {
    let roles = [
        (Role::Presentity, config.publishes != Publishes::Nothing),
        (Role::Inbox, config.keeps_inbox),
        (Role::Cache, config.serves_cache),
        (Role::Relay, config.relaying.serves.is_some()),
    ];
    roles.into_iter().filter_map(|(role, is_on)| is_on.then_some(role)).collect()
}

fn information<D, S, C>(config: &MeshConfig<D, S, C>, presentity: Presentity) -> PresenceInformation {
    let inbox = InboxAddress { node: presentity, realm: config.realm.clone() };
    let mut information =
        config.restored.information.clone().unwrap_or_else(|| PresenceInformation::open("somebody", &inbox));
    if let Some(name) = &config.display_name {
        information.display_name.clone_from(name);
    }
    information.move_inbox(&inbox);
    information
}

fn swarm<D: Discovery>(
    key: &Keypair,
    behaviour: Behaviour<D>,
    transport: MeshTransport,
    spawner: Spawner,
    listen: &[Multiaddr],
) -> Result<Swarm<Behaviour<D>>, StartError> {
    let config =
        swarm::Config::with_executor(spawner).with_idle_connection_timeout(IDLE_TIMEOUT).with_smart_dial();
    let mut swarm = Swarm::new(transport, behaviour, key.public().to_peer_id(), config);
    let mut failures = Vec::new();
    for address in listen {
        if let Err(error) = swarm.listen_on(address.clone()) {
            failures.push(format!("{address}: {}", causes(&error)));
        }
    }
    // A host without IPv6, say, is still a host.
    if failures.len() == listen.len() && !listen.is_empty() {
        return Err(StartError::Listen(io::Error::other(failures.join("; "))));
    }
    for failure in failures {
        tracing::warn!(failure, "does not listen there");
    }
    Ok(swarm)
}

/// An error with its causes, in one line; libp2p's outer ones say nothing of their own.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = chain.map(ToString::to_string).filter(|said| !said.is_empty()).collect();
    said.dedup();
    said.join(": ")
}

/// Why a node did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The key is of another kind.
    #[error("the node's key is not an Ed25519 key")]
    Key,
    /// The settings of gossip cannot be.
    #[error(transparent)]
    Gossip(#[from] GossipSettingsError),
    /// None of the addresses can be listened on.
    #[error("cannot listen: {0}; give other addresses with --listen")]
    Listen(#[source] io::Error),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A link is kept by the gossip streams on it; a connection without them, such as to one who is dialled for
/// one message, is closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
