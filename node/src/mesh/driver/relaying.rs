//! Circuits and reservations, for the driver.

use std::collections::BTreeMap;

use hereabouts_protocol::{
    identity::Presentity, node::NodeInput, overlay::relays::Relays, presence::record::ADDRESSES_MAX,
    presence::record::NodeAddress, time::Timestamp,
};
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, transport::ListenerId},
    swarm::{ConnectionId, DialError},
};

use super::{Clock, Discovery, Driver, Event, Storage, addresses, written};
use crate::mesh::{
    addresses::GivenAddress,
    causes,
    circuits::{CIRCUITS_AT_ONCE_MAX, Members},
};

/// What a node has to do with relays while it runs.
pub(in crate::mesh) struct RelaysInUse {
    relays: Relays<ListenerId>,
    /// Whether it tells and learns of no address.
    pub(super) only: bool,
    /// Whom it serves, if it is a relay.
    members: Option<Members>,
    /// Circuits that end here, and with whom.
    circuits: BTreeMap<ConnectionId, PeerId>,
}

impl RelaysInUse {
    pub(in crate::mesh) fn new(by: &[GivenAddress], only: bool, members: Option<Members>) -> Self {
        let given = by.iter().map(|given| (given.address, given.peer));
        Self { relays: Relays::new(given), only, members, circuits: BTreeMap::new() }
    }

    /// Whether this node is a relay.
    pub(super) fn serves(&self) -> bool {
        self.members.is_some()
    }

    /// Through whom this node is reached.
    pub(super) fn held(&self) -> Vec<PeerId> {
        self.relays.held().collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.relays.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        self.relays.handle_timeout(now);
    }

    pub(super) fn poll_output(&mut self) -> Option<PeerId> {
        self.relays.poll_output()
    }

    /// Whether a connection is a circuit.
    pub(super) fn is_circuit(&self, connection: ConnectionId) -> bool {
        self.circuits.contains_key(&connection)
    }

    /// Whether there is a circuit with a peer.
    pub(super) fn has_circuit(&self, peer: &PeerId) -> bool {
        self.circuits.values().any(|other| other == peer)
    }

    pub(super) fn circuit_closed(&mut self, connection: ConnectionId) {
        self.circuits.remove(&connection);
    }
}

impl<D: Discovery, S: Storage, C: Clock> Driver<D, S, C> {
    /// A connection stands that is none of the overlay's.
    pub(super) fn circuit_established(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        connection: ConnectionId,
        at: &ConnectedPoint,
    ) {
        if self.relaying.circuits.len() >= CIRCUITS_AT_ONCE_MAX {
            tracing::debug!(%peer, "too many circuits");
            self.swarm.close_connection(connection);
            return;
        }
        self.relaying.circuits.insert(connection, peer);
        if let ConnectedPoint::Dialer { address, .. } = at
            && let Some(relay) = addresses::relay_of(address)
        {
            self.relaying.relays.handle_used(now, relay);
        }
    }

    /// A direct connection stands.
    pub(super) fn answered(&mut self, peer: PeerId, at: &ConnectedPoint) {
        if let ConnectedPoint::Dialer { address, .. } = at
            && let Some(address) = addresses::understood(address)
        {
            self.relaying.relays.handle_answered(address, peer);
        }
    }

    /// A dial failed, perhaps that to a relay that the PRINCIPAL gave.
    pub(super) fn relay_unanswered(&mut self, error: &DialError) {
        let failed: Vec<_> = match error {
            DialError::Transport(errors) => {
                errors.iter().map(|(address, error)| (address, causes(error))).collect()
            }
            DialError::WrongPeerId { address, .. } => vec![(address, "somebody else answers".to_owned())],
            _ => Vec::new(),
        };
        for (address, why) in failed {
            let given = addresses::understood(address);
            if given.is_some_and(|given| self.relaying.relays.handle_unanswered(given)) {
                self.log(Event::Trouble(format!("no relay at {address}: {why}; it is tried again")));
            }
        }
    }

    pub(super) fn relay_linked(&mut self, now: Timestamp, peer: PeerId) {
        if let Some(members) = &self.relaying.members {
            members.put(peer, true);
        }
        if self.swarm.behaviour().circuits.is_enabled() {
            self.relaying.relays.handle_linked(now, &peer);
            for reached in self.overlay.relayed_by(&peer) {
                self.reached_through(now, reached);
            }
        }
    }

    pub(super) fn relay_link_down(&mut self, peer: &PeerId) {
        if let Some(members) = &self.relaying.members {
            members.put(*peer, false);
        }
        self.relaying.relays.handle_link_down(peer);
    }

    /// Whether a peer says that it is reached through somebody with whom this node is linked. That it cannot
    /// be dialled is no news then, nor a sign that it is gone: its relay, which has a link with it, will say
    /// so.
    pub(super) fn has_linked_relay(&self, peer: &PeerId) -> bool {
        self.overlay.relays(peer).iter().any(|relay| self.overlay.is_linked(relay))
    }

    /// A peer is lost, and with it perhaps the last that could say whether somebody behind it is there.
    pub(super) fn relay_lost(&mut self, relay: &PeerId) {
        let now = self.clock.now();
        if !self.swarm.behaviour().circuits.is_enabled() {
            return;
        }
        for peer in self.overlay.relayed_by(relay) {
            let may_be_there = self.has_linked_relay(&peer) || self.overlay.is_linked(&peer);
            if let (false, Some(presentity)) = (may_be_there, Presentity::from_peer_id(&peer)) {
                let unreachable = NodeInput::Unreachable { presentity, was_linked: false, refused: false };
                self.node.handle(now, unreachable);
            }
        }
    }

    /// A peer's record says where and through whom it is reached.
    pub(super) fn told_addresses(&mut self, peer: PeerId, addresses: &[NodeAddress]) {
        let now = self.clock.now();
        let told = addresses.iter().filter_map(addresses::told).filter(|_| !self.relaying.only);
        let listen = || self.listen.iter().filter_map(addresses::understood);
        let direct = told.filter(|address| address.is_told_in_earnest(listen())).collect();
        self.overlay.handle_record(now, peer, direct);
        let relays = addresses.iter().filter_map(addresses::told_relay).collect();
        if self.overlay.handle_relays(peer, relays) && self.swarm.behaviour().circuits.is_enabled() {
            self.reached_through(now, peer);
        }
    }

    fn reached_through(&mut self, now: Timestamp, peer: PeerId) {
        if !self.swarm.is_connected(&peer)
            && let Some(presentity) = Presentity::from_peer_id(&peer)
        {
            self.node.handle(now, NodeInput::Way(presentity));
        }
    }

    /// Where to dial a peer for a request: its own addresses, and the circuits that lead to it. All are tried
    /// side by side, since an address behind a firewall answers nothing at all.
    pub(super) fn ways_to(&mut self, peer: &PeerId) -> Vec<Multiaddr> {
        let mut ways = written(self.overlay.addresses(peer));
        if !self.swarm.behaviour().circuits.is_enabled() {
            return ways;
        }
        for relay in self.overlay.relays(peer).to_vec() {
            let at = written(self.overlay.addresses(&relay));
            let Some(first) = at.first().cloned() else { continue };
            if !self.swarm.is_connected(&relay) {
                // A circuit names one address of its relay; the others are asked for when that is dialled.
                at.into_iter().for_each(|address| self.swarm.add_peer_address(relay, address));
            }
            ways.push(addresses::by_relay(first, relay));
        }
        ways
    }

    /// Asks a relay for a reservation.
    pub(super) fn reserve(&mut self, relay: PeerId) {
        if self.overlay.is_unsettled(&relay) {
            self.relaying.relays.handle_unsettled(self.clock.now(), &relay);
            return;
        }
        let at = written(self.overlay.addresses(&relay)).into_iter().next();
        let asked = at.map(|at| self.swarm.listen_on(addresses::by_relay(at, relay)));
        let reservation = asked.and_then(|asked| {
            asked.map_err(|error| tracing::warn!(%relay, %error, "cannot ask for a reservation")).ok()
        });
        self.relaying.relays.handle_asked(self.clock.now(), &relay, reservation);
    }

    pub(super) fn reserved(&mut self, reservation: ListenerId) {
        if let Some(relay) = self.relaying.relays.handle_reserved(reservation) {
            self.log_relay(relay, |relay| Event::Relayed { relay });
            self.tell_addresses();
        }
    }

    /// A listener ended. Whether it was a reservation.
    pub(super) fn reservation_closed(
        &mut self,
        now: Timestamp,
        reservation: ListenerId,
        reason: Result<(), &std::io::Error>,
    ) -> bool {
        let Some(closed) = self.relaying.relays.handle_closed(now, reservation) else { return false };
        let why = reason.map_or_else(|error| causes(error), |()| "the connection with it ended".to_owned());
        tracing::debug!(relay = %closed.peer, why, "no reservation");
        if closed.stood || closed.first_that_counts {
            self.log_relay(closed.peer, |relay| Event::NotRelayed { relay, why });
        }
        if closed.stood {
            self.tell_addresses();
        }
        true
    }

    /// A relay tells those who ask for a reservation where it is; one that says nothing there is none to
    /// them.
    pub(super) fn relay_listens(&mut self, address: &Multiaddr) {
        let known = self.swarm.external_addresses().count();
        if self.relaying.serves() && known < ADDRESSES_MAX && addresses::understood(address).is_some() {
            self.swarm.add_external_address(address.clone());
        }
    }

    fn log_relay(&self, relay: PeerId, event: impl FnOnce(Presentity) -> Event) {
        if let Some(relay) = Presentity::from_peer_id(&relay) {
            self.log(event(relay));
        }
    }
}
