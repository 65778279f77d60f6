//! SUBSCRIPTIONS to WATCHER INFORMATION: those of others to this node's, and this node's to others'.
//!
//! **Decides** nothing of its own but what a subscriber may see, which is what a FETCH gives it. See
//! [`crate::watcher::winfo`].

use std::time::Duration;

use super::{Node, NodeOutput, Notice, OutgoingRequest, Pending};
use crate::{
    identity::Presentity,
    presence::access_rules::Handling,
    time::Timestamp,
    watcher::subscription::{SubscriptionEvent, SubscriptionReport},
    wire::frames::{PresenceRequest, PresenceResponse, WATCHERS_PER_FRAME, WatcherReport},
};

impl Node {
    /// Watches who watches `presentity`, until [`Self::handle_unwatch_watchers`]; false if too many are
    /// watched. What changes is told as [`Notice::Watcher`], and of this node's own watchers always.
    pub fn handle_watch_watchers(&mut self, now: Timestamp, presentity: Presentity) -> bool {
        let begun = self.winfo_watches.handle_watch(now, presentity);
        self.settle(now);
        begun
    }

    /// Ends that; false if there was nothing to end.
    pub fn handle_unwatch_watchers(&mut self, now: Timestamp, presentity: Presentity) -> bool {
        let ended = self.winfo_watches.handle_unwatch(presentity);
        self.settle(now);
        ended
    }

    /// What `asker` may see of this node's WATCHER INFORMATION: itself, and others if the rules say so.
    pub(super) fn watchers_seen_by(&self, now: Timestamp, asker: Presentity) -> Vec<WatcherReport> {
        let rule = self.access_rule(&asker);
        let all = rule.handling == Handling::Allow && rule.watchers;
        let visible = self.watcher_information.visible(now, asker, all).take(WATCHERS_PER_FRAME);
        visible.map(|(who, watcher)| WatcherReport::new(*who, watcher)).collect()
    }

    pub(super) fn subscribe_watchers_request(
        &mut self,
        now: Timestamp,
        from: Presentity,
        seconds: u32,
    ) -> PresenceResponse {
        let asked = Duration::from_secs(seconds.into());
        if !asked.is_zero()
            && let Err(after) = self.watcher_information.handle_fetch_rate(now, from)
        {
            let later = || SubscriptionReport::ended(SubscriptionEvent::Probation, Some(after));
            let subscription = self.winfo_subscribers.report(now, &from).unwrap_or_else(later);
            return PresenceResponse::SubscribedWatchers { subscription, watchers: Vec::new() };
        }
        let seen = self.watchers_seen_by(now, from);
        let subscription = self.winfo_subscribers.handle_subscribe(now, from, asked, &seen);
        let watchers = if subscription.expires_seconds > 0 { seen } else { Vec::new() };
        PresenceResponse::SubscribedWatchers { subscription, watchers }
    }

    /// Tells the PRINCIPAL and the subscribers what has changed since the last round, if one is due; whether
    /// one was.
    pub(super) fn winfo_round(&mut self, now: Timestamp) -> bool {
        let Some((changed, subscribers)) = self.winfo_subscribers.take_round(now) else { return false };
        let own = self.presentity();
        let seen = self.watcher_information.iter(now).filter(|(who, _)| changed.contains(who));
        for watcher in seen.map(|(who, watcher)| WatcherReport::new(*who, watcher)) {
            let notice = Notice::Watcher { of: own, watcher, gone: false };
            self.outputs.push_back(NodeOutput::Notice(notice));
        }
        for subscriber in subscribers {
            let seen = self.watchers_seen_by(now, subscriber);
            self.winfo_subscribers.handle_seen(subscriber, &seen);
        }
        true
    }

    pub(super) fn notify_watchers(&mut self, now: Timestamp, subscriber: Presentity) {
        let ended = || SubscriptionReport::ended(SubscriptionEvent::Timeout, None);
        let subscription = self.winfo_subscribers.report(now, &subscriber).unwrap_or_else(ended);
        let watchers = self.watchers_seen_by(now, subscriber);
        let notify = PresenceRequest::NotifyWatchers { subscription, watchers };
        let pending = Pending::NotifyWatchers { to: subscriber };
        self.send_request(now, subscriber, OutgoingRequest::Presence(notify), pending);
    }

    pub(super) fn watchers_notification_told(&mut self, now: Timestamp, to: Presentity, taken: bool) {
        let again = self.service.is_in_contact(&to);
        self.winfo_subscribers.handle_told(now, to, taken, again);
    }

    pub(super) fn subscribe_watchers(&mut self, now: Timestamp, presentity: Presentity, duration: Duration) {
        let seconds = u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let request = OutgoingRequest::Presence(PresenceRequest::SubscribeWatchers { seconds });
        self.send_request(now, presentity, request, Pending::SubscribeWatchers { presentity });
    }

    /// `presentity`'s own node says who watches it, in its answer or later.
    pub(super) fn watchers_told(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        subscription: SubscriptionReport,
        watchers: Vec<WatcherReport>,
    ) {
        for news in self.winfo_watches.handle_report(now, presentity, subscription, watchers) {
            let notice = Notice::Watcher { of: presentity, watcher: news.watcher, gone: news.gone };
            self.outputs.push_back(NodeOutput::Notice(notice));
        }
    }
}
