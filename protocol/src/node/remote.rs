//! What peers say and ask, and what this node answers.
//!
//! Nothing here trusts a peer beyond what its connection authenticated: records are verified whoever brings
//! them, a notification counts only if it is about its sender, ages are clamped, and an answer that does not
//! fit its question is counted and dropped.

use std::time::Duration;

use super::{GossipToken, RequestFailure, RequestToken, Response, ResponseToken};
use super::{Node, NodeOutput, Notice, OutgoingRequest, Pending, PersistToken, Persisting};
use crate::{
    durable::{Change, MessageKey, StoredMessage},
    identity::Presentity,
    message::{
        inbox::{Decision, Stored},
        instant_message::{Delivery, FailureReason, InstantMessage},
    },
    presence::{
        information::Basic,
        reconciliation::{Difference, Digest, Plan, RECORDS_BYTES_PER_FRAME, difference, plan},
        record::{PresenceRecord, Reaction, RecordError},
        rumors::News,
        service::{Offered, Source},
        suspicion::Suspicion,
    },
    time::Timestamp,
    wire::frames::{MessageRequest, MessageResponse, PresenceRequest, PresenceResponse, ToldRecord},
};

/// A refusal that waits for the store's word on whether the message is there already.
#[derive(Debug)]
pub(super) struct Recalling {
    response: ResponseToken,
    reason: FailureReason,
}

impl Node {
    pub(super) fn gossip(&mut self, now: Timestamp, token: GossipToken, from: Presentity, bytes: &[u8]) {
        self.alive(now, from);
        if Suspicion::is_meant(bytes) {
            self.suspicion(now, token, bytes);
            return;
        }
        let reaction = match self.verify(bytes) {
            Ok(record) => {
                let presentity = record.presentity();
                let known = self.service.record(&presentity).is_some();
                let offered = self.take_record(now, record, Source::Gossip);
                match offered {
                    Offered::Newer | Offered::Known => {
                        let news = match offered {
                            Offered::Newer if known => News::Change,
                            Offered::Newer => News::Newcomer,
                            _ => News::Known,
                        };
                        if self.rumors.handle_gossip(now, presentity, news, from) {
                            Reaction::Accept
                        } else {
                            Reaction::Ignore
                        }
                    }
                    Offered::Stale => {
                        self.count_refused("stale");
                        Reaction::Ignore
                    }
                    Offered::TableFull => {
                        self.count_refused("table-full");
                        Reaction::Ignore
                    }
                }
            }
            Err(error) => {
                self.count_refused(error.reason());
                error.reaction()
            }
        };
        self.outputs.push_back(NodeOutput::Verdict { token, reaction });
    }

    pub(super) fn link_established(&mut self, now: Timestamp, presentity: Presentity, dialled: bool) {
        self.linked.insert(presentity);
        self.tell_accused(now, presentity);
        self.accusations.handle_alive(now, presentity);
        self.service.handle_link_established(now, presentity);
        self.rumors.handle_link_established(now, presentity);
        self.liveness.handle_link_established(now, presentity);
        self.watches.handle_in_reach(now, presentity);
        self.outbox.handle_in_reach(now, presentity);
        if dialled {
            self.compare(now, presentity, 0, Plan::default());
        }
    }

    pub(super) fn request(
        &mut self,
        now: Timestamp,
        token: ResponseToken,
        from: Presentity,
        request: OutgoingRequest,
    ) {
        self.alive(now, from);
        match request {
            OutgoingRequest::Presence(request) => {
                let response = Response::Presence(self.presence_request(now, from, request));
                self.outputs.push_back(NodeOutput::Respond { token, response });
            }
            OutgoingRequest::Message(request) => self.message_request(now, token, from, request),
        }
    }

    fn presence_request(
        &mut self,
        now: Timestamp,
        from: Presentity,
        request: PresenceRequest,
    ) -> PresenceResponse {
        match request {
            PresenceRequest::Compare(digest) => {
                PresenceResponse::Compared(difference(&self.table(), &digest))
            }
            PresenceRequest::Exchange { wanted, records } => {
                let response = self.records(now, &wanted).0;
                self.take_reconciled(now, from, &records);
                PresenceResponse::Exchanged { records: response }
            }
            PresenceRequest::Fetch { presentity } => {
                PresenceResponse::Fetched { record: self.told(now, &presentity) }
            }
            PresenceRequest::Subscribe { seconds } => {
                let asked = Duration::from_secs(seconds.into());
                let granted = self.subscribers.handle_subscribe(now, from, asked);
                PresenceResponse::Subscribed {
                    seconds: granted.map(|granted| u32::try_from(granted.as_secs()).unwrap_or(u32::MAX)),
                    record: self.told(now, &self.presentity()),
                }
            }
            PresenceRequest::Notify { record } => {
                match self.verify(&record) {
                    Ok(record) if record.presentity() == from => {
                        let goodbye = record.body().departing.then(|| record.bytes().to_vec());
                        let offered = self.take_record(now, record, Source::Direct);
                        if offered == Offered::Newer {
                            self.rumors.handle_direct(now, from);
                        }
                        // Whoever leaves may be gone before its own gossip went out.
                        if let (Offered::Newer, Some(bytes)) = (offered, goodbye) {
                            self.outputs.push_back(NodeOutput::Forward(bytes));
                        }
                    }
                    Ok(_) => self.count_refused("not-the-sender's"),
                    Err(error) => self.refuse_record(from, &error),
                }
                PresenceResponse::Notified
            }
            PresenceRequest::Tell { records } => {
                let partner = self.rumors.handle_teller(now, from);
                for told in &records {
                    if let Some((presentity, offered)) = self.take_told(now, from, told) {
                        let new = offered == Offered::Newer;
                        if new || offered == Offered::Known {
                            self.rumors.handle_told(now, presentity, new, from);
                        }
                    }
                }
                PresenceResponse::Heard { partner }
            }
        }
    }

    fn message_request(
        &mut self,
        now: Timestamp,
        token: ResponseToken,
        from: Presentity,
        request: MessageRequest,
    ) {
        let MessageRequest { message, remaining_ms } = request;
        // A document that does not name this inbox invites nobody to it.
        let tuple = self.information().tuples.iter().find(|tuple| tuple.is_for(self.inbox.address()));
        let status = tuple.map_or(Basic::Closed, |tuple| tuple.status.basic);
        let is_contact = self.contacts.values().any(|named| *named == from);
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
        self.publication.handle_inbox_full(now, self.inbox.is_full());
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

    pub(super) fn response(&mut self, now: Timestamp, token: RequestToken, response: Response) {
        let Some(pending) = self.pending.remove(&token) else { return };
        match (pending, response) {
            (
                Pending::Compare { peer, digest, round, before },
                Response::Presence(PresenceResponse::Compared(difference)),
            ) => {
                self.exchange(now, peer, &digest, &difference, round, &before);
            }
            (
                Pending::Exchange { peer, plan, cut, round },
                Response::Presence(PresenceResponse::Exchanged { records }),
            ) => {
                let cut = cut || records.len() < plan.wanted.len();
                self.take_reconciled(now, peer, &records);
                if cut && round < ROUNDS_MAX {
                    self.compare(now, peer, round + 1, plan);
                }
            }
            (
                Pending::Fetch { fetch, presentity },
                Response::Presence(PresenceResponse::Fetched { record }),
            ) => {
                let direct = record.is_some_and(|told| self.fetched(now, presentity, &told));
                self.outputs.push_back(NodeOutput::Fetched { token: fetch, direct });
            }
            (
                Pending::Subscribe { presentity },
                Response::Presence(PresenceResponse::Subscribed { seconds, record }),
            ) => {
                if let Some(told) = record {
                    self.take_direct(now, presentity, &told);
                }
                let granted = seconds.map(|seconds| Duration::from_secs(seconds.into()));
                self.watches.handle_answer(now, presentity, granted);
            }
            (Pending::Notify | Pending::Goodbye, Response::Presence(PresenceResponse::Notified))
            | (Pending::TellAccused, Response::Presence(PresenceResponse::Exchanged { .. })) => (),
            (Pending::Tell { to, cut }, Response::Presence(PresenceResponse::Heard { partner })) => {
                self.rumors.handle_heard(now, to, partner);
                if cut {
                    self.rumors.compare_with(now, to);
                }
            }
            (Pending::Message { id }, Response::Message(response)) => {
                let outcome = match response {
                    MessageResponse::Delivered => Delivery::Delivered,
                    MessageResponse::Failed(reason) => Delivery::Failed(reason),
                };
                self.outbox.handle_outcome(now, id, outcome);
            }
            (pending, _) => {
                self.count_refused("answer-to-another-question");
                self.failed(now, pending, RequestFailure::Unanswered);
            }
        }
    }

    pub(super) fn request_failed(&mut self, now: Timestamp, token: RequestToken, failure: RequestFailure) {
        if let Some(pending) = self.pending.remove(&token) {
            self.failed(now, pending, failure);
        }
    }

    pub(super) fn failed(&mut self, now: Timestamp, pending: Pending, failure: RequestFailure) {
        match pending {
            // Another comparison, soon and perhaps with another peer, makes good what this one missed.
            Pending::Compare { peer, .. } | Pending::Exchange { peer, .. } => {
                self.rumors.compare_with(now, peer);
                self.reconcile_at = self.reconcile_at.min(now + RECONCILIATION_RETRY);
            }
            Pending::Fetch { fetch, .. } => {
                self.outputs.push_back(NodeOutput::Fetched { token: fetch, direct: false });
            }
            Pending::Subscribe { presentity } => self.watches.handle_failure(now, presentity),
            // Gossip brings it as well.
            Pending::Notify | Pending::Goodbye | Pending::TellAccused => (),
            Pending::Tell { to, .. } => self.rumors.handle_tell_failed(now, to),
            Pending::Message { id } => {
                let outcome = match failure {
                    RequestFailure::Unreachable => Delivery::Failed(FailureReason::Unreachable),
                    RequestFailure::Unanswered => Delivery::Indeterminate,
                };
                self.outbox.handle_outcome(now, id, outcome);
            }
        }
    }

    /// Compares tables with `peer`. `before` is the plan of the round before, after which no round follows
    /// if it comes out the same. False if a comparison with that peer is under way.
    pub(super) fn compare(&mut self, now: Timestamp, peer: Presentity, round: u32, before: Plan) -> bool {
        let busy = self.pending.values().any(|pending| {
            matches!(
                pending,
                Pending::Compare { peer: other, .. } | Pending::Exchange { peer: other, .. } if *other == peer
            )
        });
        if !busy {
            let digest = Digest::of(&self.table_heard());
            let request = OutgoingRequest::Presence(PresenceRequest::Compare(digest.clone()));
            self.send_request(now, peer, request, Pending::Compare { peer, digest, round, before });
        }
        !busy
    }

    fn exchange(
        &mut self,
        now: Timestamp,
        peer: Presentity,
        digest: &Digest,
        difference: &Difference,
        round: u32,
        before: &Plan,
    ) {
        let plan = plan(&self.table_heard(), digest, difference);
        // The same plan again: the last round moved nothing, since a table is full, say.
        if plan.is_empty() || plan == *before {
            return;
        }
        let (records, cut) = self.records(now, &plan.offered);
        let request =
            OutgoingRequest::Presence(PresenceRequest::Exchange { wanted: plan.wanted.clone(), records });
        let cut = cut || difference.may_be_cut();
        self.send_request(now, peer, request, Pending::Exchange { peer, plan, cut, round });
    }

    /// The records of `presentities` as they are told to a peer, as many as a frame may hold, and whether
    /// some were left out.
    pub(super) fn records(&self, now: Timestamp, presentities: &[Presentity]) -> (Vec<ToldRecord>, bool) {
        let mut bytes = 0;
        let mut records = Vec::new();
        for presentity in presentities {
            let Some(told) = self.told(now, presentity) else { continue };
            bytes += told.record.len() + TOLD_OVERHEAD_BYTES;
            if bytes > RECORDS_BYTES_PER_FRAME {
                return (records, true);
            }
            records.push(told);
        }
        (records, false)
    }

    /// A record from anybody, verified. The bytes of one that is known were verified before: a node that
    /// joins hears each record from many, and checking signatures would be most of its work.
    fn verify(&self, bytes: &[u8]) -> Result<PresenceRecord, RecordError> {
        let claimed = PresenceRecord::claimed_presentity(bytes, &self.realm);
        let known = claimed.and_then(|presentity| self.service.record(&presentity));
        match known.filter(|known| known.bytes() == bytes) {
            Some(known) => Ok(known.clone()),
            None => (self.verify)(bytes, &self.realm),
        }
    }

    /// Takes over what a comparison brought. What of it others may lack is told them.
    fn take_reconciled(&mut self, now: Timestamp, peer: Presentity, records: &[ToldRecord]) {
        let taken = records.iter().filter_map(|told| self.take_told(now, peer, told));
        let newer = taken.filter(|(_, offered)| *offered == Offered::Newer);
        let mut brought: Vec<_> = newer.map(|(presentity, _)| presentity).collect();
        if brought.contains(&peer) {
            brought.retain(|presentity| *presentity != peer);
            self.rumors.handle_direct(now, peer);
        }
        self.rumors.handle_reconciled(now, peer, &brought);
    }

    /// Takes over what a peer was asked about itself.
    fn take_direct(&mut self, now: Timestamp, peer: Presentity, told: &ToldRecord) {
        if self.take_told(now, peer, told) == Some((peer, Offered::Newer)) {
            self.rumors.handle_direct(now, peer);
        }
    }

    /// Takes over what a peer tells; about whom, and what became of it.
    fn take_told(
        &mut self,
        now: Timestamp,
        peer: Presentity,
        told: &ToldRecord,
    ) -> Option<(Presentity, Offered)> {
        match self.verify(&told.record) {
            Ok(record) => {
                let elapsed = Duration::from_millis(told.elapsed_ms).min(ELAPSED_MAX);
                let direct = record.presentity() == peer;
                let source = if direct { Source::Direct } else { Source::Told { elapsed, lost: told.lost } };
                let (presentity, version) = (record.presentity(), record.version());
                let offered = self.take_record(now, record, source);
                if told.lost && !direct {
                    self.told_lost(now, peer, presentity, version);
                }
                Some((presentity, offered))
            }
            Err(error) => {
                self.refuse_record(peer, &error);
                None
            }
        }
    }

    /// Takes over the answer to a FETCH; whether it is the record that was asked for.
    fn fetched(&mut self, now: Timestamp, presentity: Presentity, told: &ToldRecord) -> bool {
        match self.verify(&told.record) {
            Ok(record) if record.presentity() == presentity => {
                self.take_direct(now, presentity, told);
                return true;
            }
            Ok(_) => self.count_refused("not-the-asked-for"),
            Err(error) => self.refuse_record(presentity, &error),
        }
        false
    }

    /// Counts a record that does not hold, and says who brought it if nobody honest would have.
    fn refuse_record(&mut self, peer: Presentity, error: &RecordError) {
        self.count_refused(error.reason());
        if error.reaction() == Reaction::Reject {
            self.outputs.push_back(NodeOutput::Rejected(peer));
        }
    }
}

/// A comparison that frames cut into more rounds than this goes on at the next interval.
const ROUNDS_MAX: u32 = 256;
/// The wait after a comparison that failed.
const RECONCILIATION_RETRY: Duration = Duration::from_secs(2);
/// Beside the record itself: its length, its age, the judgement.
const TOLD_OVERHEAD_BYTES: usize = 16;
/// Nobody's word is taken that something was heard longer ago than this: 30 days.
const ELAPSED_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
