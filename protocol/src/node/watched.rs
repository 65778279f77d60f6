//! A node as PRESENTITY: who asks for its PRESENCE INFORMATION, and what each is given.
//!
//! **Decides** nothing of its own: ACCESS RULES say how a watcher is handled and what it sees
//! ([`crate::presence::access_rules`]), and every answer is counted
//! ([`crate::watcher::watcher_information`]). A FETCH, a SUBSCRIBE and a NOTIFICATION give the same record
//! and the same key, so they cannot differ in what they show.

use std::{collections::BTreeSet, time::Duration};

use super::{Node, NodeOutput, Notice, OutgoingRequest, Pending};
use crate::{
    durable::Change,
    identity::Presentity,
    presence::{
        access_rules::{AccessRule, AccessRuleError, AccessRules, Handling, SetAccessRule},
        publication::PublishError,
        record::PresenceRecord,
        views::ReleasedKey,
    },
    time::Timestamp,
    watcher::{
        subscribers::SubscriberChange,
        subscription::{SubscriptionEvent, SubscriptionReport, SubscriptionState},
        watcher_information::{VisibleTo, Watcher, WatcherOutput},
    },
    wire::frames::{FetchAnswer, PresenceRequest, PresenceResponse},
};

impl Node {
    /// The ACCESS RULES of the presentity.
    pub fn access_rules(&self) -> &AccessRules {
        self.publication.views().rules()
    }

    /// Whether these ACCESS RULES could be set together.
    ///
    /// # Errors
    /// Why not.
    pub fn check_access_rules(&self, now: Timestamp, set: Vec<SetAccessRule>) -> Result<(), AccessError> {
        let mut rules = self.access_rules().clone();
        rules.put_all(set)?;
        Ok(self.publication.check_rules(now, rules)?)
    }

    /// Who asked for this node's PRESENCE INFORMATION lately, and what they were given.
    pub fn watchers(&self, now: Timestamp) -> Vec<(Presentity, Watcher)> {
        self.watcher_information.iter(now).map(|(who, watcher)| (*who, watcher.clone())).collect()
    }

    pub(super) fn handle_access_rules(&mut self, now: Timestamp, set: Vec<SetAccessRule>) {
        let mut rules = self.access_rules().clone();
        // It was found to be in order before it was stored; what was set meanwhile may leave no room for it.
        if let Err(error) = rules.put_all(set) {
            self.trouble(&format!("an access rule does not hold before the next start: {error}"));
            return;
        }
        self.apply_rules(now, rules);
    }

    /// Somebody has a petname now, or none any more.
    pub(super) fn contacts_changed(&mut self, now: Timestamp) {
        self.apply_rules(now, self.access_rules().clone());
    }

    fn apply_rules(&mut self, now: Timestamp, rules: AccessRules) {
        let petnames = &self.petnames;
        let seen = &self.watcher_information;
        let rule = |who: &Presentity| rules.decide(*who, petnames.names(who), seen.hides(who));
        let published = self.publication.handle_rules(now, rules.clone(), |who| rule(who).view());
        self.subscribers.handle_rules(now, |who| rule(who).handling);
        self.winfo_subscribers.handle_rules(now);
        let welcome = |who: &Presentity| rule(who).handling != Handling::Block;
        let invited: Vec<_> = self.watcher_information.rejected().filter(welcome).collect();
        if !published && self.publication.record().is_some() {
            // Some may have been granted a view that is in the newest record already.
            self.tell_moved();
        }
        for watcher in invited {
            // It does not ask again by itself for long, since it was told not to.
            let event = SubscriptionEvent::Deactivated;
            self.watcher_information.handle_state(now, watcher, SubscriptionState::Terminated, event);
            self.notifications.handle_news(watcher, Some(SubscriptionReport::ended(event, None)));
        }
    }

    /// How `who` is handled.
    pub(super) fn handling(&self, who: &Presentity) -> Handling {
        self.access_rule(who).handling
    }

    pub(super) fn access_rule(&self, who: &Presentity) -> &AccessRule {
        self.access_rules().decide(*who, self.petnames.names(who), self.watcher_information.hides(who))
    }

    /// The key to what `who` may see, if that is sealed.
    fn release(&mut self, who: Presentity) -> Option<ReleasedKey> {
        let view = self.access_rule(&who).view()?;
        self.publication.views_mut().release(who, &view)
    }

    /// The same for a SUBSCRIBER, who is told of what it is given from now on.
    fn release_to_subscriber(&mut self, who: Presentity) -> Option<ReleasedKey> {
        let view = self.access_rule(&who).view()?;
        self.subscribers.handle_shown(&who, &view);
        self.publication.views_mut().release(who, &view)
    }

    /// Who is given nothing any more keeps no key to what is published later.
    fn take_back(&mut self, who: &Presentity) {
        if self.access_rule(who).view().is_none() {
            self.publication.views_mut().handle_refused(who);
        }
    }

    /// FETCH of this node's own presentity, or of what it knows of another.
    pub(super) fn fetch_request(
        &mut self,
        now: Timestamp,
        from: Presentity,
        presentity: Presentity,
        visible_to: VisibleTo,
    ) -> PresenceResponse {
        if presentity != self.presentity() {
            let record = self.serves_cache.then(|| self.told(now, &presentity)).flatten();
            return PresenceResponse::Fetched { record, answer: FetchAnswer::Known };
        }
        if let Err(after) = self.watcher_information.handle_fetch_rate(now, from) {
            let answer = FetchAnswer::TooFast { retry_after_ms: millis(after) };
            return PresenceResponse::Fetched { record: None, answer };
        }
        self.publication.handle_asked(now);
        self.watcher_information.handle_asked(now, from, bounded(visible_to));
        let answer = match self.handling(&from) {
            Handling::Block => FetchAnswer::Refused,
            Handling::Confirm => FetchAnswer::Unconfirmed,
            Handling::PoliteBlock | Handling::Allow => FetchAnswer::Granted { key: self.release(from) },
        };
        let given = matches!(answer, FetchAnswer::Granted { .. });
        self.watcher_information.handle_fetch(now, from, given);
        self.take_back(&from);
        let record = given.then(|| self.told(now, &presentity)).flatten();
        PresenceResponse::Fetched { record, answer }
    }

    pub(super) fn subscribe_request(
        &mut self,
        now: Timestamp,
        from: Presentity,
        seconds: u32,
        visible_to: VisibleTo,
    ) -> PresenceResponse {
        let asked = Duration::from_secs(seconds.into());
        if !asked.is_zero()
            && let Err(after) = self.watcher_information.handle_fetch_rate(now, from)
        {
            let stands = self.subscribers.report(now, &from);
            let later = || SubscriptionReport::ended(SubscriptionEvent::Probation, Some(after));
            let subscription = stands.unwrap_or_else(later);
            return PresenceResponse::Subscribed { subscription, record: None, key: None };
        }
        self.publication.handle_asked(now);
        if !asked.is_zero() {
            self.watcher_information.handle_asked(now, from, bounded(visible_to));
        }
        let subscription = self.subscribers.handle_subscribe(now, from, asked, self.handling(&from));
        let given = subscription.state == SubscriptionState::Active;
        if !asked.is_zero() {
            self.watcher_information.handle_subscribe(from, given);
            self.take_back(&from);
            if subscription.state == SubscriptionState::Terminated {
                self.watcher_information.handle_state(now, from, subscription.state, subscription.event);
            }
        }
        let key = if given { self.release_to_subscriber(from) } else { None };
        let record = given.then(|| self.told(now, &self.presentity())).flatten();
        PresenceResponse::Subscribed { subscription, record, key }
    }

    /// FETCH of WATCHER INFORMATION: everybody sees itself, others only if the rules say so.
    pub(super) fn watchers_request(&mut self, now: Timestamp, from: Presentity) -> PresenceResponse {
        if let Err(after) = self.watcher_information.handle_fetch_rate(now, from) {
            return PresenceResponse::Watchers { watchers: Vec::new(), retry_after_ms: Some(millis(after)) };
        }
        let watchers = self.watchers_seen_by(now, from);
        PresenceResponse::Watchers { watchers, retry_after_ms: None }
    }

    /// Subscribers that are granted another view than before, and know the others by their record, are told.
    fn tell_moved(&mut self) {
        for watcher in self.subscribers.active().collect::<Vec<_>>() {
            let view = self.access_rule(&watcher).view();
            if view.is_some_and(|view| self.subscribers.handle_shown(&watcher, &view)) {
                self.notifications.handle_news(watcher, None);
            }
        }
    }

    /// A record was published: subscribers are told if there is news in their view.
    pub(super) fn notify(&mut self, now: Timestamp, record: &PresenceRecord, first: bool) {
        let departs = record.body().departing;
        let mut told = BTreeSet::new();
        for watcher in self.subscribers.active().collect::<Vec<_>>() {
            let Some(view) = self.access_rule(&watcher).view() else { continue };
            let moved = self.subscribers.handle_shown(&watcher, &view);
            // Those with whom there is a link are told by the goodbye.
            let leaves = departs && !self.linked.contains(&watcher);
            if moved || leaves || self.publication.views().has_news(&watcher, &view) {
                self.notifications.handle_news(watcher, None);
                told.insert(watcher);
            }
        }
        if first {
            // Links that stand already compared tables without it.
            for peer in self.linked.difference(&told).copied().collect::<Vec<_>>() {
                let record = record.bytes().to_vec();
                let notify = PresenceRequest::Notify { record, subscription: None, key: None };
                self.send_request(now, peer, OutgoingRequest::Presence(notify), Pending::Notify { to: peer });
            }
        }
    }

    /// The subscription of a watcher changed, perhaps unasked.
    pub(super) fn subscriber_changed(&mut self, now: Timestamp, change: SubscriberChange) {
        let SubscriberChange { presentity, state, event, tell } = change;
        self.watcher_information.handle_state(now, presentity, state, event);
        self.outputs.push_back(NodeOutput::Notice(Notice::Subscriber { presentity, state, event }));
        if tell {
            if state == SubscriptionState::Active {
                self.watcher_information.handle_approved(now, presentity);
            }
            let ended = state == SubscriptionState::Terminated;
            let ended = ended.then(|| SubscriptionReport::ended(event, None));
            self.notifications.handle_news(presentity, ended);
        }
    }

    /// It is the turn of `watcher` to be told: the newest record with the key to its view if its subscription
    /// is active, and otherwise where it stands or that it has `ended`.
    pub(super) fn send_notification(
        &mut self,
        now: Timestamp,
        watcher: Presentity,
        ended: Option<SubscriptionReport>,
    ) {
        let subscription = self.subscribers.report(now, &watcher).or(ended);
        let active = subscription.is_some_and(|report| report.state == SubscriptionState::Active);
        let own = self.publication.record().filter(|_| active);
        let record = own.map(|own| own.bytes().to_vec()).unwrap_or_default();
        let key = if active { self.release_to_subscriber(watcher) } else { None };
        let notify = PresenceRequest::Notify { record, subscription, key };
        let pending = Pending::Notify { to: watcher };
        self.send_request(now, watcher, OutgoingRequest::Presence(notify), pending);
    }

    /// A notification was taken, or could not be handed over.
    pub(super) fn notification_told(&mut self, now: Timestamp, watcher: Presentity, taken: bool) {
        // Whoever is out of contact asks anew when it is back.
        let again = self.service.is_in_contact(&watcher);
        self.notifications.handle_told(now, watcher, taken, again);
    }

    pub(super) fn watcher_output(&mut self, now: Timestamp, output: WatcherOutput) {
        match output {
            WatcherOutput::Store(watcher) => self.persist_lazily(Change::PutWatcher(watcher)),
            WatcherOutput::Forget(presentity) => self.persist_lazily(Change::RemoveWatcher(presentity)),
            WatcherOutput::Changed(watcher) => self.winfo_subscribers.handle_changed(now, watcher),
        }
    }
}

/// Who asks to be hidden from more than there is room for is hidden from all.
fn bounded(visible_to: VisibleTo) -> VisibleTo {
    if visible_to.is_within_limits() { visible_to } else { VisibleTo::Nobody }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Why an ACCESS RULE cannot be set. The old one stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The rule breaks a limit.
    #[error(transparent)]
    Rule(#[from] AccessRuleError),
    /// The record would be too large with the views that it makes.
    #[error(transparent)]
    Publish(#[from] PublishError),
}
