//! Which addresses are worth telling others, and which are worth dialling.

use std::net::{IpAddr, Ipv6Addr};

use hereabouts_protocol::presence::record::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, NodeAddress};
use libp2p::{Multiaddr, multiaddr::Protocol};

/// The listen addresses that go into this node's record, best first: TCP before QUIC, IPv4 before IPv6. Only
/// those of the widest reach are told: link-local ones where there is nothing better, as on a link without
/// a router, and loopback where there is nothing else, as between nodes of one machine.
pub(super) fn published<'a>(listen: impl Iterator<Item = &'a Multiaddr>) -> Vec<NodeAddress> {
    let mut addresses: Vec<&Multiaddr> = listen.filter(|address| is_dialable(address)).collect();
    let widest = addresses.iter().map(|address| reach(address)).max();
    addresses.retain(|address| Some(reach(address)) == widest);
    addresses.sort_by_key(|address| (!is_tcp(address), ip(address).is_some_and(|ip| ip.is_ipv6())));
    let encoded =
        addresses.iter().map(|address| address.to_vec()).filter(|bytes| bytes.len() <= ADDRESS_BYTES_MAX);
    encoded.take(ADDRESSES_MAX).map(NodeAddress).collect()
}

/// The address that a record tells, if this build can dial it.
pub(super) fn told(address: &NodeAddress) -> Option<Multiaddr> {
    Multiaddr::try_from(address.0.clone()).ok().filter(is_dialable).map(without_peer)
}

/// Whether a node that listens on `listen` dials an address that somebody tells of itself. A loopback one
/// means a service of this very machine, so only nodes that listen nowhere else dial those.
pub(super) fn is_told_in_earnest<'a>(
    address: &Multiaddr,
    listen: impl Iterator<Item = &'a Multiaddr>,
) -> bool {
    reach(address) != Reach::Machine || listen.map(reach).max() <= Some(Reach::Machine)
}

/// Whether the address is TCP or QUIC on an IP address that can be dialled as it stands.
pub(super) fn is_dialable(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let ip_is_usable = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified() && !ip.is_multicast(),
        _ => false,
    };
    let port_is_usable = match (parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None | Some(Protocol::P2p(_))) => port != 0,
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1)) => port != 0 && reach(address) != Reach::Link,
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

/// Whether two addresses look as if they were of one network: the first 16 bits of IPv4, the first 64 of
/// IPv6.
pub(super) fn same_network(one: &IpAddr, other: &IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets().starts_with(other.octets().split_at(2).0),
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets().starts_with(other.octets().split_at(8).0),
        _ => false,
    }
}

pub(super) fn without_peer(address: Multiaddr) -> Multiaddr {
    address.into_iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
}

pub(super) fn is_link_local(ip: &Ipv6Addr) -> bool {
    ip.segments().first().is_some_and(|segment| segment & 0xffc0 == 0xfe80)
}

/// How far an address reaches, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Machine,
    Link,
    Network,
}

fn reach(address: &Multiaddr) -> Reach {
    match ip(address) {
        Some(ip) if ip.is_loopback() => Reach::Machine,
        Some(IpAddr::V6(ip)) if is_link_local(&ip) => Reach::Link,
        _ => Reach::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_address_of_a_host_is_not_dialled() {
        for bad in [
            "/ip6/fe80::1/udp/4000/quic-v1",
            "/ip4/0.0.0.0/tcp/4000",
            "/ip4/10.0.0.1/tcp/0",
            "/ip4/224.0.0.251/udp/5353/quic-v1",
            "/dns4/example.org/tcp/80",
            "/ip4/10.0.0.1/tcp/80/ws",
            "/unix/tmp",
        ] {
            assert!(!is_dialable(&bad.parse().unwrap()), "{bad}");
        }
        for good in ["/ip4/10.0.0.1/tcp/4000", "/ip6/fe80::1/tcp/4000", "/ip6/fd00::1/udp/4000/quic-v1"] {
            assert!(is_dialable(&good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn nobody_makes_a_node_of_a_lan_dial_its_own_machine() {
        let loopback: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let lan: Multiaddr = "/ip4/10.0.0.1/tcp/2".parse().unwrap();
        assert!(!is_told_in_earnest(&loopback, [&loopback, &lan].into_iter()));
        assert!(is_told_in_earnest(&loopback, [&loopback].into_iter()));
        assert!(is_told_in_earnest(&lan, [&loopback].into_iter()));
    }

    #[test]
    fn addresses_of_the_widest_reach_are_told_and_no_others() {
        let loopback: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let lan: Multiaddr = "/ip4/10.0.0.1/udp/2/quic-v1".parse().unwrap();
        let tcp: Multiaddr = "/ip6/fd00::1/tcp/3".parse().unwrap();
        let told_of = |all: &[&Multiaddr]| -> Vec<Multiaddr> {
            published(all.iter().copied()).iter().filter_map(told).collect()
        };
        let link: Multiaddr = "/ip6/fe80::1/tcp/4".parse().unwrap();
        assert_eq!(told_of(&[&loopback]), std::slice::from_ref(&loopback));
        assert_eq!(told_of(&[&loopback, &link]), std::slice::from_ref(&link));
        assert_eq!(told_of(&[&loopback, &lan, &link, &tcp]), [tcp, lan]);
    }
}
