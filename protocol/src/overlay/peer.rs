//! A peer as the overlay knows it: where it may be reached, its connections, and when it is to be dialled.

use std::{net::IpAddr, time::Duration};

use libp2p_identity::PeerId;

use super::address::Address;
use crate::{durable::ADDRESSES_PER_PEER_MAX, time::Timestamp};

#[derive(Debug)]
pub(super) struct Peer<C> {
    pub(super) addresses: Vec<Address>,
    /// Through whom it says that it is reached.
    pub(super) relays: Vec<PeerId>,
    pub(super) last_reached: Option<Address>,
    pub(super) remote_ip: Option<IpAddr>,
    /// Where it was linked last, in this run or before.
    pub(super) proven_at: Option<IpAddr>,
    pub(super) connections: Vec<Connection<C>>,
    pub(super) linked: bool,
    pub(super) departed: bool,
    /// Its link was lost, and the redial that tells whether it is gone has not ended.
    pub(super) confirming: bool,
    pub(super) dial_at: Option<Timestamp>,
    pub(super) settle_at: Option<Timestamp>,
    /// Where it is in the orders of due times.
    pub(super) filed_dial: Option<(Urgency, Timestamp)>,
    pub(super) filed_connections: Option<Timestamp>,
    /// Where it is counted.
    pub(super) filed_unproven: Vec<IpAddr>,
    pub(super) filed_connected: Vec<IpAddr>,
    pub(super) tries: u32,
    pub(super) rejected: u32,
}

impl<C> Peer<C> {
    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::new(),
            relays: Vec::new(),
            last_reached: None,
            remote_ip: None,
            proven_at: None,
            connections: Vec::new(),
            linked: false,
            departed: false,
            confirming: false,
            dial_at: None,
            settle_at: None,
            filed_dial: None,
            filed_connections: None,
            filed_unproven: Vec::new(),
            filed_connected: Vec::new(),
            tries: 0,
            rejected: 0,
        }
    }

    /// Whether this node made one of the connections.
    pub(super) fn dialled(&self) -> bool {
        self.connections.iter().any(|connection| connection.dialled)
    }

    /// Adds an address, the oldest making room; whether it was new.
    pub(super) fn learn(&mut self, address: Address) -> bool {
        if self.addresses.contains(&address) {
            return false;
        }
        if self.addresses.len() >= ADDRESSES_PER_PEER_MAX {
            self.addresses.remove(0);
        }
        self.addresses.push(address);
        true
    }

    /// The hosts where it is said to be and was not linked, in ascending order.
    pub(super) fn unproven_at(&self) -> Vec<IpAddr> {
        let said = self.addresses.iter().map(|address| address.ip);
        counted(said.filter(|ip| Some(*ip) != self.proven_at))
    }

    /// The hosts from which it is connected, in ascending order.
    pub(super) fn connected_from(&self) -> Vec<IpAddr> {
        counted(self.connections.iter().filter_map(|connection| Some(connection.address?.ip)))
    }

    pub(super) fn urgency(&self) -> Urgency {
        match self.tries {
            _ if self.confirming => Urgency::Confirm,
            0..=TRIES_FEW => Urgency::Link,
            _ => Urgency::LinkAgain,
        }
    }

    /// The addresses for the next try; when confirming a loss first of all where the link was. Every third
    /// try takes QUIC too.
    pub(super) fn dialable(&self) -> Vec<Address> {
        if self.confirming {
            let tcp = self.tcp_or_all();
            let there: Vec<_> =
                tcp.iter().copied().filter(|address| Some(address.ip) == self.remote_ip).collect();
            return if there.is_empty() { tcp } else { there };
        }
        if self.tries % 3 == 2 { self.addresses.clone() } else { self.tcp_or_all() }
    }

    pub(super) fn tcp_or_all(&self) -> Vec<Address> {
        let tcp: Vec<_> = self.addresses.iter().copied().filter(Address::is_tcp).collect();
        if tcp.is_empty() { self.addresses.clone() } else { tcp }
    }
}

/// Each host once, but for this machine: its nodes share an address.
fn counted(hosts: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut hosts: Vec<_> = hosts.filter(|ip| !ip.is_loopback()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// Why a peer is dialled, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// To find out whether it is gone.
    Confirm,
    /// To link with it.
    Link,
    /// The same, after more than [`TRIES_FEW`] tries in vain: those that were not there for long leave room
    /// for those that may be.
    LinkAgain,
}

impl Urgency {
    pub(super) const ALL: [Self; 3] = [Self::Confirm, Self::Link, Self::LinkAgain];
}

#[derive(Debug)]
pub(super) struct Connection<C> {
    pub(super) id: C,
    pub(super) since: Timestamp,
    /// Whether this node made it.
    pub(super) dialled: bool,
    /// Where the other end is, if that is known.
    pub(super) address: Option<Address>,
    pub(super) identify_by: Option<Timestamp>,
}

/// Which connections this end closes. Of those that were made at about the same time, those that the second
/// dialled, if there is one that the first did, or else all but the newest. Otherwise, and if the peer did
/// not do its part within [`SETTLED_WITHIN`], all.
pub(super) fn superfluous<C: Copy + Ord>(
    now: Timestamp,
    own_is_first: bool,
    connections: &[Connection<C>],
) -> Vec<C> {
    let oldest = connections.iter().map(|connection| connection.since).min().unwrap_or_default();
    let newest = connections.iter().max_by_key(|connection| (connection.since, connection.id));
    let Some(newest) = newest else { return Vec::new() };
    if newest.since.since(oldest) > SAME_TIME || now.since(newest.since) > SETTLED_WITHIN {
        return connections.iter().map(|connection| connection.id).collect();
    }
    let by_first = |connection: &&Connection<C>| connection.dialled == own_is_first;
    let kept = connections.iter().filter(by_first).max_by_key(|connection| connection.id).unwrap_or(newest);
    // Only the end that dialled knows which of several that one end dialled is the newest.
    let mine = |one: &&Connection<C>| one.dialled || by_first(&kept) != by_first(one);
    connections.iter().filter(|one| one.id != kept.id).filter(mine).map(|one| one.id).collect()
}

/// After so many tries in vain a peer is dialled only while few dials are under way.
pub(super) const TRIES_FEW: u32 = 3;
/// How long two connections with one peer are left alone. Both ends know of both by then.
pub(super) const SETTLE_DUPLICATES: Duration = Duration::from_secs(1);
/// By when the peer too has closed what is superfluous. Longer than [`SETTLE_DUPLICATES`].
const SETTLED_WITHIN: Duration = Duration::from_millis(2500);
/// Two connections made within this are a simultaneous dial.
const SAME_TIME: Duration = Duration::from_secs(2);
