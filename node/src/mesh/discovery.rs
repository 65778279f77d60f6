//! Discovery: addresses of peers that may be there, and nothing more.
//!
//! The mesh takes any behaviour that says [`Discovered`], so another source can stand in its place. On a LAN
//! it is mDNS, for IPv4 and IPv6 side by side: the two fail apart, so that a host without the one family
//! still finds peers over the other. What mDNS forgets is no sign that a peer is gone, so expiry is not
//! reported at all.
//!
//! libp2p's mDNS makes every host answer every question, so not everybody is to be asked:
//! [`Duty`](hereabouts_protocol::overlay::duty::Duty) decides who takes part, and discovery is active or not
//! accordingly. mDNS cannot be silenced; it is dropped, and made anew, which asks at once. Its sockets
//! outlive it until they next hear another host's answer, and answer once more until then.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::ListenerId, transport::PortUse},
    mdns,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, ListenAddresses, NetworkBehaviour, NewListenAddr,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};

/// A source of peers' addresses. It is active from the start.
pub trait Discovery: NetworkBehaviour<ToSwarm = Discovered> + Send {
    /// Whether to look for others and to answer those that look, from now on. Who is inactive hears nothing
    /// either; who becomes active asks at once, and is told of everybody anew.
    fn set_active(&mut self, active: bool);
}

/// Peers that may be reached at these addresses. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered(pub Vec<(PeerId, Multiaddr)>);

/// mDNS over both address families, or nothing.
pub struct Lan {
    /// Whose addresses mDNS tells, if it is wanted at all.
    peer: Option<PeerId>,
    families: Vec<mdns::tokio::Behaviour>,
    /// What mDNS is told when it is made anew.
    listen: ListenAddresses,
}

impl Lan {
    /// mDNS for `peer` over every family that works here. Also says what does not work, in words.
    pub fn mdns(peer: PeerId) -> (Self, Vec<String>) {
        let (families, trouble) = families(peer);
        (Self { peer: Some(peer), families, listen: ListenAddresses::default() }, trouble)
    }

    /// No discovery: only given and remembered addresses are dialled.
    pub fn off() -> Self {
        Self { peer: None, families: Vec::new(), listen: ListenAddresses::default() }
    }
}

fn families(peer: PeerId) -> (Vec<mdns::tokio::Behaviour>, Vec<String>) {
    let (mut families, mut trouble) = (Vec::new(), Vec::new());
    for (name, enable_ipv6) in [("IPv4", false), ("IPv6", true)] {
        let config = mdns::Config { enable_ipv6, ..mdns::Config::default() };
        match mdns::tokio::Behaviour::new(config, peer) {
            Ok(family) => families.push(family),
            Err(error) => trouble.push(format!("mDNS over {name} does not work here: {error}")),
        }
    }
    (families, trouble)
}

impl Discovery for Lan {
    fn set_active(&mut self, active: bool) {
        let Some(peer) = self.peer else { return };
        if !active {
            self.families.clear();
        } else if self.families.is_empty() {
            let (families, trouble) = families(peer);
            for trouble in trouble {
                tracing::warn!(trouble, "not found by others for now");
            }
            self.families = families;
            for addr in self.listen.iter() {
                // Nobody asks which listener it is.
                let new = NewListenAddr { listener_id: ListenerId::next(), addr };
                for family in &mut self.families {
                    family.on_swarm_event(FromSwarm::NewListenAddr(new));
                }
            }
        }
    }
}

impl NetworkBehaviour for Lan {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Discovered;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let mut known = Vec::new();
        for family in &mut self.families {
            known.extend(family.handle_pending_outbound_connection(connection, peer, addresses, role)?);
        }
        Ok(known)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.listen.on_swarm_event(&event);
        for family in &mut self.families {
            family.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, never: THandlerOutEvent<Self>) {
        let never: Infallible = never;
        match never {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Discovered, THandlerInEvent<Self>>> {
        for family in &mut self.families {
            if let Poll::Ready(event) = family.poll(cx) {
                return Poll::Ready(event.map_out(Discovered::from));
            }
        }
        Poll::Pending
    }
}

impl std::fmt::Debug for Lan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lan").field("peer", &self.peer).field("families", &self.families.len()).finish()
    }
}

impl From<mdns::Event> for Discovered {
    fn from(event: mdns::Event) -> Self {
        match event {
            mdns::Event::Discovered(peers) => Self(peers),
            mdns::Event::Expired(_) => Self(Vec::new()),
        }
    }
}
