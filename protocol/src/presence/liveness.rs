//! Liveness: which linked peers are probed, and which of them are silent.
//!
//! **Decides** whom to probe and when, and that a link is a dead end. **Leaves** probes and connections to
//! the driver, and whether a peer is gone to the redial that follows.
//!
//! A process that ends tells so: its host closes the connections. A pulled cable or lost power tells
//! nothing, so somebody has to ask. Each node probes its *successor* every [`PROBE_INTERVAL`]: of its linked
//! peers the one whose key follows its own, the first after the last. Who is probed so regularly that it
//! counts on it probes in turn when the next probe stays away for twice the interval. So everybody is watched
//! by its successor at least; where everybody is linked with everybody this is a ring, in which its
//! predecessor watches it too. All linked peers are probed by turns beside that, one every
//! [`TURN_INTERVAL`], so that the cost does not grow with their number; and at once if another node says
//! that one is lost, as whoever found a peer silent does. Whatever comes from a peer is a sign of life, not
//! only an answer. One that gives none for [`SILENCE`] after it was probed is *silent*. A node that acts
//! later than it wanted to, since it was stopped or gets no processor, waits anew: the answers may lie
//! unread.
//!
//! Source: watching in a ring after SWIM's and Chord's successors, with probes over links in place of
//! datagrams; waiting anew after Lifeguard's local health (Dadgar et al., 2018).

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use crate::{identity::Presentity, time::Timestamp};

/// Whom to probe. Feed it with the `handle_*` methods, drain [`Self::poll_output`], and call
/// [`Self::handle_timeout`] when [`Self::poll_timeout`] says so.
#[derive(Debug)]
pub struct Liveness {
    own: Presentity,
    links: BTreeMap<Presentity, Link>,
    probe_at: Timestamp,
    turn_at: Timestamp,
    /// Whose turn was last.
    turn: Presentity,
    outputs: VecDeque<LivenessOutput>,
}

#[derive(Debug, Default)]
struct Link {
    /// When it was probed, if it gave no sign of life since.
    asked_at: Option<Timestamp>,
    /// Whether that was since another node said that it is lost.
    told: bool,
    probed_at: Option<Timestamp>,
    /// When a probe of it is missed, if it is counted on.
    missed_at: Option<Timestamp>,
}

impl Liveness {
    /// Nobody linked. When the first probe is due is drawn from `random`, so that not all nodes of a LAN that
    /// was switched on probe in the same instant.
    pub fn new(now: Timestamp, own: Presentity, mut random: StdRng) -> Self {
        let mut wait = |most: Duration| most.mul_f64(random.random_range(0.0..1.0));
        Self {
            own,
            links: BTreeMap::new(),
            probe_at: now + wait(PROBE_INTERVAL),
            turn_at: now + wait(PROBE_INTERVAL),
            turn: own,
            outputs: VecDeque::new(),
        }
    }

    /// A peer is linked.
    pub fn handle_link_established(&mut self, peer: Presentity) {
        self.links.insert(peer, Link::default());
    }

    /// A peer is linked no more.
    pub fn handle_link_down(&mut self, peer: Presentity) {
        self.links.remove(&peer);
    }

    /// Something came from a peer.
    pub fn handle_alive(&mut self, peer: Presentity) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.asked_at = None;
        }
    }

    /// A peer probed this node. If it did so regularly, the next is counted on.
    pub fn handle_probed(&mut self, now: Timestamp, peer: Presentity) {
        self.handle_alive(peer);
        if let Some(link) = self.links.get_mut(&peer) {
            let regular = link.probed_at.is_some_and(|before| now.since(before) < MISSED_AFTER);
            link.probed_at = Some(now);
            link.missed_at = regular.then(|| now + MISSED_AFTER);
        }
    }

    /// Another node says that a peer is lost, with which this node is linked.
    pub fn handle_told_lost(&mut self, now: Timestamp, peer: Presentity) {
        if self.probe(now, peer)
            && let Some(link) = self.links.get_mut(&peer)
        {
            link.told = true;
        }
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout().is_some_and(|due| now.since(due) > LATE) {
            for link in self.links.values_mut() {
                link.asked_at = link.asked_at.map(|_| now);
            }
        }
        if self.probe_at <= now {
            self.probe_at = now + PROBE_INTERVAL;
            if let Some(successor) = self.after(self.own) {
                self.probe(now, successor);
            }
        }
        if self.turn_at <= now {
            if let Some(next) = self.after(self.turn) {
                self.turn = next;
                self.probe(now, next);
            }
            self.turn_at = now + TURN_INTERVAL;
        }
        let missed = self.links.iter_mut().filter_map(|(peer, link)| {
            link.missed_at.take_if(|at| *at <= now)?;
            Some(*peer)
        });
        for peer in missed.collect::<Vec<_>>() {
            self.probe(now, peer);
        }
        for (peer, link) in &mut self.links {
            if link.asked_at.take_if(|at| now.since(*at) >= SILENCE).is_some() {
                let told = link.told;
                self.outputs.push_back(LivenessOutput::Silent { peer: *peer, told });
            }
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<LivenessOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.links.is_empty() {
            return None;
        }
        let links = self.links.values();
        let of_links = links.flat_map(|link| [link.asked_at.map(|at| at + SILENCE), link.missed_at]);
        of_links.flatten().chain([self.probe_at, self.turn_at]).min()
    }

    /// The linked peer whose key follows, the first after the last.
    fn after(&self, key: Presentity) -> Option<Presentity> {
        let following = self.links.range((Bound::Excluded(key), Bound::Unbounded));
        following.chain(&self.links).next().map(|(peer, _)| *peer)
    }

    /// Probes a peer, unless that is under way: TCP sends what is lost again, and another probe would only
    /// wait behind it.
    fn probe(&mut self, now: Timestamp, peer: Presentity) -> bool {
        let Some(link) = self.links.get_mut(&peer).filter(|link| link.asked_at.is_none()) else {
            return false;
        };
        link.asked_at = Some(now);
        link.told = false;
        self.outputs.push_back(LivenessOutput::Probe(peer));
        true
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LivenessOutput {
    /// Probe a linked peer; [`Liveness::handle_alive`] is awaited.
    Probe(Presentity),
    /// The link with a peer is a dead end: close it, and try another.
    Silent {
        /// Which peer.
        peer: Presentity,
        /// Whether another node said first that it is lost.
        told: bool,
    },
}

/// How often the successor is probed. A probe and its answer are some 380 bytes on the wire, which prober and
/// probed share.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(3);
/// How often one of all links is probed, by turns. Yamux takes the opportunity to measure, so that it costs
/// about a kilobyte.
pub const TURN_INTERVAL: Duration = Duration::from_secs(15);
/// How long a sign of life may take: a packet that is lost four times over is there within three seconds.
pub const SILENCE: Duration = Duration::from_secs(4);
/// After so long a probe of somebody who probes regularly is missed.
const MISSED_AFTER: Duration = PROBE_INTERVAL.saturating_mul(2);

/// By so much a node that is well does not act late.
const LATE: Duration = Duration::from_millis(500);

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;
