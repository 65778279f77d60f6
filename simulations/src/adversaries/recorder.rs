//! The recorder: watches, and asks more often than anybody may.
//!
//! Each time that it acts it asks a linked node, by turns: a FETCH, a SUBSCRIBE, a cancellation at once after
//! one, WATCHER INFORMATION, so that several of them are a storm. Whatever it is given it may have; that there
//! is nothing beyond that in all that its host receives is held by the oracles, as for any other.

use hereabouts_protocol::{
    identity::Presentity,
    watcher::watcher_information::VisibleTo,
    wire::{
        codec,
        frames::{FetchAnswer, PRESENCE_RESPONSE_BYTES_MAX, PresenceRequest, PresenceResponse},
    },
};
use rand::{RngExt, rngs::StdRng};

use super::{Answers, actor::Wire};

/// One recorder.
pub(super) struct Recorder {
    answers: Answers,
    random: StdRng,
}

impl Recorder {
    pub(super) fn new(answers: Answers, random: StdRng) -> Self {
        Self { answers, random }
    }

    /// One question, or a subscription and its end.
    pub(super) fn act(&mut self, wire: &mut Wire) {
        let victims = wire.victims();
        let Some(victim) = super::draw(&mut self.random, &victims) else { return };
        let Some(presentity) = Presentity::from_peer_id(&victim) else { return };
        let visible_to = VisibleTo::default;
        let subscribe = |seconds| PresenceRequest::Subscribe { seconds, visible_to: visible_to() };
        let requests = match self.random.random_range(0..4) {
            0 => vec![PresenceRequest::Fetch { presentity, visible_to: visible_to() }],
            1 => vec![subscribe(3600)],
            2 => vec![subscribe(3600), subscribe(0)],
            _ => vec![PresenceRequest::FetchWatchers],
        };
        for request in requests {
            let _ = wire.ask(&victim, &request);
        }
    }

    /// A node answered.
    pub(super) fn answered(&mut self, response: &[u8]) {
        if let Ok(PresenceResponse::Fetched { answer: FetchAnswer::TooFast { .. }, .. }) =
            codec::decode(response, PRESENCE_RESPONSE_BYTES_MAX)
        {
            self.answers.spam_refused();
        }
    }
}
