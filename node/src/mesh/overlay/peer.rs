//! A peer as the overlay knows it: where it may be reached, its connections, and when it is to be dialled.

use std::net::IpAddr;

use hereabouts_protocol::{durable::ADDRESSES_PER_PEER_MAX, time::Timestamp};
use libp2p::{Multiaddr, swarm::ConnectionId};

use super::addresses;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) last_reached: Option<Multiaddr>,
    pub(super) remote_ip: Option<IpAddr>,
    pub(super) connections: Vec<Connection>,
    pub(super) linked: bool,
    pub(super) departed: bool,
    /// Its link was lost, and the redial that tells whether it is gone has not ended.
    pub(super) confirming: bool,
    pub(super) dial_at: Option<Timestamp>,
    pub(super) settle_at: Option<Timestamp>,
    /// Where it is in the orders of due times.
    pub(super) filed_dial: Option<(Urgency, Timestamp)>,
    pub(super) filed_connections: Option<Timestamp>,
    pub(super) tries: u32,
    pub(super) rejected: u32,
}

impl Peer {
    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::new(),
            last_reached: None,
            remote_ip: None,
            connections: Vec::new(),
            linked: false,
            departed: false,
            confirming: false,
            dial_at: None,
            settle_at: None,
            filed_dial: None,
            filed_connections: None,
            tries: 0,
            rejected: 0,
        }
    }

    /// Whether this node made one of the connections.
    pub(super) fn dialled(&self) -> bool {
        self.connections.iter().any(|connection| connection.dialled.is_some())
    }

    /// Adds an address, the oldest making room; whether it was new.
    pub(super) fn learn(&mut self, address: Multiaddr) -> bool {
        if self.addresses.contains(&address) {
            return false;
        }
        if self.addresses.len() >= ADDRESSES_PER_PEER_MAX {
            self.addresses.remove(0);
        }
        self.addresses.push(address);
        true
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
    pub(super) fn dialable(&self) -> Vec<Multiaddr> {
        if self.confirming {
            let tcp = self.tcp_or_all();
            let there: Vec<_> =
                tcp.iter().filter(|address| addresses::ip(address) == self.remote_ip).cloned().collect();
            return if there.is_empty() { tcp } else { there };
        }
        if self.tries % 3 == 2 { self.addresses.clone() } else { self.tcp_or_all() }
    }

    pub(super) fn tcp_or_all(&self) -> Vec<Multiaddr> {
        let tcp: Vec<_> =
            self.addresses.iter().filter(|address| addresses::is_tcp(address)).cloned().collect();
        if tcp.is_empty() { self.addresses.clone() } else { tcp }
    }
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
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) since: Timestamp,
    /// Where this node dialled it, if it did.
    pub(super) dialled: Option<Multiaddr>,
    pub(super) identify_by: Option<Timestamp>,
}

/// After so many tries in vain a peer is dialled only while few dials are under way.
pub(super) const TRIES_FEW: u32 = 3;
