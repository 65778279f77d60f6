//! The replayer: sends old, once valid records and messages again.
//!
//! By gossip: records that went by, also after gossipsub has forgotten them ([`FORGOTTEN_AFTER`]). By an
//! exchange: superseded records, to one node; what that node then answers to a FETCH shows whether it took
//! the old one. And a message of its own, over and over under one id, which an inbox must store once. Limits:
//! [`KEPT_MAX`] records and [`MESSAGES_MAX`] messages, the oldest makes room.

use std::collections::{BTreeMap, VecDeque};

use hereabouts_protocol::{
    identity::{InboxAddress, Presentity, Realm},
    message::instant_message::MessageId,
    presence::record::{PresenceRecord, Version},
    watcher::watcher_information::VisibleTo,
    wire::{
        codec,
        frames::{MessageRequest, PRESENCE_RESPONSE_BYTES_MAX, PresenceRequest, PresenceResponse},
    },
};
use libp2p::{PeerId, request_response::OutboundRequestId};
use rand::{RngExt, rngs::StdRng};

use super::{
    Answers,
    actor::Wire,
    forger::{message, told},
};
use crate::{verify, virtual_machine::now};

/// One replayer.
pub(super) struct Replayer {
    presentity: Presentity,
    realm: Realm,
    kept: VecDeque<Kept>,
    newest: BTreeMap<Presentity, Version>,
    messages: VecDeque<(PeerId, MessageRequest)>,
    asked: BTreeMap<OutboundRequestId, Question>,
    answers: Answers,
    random: StdRng,
}

#[derive(Debug, Clone)]
struct Kept {
    record: PresenceRecord,
    /// When it was gossiped last, by whomever.
    gossiped_at: u64,
}

/// What an answer is awaited to.
#[derive(Debug, Clone, Copy)]
struct Question {
    peer: PeerId,
    presentity: Presentity,
    /// The version that was offered.
    version: Version,
    /// Whether it is what the node holds now that was asked.
    is_fetch: bool,
}

impl Replayer {
    pub(super) fn new(presentity: Presentity, realm: Realm, answers: Answers, random: StdRng) -> Self {
        Self {
            presentity,
            realm,
            kept: VecDeque::new(),
            newest: BTreeMap::new(),
            messages: VecDeque::new(),
            asked: BTreeMap::new(),
            answers,
            random,
        }
    }

    /// A record went by.
    pub(super) fn heard(&mut self, now: u64, record: &PresenceRecord) {
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.record.bytes() == record.bytes()) {
            kept.gossiped_at = now;
            return;
        }
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { record: record.clone(), gossiped_at: now });
        let newest = self.newest.entry(record.presentity()).or_default();
        *newest = record.version().max(*newest);
        while self.newest.len() > KEPT_MAX {
            self.newest.pop_first();
        }
    }

    /// Replays once.
    pub(super) fn act(&mut self, wire: &mut Wire) {
        let victims = wire.victims();
        let Some(victim) = super::draw(&mut self.random, &victims) else { return };
        match self.random.random_range(0..4) {
            0 => {
                if let Some(bytes) = self.forgotten(now()) {
                    self.answers.gossiped_again();
                    wire.publish(bytes);
                }
            }
            1 => {
                let kept: Vec<_> = (0..self.kept.len()).collect();
                let drawn = super::draw(&mut self.random, &kept);
                if let Some(kept) = drawn.and_then(|place| self.kept.get(place)) {
                    // Within the memory of gossipsub this reaches no node.
                    wire.publish(kept.record.bytes().to_vec());
                }
            }
            2 => {
                let Some(record) = self.superseded() else { return };
                let question = Question {
                    peer: victim,
                    presentity: record.presentity(),
                    version: record.version(),
                    is_fetch: false,
                };
                let records = vec![told(record.bytes().to_vec())];
                let request = PresenceRequest::Exchange { wanted: Vec::new(), records };
                self.await_answer(wire.ask(&victim, &request), question);
            }
            _ => {
                let (to, request) = self.own_message(victim);
                let _ = wire.send(&to, &request);
            }
        }
    }

    /// A node answered.
    pub(super) fn answered(&mut self, wire: &mut Wire, id: OutboundRequestId, response: &[u8]) {
        let Some(question) = self.asked.remove(&id) else { return };
        if !question.is_fetch {
            // It has dealt with what was offered, so that its record now tells.
            let fetch =
                PresenceRequest::Fetch { presentity: question.presentity, visible_to: VisibleTo::default() };
            self.await_answer(wire.ask(&question.peer, &fetch), Question { is_fetch: true, ..question });
            return;
        }
        if let Ok(PresenceResponse::Fetched { record: Some(told), .. }) =
            codec::decode(response, PRESENCE_RESPONSE_BYTES_MAX)
            && let Ok(record) = verify::once(&told.record, &self.realm)
            && record.presentity() == question.presentity
            && record.version() > question.version
        {
            self.answers.replay_refused();
        }
    }

    /// No answer came.
    pub(super) fn failed(&mut self, id: OutboundRequestId) {
        self.asked.remove(&id);
    }

    fn await_answer(&mut self, id: OutboundRequestId, question: Question) {
        if self.asked.len() >= KEPT_MAX {
            self.asked.pop_first();
        }
        self.asked.insert(id, question);
    }

    /// The superseded record that was gossiped longest ago, if gossipsub has forgotten it.
    pub(super) fn forgotten(&mut self, now: u64) -> Option<Vec<u8>> {
        let newest = &self.newest;
        let kept = self.kept.iter_mut().filter(|kept| is_superseded(newest, &kept.record));
        let oldest = kept.min_by_key(|kept| kept.gossiped_at)?;
        if oldest.gossiped_at + FORGOTTEN_AFTER > now {
            return None;
        }
        oldest.gossiped_at = now;
        Some(oldest.record.bytes().to_vec())
    }

    fn superseded(&mut self) -> Option<PresenceRecord> {
        let old =
            self.kept.iter().map(|kept| &kept.record).filter(|record| is_superseded(&self.newest, record));
        let old: Vec<_> = old.collect();
        super::draw(&mut self.random, &old).cloned()
    }

    /// A message that was sent before, or one that will be sent again.
    fn own_message(&mut self, victim: PeerId) -> (PeerId, MessageRequest) {
        let places: Vec<_> = (0..self.messages.len()).collect();
        let drawn =
            super::draw(&mut self.random, &places).and_then(|place| self.messages.get(place)).cloned();
        if let Some(again) = drawn.filter(|_| self.random.random_bool(0.9)) {
            return again;
        }
        let node = Presentity::from_peer_id(&victim).unwrap_or(self.presentity);
        let inbox = InboxAddress { node, realm: self.realm.clone() };
        let id = MessageId::from_bytes(self.random.random());
        let message = message(id, self.presentity, inbox, b"once".to_vec());
        let new = (victim, MessageRequest { message, remaining_ms: 600_000 });
        if self.messages.len() >= MESSAGES_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(new.clone());
        new
    }
}

fn is_superseded(newest: &BTreeMap<Presentity, Version>, record: &PresenceRecord) -> bool {
    newest.get(&record.presentity()).is_some_and(|newest| record.version() < *newest)
}

/// Nanoseconds: more than a node's gossipsub remembers what it saw.
const FORGOTTEN_AFTER: u64 = 125_000_000_000;
/// About 2 kB each.
const KEPT_MAX: usize = 1024;
const MESSAGES_MAX: usize = 16;
