//! Whom this node watches: the WATCHER's side of SUBSCRIPTIONS.
//!
//! **Decides** when to ask: when the presentity is in reach, at half the lease, anew when the presentity's
//! node was restarted or lost or its records do not open any more, and some time after a refusal. It begins
//! nothing that its own PRINCIPAL did not ask for; where a subscription stands is the presentity's node to
//! say, if this one asked for it. **Leaves** asking and the documents to the aggregate.
//!
//! A watch is held by up to two *reasons*: that somebody asked for it now, and that the presentity is a
//! contact. It ends when neither holds. Limit: [`WATCHES_MAX`].

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::subscription::{
    DURATION_MAX, DURATION_MIN, SubscriptionEvent, SubscriptionReport, SubscriptionState,
};
use crate::{
    identity::Presentity,
    time::{Timestamp, UnixTime, WallClock},
};

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

    /// The PRINCIPAL asks to watch `presentity`, for `reason`; false if the limit is reached. Its node is
    /// asked at once if it may be `in_reach`. One that was refused is asked for again.
    pub fn handle_watch(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        reason: WatchReason,
        in_reach: bool,
    ) -> bool {
        if let Some(watch) = self.watches.get_mut(&presentity) {
            watch.reasons.put(reason, true);
            // A contact that is away is asked no more until it is in reach, or somebody asks for it.
            let is_due = in_reach && watch.ask_at.is_none();
            if is_due || watch.state == SubscriptionState::Terminated {
                self.ask(now, presentity);
            }
            return true;
        }
        if self.watches.len() >= WATCHES_MAX {
            return false;
        }
        let mut reasons = Reasons::default();
        reasons.put(reason, true);
        let watch = Watch {
            state: SubscriptionState::Pending,
            event: SubscriptionEvent::Subscribe,
            reasons,
            since: now,
            ends: None,
            ask_at: None,
            asked_at: None,
            under_way: false,
        };
        self.watches.insert(presentity, watch);
        if in_reach {
            self.ask(now, presentity);
        }
        true
    }

    /// The PRINCIPAL has seen enough, as far as `reason` goes; false if it was not watching for that.
    pub fn handle_unwatch(&mut self, presentity: Presentity, reason: WatchReason) -> bool {
        let Some(watch) = self.watches.get_mut(&presentity) else { return false };
        let held = watch.reasons.put(reason, false);
        if !watch.reasons.any() {
            let known_there = watch.state != SubscriptionState::Terminated;
            self.watches.remove(&presentity);
            if known_there {
                self.outputs.push_back(WatchOutput { presentity, duration: Duration::ZERO });
            }
        }
        held
    }

    /// Whether the PRINCIPAL watches `presentity`.
    pub fn is_watching(&self, presentity: &Presentity) -> bool {
        self.watches.contains_key(presentity)
    }

    /// Whether `presentity` is watched and has not refused: its node may be about to give something.
    pub fn is_expecting(&self, presentity: &Presentity) -> bool {
        self.watches.get(presentity).is_some_and(|watch| watch.state != SubscriptionState::Terminated)
    }

    /// A record of `presentity` does not open although one before it did: the key to it got lost, or what is
    /// granted has changed. Its node is asked at once.
    pub fn handle_keyless(&mut self, now: Timestamp, presentity: Presentity) {
        if self.is_expecting(&presentity) {
            self.ask(now, presentity);
        }
    }

    /// The presentity's node came into reach, or was restarted: what it knew of this watcher may be gone.
    pub fn handle_in_reach(&mut self, now: Timestamp, presentity: Presentity) {
        if let Some(watch) = self.watches.get_mut(&presentity) {
            watch.state = SubscriptionState::Pending;
            watch.event = SubscriptionEvent::Subscribe;
            watch.ends = None;
            self.ask(now, presentity);
        }
    }

    /// There may be a way to the presentity's node that was not there before. It is asked if the subscription
    /// does not stand and no request is under way.
    pub fn handle_way(&mut self, now: Timestamp, presentity: Presentity) {
        let waits = |watch: &Watch| watch.ends.is_none() && !watch.under_way;
        let watch = self.watches.get(&presentity);
        if watch.is_some_and(|watch| waits(watch) && watch.state == SubscriptionState::Pending) {
            self.ask(now, presentity);
        }
    }

    /// The presentity's own node says where the subscription stands: in its answer, or later. False if
    /// there is none, and what was granted is given back.
    pub fn handle_report(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        report: SubscriptionReport,
    ) -> bool {
        let stands = matches!(report.state, SubscriptionState::Active | SubscriptionState::Pending);
        let Some(watch) = self.watches.get_mut(&presentity) else {
            if stands {
                self.outputs.push_back(WatchOutput { presentity, duration: Duration::ZERO });
            }
            return false;
        };
        watch.under_way = false;
        if stands {
            let expires = Duration::from_secs(report.expires_seconds.into());
            let expires = expires.clamp(DURATION_MIN, DURATION_MAX);
            watch.state = report.state;
            watch.event = report.event;
            watch.ends = Some(now + expires);
            watch.ask_at = Some(now + expires / 2);
        } else if report.event != SubscriptionEvent::Timeout {
            // That it ended by a request of our own is the answer to an earlier watch.
            let after = report.retry_after_seconds.map(|seconds| Duration::from_secs(seconds.into()));
            let usual = match report.event {
                SubscriptionEvent::Deactivated => Duration::ZERO,
                SubscriptionEvent::Rejected => RETRY_REJECTED,
                _ => RETRY_LATER,
            };
            watch.state = SubscriptionState::Terminated;
            watch.event = report.event;
            watch.ends = None;
            let soonest = watch.asked_at.map_or(now, |asked| asked + ASK_INTERVAL);
            watch.ask_at = Some(soonest.max(now + after.unwrap_or(usual).min(RETRY_REJECTED)));
        }
        true
    }

    /// No answer came. Asked again after `wait` if that is said, or else after a while, or when the
    /// presentity is in reach.
    pub fn handle_failure(&mut self, now: Timestamp, presentity: Presentity, wait: Option<Duration>) {
        if let Some(watch) = self.watches.get_mut(&presentity) {
            // A contact may be away for months; it is asked when it comes into reach.
            let usual = watch.reasons.asked.then_some(RETRY_UNANSWERED);
            watch.under_way = false;
            watch.ask_at = wait.or(usual).map(|wait| now + wait);
        }
    }

    /// What is said with each request has changed: whoever was asked is asked again at once, and who refused
    /// perhaps did so for that.
    pub fn handle_renew(&mut self, now: Timestamp) {
        let answered = |watch: &Watch| watch.ends.is_some() || watch.event == SubscriptionEvent::Rejected;
        let answered: Vec<_> =
            self.watches.iter().filter(|(_, watch)| answered(watch)).map(|(who, _)| *who).collect();
        for presentity in answered {
            self.ask(now, presentity);
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
                watch.event = SubscriptionEvent::Subscribe;
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
            event: watch.event,
            since: self.clock.unix(watch.since),
            expires_at: watch.ends.map(|ends| self.clock.unix(ends)),
            is_contact: watch.reasons.contact,
        };
        self.watches.iter().map(view).collect()
    }

    fn ask(&mut self, now: Timestamp, presentity: Presentity) {
        if let Some(watch) = self.watches.get_mut(&presentity) {
            // Should neither answer nor failure be reported, this asks again.
            watch.ask_at = Some(now + RETRY_UNANSWERED);
            watch.asked_at = Some(now);
            watch.under_way = true;
            self.outputs.push_back(WatchOutput { presentity, duration: DURATION_MAX });
        }
    }
}

/// Why a presentity is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchReason {
    /// Somebody asked for it, until they take it back or the node stops.
    Asked,
    /// It has a petname.
    Contact,
}

#[derive(Debug, Default)]
struct Reasons {
    asked: bool,
    contact: bool,
}

impl Reasons {
    /// Sets one, and says what it was.
    fn put(&mut self, reason: WatchReason, holds: bool) -> bool {
        let place = match reason {
            WatchReason::Asked => &mut self.asked,
            WatchReason::Contact => &mut self.contact,
        };
        std::mem::replace(place, holds)
    }

    const fn any(&self) -> bool {
        self.asked || self.contact
    }
}

/// A subscription to ask for, or to end if `duration` is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchOutput {
    /// Whose node to ask.
    pub presentity: Presentity,
    /// For how long.
    pub duration: Duration,
}

/// A presentity that this node watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchView {
    /// Who.
    pub presentity: Presentity,
    /// Where the subscription stands.
    pub state: SubscriptionState,
    /// Since what.
    pub event: SubscriptionEvent,
    /// When the PRINCIPAL asked for it.
    pub since: UnixTime,
    /// When it ends if it is not renewed; nothing while it is not granted.
    pub expires_at: Option<UnixTime>,
    /// Whether it is watched since it has a petname.
    pub is_contact: bool,
}

#[derive(Debug)]
struct Watch {
    state: SubscriptionState,
    event: SubscriptionEvent,
    reasons: Reasons,
    since: Timestamp,
    ends: Option<Timestamp>,
    ask_at: Option<Timestamp>,
    asked_at: Option<Timestamp>,
    /// Whether neither answer nor failure came since.
    under_way: bool,
}

/// Presentities that one node watches. RFC 2779 2.2.4 asks for hundreds.
pub const WATCHES_MAX: usize = 1024;
/// No presentity's node can make this one ask more often, whatever it says.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
const RETRY_UNANSWERED: Duration = Duration::from_secs(60);
/// RFC 6665 has a rejected watcher ask no more; rules may change, though, and nobody else would say so.
const RETRY_REJECTED: Duration = Duration::from_secs(60 * 60);
const RETRY_LATER: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
#[path = "watches_tests.rs"]
mod tests;
