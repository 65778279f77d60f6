//! The life of an adversary: it finds honest nodes, keeps connections with them, and acts when it is time.
//!
//! It dials whomever it hears of, by discovery, by a given address or by a gossiped record, as long as it has
//! fewer than [`LINKS_MAX`] links, and each again after [`REDIAL`]. Limits: [`KNOWN_MAX`] addresses, further
//! ones are not learned; [`HELD_MAX`] requests of others that are left unanswered, the oldest is then
//! dropped.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    task::Poll,
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use futures_timer::Delay;
use hereabouts::mesh::transport::MeshTransport;
use hereabouts_protocol::{
    identity::{Presentity, Realm},
    presence::{record::PresenceRecord, suspicion::Suspicion},
    wire::{
        codec,
        frames::{MessageRequest, PresenceRequest, PresenceResponse},
    },
};
use libp2p::{
    Multiaddr, PeerId, Swarm, gossipsub,
    identity::Keypair,
    multiaddr::Protocol,
    request_response::{self, OutboundRequestId, ResponseChannel},
    swarm::{self, SwarmEvent, dial_opts::DialOpts},
};

use super::{
    accuser::Accuser,
    behaviour::{Behaviour, BehaviourEvent, topic},
    forger::Forger,
    replayer::Replayer,
    spammer::Spammer,
    watcher::Watcher,
};
use crate::{
    network::PORT,
    verify,
    virtual_machine::{HostId, executor, now},
};

/// What an adversary does with its place in the mesh.
pub(super) enum Tactic {
    Forge(Forger),
    Replay(Replayer),
    Spam(Spammer),
    Accuse(Accuser),
    Watch(Watcher),
    /// Takes part and passes nothing on.
    Drop,
}

impl Tactic {
    /// Whether it publishes what it heard before.
    pub(super) fn forgets_duplicates(&self) -> bool {
        matches!(self, Self::Replay(_))
    }

    /// Whether it passes records of others on, so that it is of use and stays in the mesh.
    fn forwards(&self) -> bool {
        matches!(self, Self::Forge(_) | Self::Spam(_) | Self::Accuse(_) | Self::Watch(_))
    }
}

/// One adversary at work.
pub(super) struct Actor {
    wire: Wire,
    /// Where others may be, and when they were dialled last.
    known: BTreeMap<PeerId, (Multiaddr, Option<u64>)>,
    given: Vec<Multiaddr>,
    given_dialled: Option<u64>,
    every: Duration,
    act: Delay,
    upkeep: Delay,
    realm: Realm,
    /// Requests that wait for an answer in vain.
    held: VecDeque<ResponseChannel<Vec<u8>>>,
    tactic: Tactic,
}

/// What a tactic says to others with.
pub(super) struct Wire {
    swarm: Swarm<Behaviour>,
    topic: gossipsub::IdentTopic,
    honest: BTreeSet<PeerId>,
    linked: BTreeSet<PeerId>,
}

impl Wire {
    /// Gossips these bytes.
    pub(super) fn publish(&mut self, bytes: Vec<u8>) {
        // An error means that nobody is there to take it, or that it went by just now.
        let _ = self.swarm.behaviour_mut().gossip.publish(self.topic.clone(), bytes);
    }

    /// Asks a node something of the PRESENCE PROTOCOL.
    pub(super) fn ask(&mut self, peer: &PeerId, request: &PresenceRequest) -> OutboundRequestId {
        self.swarm.behaviour_mut().presence.send_request(peer, codec::encode(request))
    }

    /// Sends a node an INSTANT MESSAGE.
    pub(super) fn send(&mut self, peer: &PeerId, request: &MessageRequest) -> OutboundRequestId {
        self.swarm.behaviour_mut().message.send_request(peer, codec::encode(request))
    }

    /// Honest nodes with a connection, in the order of their keys.
    pub(super) fn victims(&self) -> Vec<PeerId> {
        self.linked.intersection(&self.honest).copied().collect()
    }
}

enum Ready {
    Act,
    Upkeep,
    Network(SwarmEvent<BehaviourEvent>),
}

impl Actor {
    pub(super) fn new(
        (host, key): (HostId, Keypair),
        (transport, behaviour): (MeshTransport, Behaviour),
        realm: &Realm,
        honest: Vec<Presentity>,
        given: Vec<Multiaddr>,
        every: Duration,
        tactic: Tactic,
    ) -> Self {
        let config = swarm::Config::with_executor(move |task| executor::spawn(host, task))
            .with_idle_connection_timeout(IDLE_TIMEOUT);
        let mut swarm = Swarm::new(transport, behaviour, key.public().to_peer_id(), config);
        let listen = Multiaddr::empty().with(Protocol::Ip4([0, 0, 0, 0].into())).with(Protocol::Tcp(PORT));
        swarm.listen_on(listen).expect("the simulated transport listens on any TCP port");
        let honest = honest.iter().map(Presentity::peer_id).collect();
        Self {
            wire: Wire { swarm, topic: topic(realm), honest, linked: BTreeSet::new() },
            known: BTreeMap::new(),
            given,
            given_dialled: None,
            every,
            act: Delay::new(every),
            upkeep: Delay::new(UPKEEP_INTERVAL),
            realm: realm.clone(),
            held: VecDeque::new(),
            tactic,
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let ready = std::future::poll_fn(|cx| {
                if self.act.poll_unpin(cx).is_ready() {
                    self.act.reset(self.every);
                    return Poll::Ready(Ready::Act);
                }
                // It also arms the heartbeat of gossipsub, which forgets to (see `Twice` in the node).
                if self.upkeep.poll_unpin(cx).is_ready() {
                    self.upkeep.reset(UPKEEP_INTERVAL);
                    return Poll::Ready(Ready::Upkeep);
                }
                let event = self.wire.swarm.poll_next_unpin(cx);
                event.map(|event| Ready::Network(event.expect("a swarm's stream never ends")))
            })
            .await;
            match ready {
                Ready::Act => match &mut self.tactic {
                    Tactic::Forge(forger) => forger.act(&mut self.wire),
                    Tactic::Replay(replayer) => replayer.act(&mut self.wire),
                    Tactic::Spam(spammer) => spammer.act(&mut self.wire),
                    Tactic::Accuse(accuser) => accuser.act(&mut self.wire),
                    Tactic::Watch(watcher) => watcher.act(&mut self.wire),
                    Tactic::Drop => (),
                },
                Ready::Upkeep => self.dial_due(),
                Ready::Network(event) => self.network(event),
            }
        }
    }

    fn network(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                self.wire.linked.insert(peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.wire.linked.remove(&peer_id);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Discovery(discovered)) => {
                for (peer, address) in discovered.0 {
                    self.learn(peer, address);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => {
                self.gossiped(&message_id, &propagation_source, &message.data);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Presence(event)) => self.presence(event),
            SwarmEvent::Behaviour(BehaviourEvent::Message(event)) => self.message(event),
            _ => (),
        }
    }

    fn gossiped(&mut self, id: &gossipsub::MessageId, source: &PeerId, bytes: &[u8]) {
        // Passing on what is no record, such as the forgery of another, would get it blocked.
        if self.heard(bytes) && self.tactic.forwards() {
            let gossip = &mut self.wire.swarm.behaviour_mut().gossip;
            gossip.report_message_validation_result(id, source, gossipsub::MessageAcceptance::Accept);
        }
    }

    /// Some bytes were gossiped; whether they are a record, or a suspicion.
    fn heard(&mut self, bytes: &[u8]) -> bool {
        if Suspicion::is_meant(bytes) {
            return Suspicion::verify(bytes, &self.realm).is_ok();
        }
        let Ok(record) = verify::once(bytes, &self.realm) else { return false };
        let addresses = record.body().addresses.iter();
        let address = addresses.filter_map(|address| Multiaddr::try_from(address.0.clone()).ok()).next();
        if let Some(address) = address {
            self.learn(record.presentity().peer_id(), address);
        }
        self.remember(&record);
        true
    }

    fn remember(&mut self, record: &PresenceRecord) {
        match &mut self.tactic {
            Tactic::Forge(forger) => forger.heard(record),
            Tactic::Replay(replayer) => replayer.heard(now(), record),
            Tactic::Accuse(accuser) => accuser.heard(record),
            Tactic::Watch(_) | Tactic::Spam(_) | Tactic::Drop => (),
        }
    }

    fn presence(&mut self, event: request_response::Event<Vec<u8>, Vec<u8>>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => match &mut self.tactic {
                    Tactic::Forge(forger) => {
                        let answer = forger.answer(&request);
                        // Who has gone meanwhile needs no lie.
                        let _ = self.wire.swarm.behaviour_mut().presence.send_response(channel, answer);
                    }
                    Tactic::Watch(watcher) => {
                        watcher.asked(&peer, &request);
                        let answer = codec::encode(&PresenceResponse::Notified);
                        // To anything but a notification this is no answer.
                        let _ = self.wire.swarm.behaviour_mut().presence.send_response(channel, answer);
                    }
                    Tactic::Replay(_) | Tactic::Spam(_) | Tactic::Accuse(_) | Tactic::Drop => {
                        self.hold(channel);
                    }
                },
                request_response::Message::Response { request_id, response } => match &mut self.tactic {
                    Tactic::Replay(replayer) => {
                        replayer.answered(&mut self.wire, request_id, &response);
                    }
                    Tactic::Watch(watcher) => watcher.answered(request_id, &response),
                    _ => (),
                },
            },
            request_response::Event::OutboundFailure { request_id, .. } => match &mut self.tactic {
                Tactic::Replay(replayer) => replayer.failed(request_id),
                Tactic::Watch(watcher) => watcher.failed(request_id),
                _ => (),
            },
            _ => (),
        }
    }

    fn message(&mut self, event: request_response::Event<Vec<u8>, Vec<u8>>) {
        match event {
            request_response::Event::Message { message, .. } => match message {
                request_response::Message::Request { channel, .. } => self.hold(channel),
                request_response::Message::Response { request_id, response } => {
                    if let Tactic::Spam(spammer) = &mut self.tactic {
                        spammer.answered(request_id, Some(&response));
                    }
                }
            },
            request_response::Event::OutboundFailure { request_id, .. } => {
                if let Tactic::Spam(spammer) = &mut self.tactic {
                    spammer.answered(request_id, None);
                }
            }
            _ => (),
        }
    }

    /// Lets whoever asks wait. A request that is dropped would be answered, with an error.
    fn hold(&mut self, channel: ResponseChannel<Vec<u8>>) {
        self.held.retain(ResponseChannel::is_open);
        if self.held.len() >= HELD_MAX {
            self.held.pop_front();
        }
        self.held.push_back(channel);
    }

    fn learn(&mut self, peer: PeerId, address: Multiaddr) {
        if peer == *self.wire.swarm.local_peer_id() {
            return;
        }
        let full = self.known.len() >= KNOWN_MAX;
        match self.known.get_mut(&peer) {
            Some(known) => known.0 = address,
            None if full => (),
            None => drop(self.known.insert(peer, (address, None))),
        }
    }

    fn dial_due(&mut self) {
        let now = now();
        let due = |dialled: Option<u64>| dialled.is_none_or(|dialled| dialled + REDIAL <= now);
        let Wire { swarm, linked, honest, .. } = &mut self.wire;
        if linked.is_empty() && due(self.given_dialled) {
            self.given_dialled = Some(now);
            for address in &self.given {
                // It is tried again, as any other dial.
                let _ = swarm.dial(address.clone());
            }
        }
        let room = LINKS_MAX.saturating_sub(linked.len());
        // One that watches has nothing to do with others of its kind, and may be one of hundreds.
        let watches = matches!(self.tactic, Tactic::Watch(_));
        let wanted = |peer: &PeerId| !linked.contains(peer) && (!watches || honest.contains(peer));
        let unlinked = self.known.iter_mut().filter(|(peer, (_, dialled))| wanted(peer) && due(*dialled));
        for (peer, (address, dialled)) in unlinked.take(room) {
            *dialled = Some(now);
            let _ = swarm.dial(DialOpts::peer_id(*peer).addresses(vec![address.clone()]).build());
        }
    }
}

const UPKEEP_INTERVAL: Duration = Duration::from_millis(500);
/// As that of a node.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// Nanoseconds.
const REDIAL: u64 = 5_000_000_000;
/// As many as an honest node dials.
const LINKS_MAX: usize = 40;
const KNOWN_MAX: usize = 4096;
const HELD_MAX: usize = 1024;
