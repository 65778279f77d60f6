//! What the overlay learns of where peers are.
//!
//! **Decides** which addresses of a peer are kept, and how long the peer waits before it is dialled at a new
//! one. **Leaves** the dial to [`super::dialling`], and connections to [`super::links`].
//!
//! Discovery, the last run and links add an address to those that are known. A peer's own record replaces
//! them, but for where it was last reached; its goodbye takes them away; one where somebody else answers is
//! forgotten. A new address makes a peer worth a try at once, and the waits that earlier failures made begin
//! anew.
//!
//! Limits: [`ADDRESSES_PER_PEER_MAX`](crate::durable::ADDRESSES_PER_PEER_MAX) addresses of a peer, of which
//! the oldest makes room; [`PEERS_PER_IP_MAX`](super::table::PEERS_PER_IP_MAX) peers at an IP address that
//! were never linked there.

use std::time::Duration;

use libp2p_identity::PeerId;
use rand::RngExt;

use super::{
    address::{Address, RELAYS_MAX},
    links::{Overlay, OverlayOutput, is_first},
    peer::Peer,
};
use crate::time::Timestamp;

impl<C: Copy + Ord> Overlay<C> {
    /// A peer was reached at this address in an earlier run.
    pub fn handle_remembered(&mut self, now: Timestamp, peer: PeerId, address: Address) {
        let wait = self.jitter(REMEMBERED_SPREAD);
        self.learn(now, peer, address, wait, true);
    }

    /// Discovery saw a peer.
    pub fn handle_discovered(&mut self, now: Timestamp, peer: PeerId, address: Address) {
        let known = self.peers.get(&peer).is_some_and(|known| known.addresses.contains(&address));
        if !known && self.blocked.remove(&peer).is_some() {
            // It was restarted, perhaps in our realm this time.
            self.outputs.push_back(OverlayOutput::Unblock(peer));
        }
        let spread = self.jitter(DISCOVERED_SPREAD);
        let wait = if is_first(self.own, peer) { spread } else { SECOND_WAITS + spread };
        self.learn(now, peer, address, wait, false);
    }

    /// A peer's own record says where it is reached. Replaces what was known, but for where it is linked.
    pub fn handle_record(&mut self, now: Timestamp, peer: PeerId, addresses: Vec<Address>) {
        let spread = self.jitter(RECORD_SPREAD);
        let wait = if is_first(self.own, peer) { spread } else { SECOND_WAITS + spread };
        if let Some(known) = self.peers.get_mut(&peer) {
            known.addresses.retain(|address| {
                addresses.contains(address) || known.last_reached.as_ref() == Some(address)
            });
            known.departed = false;
            // A new record is a sign of life, so that an earlier failure counts no more.
            known.tries = 0;
            known.dial_at = None;
        }
        self.peers.refile(&peer);
        for address in addresses {
            self.learn(now, peer, address, wait, false);
        }
    }

    /// A peer's own record says through whom it is reached, in place of what was known; whether there is
    /// anybody. A peer that is reached in no other way is never linked: circuits carry requests only.
    pub fn handle_relays(&mut self, peer: PeerId, mut relays: Vec<PeerId>) -> bool {
        // Whoever is reached through this node holds a link with it.
        relays.retain(|relay| *relay != self.own && *relay != peer);
        relays.truncate(RELAYS_MAX);
        let reached = !relays.is_empty();
        if reached {
            self.peers.entry(peer).relays = relays;
        } else if let Some(known) = self.peers.get_mut(&peer) {
            known.relays.clear();
        }
        reached
    }

    /// Who is reached through `relay`, as they say themselves.
    pub fn relayed_by(&self, relay: &PeerId) -> Vec<PeerId> {
        self.peers.by_key().filter(|(_, peer)| peer.relays.contains(relay)).map(|(peer, _)| *peer).collect()
    }

    /// Through whom `peer` is reached, as it says itself.
    pub fn relays(&self, peer: &PeerId) -> &[PeerId] {
        self.peers.get(peer).map(|known| known.relays.as_slice()).unwrap_or_default()
    }

    /// The peer said goodbye: nothing is to be redialled.
    pub fn handle_departed(&mut self, peer: PeerId) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.departed = true;
            known.dial_at = None;
            known.addresses.clear();
            known.relays.clear();
        }
        self.peers.refile(&peer);
    }

    /// Somebody else answered at an address of `peer`.
    pub fn handle_wrong_peer(&mut self, peer: PeerId, address: Address) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.addresses.retain(|other| *other != address);
        }
        self.peers.refile(&peer);
    }

    /// Where to dial `peer` for a request: over TCP if it has such an address, since a dial that is refused
    /// there fails at once while QUIC waits for its handshake to time out.
    pub fn addresses(&self, peer: &PeerId) -> Vec<Address> {
        self.peers.get(peer).map(Peer::tcp_or_all).unwrap_or_default()
    }

    /// Where to try whether the host of `peer` takes connections: over TCP, where its link is or was if
    /// that is known.
    pub fn reach_addresses(&self, peer: &PeerId) -> Vec<Address> {
        let Some(known) = self.peers.get(peer) else { return Vec::new() };
        let mut tcp: Vec<_> = known.addresses.iter().copied().filter(Address::is_tcp).collect();
        let there = |address: &Address| Some(address.ip) == known.remote_ip;
        if tcp.iter().any(there) {
            tcp.retain(there);
        }
        tcp.truncate(REACHED_AT_MAX);
        tcp
    }

    fn learn(&mut self, now: Timestamp, peer: PeerId, address: Address, wait: Duration, is_proven: bool) {
        if peer == self.own || !address.is_dialable() {
            return;
        }
        if !is_proven && !self.peers.has_room_at(&peer, address.ip) {
            return;
        }
        let known = self.peers.entry(peer);
        if is_proven {
            known.proven_at = Some(address.ip);
        }
        let new = known.learn(address);
        known.departed &= !new;
        if new {
            // What failed elsewhere says nothing of it, and a later try would take QUIC too.
            known.tries = 0;
        }
        // A new address of a peer that is gone makes it worth a try at once.
        if known.connections.is_empty() && (new || known.dial_at.is_none()) {
            let at = now + wait;
            known.dial_at = Some(known.dial_at.map_or(at, |before| before.min(at)));
        }
        self.peers.refile(&peer);
    }

    fn jitter(&mut self, spread: Duration) -> Duration {
        spread.mul_f64(self.random.random_range(0.0..1.0))
    }
}

/// The second of two gives the first this long to dial.
pub(super) const SECOND_WAITS: Duration = Duration::from_millis(150);
/// Everybody answers a newcomer within milliseconds and mostly in the same order; not everybody is to dial
/// those that come first.
const DISCOVERED_SPREAD: Duration = Duration::from_millis(20);
/// A record can reach everybody at once; not everybody is to dial its node in the same instant.
const RECORD_SPREAD: Duration = Duration::from_millis(200);
const REMEMBERED_SPREAD: Duration = Duration::from_millis(100);
/// At more addresses than this a host is not tried.
const REACHED_AT_MAX: usize = 3;
