//! How addresses are written, as libp2p, records and the PRINCIPAL have them, and what they mean to the
//! overlay.
//!
//! **Decides** which forms are understood: `/ip4/…` or `/ip6/…`, then `/tcp/…` or `/udp/…/quic-v1`, and then
//! `/p2p/…` or nothing; in a record also `/p2p/…/p2p-circuit`, a relay without where it is, which stands in
//! the relay's own record. That takes 43 bytes of the 64, and moves with the relay. **Leaves** which of
//! these addresses are any good to [`hereabouts_protocol::overlay::address`].

use std::{net::IpAddr, str::FromStr};

use hereabouts_protocol::{
    overlay::address::{self, Address, Transport},
    presence::record::NodeAddress,
};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use thiserror::Error;

/// Where the PRINCIPAL says that a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenAddress {
    /// The address.
    pub address: Address,
    /// Who is to answer there; anybody, if that was not said.
    pub peer: Option<PeerId>,
}

impl TryFrom<&Multiaddr> for GivenAddress {
    type Error = GivenAddressError;

    fn try_from(written: &Multiaddr) -> Result<Self, GivenAddressError> {
        let address = understood(written).ok_or(GivenAddressError::Form)?;
        if !address.is_dialable() {
            return Err(GivenAddressError::Undialable);
        }
        let peer = written.iter().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        Ok(Self { address, peer })
    }
}

impl FromStr for GivenAddress {
    type Err = GivenAddressError;

    fn from_str(text: &str) -> Result<Self, GivenAddressError> {
        Self::try_from(&text.parse::<Multiaddr>()?)
    }
}

/// Why an address that was given is not dialled.
#[derive(Debug, Error)]
pub enum GivenAddressError {
    /// It is no multiaddress.
    #[error(transparent)]
    Multiaddr(#[from] libp2p::multiaddr::Error),
    /// It is a multiaddress of another form.
    #[error(
        "an address is /ip4/… or /ip6/…, then /tcp/PORT or /udp/PORT/quic-v1, and then /p2p/ID or nothing"
    )]
    Form,
    /// Its form is right, but no host has it.
    #[error("that is not where a host listens; a link-local address is dialled over TCP only")]
    Undialable,
}

/// The address that is written there, if it is one as nodes of this kind have it.
pub(super) fn understood(written: &Multiaddr) -> Option<Address> {
    let mut parts = written.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        // An address of IPv4 is one and the same host however it is written.
        Protocol::Ip6(ip) => IpAddr::from(ip).to_canonical(),
        _ => return None,
    };
    let (port, transport) = match parts.next()? {
        Protocol::Tcp(port) => (port, Transport::Tcp),
        Protocol::Udp(port) => (parts.next()? == Protocol::QuicV1).then_some((port, Transport::Quic))?,
        _ => return None,
    };
    parts.all(|part| matches!(part, Protocol::P2p(_))).then_some(Address { ip, port, transport })
}

/// The address as libp2p has it.
pub(super) fn written(address: Address) -> Multiaddr {
    let multiaddr = Multiaddr::from(address.ip);
    match address.transport {
        Transport::Tcp => multiaddr.with(Protocol::Tcp(address.port)),
        Transport::Quic => multiaddr.with(Protocol::Udp(address.port)).with(Protocol::QuicV1),
    }
}

/// The addresses that go into this node's record, best first: where it listens, then through whom it is
/// reached.
pub(super) fn published<'a>(
    listen: impl Iterator<Item = &'a Multiaddr>,
    relays: &[PeerId],
) -> Vec<NodeAddress> {
    let published = address::published(listen.filter_map(understood), relays.len()).into_iter();
    let relays = relays.iter().map(|relay| by_relay(Multiaddr::empty(), *relay));
    published.map(written).chain(relays).map(|address| NodeAddress(address.to_vec())).collect()
}

/// The address of whoever is reached through the relay that is there.
pub(super) fn by_relay(relay_at: Multiaddr, relay: PeerId) -> Multiaddr {
    relay_at.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

/// Whether an address leads through a relay.
pub(super) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The relay through which an address leads, if it is one as above, with or without where the relay is.
pub(super) fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    let mut parts = address.iter().skip_while(|part| !matches!(part, Protocol::P2p(_)));
    match (parts.next()?, parts.next()?) {
        (Protocol::P2p(relay), Protocol::P2pCircuit) => Some(relay),
        _ => None,
    }
}

/// The relay that a record tells.
pub(super) fn told_relay(address: &NodeAddress) -> Option<PeerId> {
    relay_of(&Multiaddr::try_from(address.0.clone()).ok()?)
}

/// The address that a record tells, if this build can dial it.
pub(super) fn told(address: &NodeAddress) -> Option<Address> {
    let written = Multiaddr::try_from(address.0.clone()).ok()?;
    understood(&written).filter(Address::is_dialable)
}

#[cfg(test)]
mod tests {
    use hereabouts_protocol::presence::record::ADDRESS_BYTES_MAX;

    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for text in ["/ip4/10.0.0.1/tcp/4000", "/ip6/fd00::1/tcp/1", "/ip6/fe80::1/udp/4000/quic-v1"] {
            let multiaddr: Multiaddr = text.parse().unwrap();
            assert_eq!(understood(&multiaddr).map(written), Some(multiaddr.clone()));
            let with_peer = format!("{text}/p2p/{PEER}").parse().unwrap();
            assert_eq!(understood(&with_peer).map(written), Some(multiaddr));
        }
    }

    #[test]
    fn nobody_hides_an_address_of_ipv4_in_one_of_ipv6() {
        let hidden = understood(&"/ip6/::ffff:127.0.0.1/tcp/1".parse().unwrap()).unwrap();
        assert_eq!(written(hidden).to_string(), "/ip4/127.0.0.1/tcp/1");
    }

    #[test]
    fn what_is_neither_tcp_nor_quic_on_an_ip_address_is_not_understood() {
        for text in [
            "/dns4/example.org/tcp/80",
            "/ip4/10.0.0.1/tcp/80/ws",
            "/ip4/10.0.0.1/udp/80",
            "/ip4/10.0.0.1/udp/80/quic",
            "/ip4/10.0.0.1",
            "/unix/tmp",
            "/dns4/example.org/ip4/10.0.0.1/tcp/80",
        ] {
            assert_eq!(understood(&text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn what_is_published_is_what_others_are_told() {
        let listen: Vec<Multiaddr> =
            ["/ip6/fd00::1/udp/2/quic-v1", "/ip4/10.0.0.1/tcp/2"].map(|text| text.parse().unwrap()).into();
        let relay: PeerId = PEER.parse().unwrap();
        let published = published(listen.iter(), &[relay]);
        assert_eq!(published.iter().filter_map(told_relay).collect::<Vec<_>>(), [relay]);
        assert!(published.iter().all(|address| address.0.len() <= ADDRESS_BYTES_MAX));
        let told: Vec<_> = published.iter().filter_map(told).map(written).collect();
        assert_eq!(told, listen.iter().rev().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn a_relay_is_read_from_any_address_that_leads_through_it_and_such_an_address_is_not_dialled() {
        let relay: PeerId = PEER.parse().unwrap();
        for text in
            [format!("/p2p/{PEER}/p2p-circuit"), format!("/ip4/10.0.0.1/tcp/4001/p2p/{PEER}/p2p-circuit")]
        {
            let address: Multiaddr = text.parse().unwrap();
            assert_eq!((relay_of(&address), understood(&address)), (Some(relay), None), "{text}");
            let whose = address.with(Protocol::P2p(relay));
            assert_eq!((relay_of(&whose), understood(&whose)), (Some(relay), None));
            assert!(is_circuit(&whose));
        }
        let direct = format!("/ip4/10.0.0.1/tcp/4001/p2p/{PEER}").parse().unwrap();
        assert_eq!((relay_of(&direct), is_circuit(&direct)), (None, false));
    }

    #[test]
    fn an_address_that_can_never_be_dialled_is_refused_where_it_is_given() {
        let given = format!("/ip4/10.0.0.1/tcp/4000/p2p/{PEER}").parse::<GivenAddress>().unwrap();
        assert_eq!(given.peer, Some(PEER.parse().unwrap()));
        assert_eq!("/ip6/::1/udp/4000/quic-v1".parse::<GivenAddress>().unwrap().peer, None);
        for (text, says) in [
            ("10.0.0.1:4000", "invalid multiaddr"),
            ("/dns4/example.org/tcp/80", "/ip4/… or /ip6/…"),
            ("/ip4/0.0.0.0/tcp/4000", "where a host listens"),
            ("/ip4/10.0.0.1/tcp/0", "where a host listens"),
            ("/ip6/fe80::1/udp/4000/quic-v1", "over TCP only"),
        ] {
            let error = text.parse::<GivenAddress>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
