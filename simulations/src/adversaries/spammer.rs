//! The spammer: sends more valid traffic than anybody needs.
//!
//! Each time that it acts it publishes a new version of its own record and sends up to [`BURST_MAX`] messages
//! to honest inboxes. All of it is well formed, signed and in its own name. Limit: [`UNDER_WAY_MAX`] messages
//! that await an answer; what comes beyond is not sent.

use std::collections::BTreeSet;

use hereabouts_protocol::{
    identity::{InboxAddress, Presentity, Realm},
    message::instant_message::MessageId,
    presence::{
        information::{Note, PresenceInformation},
        record::{NodeAddress, PresenceRecord, RecordBody},
    },
    wire::{
        codec,
        frames::{MESSAGE_RESPONSE_BYTES_MAX, MessageRequest, MessageResponse},
    },
};
use libp2p::{Multiaddr, identity::Keypair, request_response::OutboundRequestId};
use rand::{RngExt, rngs::StdRng};

use super::{
    Answers,
    actor::Wire,
    forger::{body, message},
};

/// One spammer.
pub(super) struct Spammer {
    key: Keypair,
    presentity: Presentity,
    realm: Realm,
    body: RecordBody,
    under_way: BTreeSet<OutboundRequestId>,
    answers: Answers,
    random: StdRng,
}

impl Spammer {
    pub(super) fn new(
        (key, presentity): (Keypair, Presentity),
        realm: Realm,
        (name, address): (String, Multiaddr),
        answers: Answers,
        random: StdRng,
    ) -> Self {
        let inbox = InboxAddress { node: presentity, realm: realm.clone() };
        let mut body = body(realm.clone(), presentity, PresenceInformation::open(name, &inbox));
        body.addresses = vec![NodeAddress(address.to_vec())];
        Self { key, presentity, realm, body, under_way: BTreeSet::new(), answers, random }
    }

    /// One burst.
    pub(super) fn act(&mut self, wire: &mut Wire) {
        wire.publish(self.next_record());
        let victims = wire.victims();
        for _ in 0..self.random.random_range(1..=BURST_MAX) {
            if self.under_way.len() >= UNDER_WAY_MAX {
                return;
            }
            let Some(victim) = super::draw(&mut self.random, &victims) else { return };
            let Some(node) = Presentity::from_peer_id(&victim) else { return };
            let id = MessageId::from_bytes(self.random.random());
            let body = vec![b's'; self.random.random_range(1..=BODY_BYTES_MAX)];
            let to = InboxAddress { node, realm: self.realm.clone() };
            let request =
                MessageRequest { message: message(id, self.presentity, to, body), remaining_ms: 60_000 };
            self.under_way.insert(wire.send(&victim, &request));
        }
    }

    /// A node answered a message, or did not.
    pub(super) fn answered(&mut self, id: OutboundRequestId, response: Option<&[u8]>) {
        self.under_way.remove(&id);
        let response = response.map(|bytes| codec::decode(bytes, MESSAGE_RESPONSE_BYTES_MAX));
        if let Some(Ok(MessageResponse::Failed(_))) = response {
            self.answers.spam_refused();
        }
    }

    /// A record that says something new.
    pub(super) fn next_record(&mut self) -> Vec<u8> {
        self.body.version.sequence += 1;
        if let Some(information) = &mut self.body.public {
            let text = format!("spam {}", self.body.version.sequence);
            information.markup.note = Some(Note { text, language: None });
        }
        let record = PresenceRecord::sign(self.body.clone(), &self.key).expect("it is within every limit");
        record.bytes().to_vec()
    }
}

const BURST_MAX: usize = 8;
const BODY_BYTES_MAX: usize = 1000;
/// Messages to all nodes; a node takes 256 at the same time from one.
const UNDER_WAY_MAX: usize = 512;
