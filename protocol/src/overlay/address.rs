//! Addresses: where a node may be reached, as far as nodes of this kind reach each other.
//!
//! **Decides** which addresses are worth telling others, which of those that others tell are worth dialling,
//! and which look as if they were of one network. **Leaves** to the driver how an address is written, in a
//! record, by discovery and by the PRINCIPAL: what is neither TCP nor QUIC on an IP address is none here.
//! That a node is reached through a relay is no address of its own: it is the relay's key.

use std::net::{IpAddr, Ipv6Addr};

use crate::presence::record::ADDRESSES_MAX;

/// Where a node listens, or is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The host; an address of IPv4 is never written as one of IPv6.
    pub ip: IpAddr,
    /// The port of the transport.
    pub port: u16,
    /// What is spoken there.
    pub transport: Transport,
}

/// How bytes get to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP: a dial that is refused there fails at once.
    Tcp,
    /// QUIC, version 1.
    Quic,
}

impl Address {
    /// Whether it can be dialled as it stands.
    pub fn is_dialable(&self) -> bool {
        let host = match self.ip {
            IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
            IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
        };
        // QUIC is not told on which interface to look for a link-local address.
        host && self.port != 0 && (self.is_tcp() || self.reach() != Reach::Link)
    }

    /// Whether it is one of TCP.
    pub fn is_tcp(&self) -> bool {
        self.transport == Transport::Tcp
    }

    /// Whether a node that listens on `listen` dials an address that somebody tells of itself. A loopback
    /// one means a service of this very machine, so only nodes that listen nowhere else dial those.
    pub fn is_told_in_earnest(&self, listen: impl Iterator<Item = Self>) -> bool {
        self.reach() != Reach::Machine || listen.map(|own| own.reach()).max() <= Some(Reach::Machine)
    }

    fn reach(&self) -> Reach {
        match self.ip {
            ip if ip.is_loopback() => Reach::Machine,
            IpAddr::V6(ip) if is_link_local(&ip) => Reach::Link,
            _ => Reach::Network,
        }
    }
}

/// How far an address reaches, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Machine,
    Link,
    Network,
}

/// The listen addresses that go into a node's record beside so many relays, best first: TCP before QUIC, IPv4
/// before IPv6. Only those of the widest reach are told: link-local ones where there is nothing better, as on
/// a link without a router, and loopback where there is nothing else, as between nodes of one machine.
pub fn published(listen: impl Iterator<Item = Address>, relays: usize) -> Vec<Address> {
    let mut addresses: Vec<_> = listen.filter(Address::is_dialable).collect();
    let widest = addresses.iter().map(Address::reach).max();
    addresses.retain(|address| Some(address.reach()) == widest);
    addresses.sort_by_key(|address| (!address.is_tcp(), address.ip.is_ipv6()));
    addresses.truncate(ADDRESSES_MAX.saturating_sub(relays));
    addresses
}

/// Whether two addresses look as if they were of one network: the first 16 bits of IPv4, the first 64 of
/// IPv6.
pub fn same_network(one: &IpAddr, other: &IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets().starts_with(other.octets().split_at(2).0),
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets().starts_with(other.octets().split_at(8).0),
        _ => false,
    }
}

/// Whether an address means something only beside the interface that it is on.
pub fn is_link_local(ip: &Ipv6Addr) -> bool {
    ip.segments().first().is_some_and(|segment| segment & 0xffc0 == 0xfe80)
}

/// Relays through which a node lets itself be reached, and which its record names. Each costs 44 bytes of a
/// record and every WATCHER a dial; one is enough, a second for when the first goes away.
pub const RELAYS_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_address_of_a_host_is_not_dialled() {
        for bad in [
            quic("fe80::1", 4000),
            tcp("0.0.0.0", 4000),
            tcp("::", 4000),
            tcp("10.0.0.1", 0),
            quic("224.0.0.251", 5353),
            tcp("255.255.255.255", 4000),
        ] {
            assert!(!bad.is_dialable(), "{bad:?}");
        }
        for good in [tcp("10.0.0.1", 4000), tcp("fe80::1", 4000), quic("fd00::1", 4000)] {
            assert!(good.is_dialable(), "{good:?}");
        }
    }

    #[test]
    fn nobody_makes_a_node_of_a_lan_dial_its_own_machine() {
        let (loopback, lan) = (tcp("127.0.0.1", 1), tcp("10.0.0.1", 2));
        assert!(!loopback.is_told_in_earnest([loopback, lan].into_iter()));
        assert!(loopback.is_told_in_earnest([loopback].into_iter()));
        assert!(lan.is_told_in_earnest([loopback].into_iter()));
    }

    #[test]
    fn addresses_of_the_widest_reach_are_told_and_no_others() {
        let (loopback, link) = (tcp("127.0.0.1", 1), tcp("fe80::1", 4));
        let (lan, ipv6) = (quic("10.0.0.1", 2), tcp("fd00::1", 3));
        assert_eq!(published([loopback].into_iter(), 0), [loopback]);
        assert_eq!(published([loopback, link].into_iter(), 0), [link]);
        assert_eq!(published([loopback, lan, link, ipv6].into_iter(), 0), [ipv6, lan]);
        let many = (1..20).map(|port| tcp("10.0.0.1", port));
        assert_eq!(published(many, RELAYS_MAX).len(), ADDRESSES_MAX - RELAYS_MAX, "relays have room");
    }

    fn tcp(ip: &str, port: u16) -> Address {
        Address { ip: ip.parse().unwrap(), port, transport: Transport::Tcp }
    }

    fn quic(ip: &str, port: u16) -> Address {
        Address { transport: Transport::Quic, ..tcp(ip, port) }
    }
}
