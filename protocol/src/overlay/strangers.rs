//! Strangers: peers that discovery sees and of whom nobody here knows.
//!
//! **Decides** which of the peers that discovery told of are worth a dial although no more links are wanted.
//! **Leaves** the dial to [`super::links`].
//!
//! Two meshes that come to be on one segment are each linked within as they want to be, so that nobody of the
//! one would dial anybody of the other. A peer that the presence service does not show present
//! [`KNOWN_WITHIN`] after it was seen is of such a mesh, or lost, or made up. One in each
//! [`DIAL_INTERVAL`] is to be dialled; the first whose tables are compared makes all others known.
//!
//! Limit: [`WAITING_MAX`] wait, further ones are left for when they are seen again.

use std::{collections::BTreeMap, time::Duration};

use libp2p_identity::PeerId;

use crate::time::Timestamp;

/// Peers that may be strangers. Feed it with the `handle_*` methods, drain [`Self::poll_output`], and call
/// [`Self::handle_timeout`] when [`Self::poll_timeout`] says so.
#[derive(Debug, Default)]
pub struct Strangers {
    /// Peers that were seen, and when they are to be known.
    waiting: BTreeMap<PeerId, Timestamp>,
    next_at: Timestamp,
    dial: Option<PeerId>,
}

impl Strangers {
    /// Discovery saw a peer.
    pub fn handle_discovered(&mut self, now: Timestamp, peer: PeerId) {
        if self.waiting.is_empty() {
            self.next_at = self.next_at.max(now + KNOWN_WITHIN);
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.entry(peer).or_insert(now + KNOWN_WITHIN);
        }
    }

    /// Acts on what is due, given who is known.
    pub fn handle_timeout(&mut self, now: Timestamp, is_known: impl Fn(&PeerId) -> bool) {
        if now < self.next_at {
            return;
        }
        self.waiting.retain(|peer, _| !is_known(peer));
        let due = self.waiting.iter().filter(|(_, at)| **at <= now).min_by_key(|(_, at)| **at);
        self.dial = due.map(|(peer, _)| *peer);
        if let Some(peer) = &self.dial {
            self.waiting.remove(peer);
        }
        let first = self.waiting.values().min();
        self.next_at = first.map_or(now, |first| *first).max(now + DIAL_INTERVAL);
    }

    /// Whom to dial.
    pub fn poll_output(&mut self) -> Option<PeerId> {
        self.dial.take()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.waiting.is_empty()).then_some(self.next_at)
    }
}

/// Longer than a start of many takes until all know all.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
const DIAL_INTERVAL: Duration = Duration::from_secs(1);
const WAITING_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::peer_numbered;

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::START + Duration::from_secs(seconds)
    }

    #[test]
    fn who_becomes_known_is_no_stranger() {
        let mut strangers = Strangers::default();
        strangers.handle_discovered(seconds(0), peer_numbered(0));
        assert_eq!(strangers.poll_timeout(), Some(seconds(10)));
        strangers.handle_timeout(seconds(10), |_| true);
        assert_eq!((strangers.poll_output(), strangers.poll_timeout()), (None, None));
    }

    #[test]
    fn strangers_are_dialled_one_in_a_second_until_they_are_known() {
        let mut strangers = Strangers::default();
        (0..1000).for_each(|number| strangers.handle_discovered(seconds(0), peer_numbered(number)));
        strangers.handle_timeout(seconds(9), |_| false);
        assert_eq!(strangers.poll_output(), None);
        for second in 10..20 {
            assert_eq!(strangers.poll_timeout(), Some(seconds(second)));
            strangers.handle_timeout(seconds(second), |_| false);
            assert!(strangers.poll_output().is_some() && strangers.poll_output().is_none());
        }
        assert_eq!(strangers.waiting.len(), WAITING_MAX - 10);
        strangers.handle_timeout(seconds(20), |_| true);
        assert_eq!((strangers.poll_output(), strangers.poll_timeout()), (None, None));
    }
}
