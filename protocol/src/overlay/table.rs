//! The table of peers: all that the overlay knows, and in which order something is due for them.
//!
//! **Decides** who makes room for whom. **Leaves** to [`super::links`] and [`super::dialling`] when what is
//! due: whoever changed that calls [`Peers::refile`].
//!
//! Limit: [`PEERS_MAX`] peers. At the limit the one without a connection that was tried most often in vain
//! makes room.

use std::collections::{BTreeMap, BTreeSet};

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
}

impl<C> Peers<C> {
    pub(super) fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            dials: BTreeSet::new(),
            dial_due: Urgency::ALL.map(|urgency| (urgency, BTreeSet::new())).into(),
            connections_due: BTreeSet::new(),
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

    /// The peer, for whom another makes room if it is new and the table is full.
    pub(super) fn entry(&mut self, peer: PeerId) -> &mut Peer<C> {
        if self.known.len() >= PEERS_MAX && !self.known.contains_key(&peer) {
            self.make_room();
        }
        self.known.entry(peer).or_insert_with(Peer::new)
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

    /// Files a peer under the times at which something is due for it, after any of these changed.
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
    }

    fn make_room(&mut self) {
        let idle = self.known.iter().filter(|(_, peer)| peer.connections.is_empty());
        let idle = idle.max_by_key(|(_, peer)| peer.tries);
        if let Some(peer) = idle.map(|(peer, _)| *peer)
            && let Some(dropped) = self.known.remove(&peer)
        {
            if let Some((urgency, at)) = dropped.filed_dial {
                self.dial_due.entry(urgency).or_default().remove(&(at, peer));
            }
            if let Some(at) = dropped.filed_connections {
                self.connections_due.remove(&(at, peer));
            }
        }
    }
}

/// About 1 kB each.
pub(super) const PEERS_MAX: usize = 4096;
