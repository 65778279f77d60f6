//! The overlay: whom this node holds a link with, whom it dials and when, and when a peer is out of reach.
//!
//! **Decides** on dialling, on redialling what was lost, on which of two connections stays, and on who is not
//! one of us. **Leaves** connections to the driver and what a lost link means to the presence service.
//!
//! A peer is known by address from discovery, from its own record, from the last run, or because the
//! PRINCIPAL gave it. Of two that find each other a coin whose toss both know ([`is_first`]) decides who
//! dials, and the other does only if nothing came of that after [`SECOND_WAITS`]. A node dials on its own
//! until it has as many links as it is told ([`NEIGHBOURS`]), so that in a small realm everybody is linked
//! with everybody; while it knows of more peers than that, [`NEIGHBOURS_OF_MANY`] are enough. A quarter of
//! them it makes by its own dialling, so that nobody can surround it by dialling it; it lets more in. A
//! connection becomes a *link* when its peer has said in the identify exchange that it is of our protocol
//! and realm. Who says otherwise is *foreign*: disconnected and blocked until a new address of it is seen or
//! [`FOREIGN_BLOCKED`] has passed; so is who passed on [`REJECTED_MAX`] records that were rejected. Who says
//! nothing for [`IDENTIFY_WITHIN`] is disconnected, and only a peer that identified itself ends the waits
//! between tries.
//!
//! A lost link is redialled at once, over TCP where the peer was last reached; if that fails it is reported
//! unreachable, with whether its host refused, and tried again with a wait that doubles from [`RETRY_MIN`]
//! to [`RETRY_MAX`], for ever, unless it said goodbye. Peers that were lost lately are tried before those
//! that long were not there; of these one every [`STRAY_INTERVAL`] though enough links stand, so that a
//! split heals. Two connections with one peer happen when both dial at once: after [`SETTLE_DUPLICATES`]
//! the one that the first of the two dialled stays. If one is older than that, or the peer does not close
//! what is its to close, there is the dead end of a link that was lost unseen. Then all are closed, and one
//! is made anew: gossipsub tells a peer of its topic on the first connection only.
//!
//! Limits: [`PEERS_MAX`] peers, of which unlinked ones make room;
//! [`ADDRESSES_PER_PEER_MAX`](hereabouts_protocol::durable::ADDRESSES_PER_PEER_MAX) addresses each;
//! [`DIALS_MAX`] dials under way, and [`DIALS_PER_SECOND_MAX`] begun in a second. The shape is that of the
//! machines in `protocol`: `handle_*`, `poll_output`, `poll_timeout`.

mod peer;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use hereabouts_protocol::time::Timestamp;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol, swarm::ConnectionId};
use rand::{RngExt, rngs::StdRng};

use self::peer::{Connection, Peer, TRIES_FEW, Urgency};
use super::addresses;

/// Links and dials of one node.
#[derive(Debug)]
pub(super) struct Overlay {
    own: PeerId,
    neighbours: usize,
    peers: BTreeMap<PeerId, Peer>,
    given: Vec<Given>,
    blocked: BTreeMap<PeerId, Timestamp>,
    /// The peers that are being dialled, and since when.
    dials: BTreeMap<PeerId, Timestamp>,
    /// The second in which dials are counted, and how many were begun in it.
    dialled: (Timestamp, usize),
    /// When one that is out of reach is to be dialled though links are not missing.
    stray_at: Timestamp,
    links: usize,
    /// Peers with a connection, which will be a link if all goes well.
    connected: usize,
    /// Those of them that this node dialled.
    connected_dialled: usize,
    /// Peers by when they are to be dialled; those that are being dialled are not in it.
    dial_due: BTreeMap<Urgency, BTreeSet<(Timestamp, PeerId)>>,
    /// Peers by when their connections are to be looked at.
    connections_due: BTreeSet<(Timestamp, PeerId)>,
    random: StdRng,
    outputs: VecDeque<OverlayOutput>,
}

impl Overlay {
    pub(super) fn new(own: PeerId, neighbours: usize, random: StdRng) -> Self {
        Self {
            own,
            neighbours,
            peers: BTreeMap::new(),
            given: Vec::new(),
            blocked: BTreeMap::new(),
            dials: BTreeMap::new(),
            dialled: (Timestamp::START, 0),
            stray_at: Timestamp::START,
            links: 0,
            connected: 0,
            connected_dialled: 0,
            dial_due: Urgency::ALL.map(|urgency| (urgency, BTreeSet::new())).into(),
            connections_due: BTreeSet::new(),
            random,
            outputs: VecDeque::new(),
        }
    }

    /// The PRINCIPAL gave an address, with or without a `/p2p/` part; it is dialled until it answers, and
    /// again whenever its link is lost.
    pub(super) fn handle_given(&mut self, now: Timestamp, address: Multiaddr) {
        self.given.push(Given { address, peer: None, dial_at: Some(now), tries: 0, connection: None });
    }

    /// A peer was reached at this address in an earlier run.
    pub(super) fn handle_remembered(&mut self, now: Timestamp, peer: PeerId, address: Multiaddr) {
        let wait = self.jitter(REMEMBERED_SPREAD);
        self.learn(now, peer, address, wait);
    }

    /// Discovery saw a peer.
    pub(super) fn handle_discovered(&mut self, now: Timestamp, peer: PeerId, address: Multiaddr) {
        let address = addresses::without_peer(address);
        let known = self.peers.get(&peer).is_some_and(|known| known.addresses.contains(&address));
        if !known && self.blocked.remove(&peer).is_some() {
            // It was restarted, perhaps in our realm this time.
            self.outputs.push_back(OverlayOutput::Unblock(peer));
        }
        let spread = self.jitter(DISCOVERED_SPREAD);
        let wait = if is_first(self.own, peer) { spread } else { SECOND_WAITS + spread };
        self.learn(now, peer, address, wait);
    }

    /// There is a reason to link with this peer: it is dialled even if no more links are wanted.
    pub(super) fn handle_asked_for(&mut self, now: Timestamp, peer: PeerId) {
        if self.has_room_for(Urgency::Confirm) && !self.dials.contains_key(&peer) {
            self.dial(now, peer);
            self.reschedule(&peer);
        }
    }

    /// A peer's own record says where it is reached. Replaces what was known, but for where it is linked.
    pub(super) fn handle_record(&mut self, now: Timestamp, peer: PeerId, addresses: Vec<Multiaddr>) {
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
        self.reschedule(&peer);
        for address in addresses {
            self.learn(now, peer, address, wait);
        }
    }

    /// The peer is out of contact, so others say as well: those that may be there are dialled before it.
    pub(super) fn handle_lost(&mut self, peer: PeerId) {
        if let Some(known) = self.peers.get_mut(&peer).filter(|known| known.connections.is_empty()) {
            known.confirming = false;
            known.tries = known.tries.max(TRIES_FEW + 1);
        }
        self.reschedule(&peer);
    }

    /// The peer said goodbye: nothing is to be redialled.
    pub(super) fn handle_departed(&mut self, peer: PeerId) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.departed = true;
            known.dial_at = None;
            known.addresses.clear();
        }
        self.reschedule(&peer);
    }

    /// A connection stands. `dialled` says whether this node made it, and `address` where.
    pub(super) fn handle_connected(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        connection: ConnectionId,
        dialled: bool,
        address: &Multiaddr,
    ) {
        self.dials.remove(&peer);
        self.make_room(peer);
        let known = self.peers.entry(peer).or_insert_with(Peer::new);
        known.dial_at = None;
        known.remote_ip = addresses::ip(address);
        let dialled = dialled.then(|| addresses::without_peer(address.clone()));
        self.connected += usize::from(known.connections.is_empty());
        if dialled.is_some() && !known.dialled() {
            self.connected_dialled += 1;
        }
        let identify_by = Some(now + IDENTIFY_WITHIN);
        known.connections.push(Connection { id: connection, since: now, dialled, identify_by });
        if known.connections.len() > 1 {
            known.settle_at = Some(now + SETTLE_DUPLICATES);
        }
        for given in self.given.iter_mut().filter(|given| given.connection == Some(connection)) {
            given.peer = Some(peer);
            given.dial_at = None;
        }
        self.reschedule(&peer);
    }

    /// The peer said what it is.
    pub(super) fn handle_identified(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        connection: ConnectionId,
        ours: bool,
    ) {
        if !ours {
            self.block(now, peer);
            return;
        }
        if self.blocked.contains_key(&peer) {
            return;
        }
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.tries = 0;
        known.confirming = false;
        let Some(identified) = known.connections.iter_mut().find(|known| known.id == connection) else {
            return;
        };
        identified.identify_by = None;
        if let Some(address) = identified.dialled.clone() {
            known.last_reached = Some(address.clone());
            known.learn(address.clone());
            self.outputs.push_back(OverlayOutput::Reached { peer, address });
        }
        for given in self.given.iter_mut().filter(|given| given.peer == Some(peer)) {
            given.tries = 0;
        }
        if !known.linked {
            known.departed = false;
            known.linked = true;
            self.links += 1;
            let dialled = known.dialled();
            self.outputs.push_back(OverlayOutput::LinkEstablished { peer, dialled });
        }
        self.reschedule(&peer);
    }

    /// A connection is gone.
    pub(super) fn handle_disconnected(&mut self, now: Timestamp, peer: PeerId, connection: ConnectionId) {
        self.disconnected(now, peer, connection);
        self.reschedule(&peer);
    }

    fn disconnected(&mut self, now: Timestamp, peer: PeerId, connection: ConnectionId) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let (was_connected, was_dialled) = (!known.connections.is_empty(), known.dialled());
        known.connections.retain(|other| other.id != connection);
        self.connected_dialled -= usize::from(was_dialled && !known.dialled());
        if known.connections.len() < 2 {
            known.settle_at = None;
        }
        if !was_connected || !known.connections.is_empty() {
            return;
        }
        self.connected -= 1;
        let was_linked = std::mem::take(&mut known.linked);
        if was_linked {
            self.links -= 1;
            self.outputs.push_back(OverlayOutput::LinkDown { peer });
        }
        if was_linked && !known.departed {
            known.confirming = true;
            known.dial_at = Some(now);
        } else if !known.departed {
            // It proved its key and closed before it said what it is: it has no room, perhaps, or it died in
            // that moment. Only a redial that fails tells that it is gone.
            known.confirming = known.tries == 0;
            known.dial_at = Some(if known.tries == 0 { now } else { now + backoff(known.tries) });
            known.tries = known.tries.saturating_add(1);
        }
        for given in self.given.iter_mut().filter(|given| given.peer == Some(peer)) {
            given.tries = given.tries.saturating_add(1);
            given.dial_at = Some(now + backoff(given.tries));
        }
    }

    /// This node is no longer reached at `ip`: connections from there are dead ends that nobody would notice
    /// for minutes. Where a connection comes from is not told, so those with its network are closed; a living
    /// one of these is made again at once.
    pub(super) fn handle_address_lost(&mut self, ip: IpAddr) {
        let there = |peer: &&Peer| peer.remote_ip.is_some_and(|remote| addresses::same_network(&remote, &ip));
        for peer in self.peers.values().filter(there) {
            let close = peer.connections.iter().map(|connection| OverlayOutput::Close(connection.id));
            self.outputs.extend(close);
        }
    }

    /// A dial to a peer failed at every address.
    pub(super) fn handle_dial_failed(&mut self, now: Timestamp, peer: PeerId, failure: DialFailure) {
        self.dials.remove(&peer);
        self.dial_failed(now, peer, failure);
        self.reschedule(&peer);
    }

    fn dial_failed(&mut self, now: Timestamp, peer: PeerId, failure: DialFailure) {
        let spread = self.random.random_range(0.75..1.25);
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if !known.connections.is_empty() {
            return;
        }
        if known.departed {
            known.dial_at = None;
            return;
        }
        known.tries = known.tries.saturating_add(1);
        known.dial_at = Some(now + backoff(known.tries).mul_f64(spread));
        let was_linked = std::mem::take(&mut known.confirming);
        if failure != DialFailure::Own {
            let refused = failure == DialFailure::Refused;
            self.outputs.push_back(OverlayOutput::Unreachable { peer, was_linked, refused });
        } else if was_linked {
            known.confirming = true;
        }
    }

    /// A dial to a given address, made by `connection`, failed.
    pub(super) fn handle_given_failed(&mut self, now: Timestamp, connection: ConnectionId) {
        for given in self.given.iter_mut().filter(|given| given.connection == Some(connection)) {
            given.tries = given.tries.saturating_add(1);
            given.connection = None;
            given.dial_at = Some(now + backoff(given.tries));
        }
    }

    /// Somebody else answered at an address of `peer`.
    pub(super) fn handle_wrong_peer(&mut self, peer: PeerId, address: &Multiaddr) {
        if let Some(known) = self.peers.get_mut(&peer) {
            let address = addresses::without_peer(address.clone());
            known.addresses.retain(|other| *other != address);
        }
    }

    /// The peer passed on a record that was rejected.
    pub(super) fn handle_rejected(&mut self, now: Timestamp, peer: PeerId) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.rejected += 1;
        if known.rejected >= REJECTED_MAX {
            self.block(now, peer);
        }
    }

    /// The dial that [`OverlayOutput::DialGiven`] asked for is made by this connection.
    pub(super) fn handle_given_dialling(&mut self, address: &Multiaddr, connection: ConnectionId) {
        if let Some(given) = self.given.iter_mut().find(|given| given.address == *address) {
            given.connection = Some(connection);
        }
    }

    /// Acts on what is due.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        self.dial_given(now);
        self.unblock_due(now);
        self.settle_due(now);
        self.dial_due(now);
        self.dial_stray(now);
    }

    /// What is to be done next.
    pub(super) fn poll_output(&mut self) -> Option<OverlayOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let dials = self.dial_due.iter().filter(|(urgency, _)| self.has_room_for(**urgency));
        let dials = dials.filter_map(|(urgency, due)| Some(due.first()?.0.max(self.not_before(*urgency))));
        let stray = self.stray().map(|(at, _)| at.max(self.stray_at));
        let connections = self.connections_due.first().map(|(at, _)| *at).into_iter().chain(stray);
        let given = self.given.iter().filter_map(|given| given.dial_at);
        dials.chain(connections).chain(given).chain(self.blocked.values().copied()).min()
    }

    /// Where to dial `peer` for a request: over TCP if it has such an address, since a dial that is refused
    /// there fails at once while QUIC waits for its handshake to time out.
    pub(super) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.peers.get(peer).map(Peer::tcp_or_all).unwrap_or_default()
    }

    /// Where to try whether the host of `peer` takes connections: over TCP, where its link is or was if
    /// that is known.
    pub(super) fn reach_addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let Some(known) = self.peers.get(peer) else { return Vec::new() };
        let mut tcp: Vec<_> =
            known.addresses.iter().filter(|address| addresses::is_tcp(address)).cloned().collect();
        let there = |address: &Multiaddr| addresses::ip(address) == known.remote_ip;
        if tcp.iter().any(there) {
            tcp.retain(there);
        }
        tcp.truncate(REACHED_AT_MAX);
        tcp
    }

    /// Whether this node has fewer links than it dials for.
    pub(super) fn lacks_links(&self) -> bool {
        self.links < self.wanted()
    }

    /// Peers with a link.
    pub(super) fn links(&self) -> usize {
        self.links
    }

    fn learn(&mut self, now: Timestamp, peer: PeerId, address: Multiaddr, wait: Duration) {
        if peer == self.own || !addresses::is_dialable(&address) {
            return;
        }
        self.make_room(peer);
        let known = self.peers.entry(peer).or_insert_with(Peer::new);
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
        self.reschedule(&peer);
    }

    /// Files a peer under the times at which something is due for it, after any of these changed.
    fn reschedule(&mut self, peer: &PeerId) {
        let Some(known) = self.peers.get_mut(peer) else { return };
        let dial = known.dial_at.filter(|_| !self.dials.contains_key(peer)).map(|at| (known.urgency(), at));
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

    fn make_room(&mut self, newcomer: PeerId) {
        if self.peers.len() < PEERS_MAX || self.peers.contains_key(&newcomer) {
            return;
        }
        let idle = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.connections.is_empty())
            .max_by_key(|(_, peer)| peer.tries);
        if let Some(peer) = idle.map(|(peer, _)| *peer)
            && let Some(dropped) = self.peers.remove(&peer)
        {
            if let Some((urgency, at)) = dropped.filed_dial {
                self.dial_due.entry(urgency).or_default().remove(&(at, peer));
            }
            if let Some(at) = dropped.filed_connections {
                self.connections_due.remove(&(at, peer));
            }
        }
    }

    fn block(&mut self, now: Timestamp, peer: PeerId) {
        if self.blocked.len() >= BLOCKED_MAX {
            let soonest = self.blocked.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            if let Some(soonest) = soonest {
                self.blocked.remove(&soonest);
                self.outputs.push_back(OverlayOutput::Unblock(soonest));
            }
        }
        self.blocked.insert(peer, now + FOREIGN_BLOCKED);
        if let Some(known) = self.peers.get_mut(&peer) {
            known.dial_at = None;
            known.departed = true;
        }
        self.reschedule(&peer);
        self.outputs.push_back(OverlayOutput::Block(peer));
    }

    fn unblock_due(&mut self, now: Timestamp) {
        let due: Vec<_> =
            self.blocked.iter().filter(|(_, until)| **until <= now).map(|(peer, _)| *peer).collect();
        for peer in due {
            self.blocked.remove(&peer);
            self.outputs.push_back(OverlayOutput::Unblock(peer));
            if let Some(known) = self.peers.get_mut(&peer) {
                known.rejected = 0;
                known.departed = false;
                known.dial_at = (!known.addresses.is_empty()).then_some(now);
            }
            self.reschedule(&peer);
        }
    }

    fn dial_given(&mut self, now: Timestamp) {
        for given in self.given.iter_mut().filter(|given| given.dial_at.is_some_and(|at| at <= now)) {
            // Reached by another way since: the redial of its lost link is its own matter.
            let linked = given
                .peer
                .and_then(|peer| self.peers.get(&peer))
                .is_some_and(|peer| !peer.connections.is_empty());
            given.dial_at = None;
            if !linked {
                self.outputs.push_back(OverlayOutput::DialGiven(given.address.clone()));
            }
        }
    }

    fn settle_due(&mut self, now: Timestamp) {
        while let Some((_, peer)) = self.connections_due.first().copied().filter(|(at, _)| *at <= now) {
            let Some(known) = self.peers.get_mut(&peer) else { return };
            for silent in
                known.connections.iter_mut().filter(|one| one.identify_by.is_some_and(|by| by <= now))
            {
                silent.identify_by = None;
                self.outputs.push_back(OverlayOutput::Close(silent.id));
            }
            if known.settle_at.is_some_and(|at| at <= now) {
                let superfluous = superfluous(now, is_first(self.own, peer), &known.connections);
                // What is left is for the peer to close.
                known.settle_at = superfluous.is_empty().then(|| now + SETTLE_DUPLICATES);
                self.outputs.extend(superfluous.into_iter().map(OverlayOutput::Close));
            }
            self.reschedule(&peer);
        }
    }

    fn dial_due(&mut self, now: Timestamp) {
        for urgency in Urgency::ALL {
            let due = self.dial_due.get(&urgency).into_iter().flatten().take_while(|(at, _)| *at <= now);
            let due = due.map(|(at, peer)| (self.peers.get(peer).map_or(0, |known| known.tries), *at, *peer));
            let due: BTreeSet<_> = if self.has_room_for(urgency) { due.collect() } else { BTreeSet::new() };
            for (_, _, peer) in due {
                if !self.has_room_for(urgency) || now < self.not_before(urgency) {
                    break;
                }
                self.dial(now, peer);
                self.reschedule(&peer);
            }
        }
    }

    /// Dials one of those that were not reached for long, now and then, however many links there are: a mesh
    /// that was split has enough links in either part, and would stay so.
    fn dial_stray(&mut self, now: Timestamp) {
        let due = self.stray().filter(|(at, _)| *at <= now && self.stray_at <= now);
        if let Some((_, peer)) = due {
            self.stray_at = now + STRAY_INTERVAL.mul_f64(self.random.random_range(0.5..1.5));
            self.dial(now, peer);
            self.reschedule(&peer);
        }
    }

    fn stray(&self) -> Option<(Timestamp, PeerId)> {
        self.dial_due.get(&Urgency::LinkAgain).and_then(BTreeSet::first).copied()
    }

    /// Whether a peer may be dialled, or has to wait for a dial to end or a link to be lost.
    fn has_room_for(&self, urgency: Urgency) -> bool {
        let dials = self.dials.len();
        let wanted = self.wanted();
        let wants_links =
            self.connected + dials < wanted || self.connected_dialled + dials < wanted / DIALLED_SHARE;
        match urgency {
            Urgency::Confirm => dials < DIALS_MAX,
            Urgency::Link => dials < DIALS_MAX && wants_links,
            Urgency::LinkAgain => dials < DIALS_AGAIN_MAX && wants_links,
        }
    }

    /// When a peer may be dialled, as far as the dials of the last second go. Whether a lost link's peer is
    /// gone is found out at once.
    fn not_before(&self, urgency: Urgency) -> Timestamp {
        let (second, dials) = self.dialled;
        let is_spent = dials >= DIALS_PER_SECOND_MAX && urgency != Urgency::Confirm;
        if is_spent { second + Duration::from_secs(1) } else { Timestamp::START }
    }

    /// How many links this node dials for. Peers that were not reached for long are not counted on.
    fn wanted(&self) -> usize {
        let due = |urgency: Urgency| self.dial_due.get(&urgency).map_or(0, BTreeSet::len);
        let peers = self.connected + self.dials.len() + due(Urgency::Confirm) + due(Urgency::Link);
        if peers > self.neighbours { self.neighbours.min(NEIGHBOURS_OF_MANY) } else { self.neighbours }
    }

    /// Dials a peer for which that is due, if it is worth it.
    fn dial(&mut self, now: Timestamp, peer: PeerId) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.dial_at = None;
        if !known.connections.is_empty() || self.blocked.contains_key(&peer) {
            return;
        }
        let addresses = known.dialable();
        if addresses.is_empty() {
            if std::mem::take(&mut known.confirming) {
                let (was_linked, refused) = (true, false);
                self.outputs.push_back(OverlayOutput::Unreachable { peer, was_linked, refused });
            }
            return;
        }
        if now.since(self.dialled.0) >= Duration::from_secs(1) {
            self.dialled = (now, 0);
        }
        self.dialled.1 += 1;
        self.dials.insert(peer, now);
        self.outputs.push_back(OverlayOutput::Dial { peer, addresses });
    }

    fn jitter(&mut self, spread: Duration) -> Duration {
        spread.mul_f64(self.random.random_range(0.0..1.0))
    }
}

/// Why a dial failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DialFailure {
    /// By this node's own doing.
    Own,
    /// Nobody listens there, or somebody else does.
    Refused,
    /// Nothing came back.
    Unreachable,
}

/// What the overlay asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OverlayOutput {
    /// Dial a peer.
    Dial { peer: PeerId, addresses: Vec<Multiaddr> },
    /// Dial an address that the PRINCIPAL gave, whoever answers.
    DialGiven(Multiaddr),
    /// Close one of two connections with a peer.
    Close(ConnectionId),
    /// Disconnect a peer and let it in no more.
    Block(PeerId),
    /// Let a peer in again.
    Unblock(PeerId),
    /// A peer of ours is linked.
    LinkEstablished { peer: PeerId, dialled: bool },
    /// A link is gone; whether the peer is, the redial will tell.
    LinkDown { peer: PeerId },
    /// A peer cannot be reached.
    Unreachable { peer: PeerId, was_linked: bool, refused: bool },
    /// A dial to this address succeeded.
    Reached { peer: PeerId, address: Multiaddr },
}

#[derive(Debug)]
struct Given {
    address: Multiaddr,
    peer: Option<PeerId>,
    dial_at: Option<Timestamp>,
    tries: u32,
    connection: Option<ConnectionId>,
}

/// Whether `own` is the one of the two that dials first: a toss of a coin that both read alike, so that none
/// is first, or last, for everybody.
fn is_first(own: PeerId, peer: PeerId) -> bool {
    let last = |id: PeerId| id.to_bytes().last().copied().unwrap_or_default();
    (own < peer) == ((last(own) ^ last(peer)) & 1 == 0)
}

/// Which connections this end closes. Of those that were made at about the same time, those that the second
/// dialled, if there is one that the first did, or else all but the newest. Otherwise, and if the peer did
/// not do its part within [`SETTLED_WITHIN`], all.
fn superfluous(now: Timestamp, own_is_first: bool, connections: &[Connection]) -> Vec<ConnectionId> {
    let oldest = connections.iter().map(|connection| connection.since).min().unwrap_or_default();
    let newest = connections.iter().max_by_key(|connection| (connection.since, connection.id));
    let Some(newest) = newest else { return Vec::new() };
    if newest.since.since(oldest) > SAME_TIME || now.since(newest.since) > SETTLED_WITHIN {
        return connections.iter().map(|connection| connection.id).collect();
    }
    let by_first = |connection: &&Connection| connection.dialled.is_some() == own_is_first;
    let kept = connections.iter().filter(by_first).max_by_key(|connection| connection.id).unwrap_or(newest);
    // Only the end that dialled knows which of several that one end dialled is the newest.
    let mine = |one: &&Connection| one.dialled.is_some() || by_first(&kept) != by_first(one);
    connections.iter().filter(|one| one.id != kept.id).filter(mine).map(|one| one.id).collect()
}

fn backoff(tries: u32) -> Duration {
    RETRY_MIN.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(16))).min(RETRY_MAX)
}

/// Splits a `/p2p/` part off an address.
pub(super) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    })
}

/// Links up to which a node dials on its own. Up to here every node is linked with every other.
pub const NEIGHBOURS: usize = 40;
/// The same where there are more peers than [`NEIGHBOURS`]: enough for several to notice a death, for
/// gossip to choose from, and to survive that most are lost at once.
const NEIGHBOURS_OF_MANY: usize = 12;
/// The second of two gives the first this long to dial.
const SECOND_WAITS: Duration = Duration::from_millis(150);
/// Everybody answers a newcomer within milliseconds and mostly in the same order; not everybody is to dial
/// those that come first.
const DISCOVERED_SPREAD: Duration = Duration::from_millis(20);
/// A record can reach everybody at once; not everybody is to dial its node in the same instant.
const RECORD_SPREAD: Duration = Duration::from_millis(200);
const REMEMBERED_SPREAD: Duration = Duration::from_millis(100);
const IDENTIFY_WITHIN: Duration = Duration::from_secs(5);
const FOREIGN_BLOCKED: Duration = Duration::from_secs(10 * 60);
const SETTLE_DUPLICATES: Duration = Duration::from_secs(1);
/// By when the peer too has closed what is superfluous. Longer than [`SETTLE_DUPLICATES`].
const SETTLED_WITHIN: Duration = Duration::from_millis(2500);
/// Two connections made within this are a simultaneous dial.
const SAME_TIME: Duration = Duration::from_secs(2);
const RETRY_MIN: Duration = Duration::from_secs(1);
/// So long that who is gone for good costs little, so short that one of ten that were cut off is soon found
/// again.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How often one that was not reached for long is dialled if no links are missing: of the halves of a mesh
/// of a hundred, one finds the other within a tenth of a second.
const STRAY_INTERVAL: Duration = Duration::from_secs(5);
/// At more addresses than this a host is not tried.
const REACHED_AT_MAX: usize = 3;
const REJECTED_MAX: u32 = 3;
/// About 1 kB each.
const PEERS_MAX: usize = 4096;
const BLOCKED_MAX: usize = 1024;
const DIALS_MAX: usize = 16;
/// Twice what a start of a thousand takes. Whoever announces made-up peers where dials are refused at once
/// would have thousands of them dialled in a second otherwise.
const DIALS_PER_SECOND_MAX: usize = 50;
/// One in so many links is to be one that this node dialled.
const DIALLED_SHARE: usize = 4;
/// A peer that was tried more often than [`TRIES_FEW`] is dialled only while so many dials are under way.
const DIALS_AGAIN_MAX: usize = DIALS_MAX / 4;

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
