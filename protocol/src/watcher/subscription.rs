//! SUBSCRIPTIONS: who is to be notified of this PRESENTITY's changes, and whose changes this node asked for.
//!
//! [`Subscribers`] is the PRESENCE SERVICE's side: a lease per WATCHER, granted for what was asked within
//! [`DURATION_MIN`] and [`DURATION_MAX`], ended by the watcher (a duration of zero, RFC 3859) or by time.
//! Only the authenticated peer of a subscription can end it. [`Watches`] is the watcher's side: it asks when
//! the presentity is in reach, renews at half the lease, asks anew when the presentity's node was restarted
//! or lost, and begins nothing that its own PRINCIPAL did not ask for.
//!
//! States are RFC 3857's: *pending* until the presentity's node answered, *active*, *terminated* when it
//! refused. Limits: [`SUBSCRIBERS_MAX`], [`WATCHES_MAX`]; at the limit newcomers are refused.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    identity::Presentity,
    time::{Timestamp, UnixTime, WallClock},
};

/// Who watches this node's PRESENTITY.
#[derive(Debug)]
pub struct Subscribers {
    clock: WallClock,
    leases: BTreeMap<Presentity, Lease>,
    outputs: VecDeque<SubscriberChange>,
}

impl Subscribers {
    /// Nobody yet.
    pub fn new(clock: WallClock) -> Self {
        Self { clock, leases: BTreeMap::new(), outputs: VecDeque::new() }
    }

    /// `from` asks for a subscription of `duration`, or its end if that is zero. Returns what is granted;
    /// nothing if there are too many subscribers.
    pub fn handle_subscribe(
        &mut self,
        now: Timestamp,
        from: Presentity,
        duration: Duration,
    ) -> Option<Duration> {
        if duration.is_zero() {
            if self.leases.remove(&from).is_some() {
                self.outputs.push_back(SubscriberChange { presentity: from, active: false });
            }
            return Some(Duration::ZERO);
        }
        if !self.leases.contains_key(&from) && self.leases.len() >= SUBSCRIBERS_MAX {
            return None;
        }
        let granted = duration.clamp(DURATION_MIN, DURATION_MAX);
        let since = self.leases.get(&from).map_or(now, |lease| lease.since);
        if self.leases.insert(from, Lease { since, ends: now + granted }).is_none() {
            self.outputs.push_back(SubscriberChange { presentity: from, active: true });
        }
        Some(granted)
    }

    /// Ends the leases whose time is over.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let over: Vec<_> =
            self.leases.iter().filter(|(_, lease)| lease.ends <= now).map(|(watcher, _)| *watcher).collect();
        for presentity in over {
            self.leases.remove(&presentity);
            self.outputs.push_back(SubscriberChange { presentity, active: false });
        }
    }

    /// Who came or went.
    pub fn poll_output(&mut self) -> Option<SubscriberChange> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.leases.values().map(|lease| lease.ends).min()
    }

    /// Those who are to be notified.
    pub fn iter(&self) -> impl Iterator<Item = Presentity> + '_ {
        self.leases.keys().copied()
    }

    /// Who watches, for people.
    pub fn views(&self) -> Vec<SubscriberView> {
        let view = |(presentity, lease): (&Presentity, &Lease)| SubscriberView {
            presentity: *presentity,
            since: self.clock.unix(lease.since),
            expires_at: self.clock.unix(lease.ends),
        };
        self.leases.iter().map(view).collect()
    }
}

/// Whom this node watches.
#[derive(Debug)]
pub struct Watches {
    clock: WallClock,
    watches: BTreeMap<Presentity, Watch>,
    outputs: VecDeque<WatchOutput>,
}

impl Watches {
    /// Nobody yet.
    pub fn new(clock: WallClock) -> Self {
        Self { clock, watches: BTreeMap::new(), outputs: VecDeque::new() }
    }

    /// The PRINCIPAL asks to watch `presentity`; false if the limit is reached.
    pub fn handle_watch(&mut self, now: Timestamp, presentity: Presentity) -> bool {
        if self.watches.contains_key(&presentity) {
            return true;
        }
        if self.watches.len() >= WATCHES_MAX {
            return false;
        }
        let watch = Watch { state: SubscriptionState::Pending, since: now, ends: None, ask_at: None };
        self.watches.insert(presentity, watch);
        self.ask(now, presentity);
        true
    }

    /// The PRINCIPAL has seen enough; false if it was not watching.
    pub fn handle_unwatch(&mut self, presentity: Presentity) -> bool {
        let Some(watch) = self.watches.remove(&presentity) else { return false };
        if watch.state == SubscriptionState::Active {
            self.outputs.push_back(WatchOutput { presentity, duration: Duration::ZERO });
        }
        true
    }

    /// The presentity's node came into reach, or was restarted: what it knew of this watcher may be gone.
    pub fn handle_in_reach(&mut self, now: Timestamp, presentity: Presentity) {
        if let Some(watch) = self.watches.get_mut(&presentity) {
            watch.state = SubscriptionState::Pending;
            watch.ends = None;
            self.ask(now, presentity);
        }
    }

    /// The presentity's node answered: granted for `duration`, or refused.
    pub fn handle_answer(&mut self, now: Timestamp, presentity: Presentity, granted: Option<Duration>) {
        let Some(watch) = self.watches.get_mut(&presentity) else {
            // The answer to a watch that has ended since: the lease is given back.
            if granted.is_some_and(|duration| !duration.is_zero()) {
                self.outputs.push_back(WatchOutput { presentity, duration: Duration::ZERO });
            }
            return;
        };
        match granted {
            // The answer to the end of an earlier watch says nothing of this one.
            Some(Duration::ZERO) => (),
            Some(duration) => {
                let duration = duration.clamp(DURATION_MIN, DURATION_MAX);
                watch.state = SubscriptionState::Active;
                watch.ends = Some(now + duration);
                watch.ask_at = Some(now + duration / 2);
            }
            None => {
                watch.state = SubscriptionState::Terminated;
                watch.ends = None;
                watch.ask_at = Some(now + RETRY_REFUSED);
            }
        }
    }

    /// No answer came. Asked again after a while, or when the presentity is in reach.
    pub fn handle_failure(&mut self, now: Timestamp, presentity: Presentity) {
        if let Some(watch) = self.watches.get_mut(&presentity) {
            watch.ask_at = Some(now + RETRY_UNANSWERED);
        }
    }

    /// Renews and asks again what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let due: Vec<_> = self
            .watches
            .iter()
            .filter(|(_, watch)| watch.ask_at.is_some_and(|at| at <= now))
            .map(|(presentity, _)| *presentity)
            .collect();
        for presentity in due {
            self.ask(now, presentity);
        }
        for watch in self.watches.values_mut() {
            if watch.ends.is_some_and(|ends| ends <= now) {
                watch.state = SubscriptionState::Pending;
                watch.ends = None;
            }
        }
    }

    /// Whom to ask next.
    pub fn poll_output(&mut self) -> Option<WatchOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.watches.values().flat_map(|watch| [watch.ask_at, watch.ends]).flatten().min()
    }

    /// Whom this node watches, for people.
    pub fn views(&self) -> Vec<WatchView> {
        let view = |(presentity, watch): (&Presentity, &Watch)| WatchView {
            presentity: *presentity,
            state: watch.state,
            since: self.clock.unix(watch.since),
            expires_at: watch.ends.map(|ends| self.clock.unix(ends)),
        };
        self.watches.iter().map(view).collect()
    }

    fn ask(&mut self, now: Timestamp, presentity: Presentity) {
        if let Some(watch) = self.watches.get_mut(&presentity) {
            // Should neither answer nor failure be reported, this asks again.
            watch.ask_at = Some(now + RETRY_UNANSWERED);
            self.outputs.push_back(WatchOutput { presentity, duration: DURATION_MAX });
        }
    }
}

/// Somebody subscribed, or their subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriberChange {
    /// Who.
    pub presentity: Presentity,
    /// Whether it is active now.
    pub active: bool,
}

/// A subscription to ask for, or to end if `duration` is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchOutput {
    /// Whose node to ask.
    pub presentity: Presentity,
    /// For how long.
    pub duration: Duration,
}

/// RFC 3857's states of a subscription, as far as this node tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionState {
    /// Asked, or waiting for the presentity to come into reach.
    Pending,
    /// The presentity's node notifies this one.
    Active,
    /// The presentity's node refused.
    Terminated,
}

/// Both sides, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscriptions {
    /// Who watches this node's presentity.
    pub subscribers: Vec<SubscriberView>,
    /// Whom this node watches.
    pub watching: Vec<WatchView>,
}

/// A subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberView {
    /// Who.
    pub presentity: Presentity,
    /// When the subscription began.
    pub since: UnixTime,
    /// When it ends if it is not renewed.
    pub expires_at: UnixTime,
}

/// A presentity that this node watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchView {
    /// Who.
    pub presentity: Presentity,
    /// Where the subscription stands.
    pub state: SubscriptionState,
    /// When the PRINCIPAL asked for it.
    pub since: UnixTime,
    /// When it ends if it is not renewed; nothing while it is not active.
    pub expires_at: Option<UnixTime>,
}

#[derive(Debug)]
struct Lease {
    since: Timestamp,
    ends: Timestamp,
}

#[derive(Debug)]
struct Watch {
    state: SubscriptionState,
    since: Timestamp,
    ends: Option<Timestamp>,
    ask_at: Option<Timestamp>,
}

/// The shortest lease, so that nobody can make a node renew all the time.
pub const DURATION_MIN: Duration = Duration::from_secs(60);
/// The longest lease, RFC 3856's default of an hour.
pub const DURATION_MAX: Duration = Duration::from_secs(60 * 60);
/// Subscribers of one presentity. RFC 2779 2.2.5 asks for hundreds.
pub const SUBSCRIBERS_MAX: usize = 1024;
/// Presentities that one node watches. RFC 2779 2.2.4 asks for hundreds.
pub const WATCHES_MAX: usize = 1024;
const RETRY_UNANSWERED: Duration = Duration::from_secs(60);
const RETRY_REFUSED: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
#[path = "subscription_tests.rs"]
mod tests;
