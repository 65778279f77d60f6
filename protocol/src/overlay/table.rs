//! The table of peers: all that the overlay knows, in which order something is due for them, and how many of
//! them share an IP address.
//!
//! **Decides** who makes room for whom, and whether an IP address has room for one more. **Leaves** to
//! [`super::links`] and [`super::dialling`] when what is due: whoever changed that, or where a peer is, calls
//! [`Peers::refile`].
//!
//! Limits: [`PEERS_MAX`] peers; at the limit one without a connection makes room, first those without an
//! address, then those that were tried most often in vain. At one IP address [`PEERS_PER_IP_MAX`] peers that
//! were never linked there; an address of a further one is not learnt. So one machine cannot fill the table
//! with made-up keys, and records that name somebody's address do not make everybody dial it once for each of
//! thousands of keys. From one IP address [`LINKS_PER_IP_MAX`] connected peers; the connection of a further
//! one is closed. Loopback is exempt, since the nodes of one machine share it.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
};

use libp2p_identity::PeerId;

use super::peer::{Peer, Urgency};
use crate::time::Timestamp;

/// Peers by key.
#[derive(Debug)]
pub(super) struct Peers<C> {
    known: BTreeMap<PeerId, Peer<C>>,
    /// The peers that are being dialled.
    dials: BTreeSet<PeerId>,
    /// Peers by when they are to be dialled; those that are being dialled are not in it.
    dial_due: BTreeMap<Urgency, BTreeSet<(Timestamp, PeerId)>>,
    /// Peers by when their connections are to be looked at.
    connections_due: BTreeSet<(Timestamp, PeerId)>,
    /// Peers by where they are said to be and were never linked.
    unproven: Hosts,
    /// Peers by where they are connected from.
    connected: Hosts,
}

impl<C> Peers<C> {
    pub(super) fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            dials: BTreeSet::new(),
            dial_due: Urgency::ALL.map(|urgency| (urgency, BTreeSet::new())).into(),
            connections_due: BTreeSet::new(),
            unproven: Hosts::default(),
            connected: Hosts::default(),
        }
    }

    pub(super) fn get(&self, peer: &PeerId) -> Option<&Peer<C>> {
        self.known.get(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Peer<C>> {
        self.known.get_mut(peer)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Peer<C>> {
        self.known.values()
    }

    pub(super) fn by_key(&self) -> impl Iterator<Item = (&PeerId, &Peer<C>)> {
        self.known.iter()
    }

    /// The peer, for whom another makes room if it is new and the table is full.
    pub(super) fn entry(&mut self, peer: PeerId) -> &mut Peer<C> {
        if self.known.len() >= PEERS_MAX && !self.known.contains_key(&peer) {
            self.make_room();
        }
        self.known.entry(peer).or_insert_with(Peer::new)
    }

    /// Whether an address of a peer at a host may be learnt though nothing proves it.
    pub(super) fn has_room_at(&self, peer: &PeerId, ip: IpAddr) -> bool {
        let is_there = |known: &Peer<C>| known.proven_at == Some(ip) || known.filed_unproven.contains(&ip);
        self.known.get(peer).is_some_and(is_there) || self.unproven.count(ip) < PEERS_PER_IP_MAX
    }

    /// Whether a peer may be connected from a host.
    pub(super) fn has_link_room_at(&self, peer: &PeerId, ip: IpAddr) -> bool {
        let is_there = |known: &Peer<C>| known.filed_connected.contains(&ip);
        self.known.get(peer).is_some_and(is_there) || self.connected.count(ip) < LINKS_PER_IP_MAX
    }

    pub(super) fn is_dialling(&self, peer: &PeerId) -> bool {
        self.dials.contains(peer)
    }

    /// How many are being dialled.
    pub(super) fn dials(&self) -> usize {
        self.dials.len()
    }

    pub(super) fn dial_begins(&mut self, peer: PeerId) {
        self.dials.insert(peer);
    }

    pub(super) fn dial_ends(&mut self, peer: &PeerId) {
        self.dials.remove(peer);
    }

    /// How many wait to be dialled.
    pub(super) fn waiting(&self, urgency: Urgency) -> usize {
        self.dial_due.get(&urgency).map_or(0, BTreeSet::len)
    }

    /// Who is the next to be dialled, and when.
    pub(super) fn next_dial(&self, urgency: Urgency) -> Option<(Timestamp, PeerId)> {
        self.dial_due.get(&urgency).and_then(BTreeSet::first).copied()
    }

    /// Who is to be dialled by now, those with the fewest tries first.
    pub(super) fn due_dials(&self, urgency: Urgency, now: Timestamp) -> BTreeSet<(u32, Timestamp, PeerId)> {
        let due = self.dial_due.get(&urgency).into_iter().flatten().take_while(|(at, _)| *at <= now);
        due.map(|(at, peer)| (self.known.get(peer).map_or(0, |known| known.tries), *at, *peer)).collect()
    }

    /// Whose connections are the next to be looked at, and when.
    pub(super) fn next_look(&self) -> Option<(Timestamp, PeerId)> {
        self.connections_due.first().copied()
    }

    /// Files a peer under the times at which something is due for it and the hosts where it is, after any of
    /// these changed.
    pub(super) fn refile(&mut self, peer: &PeerId) {
        let Some(known) = self.known.get_mut(peer) else { return };
        let dial = known.dial_at.filter(|_| !self.dials.contains(peer)).map(|at| (known.urgency(), at));
        if known.filed_dial != dial {
            if let Some((urgency, before)) = std::mem::replace(&mut known.filed_dial, dial) {
                self.dial_due.entry(urgency).or_default().remove(&(before, *peer));
            }
            if let Some((urgency, at)) = dial {
                self.dial_due.entry(urgency).or_default().insert((at, *peer));
            }
        }
        let identify = known.connections.iter().filter_map(|connection| connection.identify_by);
        let connections = identify.chain(known.settle_at).min();
        if known.filed_connections != connections {
            if let Some(before) = std::mem::replace(&mut known.filed_connections, connections) {
                self.connections_due.remove(&(before, *peer));
            }
            self.connections_due.extend(connections.map(|at| (at, *peer)));
        }
        let (unproven, connected) = (known.unproven_at(), known.connected_from());
        self.unproven.refile(&mut known.filed_unproven, unproven);
        self.connected.refile(&mut known.filed_connected, connected);
    }

    fn make_room(&mut self) {
        let idle = self.known.iter().filter(|(_, peer)| peer.connections.is_empty());
        let idle = idle.max_by_key(|(_, peer)| (peer.addresses.is_empty(), peer.tries));
        if let Some(peer) = idle.map(|(peer, _)| *peer)
            && let Some(mut dropped) = self.known.remove(&peer)
        {
            if let Some((urgency, at)) = dropped.filed_dial {
                self.dial_due.entry(urgency).or_default().remove(&(at, peer));
            }
            if let Some(at) = dropped.filed_connections {
                self.connections_due.remove(&(at, peer));
            }
            self.unproven.refile(&mut dropped.filed_unproven, Vec::new());
            self.connected.refile(&mut dropped.filed_connected, Vec::new());
        }
    }
}

/// How many peers there are at each host.
#[derive(Debug, Default)]
struct Hosts(BTreeMap<IpAddr, usize>);

impl Hosts {
    fn count(&self, ip: IpAddr) -> usize {
        self.0.get(&ip).copied().unwrap_or_default()
    }

    /// Counts a peer at the hosts `at`, and no more where it was `filed` before.
    fn refile(&mut self, filed: &mut Vec<IpAddr>, at: Vec<IpAddr>) {
        if *filed == at {
            return;
        }
        for ip in &at {
            *self.0.entry(*ip).or_default() += 1;
        }
        for ip in std::mem::replace(filed, at) {
            if let Entry::Occupied(mut count) = self.0.entry(ip) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }
}

/// About 1 kB each.
pub(super) const PEERS_MAX: usize = 4096;
/// Hardly a host runs more nodes. Behind a translator of addresses there may be more: those connect
/// themselves.
pub(super) const PEERS_PER_IP_MAX: usize = 64;
/// A quarter of the connections that a node takes in all.
pub(super) const LINKS_PER_IP_MAX: usize = 32;
