//! SUBSCRIPTIONS to WATCHER INFORMATION (RFC 3857, whose package for it is `presence.winfo`): a WATCHER that
//! asks not for somebody's presence but for who else watches them.
//!
//! **Decides** when those who watch this node's WATCHER INFORMATION are told, and what of what others tell is
//! news. **Leaves** what each may see to the aggregate, the lease to [`super::subscribers`], whose turn it is
//! to [`super::notifications`], and when to ask and to renew to [`super::watches`].
//!
//! Whoever may fetch may subscribe, since everybody sees its own entry. Subscribers are told in rounds: at
//! once of the first change, and then every [`ROUND_INTERVAL`] of what has changed since (RFC 3857 section
//! 4.10), each only if what it may see is not what it was told last. A round tells all of it, so that one
//! that got lost is mended by the next. To watch the watchers of WATCHER INFORMATION is not offered.
//!
//! Limits: [`SUBSCRIBERS_MAX`] subscribers; this node watches [`WATCHES_MAX`] at most, and keeps
//! [`WATCHERS_PER_FRAME`] entries of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    notifications::Notifications,
    subscribers::Subscribers,
    subscription::{SubscriptionEvent, SubscriptionReport},
    watcher_information::WATCHERS_MAX,
    watches::{WatchReason, Watches},
};
use crate::{
    identity::Presentity,
    presence::access_rules::Handling,
    time::{Timestamp, WallClock},
    wire::{
        codec::encode,
        frames::{WATCHERS_PER_FRAME, WatcherReport},
    },
};

/// Who watches this node's WATCHER INFORMATION.
#[derive(Debug)]
pub struct WinfoSubscribers {
    subscribers: Subscribers,
    notifications: Notifications,
    /// The digest of what each was told last.
    told: BTreeMap<Presentity, [u8; 32]>,
    /// Whose entries have changed since the last round.
    changed: BTreeSet<Presentity>,
    round_at: Option<Timestamp>,
    last_round: Option<Timestamp>,
}

impl WinfoSubscribers {
    /// Nobody yet.
    pub fn new(now: Timestamp, clock: WallClock) -> Self {
        Self {
            subscribers: Subscribers::new(now, clock, []),
            notifications: Notifications::default(),
            told: BTreeMap::new(),
            changed: BTreeSet::new(),
            round_at: None,
            last_round: None,
        }
    }

    /// `from` asks to be told for `duration`, or no more if that is zero, and is told this much at once.
    pub fn handle_subscribe(
        &mut self,
        now: Timestamp,
        from: Presentity,
        duration: Duration,
        told: &[WatcherReport],
    ) -> SubscriptionReport {
        let known = self.subscribers.report(now, &from).is_some();
        if !duration.is_zero() && !known && self.subscribers.active().count() >= SUBSCRIBERS_MAX {
            return SubscriptionReport::ended(SubscriptionEvent::Noresource, Some(RETRY_NORESOURCE));
        }
        let report = self.subscribers.handle_subscribe(now, from, duration, Handling::Allow);
        if report.expires_seconds > 0 {
            self.told.insert(from, digest(told));
        } else {
            self.told.remove(&from);
        }
        report
    }

    /// What is known of `watcher` has changed.
    pub fn handle_changed(&mut self, now: Timestamp, watcher: Presentity) {
        // There are no more to tell of than are kept.
        if self.changed.len() < WATCHERS_MAX {
            self.changed.insert(watcher);
        }
        self.plan_round(now);
    }

    /// Others may see it now than before.
    pub fn handle_rules(&mut self, now: Timestamp) {
        self.plan_round(now);
    }

    /// If a round is due: whose entries have changed since the last one, and who is to be told if
    /// [`Self::handle_seen`] finds news for it.
    pub fn take_round(&mut self, now: Timestamp) -> Option<(BTreeSet<Presentity>, Vec<Presentity>)> {
        self.round_at.take_if(|at| *at <= now)?;
        self.last_round = Some(now);
        Some((std::mem::take(&mut self.changed), self.subscribers.active().collect()))
    }

    /// In this round `subscriber` may see this. It is told if that is news to it.
    pub fn handle_seen(&mut self, subscriber: Presentity, seen: &[WatcherReport]) {
        let seen = digest(seen);
        if self.told.insert(subscriber, seen) != Some(seen) {
            self.notifications.handle_news(subscriber, None);
        }
    }

    /// What was said to `subscriber` was taken, or it could not be told; with `again` it is told later.
    pub fn handle_told(&mut self, now: Timestamp, subscriber: Presentity, taken: bool, again: bool) {
        self.notifications.handle_told(now, subscriber, taken, again);
    }

    /// Ends what is over.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.subscribers.handle_timeout(now);
        self.notifications.handle_timeout(now);
    }

    /// Whom to tell now.
    pub fn poll_output(&mut self) -> Option<Presentity> {
        while let Some(change) = self.subscribers.poll_output() {
            if !self.subscribers.active().any(|active| active == change.presentity) {
                self.told.remove(&change.presentity);
            }
        }
        Some(self.notifications.poll_output()?.0)
    }

    /// Where the subscription of `subscriber` stands, if it has one.
    pub fn report(&self, now: Timestamp, subscriber: &Presentity) -> Option<SubscriptionReport> {
        self.subscribers.report(now, subscriber)
    }

    /// When [`Self::handle_timeout`] or [`Self::take_round`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let machines = [self.subscribers.poll_timeout(), self.notifications.poll_timeout(), self.round_at];
        machines.into_iter().flatten().min()
    }

    fn plan_round(&mut self, now: Timestamp) {
        let soonest = self.last_round.map_or(now, |last| now.max(last + ROUND_INTERVAL));
        self.round_at.get_or_insert(soonest);
    }
}

/// Whose WATCHER INFORMATION this node watches, and what it was told.
#[derive(Debug)]
pub struct WinfoWatches {
    watches: Watches,
    lists: BTreeMap<Presentity, BTreeMap<Presentity, WatcherReport>>,
}

impl WinfoWatches {
    /// Nobody's yet.
    pub fn new(clock: WallClock) -> Self {
        Self { watches: Watches::new(clock), lists: BTreeMap::new() }
    }

    /// The PRINCIPAL asks to watch who watches `presentity`; false if [`WATCHES_MAX`] are watched already.
    pub fn handle_watch(&mut self, now: Timestamp, presentity: Presentity) -> bool {
        if !self.watches.is_watching(&presentity) && self.watches.views().len() >= WATCHES_MAX {
            return false;
        }
        self.lists.entry(presentity).or_default();
        self.watches.handle_watch(now, presentity, WatchReason::Asked, true)
    }

    /// The PRINCIPAL has seen enough; false if it was not watching.
    pub fn handle_unwatch(&mut self, presentity: Presentity) -> bool {
        self.lists.remove(&presentity);
        self.watches.handle_unwatch(presentity, WatchReason::Asked)
    }

    /// The presentity's own node says where the subscription stands, and all that this node may see. Returns
    /// what of that is news: entries that are new or changed, and those that are gone, as they were.
    pub fn handle_report(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        report: SubscriptionReport,
        told: Vec<WatcherReport>,
    ) -> Vec<WinfoNews> {
        if !self.watches.handle_report(now, presentity, report) {
            return Vec::new();
        }
        let Some(known) = self.lists.get_mut(&presentity).filter(|_| report.expires_seconds > 0) else {
            return Vec::new();
        };
        let told: BTreeMap<_, _> =
            told.into_iter().take(WATCHERS_PER_FRAME).map(|report| (report.presentity, report)).collect();
        let gone = known.iter().filter(|(who, _)| !told.contains_key(who));
        let gone = gone.map(|(_, entry)| WinfoNews { watcher: entry.clone(), gone: true });
        let new = told.iter().filter(|(who, entry)| known.get(who) != Some(entry));
        let new = new.map(|(_, entry)| WinfoNews { watcher: entry.clone(), gone: false });
        let news = gone.chain(new).collect();
        *known = told;
        news
    }

    /// A question had no answer.
    pub fn handle_failure(&mut self, now: Timestamp, presentity: Presentity) {
        self.watches.handle_failure(now, presentity, Some(RETRY_UNANSWERED));
    }

    /// The presentity's node came into reach, or was restarted.
    pub fn handle_in_reach(&mut self, now: Timestamp, presentity: Presentity) {
        self.watches.handle_in_reach(now, presentity);
    }

    /// There may be a way to the presentity's node that was not there before.
    pub fn handle_way(&mut self, now: Timestamp, presentity: Presentity) {
        self.watches.handle_way(now, presentity);
    }

    /// Renews and asks again what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.watches.handle_timeout(now);
    }

    /// Whom to ask next, and for how long; for no time if the subscription is to end.
    pub fn poll_output(&mut self) -> Option<(Presentity, Duration)> {
        self.watches.poll_output().map(|output| (output.presentity, output.duration))
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.watches.poll_timeout()
    }
}

/// An entry of WATCHER INFORMATION that is new or changed, or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WinfoNews {
    /// What is known of the watcher, or was last.
    pub watcher: WatcherReport,
    /// Whether it is kept, or may be seen, no more.
    pub gone: bool,
}

/// Tells lists apart.
fn digest(told: &[WatcherReport]) -> [u8; 32] {
    Sha256::digest(encode(&told)).into()
}

/// Those who watch one presentity's WATCHER INFORMATION: its own devices, and few others have a reason to.
pub const SUBSCRIBERS_MAX: usize = 64;
/// Presentities whose WATCHER INFORMATION this node watches: each may keep 100 kB.
pub const WATCHES_MAX: usize = 16;
/// Between two rounds of notifications (RFC 3857 section 4.10).
pub const ROUND_INTERVAL: Duration = Duration::from_secs(5);
const RETRY_NORESOURCE: Duration = Duration::from_secs(15 * 60);
const RETRY_UNANSWERED: Duration = Duration::from_secs(10);

#[cfg(test)]
#[path = "winfo_tests.rs"]
mod tests;
