//! The recorder: watches, keeps everything that it receives, and tries every key on every record.
//!
//! Each time that it acts it asks a linked node, by turns: a FETCH, a SUBSCRIBE, a cancellation at once after
//! one, WATCHER INFORMATION, so that several of them are a storm. Whatever it is given it may have; what it
//! sees beyond that is a leak: words of a guarded document in any frame, or a record that one of its keys
//! opens although it was granted nothing while that stood. Limits: [`RECORDS_MAX`] records and [`KEYS_MAX`]
//! keys of each presentity, the oldest makes room.

use std::collections::{BTreeMap, VecDeque};

use hereabouts_protocol::{
    identity::Presentity,
    presence::{record::PresenceRecord, sealing::ViewKey, views::ReleasedKey},
    watcher::watcher_information::VisibleTo,
    wire::{
        codec,
        frames::{
            FetchAnswer, PRESENCE_REQUEST_BYTES_MAX, PRESENCE_RESPONSE_BYTES_MAX, PresenceRequest,
            PresenceResponse,
        },
    },
};
use libp2p::{PeerId, request_response::OutboundRequestId};
use rand::{RngExt, rngs::StdRng};

use super::{Answers, actor::Wire};
use crate::oracles::{GUARDED_NOTE, Oracles, change_of};

/// One recorder.
pub(super) struct Recorder {
    presentity: Presentity,
    oracles: Oracles,
    records: BTreeMap<Presentity, VecDeque<PresenceRecord>>,
    keys: BTreeMap<Presentity, VecDeque<ViewKey>>,
    asked: BTreeMap<OutboundRequestId, Presentity>,
    answers: Answers,
    random: StdRng,
}

impl Recorder {
    pub(super) fn new(presentity: Presentity, oracles: Oracles, answers: Answers, random: StdRng) -> Self {
        Self {
            presentity,
            oracles,
            records: BTreeMap::new(),
            keys: BTreeMap::new(),
            asked: BTreeMap::new(),
            answers,
            random,
        }
    }

    /// One question, or a subscription and its end.
    pub(super) fn act(&mut self, wire: &mut Wire) {
        let victims = wire.victims();
        let Some(victim) = super::draw(&mut self.random, &victims) else { return };
        let Some(presentity) = Presentity::from_peer_id(&victim) else { return };
        let visible_to = VisibleTo::default;
        let subscribe = |seconds| PresenceRequest::Subscribe { seconds, visible_to: visible_to() };
        match self.random.random_range(0..4) {
            0 => self.ask(wire, victim, &PresenceRequest::Fetch { presentity, visible_to: visible_to() }),
            1 => self.ask(wire, victim, &subscribe(3600)),
            2 => {
                self.ask(wire, victim, &subscribe(3600));
                self.ask(wire, victim, &subscribe(0));
            }
            _ => self.ask(wire, victim, &PresenceRequest::FetchWatchers),
        }
    }

    /// Something was gossiped.
    pub(super) fn heard(&mut self, record: &PresenceRecord) {
        self.scan(record.bytes());
        let of = record.presentity();
        let records = self.records.entry(of).or_default();
        if records.len() >= RECORDS_MAX {
            records.pop_front();
        }
        records.push_back(record.clone());
        for key in self.keys.get(&of).into_iter().flatten() {
            self.try_key(key, record);
        }
    }

    /// A node asks something of it, which is kept too.
    pub(super) fn asked(&mut self, from: &PeerId, request: &[u8]) {
        self.scan(request);
        let Some(from) = Presentity::from_peer_id(from) else { return };
        if let Ok(PresenceRequest::Notify { key: Some(key), .. }) =
            codec::decode(request, PRESENCE_REQUEST_BYTES_MAX)
        {
            self.keep_key(from, key);
        }
    }

    /// A node answered.
    pub(super) fn answered(&mut self, id: OutboundRequestId, response: &[u8]) {
        self.scan(response);
        let Some(of) = self.asked.remove(&id) else { return };
        match codec::decode(response, PRESENCE_RESPONSE_BYTES_MAX) {
            Ok(PresenceResponse::Fetched { answer: FetchAnswer::Granted { key: Some(key) }, .. })
            | Ok(PresenceResponse::Subscribed { key: Some(key), .. }) => self.keep_key(of, key),
            Ok(PresenceResponse::Fetched { answer: FetchAnswer::TooFast { .. }, .. }) => {
                self.answers.spam_refused();
            }
            _ => (),
        }
    }

    /// No answer came.
    pub(super) fn failed(&mut self, id: OutboundRequestId) {
        self.asked.remove(&id);
    }

    fn ask(&mut self, wire: &mut Wire, peer: PeerId, request: &PresenceRequest) {
        let id = wire.ask(&peer, request);
        if let Some(presentity) = Presentity::from_peer_id(&peer) {
            self.asked.insert(id, presentity);
        }
    }

    fn keep_key(&mut self, of: Presentity, released: ReleasedKey) {
        for record in self.records.get(&of).into_iter().flatten() {
            self.try_key(&released.key, record);
        }
        let keys = self.keys.entry(of).or_default();
        if keys.len() >= KEYS_MAX {
            keys.pop_front();
        }
        keys.push_back(released.key);
    }

    fn try_key(&self, key: &ViewKey, record: &PresenceRecord) {
        if let Some((document, _)) = key.open(record)
            && let Some(change) = change_of(&document).filter(|change| *change > 0)
        {
            self.oracles.handle_read(self.presentity, record.presentity(), change);
        }
    }

    /// Words of a guarded document that anybody can read are a leak, whoever says them.
    fn scan(&self, bytes: &[u8]) {
        if bytes.windows(GUARDED_NOTE.len()).any(|window| window == GUARDED_NOTE.as_bytes()) {
            self.oracles.handle_leak(self.presentity);
        }
    }
}

const RECORDS_MAX: usize = 256;
const KEYS_MAX: usize = 64;
