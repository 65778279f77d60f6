//! A wrapper that shows a behaviour the direct connections only, and none that goes through a relay.
//!
//! Gossip and signs of life are for links: a circuit is cut by its relay sooner or later, and a sign of life
//! that came by another way would hide that a link is dead. The connections of a peer are counted anew,
//! since gossipsub tells its topic on what it takes for the first.
//!
//! Limit: a count for each peer with a direct connection.

use std::{
    collections::BTreeMap,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished, derive_prelude::Either,
        dummy,
    },
};

use super::addresses::is_circuit;

/// `B`, which knows of direct connections only.
#[derive(Debug)]
pub(super) struct Direct<B> {
    pub(super) inner: B,
    connections: BTreeMap<PeerId, usize>,
}

impl<B> Direct<B> {
    pub(super) const fn new(inner: B) -> Self {
        Self { inner, connections: BTreeMap::new() }
    }

    fn established(&mut self, peer: PeerId) -> usize {
        let count = self.connections.entry(peer).or_default();
        *count += 1;
        *count - 1
    }

    fn closed(&mut self, peer: PeerId) -> usize {
        let left = self.connections.remove(&peer).map_or(0, |count| count.saturating_sub(1));
        if left > 0 {
            self.connections.insert(peer, left);
        }
        left
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Direct<B> {
    type ConnectionHandler = Either<B::ConnectionHandler, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if is_circuit(local) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_inbound_connection(connection, peer, local, remote).map(Either::Left)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if is_circuit(address) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let inner = &mut self.inner;
        inner.handle_established_outbound_connection(connection, peer, address, role, port).map(Either::Left)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let event = match event {
            FromSwarm::ConnectionEstablished(made) if made.endpoint.is_relayed() => return,
            FromSwarm::ConnectionEstablished(made) => {
                let other_established = self.established(made.peer_id);
                FromSwarm::ConnectionEstablished(ConnectionEstablished { other_established, ..made })
            }
            FromSwarm::ConnectionClosed(closed) if closed.endpoint.is_relayed() => return,
            FromSwarm::ConnectionClosed(closed) => {
                let remaining_established = self.closed(closed.peer_id);
                FromSwarm::ConnectionClosed(ConnectionClosed { remaining_established, ..closed })
            }
            FromSwarm::AddressChange(change) if ConnectedPoint::is_relayed(change.old) => return,
            event => event,
        };
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, connection, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx).map(|wanted| wanted.map_in(Either::Left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_connection_is_the_first_that_is_direct_and_the_last_the_last() {
        let mut direct = Direct::new(());
        let [one, other] = [PeerId::random(), PeerId::random()];
        assert_eq!([direct.established(one), direct.established(one), direct.established(other)], [0, 1, 0]);
        assert_eq!([direct.closed(one), direct.closed(other), direct.closed(one)], [1, 0, 0]);
        assert!(direct.connections.is_empty());
    }
}
