//! A node as WATCHER: whom it asks for PRESENCE INFORMATION, and what it may open of the answers.
//!
//! **Decides** what of an answer counts: a key, a state of a subscription or a refusal only from the
//! presentity's own node, and only if this node asked. **Leaves** when to ask to
//! [`crate::watcher::watches`].

use std::time::Duration;

use rand::RngExt;

use super::{FetchOutcome, FetchToken, Node, NodeOutput, OutgoingRequest, Pending, WatchersToken};
use crate::{
    durable::Change,
    identity::Presentity,
    presence::{
        information::PresenceInformation,
        record::PresenceRecord,
        service::{Offered, Source},
        views::ReleasedKey,
    },
    time::Timestamp,
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionReport, SubscriptionState},
        watcher_information::VisibleTo,
        watches::{WatchOutput, WatchReason},
    },
    wire::frames::{FetchAnswer, PresenceRequest, ToldRecord, WatcherReport},
};

impl Node {
    /// FETCH: asks `presentity`'s node, once. [`NodeOutput::Fetched`] follows.
    pub fn handle_fetch(&mut self, now: Timestamp, presentity: Presentity) -> FetchToken {
        let fetch = FetchToken(self.token());
        let visible_to = self.visible_to.clone();
        let request = OutgoingRequest::Presence(PresenceRequest::Fetch { presentity, visible_to });
        self.send_request(now, presentity, request, Pending::Fetch { fetch, presentity });
        fetch
    }

    /// FETCH of WATCHER INFORMATION: asks `presentity`'s node who watches it, once.
    /// [`NodeOutput::FetchedWatchers`] follows.
    pub fn handle_fetch_watchers(&mut self, now: Timestamp, presentity: Presentity) -> WatchersToken {
        let fetch = WatchersToken(self.token());
        let request = OutgoingRequest::Presence(PresenceRequest::FetchWatchers);
        self.send_request(now, presentity, request, Pending::FetchWatchers { fetch });
        fetch
    }

    /// SUBSCRIBE: watches `presentity` until [`Self::handle_unwatch`]; false if too many are watched.
    pub fn handle_watch(&mut self, now: Timestamp, presentity: Presentity) -> bool {
        let begun = self.watches.handle_watch(now, presentity, WatchReason::Asked, true);
        self.settle(now);
        begun
    }

    /// Ends a subscription of this node; false if there was none. A contact is still watched.
    pub fn handle_unwatch(&mut self, now: Timestamp, presentity: Presentity) -> bool {
        let ended = self.watches.handle_unwatch(presentity, WatchReason::Asked);
        self.settle(now);
        ended
    }

    /// The VISIBILITY RULES: who else may see whom this node watches.
    pub fn visible_to(&self) -> &VisibleTo {
        &self.visible_to
    }

    /// VISIBILITY RULES hold from now on: those whom this node watches are told at once.
    pub(super) fn handle_visibility(&mut self, now: Timestamp, visible_to: VisibleTo) {
        self.visible_to = visible_to;
        self.watches.handle_renew(now);
    }

    pub(super) fn subscribe(&mut self, now: Timestamp, output: WatchOutput) {
        let WatchOutput { presentity, duration } = output;
        let seconds = u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let visible_to = self.visible_to.clone();
        let request = OutgoingRequest::Presence(PresenceRequest::Subscribe { seconds, visible_to });
        self.send_request(now, presentity, request, Pending::Subscribe { presentity });
    }

    /// A SUBSCRIBE had no answer. One who is in contact may be asked by many at this moment.
    pub(super) fn subscribe_failed(&mut self, now: Timestamp, presentity: Presentity) {
        let in_contact = self.service.is_in_contact(&presentity);
        let wait = in_contact.then(|| RETRY_IN_CONTACT.mul_f64(self.random.random_range(0.5..1.5)));
        self.watches.handle_failure(now, presentity, wait);
    }

    /// Whoever has a petname is watched. It is asked when it is in reach.
    pub(super) fn watch_contact(&mut self, now: Timestamp, presentity: Presentity) {
        if presentity != self.presentity() {
            let in_reach = self.service.is_in_contact(&presentity);
            // More contacts than may be watched are contacts all the same.
            self.watches.handle_watch(now, presentity, WatchReason::Contact, in_reach);
        }
    }

    pub(super) fn subscribed(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        report: SubscriptionReport,
        record: Option<ToldRecord>,
        key: Option<ReleasedKey>,
    ) {
        if let Some(key) = key {
            self.take_key(now, presentity, key);
        }
        if let Some(told) = record {
            self.take_direct(now, presentity, &told);
            self.given(now, presentity, &told.record);
        }
        self.reported(now, presentity, report);
    }

    /// The presentity's own node says where the subscription of this one stands.
    pub(super) fn reported(&mut self, now: Timestamp, presentity: Presentity, report: SubscriptionReport) {
        let is_watched = self.watches.handle_report(now, presentity, report);
        let is_refused = report.state == SubscriptionState::Pending
            || (report.state == SubscriptionState::Terminated && report.event == SubscriptionEvent::Rejected);
        if is_watched && is_refused {
            self.drop_key(now, presentity);
        }
    }

    /// Takes over the answer to a FETCH.
    pub(super) fn fetched(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        record: Option<ToldRecord>,
        answer: FetchAnswer,
    ) -> FetchOutcome {
        match answer {
            FetchAnswer::Granted { key: Some(key) } => self.take_key(now, presentity, key),
            FetchAnswer::Granted { key: None } | FetchAnswer::Known => (),
            FetchAnswer::Refused => {
                self.drop_key(now, presentity);
                return FetchOutcome::Refused;
            }
            FetchAnswer::Unconfirmed => {
                self.drop_key(now, presentity);
                return FetchOutcome::Unconfirmed;
            }
            FetchAnswer::TooFast { retry_after_ms } => return FetchOutcome::TooFast { retry_after_ms },
        }
        let Some(told) = record else { return FetchOutcome::Unanswered };
        match self.verify(&told.record) {
            Ok(record) if record.presentity() == presentity => {
                self.take_direct(now, presentity, &told);
                self.given(now, presentity, &told.record);
                return FetchOutcome::Direct;
            }
            Ok(_) => self.count_refused("not-the-asked-for"),
            Err(error) => self.refuse_record(presentity, &error),
        }
        FetchOutcome::Unanswered
    }

    pub(super) fn fetched_watchers(&mut self, token: WatchersToken, watchers: Option<Vec<WatcherReport>>) {
        self.outputs.push_back(NodeOutput::FetchedWatchers { token, watchers });
    }

    /// NOTIFY: a record of the sender's own, and what else it says to this watcher.
    pub(super) fn notified(
        &mut self,
        now: Timestamp,
        from: Presentity,
        record: &[u8],
        subscription: Option<SubscriptionReport>,
        key: Option<ReleasedKey>,
    ) {
        if let Some(report) = subscription {
            self.reported(now, from, report);
        }
        if let Some(key) = key.filter(|_| self.watches.is_watching(&from)) {
            self.take_key(now, from, key);
        }
        if record.is_empty() {
            return;
        }
        match self.verify(record) {
            Ok(record) if record.presentity() == from => {
                let bytes = record.bytes().to_vec();
                let goodbye = record.body().departing.then(|| bytes.clone());
                let offered = self.take_record(now, record, Source::Direct);
                self.given(now, from, &bytes);
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
    }

    /// What this node may see of a record that is new to it. While the key to it may be on its way, that is
    /// what it saw before: nobody is to be told of a change that is none.
    pub(super) fn open(&mut self, now: Timestamp, record: &PresenceRecord) -> Option<PresenceInformation> {
        if record.body().sealed_views.is_empty() {
            return None;
        }
        let presentity = record.presentity();
        let Some((opened, moved)) = self.keyring.open(record) else {
            let seen = self.service.readable(&presentity).filter(|_| self.watches.is_expecting(&presentity));
            let seen = seen.cloned()?;
            self.keyring.handle_awaited(now, presentity);
            return Some(seen);
        };
        if let Some(key) = self.keyring.to_store(&presentity).filter(|_| moved) {
            self.persist_lazily(Change::PutKey(key));
        }
        Some(opened)
    }

    /// `presentity`'s own node gave this record, and whatever key it grants with it.
    fn given(&mut self, now: Timestamp, presentity: Presentity, record: &[u8]) {
        let is_newest = self.service.record(&presentity).is_some_and(|newest| newest.bytes() == record);
        if is_newest && self.keyring.handle_given(&presentity) {
            self.service.handle_opened(now, presentity, None);
        }
    }

    /// Ends what was sealed for this node and whose time is over.
    pub(super) fn keys_due(&mut self, now: Timestamp) {
        for presentity in self.keyring.handle_awaited_timeout(now) {
            self.service.handle_opened(now, presentity, None);
            self.watches.handle_keyless(now, presentity);
        }
        for presentity in self.keyring.handle_timeout(now) {
            self.forget_key(now, presentity);
        }
    }

    fn take_key(&mut self, now: Timestamp, presentity: Presentity, key: ReleasedKey) {
        let (stored, dropped) = self.keyring.handle_released(now, presentity, key);
        self.persist_lazily(Change::PutKey(stored));
        if let Some(dropped) = dropped {
            self.forget_key(now, dropped);
        }
        let Some(record) = self.service.record(&presentity).cloned() else { return };
        if let Some((opened, _)) = self.keyring.open(&record) {
            self.service.handle_opened(now, presentity, Some(opened));
        }
    }

    /// The presentity's node refuses: what it granted before it grants no more.
    fn drop_key(&mut self, now: Timestamp, presentity: Presentity) {
        if self.keyring.handle_refused(&presentity) {
            self.forget_key(now, presentity);
        } else {
            self.service.handle_opened(now, presentity, None);
        }
    }

    fn forget_key(&mut self, now: Timestamp, presentity: Presentity) {
        self.persist_lazily(Change::RemoveKey(presentity));
        self.service.handle_opened(now, presentity, None);
    }

    /// A FETCH had no answer.
    pub(super) fn fetch_failed(&mut self, fetch: FetchToken) {
        self.outputs.push_back(NodeOutput::Fetched { token: fetch, outcome: FetchOutcome::Unanswered });
    }
}

/// The wait before one who is in contact, and gave no answer, is asked again, on average: it may be that all
/// ask at the same moment, more than it takes connections.
const RETRY_IN_CONTACT: Duration = Duration::from_secs(10);
