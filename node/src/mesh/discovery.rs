//! Discovery: addresses of peers that may be there, and nothing more.
//!
//! The mesh takes any behaviour that says [`Discovered`], so another source can stand in its place. On a LAN
//! it is mDNS, for IPv4 and IPv6 side by side: the two fail apart, so that a host without the one family
//! still finds peers over the other. What mDNS forgets is no sign that a peer is gone, so expiry is not
//! reported at all.

use std::convert::Infallible;

use libp2p::{
    Multiaddr, PeerId, mdns,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle, dummy},
};

/// A source of peers' addresses.
pub trait Discovery: NetworkBehaviour<ToSwarm = Discovered> + Send {}

impl<D: NetworkBehaviour<ToSwarm = Discovered> + Send> Discovery for D {}

/// Peers that may be reached at these addresses. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered(pub Vec<(PeerId, Multiaddr)>);

/// mDNS over both address families, or nothing.
#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "Discovered", prelude = "libp2p::swarm::derive_prelude")]
pub struct Lan {
    ipv4: Toggle<mdns::tokio::Behaviour>,
    ipv6: Toggle<mdns::tokio::Behaviour>,
    /// Keeps the connection handler's type the same with and without mDNS.
    none: dummy::Behaviour,
}

impl Lan {
    /// mDNS for `peer` over every family that works here. Also says what does not work, in words.
    pub fn mdns(peer: PeerId) -> (Self, Vec<String>) {
        let mut trouble = Vec::new();
        let mut family = |name: &str, enable_ipv6| {
            let config = mdns::Config { enable_ipv6, ..mdns::Config::default() };
            mdns::tokio::Behaviour::new(config, peer)
                .inspect_err(|error| trouble.push(format!("mDNS over {name} does not work here: {error}")))
                .ok()
        };
        let (ipv4, ipv6) = (family("IPv4", false), family("IPv6", true));
        (Self { ipv4: ipv4.into(), ipv6: ipv6.into(), none: dummy::Behaviour }, trouble)
    }

    /// No discovery: only given and remembered addresses are dialled.
    pub fn off() -> Self {
        Self { ipv4: None.into(), ipv6: None.into(), none: dummy::Behaviour }
    }
}

impl std::fmt::Debug for Lan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lan")
            .field("ipv4", &self.ipv4.is_enabled())
            .field("ipv6", &self.ipv6.is_enabled())
            .finish()
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

impl From<Infallible> for Discovered {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
