//! The watchers that ask more often than anybody may: recorder, fetcher and subscriber.
//!
//! A *recorder* asks a linked node, each time that it acts, by turns for a FETCH, a SUBSCRIBE, a cancellation
//! at once after one, or WATCHER INFORMATION. A *fetcher* asks guarded presentities only: mostly it polls,
//! too fast, and at times it sends a burst of up to [`BURST_MAX`] fetches at once. A *subscriber* subscribes
//! to one and cancels at once, up to [`FLIPS_MAX`] times. What was asked and what came of it goes into the
//! [`Ledger`], which is held against what the nodes say. That none receives what it is not granted is held
//! by the oracles, as for any other host.
//!
//! When the storm is over each waits for [`REST`], and then subscribes once more or cancels, by its key, so
//! that where its SUBSCRIPTIONS stand is known on both sides. Limit: [`UNDER_WAY_MAX`] requests that await an
//! answer.

use std::collections::{BTreeMap, BTreeSet};

use hereabouts_protocol::{
    identity::Presentity,
    watcher::watcher_information::VisibleTo,
    wire::{
        codec,
        frames::{
            PRESENCE_REQUEST_BYTES_MAX, PRESENCE_RESPONSE_BYTES_MAX, PresenceRequest, PresenceResponse,
        },
    },
};
use libp2p::{PeerId, request_response::OutboundRequestId};
use rand::{RngExt, rngs::StdRng};

use super::{
    Answers,
    actor::Wire,
    ledger::{Asked, Ledger},
};
use crate::virtual_machine::now;

/// What a watcher does all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Asks whomever it has a link with, all that there is to ask.
    Record,
    /// Fetches.
    Fetch,
    /// Subscribes and cancels.
    Subscribe,
}

/// One watcher.
pub(super) struct Watcher {
    presentity: Presentity,
    habit: Habit,
    /// Those that are guarded.
    guarded: BTreeSet<Presentity>,
    asked: BTreeMap<OutboundRequestId, (Presentity, Asked)>,
    ledger: Ledger,
    answers: Answers,
    /// Since when the storm is over, in nanoseconds.
    over_since: Option<u64>,
    settled: bool,
    random: StdRng,
}

impl Watcher {
    pub(super) fn new(
        presentity: Presentity,
        habit: Habit,
        guarded: BTreeSet<Presentity>,
        answers: Answers,
        random: StdRng,
    ) -> Self {
        Self {
            presentity,
            habit,
            guarded,
            asked: BTreeMap::new(),
            ledger: answers.ledger().clone(),
            answers,
            over_since: None,
            settled: false,
            random,
        }
    }

    /// Some questions.
    pub(super) fn act(&mut self, wire: &mut Wire) {
        if self.ledger.is_over() {
            self.settle(wire);
            return;
        }
        let victims: Vec<_> = wire.victims().iter().filter_map(Presentity::from_peer_id).collect();
        let guarded = |victim: &Presentity| self.guarded.contains(victim) || self.habit == Habit::Record;
        let victims: Vec<_> = victims.into_iter().filter(guarded).collect();
        let Some(victim) = super::draw(&mut self.random, &victims) else { return };
        let questions = match self.habit {
            Habit::Fetch if self.random.random_bool(0.1) => {
                vec![Asked::Fetch; self.random.random_range(2..=BURST_MAX)]
            }
            Habit::Fetch if self.random.random_bool(0.1) => vec![Asked::Watchers],
            Habit::Fetch => vec![Asked::Fetch],
            Habit::Subscribe => {
                [Asked::Subscribe, Asked::Cancel].repeat(self.random.random_range(1..=FLIPS_MAX))
            }
            Habit::Record => match self.random.random_range(0..4) {
                0 => vec![Asked::Fetch],
                1 => vec![Asked::Subscribe],
                2 => vec![Asked::Subscribe, Asked::Cancel],
                _ => vec![Asked::Watchers],
            },
        };
        for question in questions {
            self.ask(wire, victim, question);
        }
    }

    /// Once, some time after the storm.
    fn settle(&mut self, wire: &mut Wire) {
        let since = *self.over_since.get_or_insert_with(now);
        if self.settled || now() < since + REST {
            return;
        }
        self.settled = true;
        for of in self.guarded.clone() {
            let stays = self.presentity.as_bytes().iter().fold(0, |sum, byte| sum ^ byte) % 2 == 0;
            self.ask(wire, of, if stays { Asked::Subscribe } else { Asked::Cancel });
        }
    }

    fn ask(&mut self, wire: &mut Wire, of: Presentity, question: Asked) {
        if self.asked.len() >= UNDER_WAY_MAX {
            return;
        }
        let visible_to = VisibleTo::default();
        let request = match question {
            Asked::Fetch => PresenceRequest::Fetch { presentity: of, visible_to },
            Asked::Subscribe => PresenceRequest::Subscribe { seconds: 3600, visible_to },
            Asked::Cancel => PresenceRequest::Subscribe { seconds: 0, visible_to },
            Asked::Watchers => PresenceRequest::FetchWatchers,
        };
        self.ledger.handle_asked(now(), self.presentity, of, question);
        self.asked.insert(wire.ask(&of.peer_id(), &request), (of, question));
    }

    /// A node answered.
    pub(super) fn answered(&mut self, id: OutboundRequestId, response: &[u8]) {
        let Some((of, question)) = self.asked.remove(&id) else { return };
        let response = codec::decode::<PresenceResponse>(response, PRESENCE_RESPONSE_BYTES_MAX).ok();
        if self.ledger.handle_answered(now(), (self.presentity, of), question, response.as_ref()) {
            self.answers.spam_refused();
        }
    }

    /// No answer came.
    pub(super) fn failed(&mut self, id: OutboundRequestId) {
        if let Some((of, question)) = self.asked.remove(&id) {
            self.ledger.handle_answered(now(), (self.presentity, of), question, None);
        }
    }

    /// A node asks something of it: the state of a SUBSCRIPTION is told in that way too.
    pub(super) fn asked(&self, from: &PeerId, request: &[u8]) {
        if let Some(of) = Presentity::from_peer_id(from)
            && let Ok(PresenceRequest::Notify { subscription: Some(report), .. }) =
                codec::decode(request, PRESENCE_REQUEST_BYTES_MAX)
        {
            self.ledger.handle_notified(self.presentity, of, report);
        }
    }
}

/// Twice as many as a node answers at once.
const BURST_MAX: usize = 20;
const FLIPS_MAX: usize = 5;
/// As many streams as an adversary has with one node.
const UNDER_WAY_MAX: usize = 256;
/// Nanoseconds after which a node answers again, whatever it was asked before.
const REST: u64 = 2_000_000_000;
