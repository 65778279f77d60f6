//! INSTANT MESSAGES through a node: those its PRINCIPAL sends, and those that peers bring.
//!
//! **Decides** where a message is sent to, which is read from the recipient's document, where it says that an
//! answer goes, and how a message that is refused is answered if it may be stored already. **Leaves** to
//! [`crate::message`] what an inbox takes and when an outbox tries.

use std::time::Duration;

use rand::RngExt;
use thiserror::Error;

use super::{
    Node, NodeOutput, Notice, OutgoingRequest, Pending, PersistToken, Persisting, Response, ResponseToken,
    SentOutcome,
};
use crate::{
    durable::{Change, MessageKey, StoredMessage},
    identity::{InboxAddress, Presentity},
    message::{
        inbox::{Decision, Stored},
        instant_message::{Delivery, FailureReason, InstantMessage, MessageError, MessageId},
        outbox::{Draft, LIFETIME_MAX, OutboxOutput, Recipient, UNDER_WAY_MAX, WAITING_MAX},
    },
    presence::{
        access_rules::Handling,
        information::{Basic, PresenceInformation, Token},
    },
    time::Timestamp,
    wire::frames::{MessageRequest, MessageResponse},
};

impl Node {
    /// The PRINCIPAL wants a message sent; its outcome follows as [`NodeOutput::Sent`].
    ///
    /// # Errors
    /// Why it is not even tried; nothing was sent or stored.
    pub fn handle_send(&mut self, now: Timestamp, draft: Draft) -> Result<MessageId, DraftError> {
        let to = match draft.to {
            Recipient::Inbox(address) => address,
            Recipient::Presentity(presentity) => {
                self.document_of(&presentity)?.instant_inbox().ok_or(DraftError::NoInbox)?.0
            }
            Recipient::Tuple(presentity, id) => {
                let tuples = &self.document_of(&presentity)?.tuples;
                let Some(tuple) = tuples.iter().find(|tuple| tuple.id == id) else {
                    let ids = tuples.iter().map(|tuple| tuple.id.clone()).collect();
                    return Err(DraftError::NoSuchTuple { id, ids });
                };
                tuple.instant_inbox().ok_or(DraftError::NoInbox)?
            }
        };
        if to.node == self.presentity() {
            return Err(DraftError::Oneself);
        }
        if to.realm != self.realm {
            return Err(DraftError::OtherRealm);
        }
        let id = MessageId::from_bytes(self.random.random());
        let message = InstantMessage {
            id,
            from: self.presentity(),
            sent_at: self.clock.unix(now),
            thread: draft.thread,
            reply_to: draft.reply_to.or_else(|| self.reply_address(&to.node)),
            to,
            content_type: draft.content_type,
            language: draft.language,
            body: draft.body,
            extensions: draft.extensions,
        };
        message.check()?;
        let lifetime = draft.lifetime.min(LIFETIME_MAX);
        let room = if draft.queue {
            self.outbox.handle_queue(now, message, lifetime)
        } else {
            self.outbox.handle_plain(now, message, lifetime)
        };
        if !room {
            let limit = if draft.queue { WAITING_MAX } else { UNDER_WAY_MAX };
            return Err(DraftError::OutboxFull { limit });
        }
        self.settle(now);
        Ok(id)
    }

    /// What this node may see of the document that says where a recipient's inbox is.
    fn document_of(&self, presentity: &Presentity) -> Result<&PresenceInformation, DraftError> {
        if self.service.record(presentity).is_none() {
            return Err(DraftError::NeverHeard);
        }
        self.service.information(presentity).ok_or(DraftError::Withheld)
    }

    /// The PRINCIPAL withdraws a queued message; false if none of this id waits.
    pub fn handle_cancel(&mut self, now: Timestamp, id: MessageId) -> bool {
        let waited = self.outbox.handle_cancel(now, id);
        self.settle(now);
        waited
    }

    /// Where `to` may answer: this node's inbox, or else the one that its document names, as far as `to` is
    /// given it. Nowhere if there is neither.
    fn reply_address(&self, to: &Presentity) -> Option<InboxAddress> {
        if self.keeps_inbox {
            return Some(self.inbox.address().clone());
        }
        let seen = self.access_rule(to).view()?.of(&self.publication.effective_information());
        Some(seen.instant_inbox()?.0)
    }

    pub(super) fn message_request(
        &mut self,
        now: Timestamp,
        token: ResponseToken,
        from: Presentity,
        request: MessageRequest,
    ) {
        let MessageRequest { message, remaining_ms } = request;
        if !self.keeps_inbox {
            self.answer_message(token, Delivery::Failed(FailureReason::NoSuchInbox));
            return;
        }
        // A document that does not name this inbox invites nobody to it.
        let tuple = self.information().tuples.iter().find(|tuple| tuple.is_for(self.inbox.address()));
        let status = tuple.map_or(Basic::Closed, |tuple| tuple.status.basic);
        // Whoever is shown a CLOSED presentity is answered as one would be.
        let status = if self.handling(&from) == Handling::PoliteBlock { Basic::Closed } else { status };
        let is_contact = self.petnames.names(&from);
        let remaining = Duration::from_millis(remaining_ms);
        match self.inbox.handle_offer(now, from, is_contact, status, &message, remaining) {
            Decision::Store => {
                let stored = StoredMessage { message, received_at: self.clock.unix(now) };
                let change = Change::StoreMessage(stored.clone());
                let purpose = Persisting::Message { response: token, message: stored, repeats: Vec::new() };
                self.persist(vec![change], purpose);
            }
            Decision::RefuseUnlessStored(reason) => {
                self.refuse_unless_stored(token, &message, reason);
            }
            Decision::Refuse(reason) => self.answer_message(token, Delivery::Failed(reason)),
            Decision::Ignore => {
                self.count_refused("ignored");
                self.outputs.push_back(NodeOutput::Discard { token });
            }
        }
    }

    pub(super) fn message_stored(
        &mut self,
        now: Timestamp,
        response: ResponseToken,
        message: StoredMessage,
        repeats: Vec<ResponseToken>,
        stored: Stored,
        cursor: Option<u64>,
    ) {
        let delivery = self.inbox.handle_stored(stored);
        self.publication.handle_inbox_ready(now, self.inbox.is_ready());
        for response in std::iter::once(response).chain(repeats) {
            match delivery {
                Delivery::Failed(reason) => self.refuse_unless_stored(response, &message.message, reason),
                delivery => self.answer_message(response, delivery),
            }
        }
        if let Some(cursor) = cursor {
            self.outputs.push_back(NodeOutput::Notice(Notice::Message { stored: message, cursor }));
        }
    }

    fn refuse_unless_stored(
        &mut self,
        response: ResponseToken,
        message: &InstantMessage,
        reason: FailureReason,
    ) {
        let key = MessageKey { from: message.from, id: message.id };
        if let Some(repeats) = self.repeats_of(key) {
            // The same message is on its way to the disk: its sender repeated it. One answer for both.
            repeats.push(response);
            return;
        }
        let token = PersistToken(self.token());
        self.recalling.insert(token, Recalling { response, reason });
        self.outputs.push_back(NodeOutput::Recall { token, key });
    }

    fn repeats_of(&mut self, key: MessageKey) -> Option<&mut Vec<ResponseToken>> {
        self.persisting.values_mut().find_map(|persisting| match persisting {
            Persisting::Message { message: StoredMessage { message, .. }, repeats, .. } => {
                (MessageKey { from: message.from, id: message.id } == key).then_some(repeats)
            }
            _ => None,
        })
    }

    pub(super) fn recalled(&mut self, token: PersistToken, stored: Option<bool>) {
        let Some(Recalling { response, reason }) = self.recalling.remove(&token) else { return };
        match stored {
            Some(true) => self.answer_message(response, Delivery::Delivered),
            Some(false) => self.answer_message(response, Delivery::Failed(reason)),
            // Nobody knows whether it is there, so nothing is said: the sender counts it as unknown.
            None => self.outputs.push_back(NodeOutput::Discard { token: response }),
        }
    }

    fn answer_message(&mut self, token: ResponseToken, delivery: Delivery) {
        let response = match delivery {
            Delivery::Failed(reason) => {
                self.count_refused(reason.as_str());
                MessageResponse::Failed(reason)
            }
            Delivery::Delivered | Delivery::Indeterminate => MessageResponse::Delivered,
        };
        self.outputs.push_back(NodeOutput::Respond { token, response: Response::Message(response) });
    }

    pub(super) fn transmit(&mut self, now: Timestamp, message: InstantMessage, remaining: Duration) {
        let remaining_ms = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
        let (to, id) = (message.to.node, message.id);
        let request = OutgoingRequest::Message(MessageRequest { message, remaining_ms });
        self.send_request(now, to, request, Pending::Message { id });
    }

    pub(super) fn outbox_output(&mut self, now: Timestamp, output: OutboxOutput) {
        match output {
            OutboxOutput::Transmit { message, remaining } => self.transmit(now, message, remaining),
            OutboxOutput::Settled { id, outcome } => {
                self.outputs.push_back(NodeOutput::Sent { id, outcome: SentOutcome::Final(outcome) });
            }
            OutboxOutput::Persist { id, change } => self.persist(vec![change], Persisting::Outbox(id)),
            OutboxOutput::Waiting { id } => {
                self.outputs.push_back(NodeOutput::Sent { id, outcome: SentOutcome::Queued });
            }
            OutboxOutput::Finished { id, to, state } => {
                self.outputs.push_back(NodeOutput::Notice(Notice::Finished { id, to, state }));
            }
        }
    }
}

/// Why a message is not even tried.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DraftError {
    /// The message breaks a limit.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Nothing was ever heard of the recipient, so where its inbox is is not known.
    #[error("nothing was ever heard of the recipient; an im: address would say where to send")]
    NeverHeard,
    /// The recipient's document is sealed, and this node has no key to it.
    #[error(
        "the recipient's presence is withheld from you, and the address of the inbox with it; if you know \
         that, send to it: im:…"
    )]
    Withheld,
    /// The recipient's document names no inbox for instant messages.
    #[error("the recipient publishes no inbox for instant messages")]
    NoInbox,
    /// The recipient's document has no tuple of this id.
    #[error("the recipient publishes no tuple {id}; there are: {}", listed(ids))]
    NoSuchTuple {
        /// The id.
        id: Token,
        /// Those that there are.
        ids: Vec<Token>,
    },
    /// The message is for this node itself.
    #[error("that is this node's own inbox")]
    Oneself,
    /// The inbox address is of another realm.
    #[error("that inbox is in another realm, which this node is not in")]
    OtherRealm,
    /// Too many messages are under way or wait.
    #[error("{limit} messages are under way or wait already, which is the limit; cancel some or wait")]
    OutboxFull {
        /// The limit.
        limit: usize,
    },
}

fn listed(ids: &[Token]) -> String {
    ids.iter().map(Token::as_str).collect::<Vec<_>>().join(", ")
}

/// A refusal that waits for the store's word on whether the message is there already.
#[derive(Debug)]
pub(super) struct Recalling {
    response: ResponseToken,
    reason: FailureReason,
}
