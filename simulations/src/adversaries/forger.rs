//! The forger: makes up records and messages in other nodes' names.
//!
//! It has no key but its own, so that whatever it makes up is signed by the wrong one, or is no record at
//! all. A forger that gossips is blocked by whomever it reaches a few times. One that keeps to streams is
//! not: it offers forgeries in an exchange, notifies of others' changes, answers every question with a lie,
//! and sends messages whose SENDER is another. Limit: a record of each of [`HEARD_MAX`] presentities is kept
//! as a model.

use std::collections::BTreeMap;

use hereabouts_protocol::{
    identity::{InboxAddress, Presentity, Realm},
    message::instant_message::{InstantMessage, MessageId},
    presence::{
        information::{Note, PresenceInformation},
        record::{FORMAT, PresenceRecord, RECORD_BYTES_MAX, RecordBody, SIGNING_DOMAIN, Version},
        sealing::ViewKey,
        views::ReleasedKey,
    },
    time::UnixTime,
    watcher::subscription::{SubscriptionEvent, SubscriptionReport, SubscriptionState},
    wire::{
        codec,
        frames::{
            FetchAnswer, MessageRequest, PRESENCE_REQUEST_BYTES_MAX, PresenceRequest, PresenceResponse,
            ToldRecord, UpdateAnswer,
        },
    },
};
use libp2p::identity::Keypair;
use rand::{RngExt, rngs::StdRng};

use super::actor::Wire;

/// One forger.
pub(super) struct Forger {
    key: Keypair,
    presentity: Presentity,
    realm: Realm,
    honest: Vec<Presentity>,
    gossips: bool,
    heard: BTreeMap<Presentity, PresenceRecord>,
    made: u64,
    random: StdRng,
}

/// How a record is forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgery {
    /// A newer version with other content, signed by the forger's key.
    WrongKey,
    /// The same, cut short.
    Truncated,
    /// The same, longer than any record may be.
    Oversized,
    /// The forger's own and well signed, of another realm.
    OtherRealm,
    /// The true record with one bit of its body turned, and the true signature.
    Tampered,
}

impl Forger {
    pub(super) fn new(
        key: Keypair,
        presentity: Presentity,
        realm: Realm,
        honest: Vec<Presentity>,
        gossips: bool,
        random: StdRng,
    ) -> Self {
        Self { key, presentity, realm, honest, gossips, heard: BTreeMap::new(), made: 0, random }
    }

    /// A record went by.
    pub(super) fn heard(&mut self, record: &PresenceRecord) {
        if self.heard.len() < HEARD_MAX || self.heard.contains_key(&record.presentity()) {
            self.heard.insert(record.presentity(), record.clone());
        }
    }

    /// Forges once.
    pub(super) fn act(&mut self, wire: &mut Wire) {
        let Some(bytes) = self.forge_any() else { return };
        if self.gossips {
            wire.publish(bytes);
            return;
        }
        let Some(victim) = self.draw(&wire.victims()) else { return };
        match self.random.random_range(0..3) {
            0 => {
                let records = vec![told(bytes)];
                let _ = wire.ask(&victim, &PresenceRequest::Exchange { wanted: Vec::new(), records });
            }
            1 => {
                // Nobody asked, so neither the key nor the state of a subscription may count.
                let (subscription, key) = (Some(granted()), Some(self.key()));
                let _ = wire.ask(&victim, &PresenceRequest::Notify { record: bytes, subscription, key });
            }
            _ => {
                let Some(message) = Presentity::from_peer_id(&victim).and_then(|to| self.message(to)) else {
                    return;
                };
                let _ = wire.send(&victim, &MessageRequest { message, remaining_ms: 60_000 });
            }
        }
    }

    /// The answer to whatever a node asks.
    pub(super) fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let records: Vec<_> = self.forge_any().map(told).into_iter().collect();
        let answer = match codec::decode(request, PRESENCE_REQUEST_BYTES_MAX) {
            Ok(PresenceRequest::Fetch { .. }) => {
                let answer = FetchAnswer::Granted { key: Some(self.key()) };
                PresenceResponse::Fetched { record: records.into_iter().next(), answer }
            }
            Ok(PresenceRequest::Subscribe { .. }) => PresenceResponse::Subscribed {
                subscription: granted(),
                record: records.into_iter().next(),
                key: Some(self.key()),
            },
            Ok(PresenceRequest::FetchWatchers) => {
                PresenceResponse::Watchers { watchers: Vec::new(), retry_after_ms: None }
            }
            Ok(PresenceRequest::SubscribeWatchers { .. }) => {
                PresenceResponse::SubscribedWatchers { subscription: granted(), watchers: Vec::new() }
            }
            Ok(PresenceRequest::NotifyWatchers { .. }) => PresenceResponse::NotifiedWatchers,
            Ok(PresenceRequest::Update(_)) => PresenceResponse::Updated(UpdateAnswer::Taken),
            Ok(PresenceRequest::Notify { .. }) => PresenceResponse::Notified,
            Ok(PresenceRequest::Tell { .. }) => PresenceResponse::Heard { partner: true },
            // To a comparison this is no answer.
            Ok(PresenceRequest::Exchange { .. } | PresenceRequest::Compare(_)) | Err(_) => {
                PresenceResponse::Exchanged { records }
            }
        };
        codec::encode(&answer)
    }

    /// A key that opens nothing.
    fn key(&mut self) -> ReleasedKey {
        let key = ViewKey::first(self.random.random(), self.random.random());
        ReleasedKey { key, lifetime_seconds: u32::MAX }
    }

    fn forge_any(&mut self) -> Option<Vec<u8>> {
        let honest = self.honest.clone();
        let victim = self.draw(&honest)?;
        let kind = self.draw(&FORGERIES)?;
        Some(self.forge(kind, victim))
    }

    /// A forged record of `victim`.
    pub(super) fn forge(&mut self, kind: Forgery, victim: Presentity) -> Vec<u8> {
        let mut bytes = self.signed_wrongly(victim);
        match kind {
            Forgery::WrongKey => bytes,
            Forgery::Truncated => {
                bytes.truncate(self.random.random_range(1..bytes.len()));
                bytes
            }
            Forgery::Oversized => {
                bytes.resize(RECORD_BYTES_MAX + self.random.random_range(1..=RECORD_BYTES_MAX), 0);
                bytes
            }
            Forgery::OtherRealm => self.of_other_realm(),
            Forgery::Tampered => match self.heard.get(&victim) {
                Some(record) => {
                    let mut bytes = record.bytes().to_vec();
                    // Not the format, which a later build may know.
                    let place = self.random.random_range(1..bytes.len());
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte ^= 1 << self.random.random_range(0..8);
                    }
                    bytes
                }
                None => bytes,
            },
        }
    }

    fn signed_wrongly(&mut self, victim: Presentity) -> Vec<u8> {
        let inbox = InboxAddress { node: victim, realm: self.realm.clone() };
        let version = self
            .heard
            .get(&victim)
            .map_or(Version { incarnation: 1, sequence: 1 }, |record| record.version());
        let ahead = self.random.random_range(1..1_000_000);
        let version = Version { sequence: version.sequence.saturating_add(ahead), ..version };
        let body = match self.heard.get(&victim) {
            Some(record) => record.body().clone(),
            None => body(self.realm.clone(), victim, PresenceInformation::open("forged", &inbox)),
        };
        let mut body = RecordBody { version, departing: self.random.random_bool(0.3), ..body };
        self.made += 1;
        if let Some(information) = &mut body.public {
            let text = format!("change {}", self.made);
            information.markup.note = Some(Note { text, language: None });
        }
        self.sign(&body)
    }

    fn of_other_realm(&mut self) -> Vec<u8> {
        let realm: Realm = "elsewhere".parse().expect("it is a DNS label");
        let inbox = InboxAddress { node: self.presentity, realm: realm.clone() };
        self.made += 1;
        let mut body = body(realm, self.presentity, PresenceInformation::open("elsewhere", &inbox));
        body.version.sequence = self.made;
        self.sign(&body)
    }

    fn sign(&self, body: &RecordBody) -> Vec<u8> {
        let mut bytes = codec::encode(body);
        let signature = self.key.sign(&[SIGNING_DOMAIN, &bytes].concat());
        bytes.extend_from_slice(&signature.expect("an Ed25519 key signs anything"));
        bytes
    }

    /// A message to `to` whose SENDER is another.
    fn message(&mut self, to: Presentity) -> Option<InstantMessage> {
        let others: Vec<_> = self.honest.iter().copied().filter(|other| *other != to).collect();
        let from = self.draw(&others)?;
        let id = MessageId::from_bytes(self.random.random());
        Some(message(id, from, InboxAddress { node: to, realm: self.realm.clone() }, b"forged".to_vec()))
    }

    fn draw<T: Copy>(&mut self, among: &[T]) -> Option<T> {
        super::draw(&mut self.random, among)
    }
}

/// A record as one node tells it another.
pub(super) fn told(record: Vec<u8>) -> ToldRecord {
    ToldRecord { record, elapsed_ms: 0, lost: false }
}

/// What a first record says.
pub(super) fn body(realm: Realm, presentity: Presentity, information: PresenceInformation) -> RecordBody {
    RecordBody {
        format: FORMAT,
        realm,
        presentity,
        version: Version { incarnation: 1, sequence: 1 },
        lease_seconds: 60 * 60,
        departing: false,
        addresses: Vec::new(),
        public: Some(information),
        sealed_views: Vec::new(),
        extensions: BTreeMap::new(),
    }
}

/// A plain message.
pub(super) fn message(id: MessageId, from: Presentity, to: InboxAddress, body: Vec<u8>) -> InstantMessage {
    InstantMessage {
        id,
        from,
        to,
        sent_at: UnixTime::from_millis(0),
        thread: None,
        reply_to: None,
        content_type: "text/plain; charset=utf-8".to_owned(),
        language: None,
        body,
        extensions: BTreeMap::new(),
    }
}

pub(super) const FORGERIES: [Forgery; 5] =
    [Forgery::WrongKey, Forgery::Truncated, Forgery::Oversized, Forgery::OtherRealm, Forgery::Tampered];
/// About 2 kB each.
const HEARD_MAX: usize = 1024;

/// That a subscription is granted which nobody asked for.
fn granted() -> SubscriptionReport {
    SubscriptionReport {
        state: SubscriptionState::Active,
        event: SubscriptionEvent::Approved,
        expires_seconds: u32::MAX,
        retry_after_seconds: None,
    }
}
