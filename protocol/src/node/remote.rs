//! What peers say and ask, and what this node answers.
//!
//! Nothing here trusts a peer beyond what its connection authenticated: records are verified whoever brings
//! them, a notification counts only if it is about its sender, ages are clamped, and an answer that does not
//! fit its question is counted and dropped.

use std::time::Duration;

use super::{GossipToken, RequestFailure, RequestToken, Response, ResponseToken};
use super::{Node, NodeOutput, OutgoingRequest, Pending};
use crate::{
    identity::Presentity,
    message::instant_message::{Delivery, FailureReason},
    presence::{
        reconciliation::{Difference, Digest, Plan, RECORDS_BYTES_PER_FRAME, difference, plan},
        record::{PresenceRecord, Reaction, RecordError},
        rumors::News,
        service::{Offered, Source},
        suspicion::Suspicion,
    },
    time::Timestamp,
    wire::frames::{MessageResponse, PresenceRequest, PresenceResponse, ToldRecord},
};

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
        self.ask_anew(now, presentity);
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
                let response = self.records(now, &self.served(&wanted)).0;
                self.take_reconciled(now, from, &records);
                PresenceResponse::Exchanged { records: response }
            }
            PresenceRequest::Fetch { presentity, visible_to } => {
                self.fetch_request(now, from, presentity, visible_to)
            }
            PresenceRequest::Subscribe { seconds, visible_to } => {
                self.subscribe_request(now, from, seconds, visible_to)
            }
            PresenceRequest::FetchWatchers => self.watchers_request(now, from),
            PresenceRequest::Update(change) => self.update_request(now, from, &change),
            PresenceRequest::SubscribeWatchers { seconds } => {
                self.subscribe_watchers_request(now, from, seconds)
            }
            PresenceRequest::NotifyWatchers { subscription, watchers } => {
                self.watchers_told(now, from, subscription, watchers);
                PresenceResponse::NotifiedWatchers
            }
            PresenceRequest::Notify { record, subscription, key } => {
                self.notified(now, from, &record, subscription, key);
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
                Response::Presence(PresenceResponse::Fetched { record, answer }),
            ) => {
                let outcome = self.fetched(now, presentity, record, answer);
                self.outputs.push_back(NodeOutput::Fetched { token: fetch, outcome });
            }
            (Pending::Update { update }, Response::Presence(PresenceResponse::Updated(answer))) => {
                self.updated(update, Some(answer))
            }
            (
                Pending::FetchWatchers { fetch },
                Response::Presence(PresenceResponse::Watchers { watchers, retry_after_ms }),
            ) => {
                self.fetched_watchers(fetch, retry_after_ms.is_none().then_some(watchers));
            }
            (
                Pending::SubscribeWatchers { presentity },
                Response::Presence(PresenceResponse::SubscribedWatchers { subscription, watchers }),
            ) => self.watchers_told(now, presentity, subscription, watchers),
            (Pending::NotifyWatchers { to }, Response::Presence(PresenceResponse::NotifiedWatchers)) => {
                self.watchers_notification_told(now, to, true);
            }
            (
                Pending::Subscribe { presentity },
                Response::Presence(PresenceResponse::Subscribed { subscription, record, key }),
            ) => self.subscribed(now, presentity, subscription, record, key),
            (Pending::Notify { to }, Response::Presence(PresenceResponse::Notified)) => {
                self.notification_told(now, to, true);
            }
            (Pending::Goodbye, Response::Presence(PresenceResponse::Notified))
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
            Pending::Fetch { fetch, .. } => self.fetch_failed(fetch),
            Pending::FetchWatchers { fetch } => self.fetched_watchers(fetch, None),
            Pending::Update { update } => self.updated(update, None),
            Pending::SubscribeWatchers { presentity } => self.winfo_watches.handle_failure(now, presentity),
            Pending::NotifyWatchers { to } => self.watchers_notification_told(now, to, false),
            Pending::Subscribe { presentity } => self.subscribe_failed(now, presentity),
            Pending::Notify { to } => self.notification_told(now, to, false),
            // Gossip brings it as well.
            Pending::Goodbye | Pending::TellAccused => (),
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
        let offered = self.served(&plan.offered);
        if plan.wanted.is_empty() && offered.is_empty() {
            return;
        }
        let (records, cut) = self.records(now, &offered);
        let request =
            OutgoingRequest::Presence(PresenceRequest::Exchange { wanted: plan.wanted.clone(), records });
        let cut = cut || difference.may_be_cut();
        self.send_request(now, peer, request, Pending::Exchange { peer, plan, cut, round });
    }

    /// Those of `presentities` whose records this node gives to whoever asks.
    fn served(&self, presentities: &[Presentity]) -> Vec<Presentity> {
        presentities.iter().copied().filter(|who| self.serves_cache || *who == self.presentity()).collect()
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
    pub(super) fn verify(&self, bytes: &[u8]) -> Result<PresenceRecord, RecordError> {
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
    pub(super) fn take_direct(&mut self, now: Timestamp, peer: Presentity, told: &ToldRecord) {
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

    /// Counts a record that does not hold, and says who brought it if nobody honest would have.
    pub(super) fn refuse_record(&mut self, peer: Presentity, error: &RecordError) {
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
