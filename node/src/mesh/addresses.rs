//! Which addresses are worth telling others, and which are worth dialling.

use std::net::{IpAddr, Ipv6Addr};

use hereabouts_protocol::presence::record::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, NodeAddress};
use libp2p::{Multiaddr, multiaddr::Protocol};

/// The listen addresses that go into this node's record, best first: TCP before QUIC, IPv4 before IPv6.
/// Loopback is told only where there is nothing else, as between nodes of one machine; link-local IPv6 is
/// not, since an address without its zone cannot be dialled.
pub(super) fn published<'a>(listen: impl Iterator<Item = &'a Multiaddr>) -> Vec<NodeAddress> {
    let mut addresses: Vec<&Multiaddr> = listen.filter(|address| is_dialable(address)).collect();
    if addresses.iter().any(|address| !is_loopback(address)) {
        addresses.retain(|address| !is_loopback(address));
    }
    addresses.sort_by_key(|address| (!is_tcp(address), ip(address).is_some_and(|ip| ip.is_ipv6())));
    let encoded = addresses.iter().map(|address| address.to_vec()).filter(|bytes| bytes.len() <= ADDRESS_BYTES_MAX);
    encoded.take(ADDRESSES_MAX).map(NodeAddress).collect()
}

/// The address that a record tells, if this build can dial it.
pub(super) fn told(address: &NodeAddress) -> Option<Multiaddr> {
    Multiaddr::try_from(address.0.clone()).ok().filter(is_dialable).map(without_peer)
}

/// Whether the address is TCP or QUIC on an IP address that can be dialled as it stands.
pub(super) fn is_dialable(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let ip_is_usable = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified() && !ip.is_multicast() && !is_link_local(&ip),
        _ => false,
    };
    let port_is_usable = match (parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None | Some(Protocol::P2p(_))) => port != 0,
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1)) => port != 0,
        _ => false,
    };
    ip_is_usable && port_is_usable && parts.all(|part| matches!(part, Protocol::P2p(_)))
}

pub(super) fn is_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Tcp(_)))
}

pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

pub(super) fn without_peer(address: Multiaddr) -> Multiaddr {
    address.into_iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
}

fn is_loopback(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_loopback())
}

fn is_link_local(ip: &Ipv6Addr) -> bool {
    ip.segments().first().is_some_and(|segment| segment & 0xffc0 == 0xfe80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_foreign_addresses_are_not_dialled() {
        for bad in [
            "/ip6/fe80::1/tcp/4000",
            "/ip4/0.0.0.0/tcp/4000",
            "/ip4/10.0.0.1/tcp/0",
            "/ip4/224.0.0.251/udp/5353/quic-v1",
            "/dns4/example.org/tcp/80",
            "/ip4/10.0.0.1/tcp/80/ws",
            "/unix/tmp",
        ] {
            assert!(!is_dialable(&bad.parse().unwrap()), "{bad}");
        }
        for good in ["/ip4/10.0.0.1/tcp/4000", "/ip6/fd00::1/udp/4000/quic-v1"] {
            assert!(is_dialable(&good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn loopback_is_told_only_where_there_is_nothing_else() {
        let loopback: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let lan: Multiaddr = "/ip4/10.0.0.1/udp/2/quic-v1".parse().unwrap();
        let tcp: Multiaddr = "/ip6/fd00::1/tcp/3".parse().unwrap();
        let told_of = |all: &[&Multiaddr]| -> Vec<Multiaddr> {
            published(all.iter().copied()).iter().filter_map(told).collect()
        };
        assert_eq!(told_of(&[&loopback]), [loopback.clone()]);
        assert_eq!(told_of(&[&loopback, &lan, &tcp]), [tcp, lan]);
    }
}
