//! The libp2p behaviours of a node, in the order in which they may refuse a connection.
//!
//! Those that refuse come first: gossipsub and request-response count a connection when they are asked
//! about it, and never hear that a later behaviour refused it (rust-libp2p #4870).
//!
//! Gossip and signs of life are shown direct connections only, and no circuits.
//!
//! Gossip: one topic per realm; anonymous, since the record carries the only signature; every record is
//! validated before it is passed on; the id of a message is a hash of all its bytes, since ids enter the
//! duplicate cache before validation and one made of identity and version would let a forgery shut out the
//! true record. The numbers are those of `gossip`.

use std::time::Duration;

use hereabouts_protocol::{
    identity::Realm,
    wire::frames::{gossip_topic, identify_version, message_protocol, presence_protocol},
};
use libp2p::{
    PeerId, StreamProtocol, allow_block_list, connection_limits,
    gossipsub::{self, IdentTopic, MessageAuthenticity, WhitelistSubscriptionFilter},
    identify,
    identity::Keypair,
    relay,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use super::{
    circuits::{self, Members, RelaySettings},
    codec::{FrameCodec, MessageFrames, PresenceFrames},
    direct::Direct,
    discovery::Discovery,
    probe,
    twice::Twice,
};

/// Gossip of one realm: other topics of a peer are not even remembered.
pub(super) type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>;

/// Everything a node does over libp2p.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(super) struct Behaviour<D: Discovery> {
    pub(super) blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) circuits: Toggle<relay::client::Behaviour>,
    pub(super) relay: Toggle<relay::Behaviour>,
    pub(super) identify: identify::Behaviour,
    pub(super) probe: Direct<probe::Behaviour>,
    pub(super) presence: request_response::Behaviour<FrameCodec<PresenceFrames>>,
    pub(super) message: request_response::Behaviour<FrameCodec<MessageFrames>>,
    pub(super) gossip: Twice<Direct<Gossip>>,
    pub(super) discovery: D,
}

impl<D: Discovery> Behaviour<D> {
    pub(super) fn new(key: &Keypair, realm: &Realm, config: gossipsub::Config, discovery: D) -> Self {
        let identify = identify::Config::new(identify_version(realm), key.public())
            .with_agent_version(AGENT_VERSION.to_owned())
            .with_interval(IDENTIFY_INTERVAL)
            .with_cache_size(0);
        Self {
            blocked: allow_block_list::Behaviour::default(),
            limits: connection_limits::Behaviour::new(connection_limits(DIRECT_PER_PEER_MAX)),
            circuits: None.into(),
            relay: None.into(),
            identify: identify::Behaviour::new(identify),
            probe: Direct::new(probe::Behaviour::new(realm)),
            presence: streams(presence_protocol(realm), PRESENCE_TIMEOUT),
            message: streams(message_protocol(realm), MESSAGE_TIMEOUT),
            gossip: Twice(Direct::new(gossip(realm, config))),
            discovery,
        }
    }

    /// The same, which uses relays, and is one.
    pub(super) fn with_circuits(
        mut self,
        circuits: Option<relay::client::Behaviour>,
        own: PeerId,
        relay: Option<(RelaySettings, Members)>,
    ) -> Self {
        if circuits.is_some() {
            self.limits = connection_limits::Behaviour::new(connection_limits(2 * DIRECT_PER_PEER_MAX));
        }
        self.circuits = circuits.into();
        self.relay = relay.map(|(settings, members)| circuits::relay(own, settings, members)).into();
        self
    }

    /// Gossip itself.
    pub(super) fn gossip(&mut self) -> &mut Gossip {
        &mut self.gossip.0.inner
    }
}

/// The gossip topic of `realm`.
pub(super) fn topic(realm: &Realm) -> IdentTopic {
    IdentTopic::new(gossip_topic(realm))
}

fn connection_limits(per_peer: u32) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(64))
        .with_max_pending_outgoing(Some(64))
        .with_max_established(Some(CONNECTIONS_MAX))
        .with_max_established_per_peer(Some(per_peer))
}

fn streams<F: super::codec::Frames>(
    protocol: String,
    timeout: Duration,
) -> request_response::Behaviour<FrameCodec<F>> {
    let protocol = StreamProtocol::try_from_owned(protocol).expect("our protocol ids begin with a slash");
    let config = request_response::Config::default()
        .with_request_timeout(timeout)
        .with_max_concurrent_streams(STREAMS_PER_CONNECTION_MAX);
    request_response::Behaviour::with_codec(
        FrameCodec::default(),
        [(protocol, ProtocolSupport::Full)],
        config,
    )
}

fn gossip(realm: &Realm, config: gossipsub::Config) -> Gossip {
    let topic = topic(realm);
    let filter = WhitelistSubscriptionFilter(std::collections::HashSet::from([topic.hash()]));
    let mut gossip = Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
        .expect("anonymous messages and anonymous validation fit together");
    gossip.subscribe(&topic).expect("the filter admits our own topic");
    gossip
}

/// Everything that the swarm reports, with discovery as the last kind.
pub(super) type Reported<D> = BehaviourEvent<D>;

const AGENT_VERSION: &str = concat!("hereabouts/", env!("CARGO_PKG_VERSION"));
/// Peers say what they are once; their addresses are in their records.
const IDENTIFY_INTERVAL: Duration = Duration::from_secs(60 * 60);
const PRESENCE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a sender waits, so that a late answer still settles a queued message.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages of one sender that may be on their way to the disk at the same time.
const STREAMS_PER_CONNECTION_MAX: usize = 256;
/// Direct connections with one peer: two, since both ends may dial at the same moment; the overlay then
/// closes one. Of circuits there may be as many for the same reason, and they must not be in the way of a
/// link.
const DIRECT_PER_PEER_MAX: u32 = 2;
/// Connections in all. Above the number of neighbours that a node dials, so that newcomers are let in, and
/// enough for some hundred subscribers that are no neighbours: who is told something new keeps the connection
/// for [`IDLE_TIMEOUT`](super::IDLE_TIMEOUT).
pub(super) const CONNECTIONS_MAX: u32 = 512;
