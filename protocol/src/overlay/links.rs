//! Links: whom this node holds a link with, whom it dials and why, and when a peer is out of reach.
//!
//! **Decides** on dialling, on redialling what was lost, on which of two connections stays, and on who is not
//! one of us. **Leaves** connections to the driver, what is known of where a peer is to [`super::learning`],
//! whose turn it is to be dialled to [`super::dialling`], and what a lost link means to the presence service.
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
//! to [`RETRY_MAX`], for ever, unless it said goodbye; who lost all its links was cut off itself, perhaps for
//! moments, and waits less ([`wait_max`]). Peers that were lost lately are tried before those
//! that long were not there; of these one every [`STRAY_INTERVAL`] though enough links stand, so that a
//! split heals. Two connections with one peer happen when both dial at once: after [`SETTLE_DUPLICATES`]
//! the one that the first of the two dialled stays. If one is older than that, or the peer does not close
//! what is its to close, there is the dead end of a link that was lost unseen. Then all are closed, and one
//! is made anew: gossipsub tells a peer of its topic on the first connection only.
//!
//! Limits: [`PEERS_MAX`] peers, of which unlinked ones make room, and [`PEERS_PER_IP_MAX`] at one IP address
//! that were never linked there; [`LINKS_PER_IP_MAX`] connected from one IP address, a further one being
//! disconnected before it is a link; [`BLOCKED_MAX`] blocked ones, of which the one that is to be let in
//! soonest makes room; [`DIALS_MAX`] dials under way, and [`DIALS_PER_SECOND_MAX`] begun in a second.
//!
//! [`PEERS_MAX`]: super::table::PEERS_MAX
//! [`PEERS_PER_IP_MAX`]: super::table::PEERS_PER_IP_MAX
//! [`LINKS_PER_IP_MAX`]: super::table::LINKS_PER_IP_MAX
//! [`SECOND_WAITS`]: super::learning::SECOND_WAITS
//! [`NEIGHBOURS_OF_MANY`]: super::dialling::NEIGHBOURS_OF_MANY
//! [`RETRY_MIN`]: super::dialling::RETRY_MIN
//! [`RETRY_MAX`]: super::dialling::RETRY_MAX
//! [`STRAY_INTERVAL`]: super::dialling::STRAY_INTERVAL
//! [`DIALS_MAX`]: super::dialling::DIALS_MAX
//! [`DIALS_PER_SECOND_MAX`]: super::dialling::DIALS_PER_SECOND_MAX

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use libp2p_identity::PeerId;
use rand::{RngExt, rngs::StdRng};

use super::{
    address::{Address, same_network},
    dialling::{backoff, wait_max},
    given::GivenAddresses,
    peer::{Connection, Peer, SETTLE_DUPLICATES, TRIES_FEW, Urgency, superfluous},
    table::Peers,
};
use crate::time::Timestamp;

/// Links and dials of one node; `C` is what the driver names a connection by, a later one being greater. Feed
/// it with the `handle_*` methods, drain [`Self::poll_output`], and call [`Self::handle_timeout`] when
/// [`Self::poll_timeout`] says so.
#[derive(Debug)]
pub struct Overlay<C> {
    pub(super) own: PeerId,
    pub(super) neighbours: usize,
    pub(super) peers: Peers<C>,
    given: GivenAddresses<C>,
    pub(super) blocked: BTreeMap<PeerId, Timestamp>,
    /// The second in which dials are counted, and how many were begun in it.
    pub(super) dialled: (Timestamp, usize),
    /// When one that is out of reach is to be dialled though links are not missing.
    pub(super) stray_at: Timestamp,
    links: usize,
    /// When the last link was lost, while there is none.
    alone_since: Option<Timestamp>,
    /// Peers with a connection, which will be a link if all goes well.
    pub(super) connected: usize,
    /// Those of them that this node dialled.
    pub(super) connected_dialled: usize,
    pub(super) random: StdRng,
    pub(super) outputs: VecDeque<OverlayOutput<C>>,
}

impl<C: Copy + Ord> Overlay<C> {
    /// Nobody known. The node dials on its own up to so many `neighbours`, [`NEIGHBOURS`] unless there is a
    /// reason.
    pub fn new(own: PeerId, neighbours: usize, random: StdRng) -> Self {
        Self {
            own,
            neighbours,
            peers: Peers::new(),
            given: GivenAddresses::new(),
            blocked: BTreeMap::new(),
            dialled: (Timestamp::START, 0),
            stray_at: Timestamp::START,
            links: 0,
            alone_since: None,
            connected: 0,
            connected_dialled: 0,
            random,
            outputs: VecDeque::new(),
        }
    }

    /// The PRINCIPAL gave an address, and perhaps `named` who is to answer there; it is dialled until it
    /// answers, and again whenever its link is lost.
    pub fn handle_given(&mut self, now: Timestamp, address: Address, named: Option<PeerId>) {
        self.given.add(now, address, named);
    }

    /// There is a reason to link with this peer: it is dialled even if no more links are wanted.
    pub fn handle_asked_for(&mut self, now: Timestamp, peer: PeerId) {
        if self.has_room_for(Urgency::Confirm) && !self.peers.is_dialling(&peer) {
            self.dial(now, peer);
            self.peers.refile(&peer);
        }
    }

    /// The peer is out of contact, so others say as well: those that may be there are dialled before it.
    pub fn handle_lost(&mut self, peer: PeerId) {
        if let Some(known) = self.peers.get_mut(&peer).filter(|known| known.connections.is_empty()) {
            known.confirming = false;
            known.tries = known.tries.max(TRIES_FEW + 1);
        }
        self.peers.refile(&peer);
    }

    /// A connection stands. `dialled` says whether this node made it, and `address` where its other end is,
    /// if that is an address as nodes of this kind have it.
    pub fn handle_connected(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        connection: C,
        dialled: bool,
        address: Option<Address>,
    ) {
        if address.is_some_and(|address| !self.peers.has_link_room_at(&peer, address.ip)) {
            self.outputs.push_back(OverlayOutput::Close(connection));
            if dialled {
                self.handle_given_failed(now, connection);
                self.handle_dial_failed(now, peer, DialFailure::Own);
            }
            return;
        }
        self.peers.dial_ends(&peer);
        let known = self.peers.entry(peer);
        known.dial_at = None;
        known.remote_ip = address.map(|address| address.ip);
        self.connected += usize::from(known.connections.is_empty());
        if dialled && !known.dialled() {
            self.connected_dialled += 1;
        }
        let identify_by = Some(now + IDENTIFY_WITHIN);
        known.connections.push(Connection { id: connection, since: now, dialled, address, identify_by });
        if known.connections.len() > 1 {
            known.settle_at = Some(now + SETTLE_DUPLICATES);
        }
        self.given.connected(peer, connection);
        self.peers.refile(&peer);
    }

    /// The peer said what it is.
    pub fn handle_identified(&mut self, now: Timestamp, peer: PeerId, connection: C, ours: bool) {
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
        known.proven_at = identified.address.map(|address| address.ip).or(known.proven_at);
        if let Some(address) = identified.address.filter(|_| identified.dialled) {
            known.last_reached = Some(address);
            known.learn(address);
            self.outputs.push_back(OverlayOutput::Reached { peer, address });
        }
        self.given.identified(peer);
        if !known.linked {
            known.departed = false;
            known.linked = true;
            self.links += 1;
            self.alone_since = None;
            let dialled = known.dialled();
            self.outputs.push_back(OverlayOutput::LinkEstablished { peer, dialled });
        }
        self.peers.refile(&peer);
    }

    /// A connection is gone.
    pub fn handle_disconnected(&mut self, now: Timestamp, peer: PeerId, connection: C) {
        self.disconnected(now, peer, connection);
        self.peers.refile(&peer);
    }

    fn disconnected(&mut self, now: Timestamp, peer: PeerId, connection: C) {
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
            self.alone_since = (self.links == 0).then_some(now);
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
        self.given.disconnected(now, peer);
    }

    /// This node is no longer reached at `ip`: connections from there are dead ends that nobody would notice
    /// for minutes. Where a connection comes from is not told, so those with its network are closed; a living
    /// one of these is made again at once.
    pub fn handle_address_lost(&mut self, ip: IpAddr) {
        let there = |peer: &&Peer<C>| peer.remote_ip.is_some_and(|remote| same_network(&remote, &ip));
        for peer in self.peers.all().filter(there) {
            let close = peer.connections.iter().map(|connection| OverlayOutput::Close(connection.id));
            self.outputs.extend(close);
        }
    }

    /// A dial to a peer failed at every address.
    pub fn handle_dial_failed(&mut self, now: Timestamp, peer: PeerId, failure: DialFailure) {
        self.peers.dial_ends(&peer);
        self.dial_failed(now, peer, failure);
        self.peers.refile(&peer);
    }

    fn dial_failed(&mut self, now: Timestamp, peer: PeerId, failure: DialFailure) {
        let spread = self.random.random_range(0.75..1.25);
        let wait_max = wait_max(self.alone_since.map(|since| now.since(since)));
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if !known.connections.is_empty() {
            return;
        }
        if known.departed {
            known.dial_at = None;
            return;
        }
        known.tries = known.tries.saturating_add(1);
        known.dial_at = Some(now + backoff(known.tries).min(wait_max).mul_f64(spread));
        let was_linked = std::mem::take(&mut known.confirming);
        if failure != DialFailure::Own {
            let refused = failure == DialFailure::Refused;
            self.outputs.push_back(OverlayOutput::Unreachable { peer, was_linked, refused });
        } else if was_linked {
            known.confirming = true;
        }
    }

    /// A dial to a given address, made by `connection`, failed.
    pub fn handle_given_failed(&mut self, now: Timestamp, connection: C) {
        self.given.failed(now, connection);
    }

    /// The peer passed on a record that was rejected.
    pub fn handle_rejected(&mut self, now: Timestamp, peer: PeerId) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.rejected += 1;
        if known.rejected >= REJECTED_MAX {
            self.block(now, peer);
        }
    }

    /// The dial that [`OverlayOutput::DialGiven`] asked for is made by this connection.
    pub fn handle_given_dialling(&mut self, address: Address, named: Option<PeerId>, connection: C) {
        self.given.dialling(address, named, connection);
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.dial_given(now);
        self.unblock_due(now);
        self.settle_due(now);
        self.dial_due(now);
        self.dial_stray(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<OverlayOutput<C>> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let connections = self.peers.next_look().map(|(at, _)| at);
        let due = [self.next_dial(), connections, self.given.poll_timeout()];
        due.into_iter().flatten().chain(self.blocked.values().copied()).min()
    }

    /// Whether this node has fewer links than it dials for.
    pub fn lacks_links(&self) -> bool {
        self.links < self.wanted()
    }

    /// Whether a peer is linked.
    pub fn is_linked(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|known| known.linked)
    }

    /// Whether one of several connections with a peer is about to be closed.
    pub fn is_unsettled(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|known| known.connections.len() > 1)
    }

    /// Peers with a link.
    pub fn links(&self) -> usize {
        self.links
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
        self.peers.refile(&peer);
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
            self.peers.refile(&peer);
        }
    }

    fn dial_given(&mut self, now: Timestamp) {
        let peers = &self.peers;
        let is_connected = |peer: &PeerId| peers.get(peer).is_some_and(|peer| !peer.connections.is_empty());
        let due = self.given.take_due(now, is_connected).into_iter();
        self.outputs.extend(due.map(|(address, named)| OverlayOutput::DialGiven { address, named }));
    }

    fn settle_due(&mut self, now: Timestamp) {
        while let Some((_, peer)) = self.peers.next_look().filter(|(at, _)| *at <= now) {
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
            self.peers.refile(&peer);
        }
    }
}

/// Why a dial failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialFailure {
    /// By this node's own doing.
    Own,
    /// Nobody listens there, or somebody else does.
    Refused,
    /// Nothing came back.
    Unreachable,
}

/// What the overlay asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverlayOutput<C> {
    /// Dial a peer.
    Dial {
        /// Who is to answer.
        peer: PeerId,
        /// Where; one answer is enough.
        addresses: Vec<Address>,
    },
    /// Dial an address that the PRINCIPAL gave; [`Overlay::handle_given_dialling`] is awaited.
    DialGiven {
        /// Where.
        address: Address,
        /// Who is to answer; anybody, if the PRINCIPAL did not say.
        named: Option<PeerId>,
    },
    /// Close a connection.
    Close(C),
    /// Disconnect a peer and let it in no more.
    Block(PeerId),
    /// Let a peer in again.
    Unblock(PeerId),
    /// A peer of ours is linked.
    LinkEstablished {
        /// Who.
        peer: PeerId,
        /// Whether this node dialled it.
        dialled: bool,
    },
    /// A link is gone; whether the peer is, the redial will tell.
    LinkDown {
        /// Who was linked.
        peer: PeerId,
    },
    /// A peer cannot be reached.
    Unreachable {
        /// Who.
        peer: PeerId,
        /// Whether its link was lost just now.
        was_linked: bool,
        /// Whether its host says that nobody listens.
        refused: bool,
    },
    /// A dial to this address succeeded.
    Reached {
        /// Who answered.
        peer: PeerId,
        /// Where.
        address: Address,
    },
}

/// Whether `own` is the one of the two that dials first: a toss of a coin that both read alike, so that none
/// is first, or last, for everybody.
pub(super) fn is_first(own: PeerId, peer: PeerId) -> bool {
    let last = |id: PeerId| id.to_bytes().last().copied().unwrap_or_default();
    (own < peer) == ((last(own) ^ last(peer)) & 1 == 0)
}

/// Links up to which a node dials on its own. Up to here every node is linked with every other.
pub const NEIGHBOURS: usize = 40;
const IDENTIFY_WITHIN: Duration = Duration::from_secs(5);
const FOREIGN_BLOCKED: Duration = Duration::from_secs(10 * 60);
const REJECTED_MAX: u32 = 3;
const BLOCKED_MAX: usize = 1024;

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
