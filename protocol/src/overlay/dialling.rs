//! Dialling: whom of the peers that wait the node dials, and when.
//!
//! **Decides** how many links are wanted, which peer is next, and how long a peer waits that was tried in
//! vain. **Leaves** to [`super::links`] why a peer is to be dialled and what comes of it, and to the driver
//! the dial itself.
//!
//! First come those whose link was lost, which are dialled at once, then those that may be there, then those
//! that were tried more often than [`TRIES_FEW`] in vain. All but the first are dialled while links are
//! missing only; of the last there is one every [`STRAY_INTERVAL`] in any case.
//!
//! A host from which so many are connected that one more would be closed is dialled only to find out whether
//! a peer whose link was lost is gone.
//!
//! Limits: [`DIALS_MAX`] dials under way, [`DIALS_AGAIN_MAX`] for those that were tried often, and
//! [`DIALS_PER_SECOND_MAX`] begun in a second, not counting lost links: a dial too many waits.

use std::{collections::BTreeSet, time::Duration};

use libp2p_identity::PeerId;
use rand::RngExt;

use super::{
    address::Address,
    links::{Overlay, OverlayOutput},
    peer::Urgency,
};
use crate::time::Timestamp;

impl<C: Copy + Ord> Overlay<C> {
    /// When a dial is due next.
    pub(super) fn next_dial(&self) -> Option<Timestamp> {
        let dials = Urgency::ALL.into_iter().filter(|urgency| self.has_room_for(*urgency));
        let dials =
            dials.filter_map(|urgency| Some(self.peers.next_dial(urgency)?.0.max(self.not_before(urgency))));
        let stray = self.peers.next_dial(Urgency::LinkAgain).map(|(at, _)| at.max(self.stray_at));
        dials.chain(stray).min()
    }

    pub(super) fn dial_due(&mut self, now: Timestamp) {
        for urgency in Urgency::ALL {
            let has_room = self.has_room_for(urgency);
            let due = if has_room { self.peers.due_dials(urgency, now) } else { BTreeSet::new() };
            for (_, _, peer) in due {
                if !self.has_room_for(urgency) || now < self.not_before(urgency) {
                    break;
                }
                self.dial(now, peer);
                self.peers.refile(&peer);
            }
        }
    }

    /// Dials one of those that were not reached for long, now and then, however many links there are: a mesh
    /// that was split has enough links in either part, and would stay so.
    pub(super) fn dial_stray(&mut self, now: Timestamp) {
        let stray = self.peers.next_dial(Urgency::LinkAgain);
        if let Some((_, peer)) = stray.filter(|(at, _)| *at <= now && self.stray_at <= now) {
            self.stray_at = now + STRAY_INTERVAL.mul_f64(self.random.random_range(0.5..1.5));
            self.dial(now, peer);
            self.peers.refile(&peer);
        }
    }

    /// Whether a peer may be dialled, or has to wait for a dial to end or a link to be lost.
    pub(super) fn has_room_for(&self, urgency: Urgency) -> bool {
        let dials = self.peers.dials();
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
    pub(super) fn wanted(&self) -> usize {
        let waiting = self.peers.waiting(Urgency::Confirm) + self.peers.waiting(Urgency::Link);
        let peers = self.connected + self.peers.dials() + waiting;
        if peers > self.neighbours { self.neighbours.min(NEIGHBOURS_OF_MANY) } else { self.neighbours }
    }

    /// Dials a peer for which that is due, if it is worth it.
    pub(super) fn dial(&mut self, now: Timestamp, peer: PeerId) {
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
        let confirming = known.confirming;
        let has_room = |at: &Address| confirming || self.peers.has_link_room_at(&peer, at.ip);
        let addresses: Vec<_> = addresses.into_iter().filter(has_room).collect();
        if addresses.is_empty() {
            if let Some(known) = self.peers.get_mut(&peer) {
                known.dial_at = Some(now + RETRY_MAX);
            }
            return;
        }
        if now.since(self.dialled.0) >= Duration::from_secs(1) {
            self.dialled = (now, 0);
        }
        self.dialled.1 += 1;
        self.peers.dial_begins(peer);
        self.outputs.push_back(OverlayOutput::Dial { peer, addresses });
    }
}

/// How long a peer waits that was tried so often in vain.
pub(super) fn backoff(tries: u32) -> Duration {
    RETRY_MIN.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(16))).min(RETRY_MAX)
}

/// The longest that a peer waits for its next dial, if all links were lost so long ago: a cable that is
/// plugged in again soon is to be noticed soon, and who is alone for long costs little.
pub(super) fn wait_max(alone_for: Option<Duration>) -> Duration {
    alone_for.map_or(RETRY_MAX, |alone_for| (alone_for / ALONE_SHARE).clamp(RETRY_MIN, RETRY_MAX))
}

/// The same as [`NEIGHBOURS`](super::links::NEIGHBOURS) where there are more peers than that: enough for
/// several to notice a death, for gossip to choose from, and to survive that most are lost at once.
pub(super) const NEIGHBOURS_OF_MANY: usize = 12;
pub(super) const RETRY_MIN: Duration = Duration::from_secs(1);
/// So long that who is gone for good costs little, so short that one of ten that were cut off is soon found
/// again.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(15);
/// A node that is alone waits a share of the time that it is.
const ALONE_SHARE: u32 = 20;
/// How often one that was not reached for long is dialled if no links are missing: of the halves of a mesh
/// of a hundred, one finds the other within a tenth of a second.
pub(super) const STRAY_INTERVAL: Duration = Duration::from_secs(5);
pub(super) const DIALS_MAX: usize = 16;
/// Twice what a start of a thousand takes. Whoever announces made-up peers where dials are refused at once
/// would have thousands of them dialled in a second otherwise.
pub(super) const DIALS_PER_SECOND_MAX: usize = 50;
/// One in so many links is to be one that this node dialled.
pub(super) const DIALLED_SHARE: usize = 4;
/// A peer that was tried more often than [`TRIES_FEW`](super::peer::TRIES_FEW) is dialled only while so many
/// dials are under way.
const DIALS_AGAIN_MAX: usize = DIALS_MAX / 4;
