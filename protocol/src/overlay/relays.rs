//! Relays: peers through which this node lets itself be reached, because others cannot dial it.
//!
//! **Decides** which linked peers are asked for a *reservation*, when one that was refused or lost is asked
//! for again, and through whom this node's record says that it is reached. **Leaves** the link to
//! [`super::links`], which dials a given address for ever, and the reservation itself, its renewal included,
//! to the driver. Source: libp2p's circuit relay v2.
//!
//! A relay is there because the PRINCIPAL gave its address, or because this node made a circuit through it:
//! whoever is reached through a relay only cannot answer otherwise, tell of changes or write back. As soon as
//! it is linked a reservation is asked for; what is refused or closed is asked for again after a wait that
//! doubles from [`RETRY_MIN`] to [`RETRY_MAX`], as long as the link stands, and at once when it is made anew.
//!
//! Limit: [`RELAYS_MAX`] relays; those that the PRINCIPAL gave stand first, further ones are not taken on.

use std::{collections::VecDeque, time::Duration};

use libp2p_identity::PeerId;

use super::address::{Address, RELAYS_MAX};
use crate::time::Timestamp;

/// The relays of one node; `L` is what the driver names a reservation by. Feed it with the `handle_*`
/// methods, drain [`Self::poll_output`], and call [`Self::handle_timeout`] when [`Self::poll_timeout`] says
/// so.
#[derive(Debug)]
pub struct Relays<L> {
    relays: Vec<Relay<L>>,
    outputs: VecDeque<PeerId>,
}

#[derive(Debug)]
struct Relay<L> {
    /// Where the PRINCIPAL says that it is.
    given: Option<Address>,
    /// Who it is, once somebody answered there.
    peer: Option<PeerId>,
    linked: bool,
    /// Whether it ever was.
    answered: bool,
    /// Whether it was dialled in vain.
    unanswered: bool,
    reservation: Reservation<L>,
    tries: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Reservation<L> {
    /// To be asked for then, if there is a link.
    None(Timestamp),
    Asked(L),
    Held(L),
}

impl<L: Copy + Eq> Relays<L> {
    /// The relays that the PRINCIPAL gave, of which [`RELAYS_MAX`] are taken.
    pub fn new(given: impl IntoIterator<Item = (Address, Option<PeerId>)>) -> Self {
        let relays = given.into_iter().take(RELAYS_MAX);
        let relays = relays.map(|(address, peer)| Relay { given: Some(address), ..Relay::new(peer) });
        Self { relays: relays.collect(), outputs: VecDeque::new() }
    }

    /// A peer answered where this node dialled.
    pub fn handle_answered(&mut self, address: Address, peer: PeerId) {
        if self.of(&peer).is_none()
            && let Some(relay) = self.relays.iter_mut().find(|relay| relay.given == Some(address))
        {
            // Somebody else may live there now.
            *relay = Relay { given: relay.given, ..Relay::new(Some(peer)) };
        }
    }

    /// A dial failed at an address. Whether a relay was given there that never answered, and this is the
    /// first time.
    pub fn handle_unanswered(&mut self, address: Address) -> bool {
        let is_it = |relay: &&mut Relay<L>| relay.given == Some(address) && !relay.answered;
        let relay = self.relays.iter_mut().find(is_it);
        relay.is_some_and(|relay| !std::mem::replace(&mut relay.unanswered, true))
    }

    /// This node made a circuit through a relay that is linked.
    pub fn handle_used(&mut self, now: Timestamp, peer: PeerId) {
        if self.of(&peer).is_none() && self.relays.len() < RELAYS_MAX {
            self.relays.push(Relay { linked: true, ..Relay::new(Some(peer)) });
            self.handle_timeout(now);
        }
    }

    /// The peer is linked.
    pub fn handle_linked(&mut self, now: Timestamp, peer: &PeerId) {
        if let Some(relay) = self.of(peer) {
            relay.linked = true;
            relay.answered = true;
            relay.tries = 0;
            if let Reservation::None(at) = &mut relay.reservation {
                *at = now;
            }
            self.handle_timeout(now);
        }
    }

    /// It is not linked any more. A reservation ends by itself.
    pub fn handle_link_down(&mut self, peer: &PeerId) {
        if let Some(relay) = self.of(peer) {
            relay.linked = false;
        }
    }

    /// The reservation that was to be asked for has this name; nothing if it could not be.
    pub fn handle_asked(&mut self, now: Timestamp, peer: &PeerId, reservation: Option<L>) {
        if let Some(relay) = self.of(peer) {
            match reservation {
                Some(reservation) => relay.reservation = Reservation::Asked(reservation),
                None => relay.failed(now),
            }
        }
    }

    /// The relay cannot be asked yet: there are two connections with it, one of which is about to be closed.
    pub fn handle_unsettled(&mut self, now: Timestamp, peer: &PeerId) {
        if let Some(relay) = self.of(peer) {
            relay.reservation = Reservation::None(now + UNSETTLED_WAIT);
        }
    }

    /// A reservation stands. By whom, unless that was known or nobody asked for it.
    pub fn handle_reserved(&mut self, reservation: L) -> Option<PeerId> {
        let asked = Reservation::Asked(reservation);
        let relay = self.relays.iter_mut().find(|relay| relay.reservation == asked)?;
        relay.reservation = Reservation::Held(reservation);
        relay.tries = 0;
        relay.peer
    }

    /// A reservation was refused, or ended.
    pub fn handle_closed(&mut self, now: Timestamp, reservation: L) -> Option<Closed> {
        let (asked, held) = (Reservation::Asked(reservation), Reservation::Held(reservation));
        let is_it = |relay: &&mut Relay<L>| relay.reservation == asked || relay.reservation == held;
        let relay = self.relays.iter_mut().find(is_it)?;
        let stood = relay.reservation == held;
        let first_that_counts = !stood && relay.tries == REFUSED_EARLY;
        let closed = Closed { peer: relay.peer?, stood, first_that_counts };
        relay.failed(now);
        Some(closed)
    }

    /// Asks for what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        for relay in self.relays.iter_mut().filter(|relay| relay.due().is_some_and(|at| at <= now)) {
            // Should nothing come of it, it is due again.
            relay.reservation = Reservation::None(now + RETRY_MAX);
            self.outputs.extend(relay.peer);
        }
    }

    /// Who is to be asked for a reservation; [`Self::handle_asked`] is awaited.
    pub fn poll_output(&mut self) -> Option<PeerId> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.relays.iter().filter_map(Relay::due).min()
    }

    /// Through whom this node is reached.
    pub fn held(&self) -> impl Iterator<Item = PeerId> {
        let held = self.relays.iter().filter(|relay| matches!(relay.reservation, Reservation::Held(_)));
        held.filter_map(|relay| relay.peer)
    }

    fn of(&mut self, peer: &PeerId) -> Option<&mut Relay<L>> {
        self.relays.iter_mut().find(|relay| relay.peer.as_ref() == Some(peer))
    }
}

impl<L> Relay<L> {
    const fn new(peer: Option<PeerId>) -> Self {
        let reservation = Reservation::None(Timestamp::START);
        Self { given: None, peer, linked: false, answered: false, unanswered: false, reservation, tries: 0 }
    }

    fn due(&self) -> Option<Timestamp> {
        match &self.reservation {
            Reservation::None(at) if self.linked => Some(*at),
            _ => None,
        }
    }

    fn failed(&mut self, now: Timestamp) {
        let wait = RETRY_MIN.saturating_mul(2_u32.saturating_pow(self.tries)).min(RETRY_MAX);
        self.tries = self.tries.saturating_add(1);
        self.reservation = Reservation::None(now + wait);
    }
}

/// A reservation that is not there, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The relay.
    pub peer: PeerId,
    /// Whether it stood before.
    pub stood: bool,
    /// Whether it is the first refusal that says something. Those before it do not: a relay serves nobody
    /// before it knows that they are of its realm, which takes it a moment.
    pub first_that_counts: bool,
}

const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A part of the second after which one of two connections is closed.
const UNSETTLED_WAIT: Duration = Duration::from_millis(200);
/// Refusals that say little.
const REFUSED_EARLY: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        overlay::address::Transport,
        testing::{at, peer_numbered},
    };

    #[test]
    fn a_given_relay_is_asked_when_it_is_linked_and_again_after_it_was_away() {
        let mut relays = Relays::new([(address(1), None)]);
        relays.handle_linked(at(0), &relay(1));
        assert_eq!(relays.poll_output(), None, "nobody knows yet who it is");
        relays.handle_answered(address(1), relay(1));
        relays.handle_linked(at(1), &relay(1));
        assert_eq!((relays.poll_output(), relays.poll_output()), (Some(relay(1)), None));
        relays.handle_asked(at(1), &relay(1), Some(7));
        assert_eq!((relays.held().count(), relays.poll_timeout()), (0, None));
        assert_eq!(relays.handle_reserved(7), Some(relay(1)));
        assert_eq!(relays.handle_reserved(7), None, "it says so at each renewal");
        assert_eq!(relays.held().collect::<Vec<_>>(), [relay(1)]);

        relays.handle_link_down(&relay(1));
        let closed = relays.handle_closed(at(60), 7).unwrap();
        assert!(closed.stood && relays.held().next().is_none());
        assert_eq!(relays.poll_timeout(), None, "not while it is away");
        relays.handle_linked(at(90), &relay(1));
        assert_eq!(relays.poll_output(), Some(relay(1)));
    }

    #[test]
    fn who_is_refused_asks_less_and_less_often() {
        let mut relays = Relays::new([(address(1), Some(relay(1)))]);
        relays.handle_linked(at(0), &relay(1));
        let mut now = at(0);
        let mut waits = Vec::new();
        for name in 0..12 {
            assert_eq!(relays.poll_output(), Some(relay(1)));
            relays.handle_asked(now, &relay(1), Some(name));
            let closed = relays.handle_closed(now, name).unwrap();
            assert_eq!((closed.stood, closed.first_that_counts), (false, name == 2));
            let due = relays.poll_timeout().unwrap();
            waits.push(due.since(now).as_millis());
            now = due;
            relays.handle_timeout(now);
        }
        assert_eq!(waits[..3], [250, 500, 1000]);
        assert_eq!(waits.last(), Some(&60_000));
    }

    #[test]
    fn whoever_uses_a_relay_is_reached_through_it_but_through_no_more_than_a_few() {
        let mut relays: Relays<u8> = Relays::new([(address(1), None)]);
        for number in 2..9 {
            relays.handle_used(at(0), relay(number));
            relays.handle_used(at(0), relay(number));
        }
        assert_eq!((relays.poll_output(), relays.poll_output()), (Some(relay(2)), None));
        assert_eq!(relays.relays.len(), RELAYS_MAX);
    }

    #[test]
    fn that_a_given_relay_does_not_answer_is_said_once_and_only_before_it_ever_did() {
        let mut relays: Relays<u8> = Relays::new([(address(1), None), (address(2), Some(relay(2)))]);
        let unanswered = [1, 1, 9].map(|number| relays.handle_unanswered(address(number)));
        assert_eq!(unanswered, [true, false, false]);
        relays.handle_linked(at(0), &relay(2));
        assert!(!relays.handle_unanswered(address(2)), "that its reservation ended is told");
    }

    #[test]
    fn what_cannot_be_asked_for_is_tried_again() {
        let mut relays: Relays<u8> = Relays::new([(address(1), Some(relay(1)))]);
        relays.handle_linked(at(0), &relay(1));
        assert_eq!(relays.poll_output(), Some(relay(1)));
        relays.handle_asked(at(0), &relay(1), None);
        assert_eq!(relays.poll_timeout(), Some(at(0) + RETRY_MIN));
        relays.handle_unsettled(at(1), &relay(1));
        assert_eq!(relays.poll_timeout(), Some(at(1) + UNSETTLED_WAIT));
        assert_eq!(relays.handle_closed(at(0), 3), None, "that was no reservation of a relay");
    }

    fn relay(number: usize) -> PeerId {
        peer_numbered(number)
    }

    fn address(number: u8) -> Address {
        Address { ip: [10, 0, 0, number].into(), port: 4001, transport: Transport::Tcp }
    }
}
