//! What the swarm reports, for the node and the overlay.

use std::collections::BTreeMap;

use hereabouts_protocol::{
    identity::Presentity,
    node::{GossipToken, NodeInput, OutgoingRequest, RequestFailure, RequestToken, Response, ResponseToken},
    wire::frames::identify_version,
};
use libp2p::{
    Multiaddr, PeerId, gossipsub, identify,
    request_response::{self, OutboundFailure, OutboundRequestId, ResponseChannel},
    swarm::SwarmEvent,
};

use super::{Asked, Clock, Discovery, Driver, Event, Reported, Storage, addresses, probe};

/// The requests under way on one protocol.
type Requests<T> = fn(&mut T) -> &mut BTreeMap<OutboundRequestId, RequestToken>;

impl<D: Discovery, S: Storage, C: Clock> Driver<D, S, C> {
    pub(super) fn network(&mut self, event: SwarmEvent<Reported<D>>) {
        let now = self.clock.now();
        match event {
            SwarmEvent::Behaviour(reported) => self.reported(reported),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. }
                if endpoint.is_relayed() =>
            {
                tracing::debug!(peer = %peer_id, dialled = endpoint.is_dialer(), "connected by a relay");
                self.circuit_established(now, peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, endpoint, .. }
                if endpoint.is_relayed() =>
            {
                tracing::debug!(peer = %peer_id, ?cause, "disconnected by a relay");
                self.relaying.circuit_closed(connection_id);
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.answered(peer_id, &endpoint);
                let address = endpoint.get_remote_address();
                tracing::debug!(peer = %peer_id, %address, dialled = endpoint.is_dialer(), "connected");
                let (dialled, address) = (endpoint.is_dialer(), addresses::understood(address));
                self.overlay.handle_connected(now, peer_id, connection_id, dialled, address);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "disconnected");
                self.overlay.handle_disconnected(now, peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, connection_id, error } => {
                self.overlay.handle_given_failed(now, connection_id);
                self.relay_unanswered(&error);
                if let Some(peer) = peer_id {
                    self.dial_failed(now, peer, &error);
                }
            }
            SwarmEvent::NewListenAddr { listener_id, address } if addresses::is_circuit(&address) => {
                self.reserved(listener_id);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.listens(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listen.remove(&address);
                self.swarm.remove_external_address(&address);
                if let Some(address) = addresses::understood(&address) {
                    self.overlay.handle_address_lost(address.ip);
                }
                self.addresses_changed();
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                if self.reservation_closed(now, listener_id, reason.as_ref().copied()) {
                    return;
                }
                for address in &addresses {
                    self.listen.remove(address);
                }
                if let Err(error) = reason {
                    self.log(Event::Trouble(format!("a listener ended: {error}")));
                }
                self.addresses_changed();
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            _ => (),
        }
    }

    fn listens(&mut self, address: Multiaddr) {
        if self.listen.insert(address.clone()) {
            self.relay_listens(&address);
            self.log(Event::Listening(address));
            self.addresses_changed();
        }
    }

    fn addresses_changed(&mut self) {
        self.duty.handle_moved(self.clock.now());
        self.tell_addresses();
    }

    /// Has the record say where and through whom this node is reached.
    pub(super) fn tell_addresses(&mut self) {
        let listen = self.listen.iter().filter(|_| !self.relaying.only);
        let addresses = addresses::published(listen, &self.relaying.held());
        self.node.handle(self.clock.now(), NodeInput::Addresses(addresses));
    }

    fn reported(&mut self, reported: Reported<D>) {
        let now = self.clock.now();
        match reported {
            Reported::Gossip(event) => self.gossip(event),
            Reported::Presence(event) => {
                let requests: Requests<Self> = |driver| &mut driver.presence_requests;
                self.exchange(
                    event,
                    requests,
                    Asked::Presence,
                    OutgoingRequest::Presence,
                    Response::Presence,
                );
            }
            Reported::Message(event) => {
                let requests: Requests<Self> = |driver| &mut driver.message_requests;
                self.exchange(event, requests, Asked::Message, OutgoingRequest::Message, Response::Message);
            }
            Reported::Identify(identify::Event::Received { connection_id, peer_id, info }) => {
                let ours = info.protocol_version == identify_version(self.node.realm());
                if !ours {
                    tracing::info!(peer = %peer_id, says = info.protocol_version, "foreign");
                }
                if !ours || !self.relaying.is_circuit(connection_id) {
                    self.overlay.handle_identified(now, peer_id, connection_id, ours);
                }
            }
            Reported::Identify(_) => (),
            Reported::Probe(probe::Event { peer, beat }) => {
                if let Some(presentity) = Presentity::from_peer_id(&peer) {
                    let input = if beat { NodeInput::Beat } else { NodeInput::Alive };
                    self.node.handle(now, input(presentity));
                }
            }
            Reported::Discovery(discovered) => self.discovered(now, discovered),
            Reported::Circuits(event) => tracing::debug!(?event, "circuit"),
            Reported::Relay(event) => tracing::debug!(?event, "relay"),
            Reported::Blocked(never) | Reported::Limits(never) => match never {},
        }
    }

    fn gossip(&mut self, event: gossipsub::Event) {
        let now = self.clock.now();
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let Some(from) = Presentity::from_peer_id(&propagation_source) else {
                    let ignore = gossipsub::MessageAcceptance::Ignore;
                    let gossip = self.swarm.behaviour_mut().gossip();
                    gossip.report_message_validation_result(&message_id, &propagation_source, ignore);
                    return;
                };
                let token = GossipToken(self.token());
                self.gossiped.insert(token, (message_id, propagation_source));
                self.node.handle(now, NodeInput::Gossip { token, from, bytes: message.data });
            }
            gossipsub::Event::Subscribed { .. } => {
                if let Some(bytes) = self.unpublished.take() {
                    self.publish(bytes);
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => tracing::debug!(peer = %peer_id, "slow"),
            _ => (),
        }
    }

    /// An event of one of the two stream protocols, which differ in their types only.
    fn exchange<Request, Answer>(
        &mut self,
        event: request_response::Event<Request, Answer>,
        requests: Requests<Self>,
        asked: fn(ResponseChannel<Answer>) -> Asked,
        request_of: fn(Request) -> OutgoingRequest,
        response_of: fn(Answer) -> Response,
    ) {
        let now = self.clock.now();
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    let Some(from) = Presentity::from_peer_id(&peer) else { return };
                    let token = ResponseToken(self.token());
                    self.asked.insert(token, asked(channel));
                    self.node.handle(now, NodeInput::Request { token, from, request: request_of(request) });
                }
                request_response::Message::Response { request_id, response } => {
                    if let Some(token) = requests(self).remove(&request_id) {
                        self.node.handle(now, NodeInput::Response { token, response: response_of(response) });
                    }
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                if let Some(token) = requests(self).remove(&request_id) {
                    let failure = self.failure(peer, &error);
                    self.node.handle(now, NodeInput::RequestFailed { token, failure });
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "request not answered");
            }
            request_response::Event::ResponseSent { .. } => (),
        }
    }

    fn failure(&self, peer: PeerId, error: &OutboundFailure) -> RequestFailure {
        tracing::debug!(%peer, %error, "request failed");
        match error {
            OutboundFailure::DialFailure | OutboundFailure::UnsupportedProtocols => {
                RequestFailure::Unreachable
            }
            OutboundFailure::Timeout | OutboundFailure::ConnectionClosed | OutboundFailure::Io(_) => {
                RequestFailure::Unanswered
            }
        }
    }
}
