//! Who watches this node's PRESENTITY: the PRESENCE SERVICE's side of SUBSCRIPTIONS.
//!
//! **Decides** the state of each subscription from how ACCESS RULES have its watcher handled: refused,
//! *pending* until the PRINCIPAL decides, or *active*. A lease is granted for what was asked within
//! [`DURATION_MIN`] and [`DURATION_MAX`], and ended by the watcher (a duration of zero, RFC 3859), by time,
//! or by other rules. A pending one whose watcher stops asking is *waiting* for [`WAITING_KEPT`], so that
//! the PRINCIPAL still learns of it. **Leaves** to the aggregate who the watcher is (only the authenticated
//! peer can ask for a subscription or end it) and that it is told.
//!
//! Limits: [`SUBSCRIBERS_MAX`] active ones, [`REQUESTS_MAX`] that are pending or waiting; at a limit
//! newcomers are refused with *noresource*. Active ones do not outlive the process: watchers ask anew when
//! the node has a new incarnation. Source: RFC 3857 section 4.7.1, RFC 6665 for the reasons.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::subscription::{
    DURATION_MAX, DURATION_MIN, SubscriptionEvent, SubscriptionReport, SubscriptionState,
};
use crate::{
    identity::Presentity,
    presence::access_rules::{Handling, View},
    time::{Timestamp, UnixTime, WallClock},
};

/// Who watches this node's PRESENTITY, or asked to.
#[derive(Debug)]
pub struct Subscribers {
    clock: WallClock,
    subscriptions: BTreeMap<Presentity, Subscription>,
    outputs: VecDeque<SubscriberChange>,
}

impl Subscribers {
    /// Those who asked in an earlier run and wait for an answer still, with when they asked.
    pub fn new(
        now: Timestamp,
        clock: WallClock,
        waiting: impl IntoIterator<Item = (Presentity, UnixTime)>,
    ) -> Self {
        let subscription = |since: UnixTime| Subscription {
            state: SubscriptionState::Waiting,
            event: SubscriptionEvent::Timeout,
            since,
            ends: now + WAITING_KEPT.saturating_sub(clock.unix(now).since(since)),
            shown: None,
        };
        let subscriptions =
            waiting.into_iter().take(REQUESTS_MAX).map(|(watcher, since)| (watcher, subscription(since)));
        Self { clock, subscriptions: subscriptions.collect(), outputs: VecDeque::new() }
    }

    /// `from` asks for a subscription of `duration`, or its end if that is zero. Returns what becomes of it.
    pub fn handle_subscribe(
        &mut self,
        now: Timestamp,
        from: Presentity,
        duration: Duration,
        handling: Handling,
    ) -> SubscriptionReport {
        if duration.is_zero() {
            self.end(from, SubscriptionEvent::Timeout, false);
            return SubscriptionReport::ended(SubscriptionEvent::Timeout, None);
        }
        let state = match handling {
            Handling::Block => {
                self.end(from, SubscriptionEvent::Rejected, false);
                return SubscriptionReport::ended(SubscriptionEvent::Rejected, None);
            }
            Handling::Confirm => SubscriptionState::Pending,
            Handling::PoliteBlock | Handling::Allow => SubscriptionState::Active,
        };
        let granted = duration.clamp(DURATION_MIN, DURATION_MAX);
        let before = self.subscriptions.get(&from).map(|known| (known.state, known.event, known.since));
        let is_new = before.is_none_or(|(before, ..)| is_active(before) != is_active(state));
        if is_new && self.count(is_active(state)) >= limit(is_active(state)) {
            return SubscriptionReport::ended(SubscriptionEvent::Noresource, Some(RETRY_NORESOURCE));
        }
        let (event, since) = match before {
            Some((before, event, since)) if before == state => (event, since),
            Some((_, _, since)) if state == SubscriptionState::Active => (SubscriptionEvent::Approved, since),
            _ => (SubscriptionEvent::Subscribe, self.clock.unix(now)),
        };
        let shown = self.subscriptions.remove(&from).and_then(|known| known.shown);
        self.subscriptions.insert(from, Subscription { state, event, since, ends: now + granted, shown });
        if before.is_none_or(|(before, ..)| before != state) {
            self.changed(from, state, event, false);
        }
        SubscriptionReport::stands(state, event, granted)
    }

    /// Other rules hold, or others are contacts. Those whose subscription changes by that are to be told.
    pub fn handle_rules(&mut self, now: Timestamp, handling: impl Fn(&Presentity) -> Handling) {
        let known: Vec<_> =
            self.subscriptions.iter().map(|(watcher, known)| (*watcher, known.state)).collect();
        for (watcher, state) in known {
            match (state, handling(&watcher)) {
                (_, Handling::Block) => {
                    self.end(watcher, SubscriptionEvent::Rejected, state != SubscriptionState::Waiting);
                }
                (SubscriptionState::Waiting, Handling::Allow | Handling::PoliteBlock) => {
                    self.end(watcher, SubscriptionEvent::Approved, false);
                }
                (SubscriptionState::Pending, Handling::Allow | Handling::PoliteBlock) => {
                    self.turn(watcher, SubscriptionState::Active, SubscriptionEvent::Approved);
                }
                (SubscriptionState::Active, Handling::Confirm) => {
                    if let Some(known) = self.subscriptions.get_mut(&watcher) {
                        known.since = self.clock.unix(now);
                    }
                    self.turn(watcher, SubscriptionState::Pending, SubscriptionEvent::Subscribe);
                }
                _ => (),
            }
        }
    }

    /// Ends what is over.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let over: Vec<_> = self
            .subscriptions
            .iter()
            .filter(|(_, known)| known.ends <= now)
            .map(|(watcher, known)| (*watcher, known.state))
            .collect();
        for (watcher, state) in over {
            match state {
                SubscriptionState::Pending => {
                    if let Some(known) = self.subscriptions.get_mut(&watcher) {
                        known.state = SubscriptionState::Waiting;
                        known.event = SubscriptionEvent::Timeout;
                        known.ends = now + WAITING_KEPT;
                    }
                    self.changed(watcher, SubscriptionState::Waiting, SubscriptionEvent::Timeout, false);
                }
                SubscriptionState::Waiting => self.end(watcher, SubscriptionEvent::Giveup, false),
                SubscriptionState::Active | SubscriptionState::Terminated => {
                    self.end(watcher, SubscriptionEvent::Timeout, false);
                }
            }
        }
    }

    /// Whose subscription changed.
    pub fn poll_output(&mut self) -> Option<SubscriberChange> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.subscriptions.values().map(|known| known.ends).min()
    }

    /// Those who are to be notified.
    pub fn active(&self) -> impl Iterator<Item = Presentity> + '_ {
        let active = self.subscriptions.iter().filter(|(_, known)| is_active(known.state));
        active.map(|(watcher, _)| *watcher)
    }

    /// `watcher` is told of what it is given in `view`; whether that is another one than it was told of last.
    pub fn handle_shown(&mut self, watcher: &Presentity, view: &View) -> bool {
        let Some(known) = self.subscriptions.get_mut(watcher) else { return false };
        let moved = known.shown.as_ref() != Some(view);
        if moved {
            known.shown = Some(view.clone());
        }
        moved
    }

    /// What is to be said of the subscription of `watcher`, if it has one.
    pub fn report(&self, now: Timestamp, watcher: &Presentity) -> Option<SubscriptionReport> {
        let known = self.subscriptions.get(watcher)?;
        Some(SubscriptionReport::stands(known.state, known.event, known.ends.since(now)))
    }

    /// Who watches or asked to, for people.
    pub fn views(&self) -> Vec<SubscriberView> {
        let view = |(presentity, known): (&Presentity, &Subscription)| SubscriberView {
            presentity: *presentity,
            state: known.state,
            event: known.event,
            since: known.since,
            expires_at: self.clock.unix(known.ends),
        };
        self.subscriptions.iter().map(view).collect()
    }

    fn turn(&mut self, watcher: Presentity, state: SubscriptionState, event: SubscriptionEvent) {
        if let Some(known) = self.subscriptions.get_mut(&watcher) {
            known.state = state;
            known.event = event;
            self.changed(watcher, state, event, true);
        }
    }

    fn end(&mut self, watcher: Presentity, event: SubscriptionEvent, tell: bool) {
        if self.subscriptions.remove(&watcher).is_some() {
            self.changed(watcher, SubscriptionState::Terminated, event, tell);
        }
    }

    fn changed(
        &mut self,
        presentity: Presentity,
        state: SubscriptionState,
        event: SubscriptionEvent,
        tell: bool,
    ) {
        self.outputs.push_back(SubscriberChange { presentity, state, event, tell });
    }

    fn count(&self, active: bool) -> usize {
        self.subscriptions.values().filter(|known| is_active(known.state) == active).count()
    }
}

/// A subscription changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriberChange {
    /// Whose.
    pub presentity: Presentity,
    /// Where it stands now.
    pub state: SubscriptionState,
    /// Since what.
    pub event: SubscriptionEvent,
    /// Whether the watcher does not know yet and is to be told.
    pub tell: bool,
}

/// A subscriber, or one who asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriberView {
    /// Who.
    pub presentity: Presentity,
    /// Where the subscription stands.
    pub state: SubscriptionState,
    /// Since what.
    pub event: SubscriptionEvent,
    /// When it was asked for.
    pub since: UnixTime,
    /// When it ends if it is not renewed, or is forgotten.
    pub expires_at: UnixTime,
}

#[derive(Debug)]
struct Subscription {
    state: SubscriptionState,
    event: SubscriptionEvent,
    since: UnixTime,
    ends: Timestamp,
    /// The view that the watcher was told of last.
    shown: Option<View>,
}

fn is_active(state: SubscriptionState) -> bool {
    state == SubscriptionState::Active
}

const fn limit(active: bool) -> usize {
    if active { SUBSCRIBERS_MAX } else { REQUESTS_MAX }
}

/// Active subscribers of one presentity. RFC 2779 2.2.5 asks for hundreds.
pub const SUBSCRIBERS_MAX: usize = 1024;
/// Requests that wait for the PRINCIPAL's word: more than anybody goes through, and keys cost nothing.
pub const REQUESTS_MAX: usize = 256;
/// How long a request is kept whose watcher does not ask any more: a week.
pub const WAITING_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const RETRY_NORESOURCE: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
#[path = "subscribers_tests.rs"]
mod tests;
