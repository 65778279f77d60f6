//! WATCHER INFORMATION: who asked this node for its PRESENCE INFORMATION, and was given it.
//!
//! RFC 2778 means those who *received* it, not only those who subscribe: one who fetches again and again,
//! or subscribes and cancels at once, is seen too. What is gossiped in the clear is received by everybody and
//! cannot be counted; what is counted here is every answer to a FETCH or SUBSCRIBE, refusals among them, and
//! with sealed views nobody reads without such an answer.
//!
//! A watcher is a *subscriber* while its SUBSCRIPTION stands, a *poller* if its last fetches came about
//! equally far apart, and otherwise a *fetcher*. Fetches are limited: [`FETCHES_AT_ONCE`] at once and then
//! one every [`FETCH_INTERVAL`], so that neither the node nor this log can be flooded; who asks faster is
//! told when to ask again.
//!
//! VISIBILITY RULES: a watcher says with each request who else may see it here ([`VisibleTo`]). This node's
//! own PRINCIPAL sees everybody, since nobody is given anything without being known by its key, and can
//! refuse those who hide ([`crate::presence::access_rules::AccessRule::visible_only`]).
//!
//! Kept for [`WINDOW`] after the last answer, over restarts but for the last [`STORE_INTERVAL`] before a
//! crash. Limit: [`WATCHERS_MAX`] watchers; at the limit the one not heard of for longest makes room. Source:
//! RFC 2778 section 2.1 (WATCHER INFORMATION, VISIBILITY RULES), RFC 3857 and 3858 for the vocabulary.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::subscription::{SubscriptionEvent, SubscriptionState};
use crate::{
    durable::StoredWatcher,
    identity::Presentity,
    time::{Timestamp, UnixTime, WallClock},
};

/// Who asked this node.
#[derive(Debug)]
pub struct WatcherInformation {
    clock: WallClock,
    watchers: BTreeMap<Presentity, Watcher>,
    /// Until when a watcher has asked as much as it may.
    paid_until: BTreeMap<Presentity, Timestamp>,
    unstored: BTreeSet<Presentity>,
    store_at: Option<Timestamp>,
    outputs: VecDeque<WatcherOutput>,
}

impl WatcherInformation {
    /// What an earlier run saw. Its subscriptions ended with it.
    pub fn new(clock: WallClock, stored: impl IntoIterator<Item = StoredWatcher>) -> Self {
        let seen = stored.into_iter().take(WATCHERS_MAX).map(|StoredWatcher { presentity, mut watcher }| {
            (watcher.state, watcher.event) = match watcher.state {
                SubscriptionState::Pending => (SubscriptionState::Waiting, Some(SubscriptionEvent::Timeout)),
                SubscriptionState::Active => {
                    (SubscriptionState::Terminated, Some(SubscriptionEvent::Deactivated))
                }
                SubscriptionState::Waiting | SubscriptionState::Terminated => (watcher.state, watcher.event),
            };
            (presentity, watcher)
        });
        Self {
            clock,
            watchers: seen.collect(),
            paid_until: BTreeMap::new(),
            unstored: BTreeSet::new(),
            store_at: None,
            outputs: VecDeque::new(),
        }
    }

    /// Counts a request of `from`, if it does not ask too often.
    ///
    /// # Errors
    /// After how long it may ask again; this request was not counted.
    pub fn handle_fetch_rate(&mut self, now: Timestamp, from: Presentity) -> Result<(), Duration> {
        let credit = FETCH_INTERVAL * FETCHES_AT_ONCE;
        let paid_until = self.paid_until.get(&from).copied().unwrap_or_default().max(now);
        let ahead = (paid_until + FETCH_INTERVAL).since(now);
        if ahead > credit {
            return Err(ahead - credit);
        }
        if self.paid_until.len() >= WATCHERS_MAX && !self.paid_until.contains_key(&from) {
            self.paid_until.retain(|_, paid| *paid > now);
            if self.paid_until.len() >= WATCHERS_MAX {
                return Err(FETCH_INTERVAL);
            }
        }
        self.paid_until.insert(from, paid_until + FETCH_INTERVAL);
        Ok(())
    }

    /// `from` sends a FETCH or SUBSCRIBE, and says who else may see that. [`Self::handle_fetch`] or
    /// [`Self::handle_subscribe`] follows.
    pub fn handle_asked(&mut self, now: Timestamp, from: Presentity, visible_to: VisibleTo) {
        let unix = self.clock.unix(now);
        if self.watchers.len() >= WATCHERS_MAX && !self.watchers.contains_key(&from) {
            let standing = |watcher: &Watcher| (watcher.stands(), watcher.last_at);
            let oldest = self.watchers.iter().min_by_key(|(_, watcher)| standing(watcher));
            if let Some(oldest) = oldest.map(|(who, _)| *who) {
                self.forget(oldest);
            }
        }
        self.store_soon(now, from);
        let watcher = self.watchers.entry(from).or_insert_with(|| Watcher::new(unix));
        watcher.last_at = unix;
        watcher.visible_to = visible_to;
    }

    /// The FETCH was answered: with what `from` may see if `given`, or refused.
    pub fn handle_fetch(&mut self, now: Timestamp, from: Presentity, given: bool) {
        let unix = self.clock.unix(now);
        let Some(watcher) = self.watchers.get_mut(&from) else { return };
        if !given {
            watcher.refused += 1;
            return;
        }
        watcher.fetches += 1;
        watcher.fetched_at.push_back(unix);
        if watcher.fetched_at.len() > FETCHES_REMEMBERED {
            watcher.fetched_at.pop_front();
        }
    }

    /// The SUBSCRIBE was answered: with what `from` may see if `given`, or not.
    pub fn handle_subscribe(&mut self, from: Presentity, given: bool) {
        let Some(watcher) = self.watchers.get_mut(&from) else { return };
        if given {
            watcher.subscribes += 1;
        } else {
            watcher.refused += 1;
        }
    }

    /// A SUBSCRIPTION that waited was approved, and `who` is given what it asked for.
    pub fn handle_approved(&mut self, now: Timestamp, who: Presentity) {
        if let Some(watcher) = self.watchers.get_mut(&who) {
            watcher.subscribes += 1;
            self.store_soon(now, who);
        }
    }

    /// The SUBSCRIPTION of `who` changed its state.
    pub fn handle_state(
        &mut self,
        now: Timestamp,
        who: Presentity,
        state: SubscriptionState,
        event: SubscriptionEvent,
    ) {
        let unix = self.clock.unix(now);
        if let Some(watcher) = self.watchers.get_mut(&who) {
            (watcher.state, watcher.event, watcher.state_since) = (state, Some(event), unix);
            self.store_soon(now, who);
        }
    }

    /// Stores what is new, and forgets what is too long ago.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.store_at.is_some_and(|at| at <= now) {
            self.handle_stop(now);
        }
    }

    /// Stores what is new at once: the node stops.
    pub fn handle_stop(&mut self, now: Timestamp) {
        self.store_at = None;
        let oldest = self.clock.unix(now) - WINDOW;
        let over: Vec<_> = self
            .watchers
            .iter()
            .filter(|(_, watcher)| watcher.last_at < oldest && !watcher.stands())
            .map(|(who, _)| *who)
            .collect();
        for who in over {
            self.forget(who);
        }
        for presentity in std::mem::take(&mut self.unstored) {
            if let Some(watcher) = self.watchers.get(&presentity) {
                let stored = StoredWatcher { presentity, watcher: watcher.clone() };
                self.outputs.push_back(WatcherOutput::Store(stored));
            }
        }
    }

    /// What is to be stored, or told.
    pub fn poll_output(&mut self) -> Option<WatcherOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.store_at
    }

    /// Everybody who asked within the window, for this node's own PRINCIPAL.
    pub fn iter(&self, now: Timestamp) -> impl Iterator<Item = (&Presentity, &Watcher)> {
        let oldest = self.clock.unix(now) - WINDOW;
        self.watchers.iter().filter(move |(_, watcher)| watcher.last_at >= oldest || watcher.stands())
    }

    /// The same, as far as `asker` may see it: itself, and with `all` whoever lets it.
    pub fn visible(
        &self,
        now: Timestamp,
        asker: Presentity,
        all: bool,
    ) -> impl Iterator<Item = (&Presentity, &Watcher)> {
        self.iter(now)
            .filter(move |(who, watcher)| **who == asker || (all && watcher.visible_to.includes(&asker)))
    }

    /// All of it, as it is to be stored.
    pub fn to_store(&self) -> impl Iterator<Item = StoredWatcher> + '_ {
        self.watchers
            .iter()
            .map(|(who, watcher)| StoredWatcher { presentity: *who, watcher: watcher.clone() })
    }

    /// Whether `who` hides from anybody, or has not said that it does not.
    pub fn hides(&self, who: &Presentity) -> bool {
        self.watchers.get(who).is_none_or(|watcher| watcher.visible_to.hides())
    }

    /// Those whose request for a SUBSCRIPTION waits for an answer from an earlier run, and since when.
    pub fn waiting(&self) -> impl Iterator<Item = (Presentity, UnixTime)> + '_ {
        let waiting = self.watchers.iter().filter(|(_, seen)| seen.state == SubscriptionState::Waiting);
        waiting.map(|(who, seen)| (*who, seen.state_since))
    }

    /// Those whose last request for a SUBSCRIPTION was refused by the rules.
    pub fn rejected(&self) -> impl Iterator<Item = Presentity> + '_ {
        let rejected = self.watchers.iter().filter(|(_, seen)| {
            seen.state == SubscriptionState::Terminated && seen.event == Some(SubscriptionEvent::Rejected)
        });
        rejected.map(|(who, _)| *who)
    }

    fn store_soon(&mut self, now: Timestamp, who: Presentity) {
        self.outputs.push_back(WatcherOutput::Changed(who));
        self.unstored.insert(who);
        self.store_at.get_or_insert(now + STORE_INTERVAL);
    }

    fn forget(&mut self, who: Presentity) {
        self.watchers.remove(&who);
        self.unstored.remove(&who);
        self.outputs.extend([WatcherOutput::Forget(who), WatcherOutput::Changed(who)]);
    }
}

/// What the log asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatcherOutput {
    /// It is to be stored.
    Store(StoredWatcher),
    /// It may go.
    Forget(Presentity),
    /// What is known of it has changed.
    Changed(Presentity),
}

/// What is known of one who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watcher {
    /// When it first asked.
    pub first_at: UnixTime,
    /// When it last asked.
    pub last_at: UnixTime,
    /// FETCHES that were granted.
    pub fetches: u32,
    /// SUBSCRIBES that were granted, renewals among them.
    pub subscribes: u32,
    /// Requests that were refused, or wait.
    pub refused: u32,
    /// Where its SUBSCRIPTION stands; terminated also if there never was one.
    pub state: SubscriptionState,
    /// What brought it there; nothing if there never was one.
    pub event: Option<SubscriptionEvent>,
    /// Since when.
    pub state_since: UnixTime,
    /// The last fetches, the newest last.
    pub fetched_at: VecDeque<UnixTime>,
    /// Who else may see this.
    pub visible_to: VisibleTo,
}

impl Watcher {
    fn new(at: UnixTime) -> Self {
        Self {
            first_at: at,
            last_at: at,
            fetches: 0,
            subscribes: 0,
            refused: 0,
            state: SubscriptionState::Terminated,
            event: None,
            state_since: at,
            fetched_at: VecDeque::new(),
            visible_to: VisibleTo::default(),
        }
    }

    /// Which kind of WATCHER it is.
    pub fn kind(&self) -> WatcherKind {
        match self.state {
            SubscriptionState::Active => WatcherKind::Subscriber,
            SubscriptionState::Pending | SubscriptionState::Waiting => WatcherKind::Requester,
            SubscriptionState::Terminated if self.fetches == 0 && self.subscribes == 0 => {
                WatcherKind::Refused
            }
            SubscriptionState::Terminated => match self.period() {
                Some(period) => WatcherKind::Poller { period },
                None => WatcherKind::Fetcher,
            },
        }
    }

    /// The median time between the last fetches, if they were regular.
    fn period(&self) -> Option<Duration> {
        let pairs = self.fetched_at.iter().zip(self.fetched_at.iter().skip(1));
        let mut between: Vec<_> = pairs.map(|(before, after)| after.since(*before)).collect();
        if between.len() + 1 < FETCHES_OF_A_POLLER {
            return None;
        }
        between.sort_unstable();
        let median = between.get(between.len() / 2).copied()?;
        let regular = between.iter().all(|one| *one >= median / 2 && *one <= median * 2);
        (regular && !median.is_zero()).then_some(median)
    }

    fn stands(&self) -> bool {
        self.state != SubscriptionState::Terminated
    }
}

/// The kinds of WATCHER (RFC 2778), and those who are none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatcherKind {
    /// It is notified.
    Subscriber,
    /// It fetched, and has no SUBSCRIPTION.
    Fetcher,
    /// It fetches regularly.
    Poller {
        /// How often.
        period: Duration,
    },
    /// It asked for a SUBSCRIPTION that the PRINCIPAL has not decided on.
    Requester,
    /// It asked and was given nothing.
    Refused,
}

/// VISIBILITY RULES: who besides the presentity itself may see that somebody watches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VisibleTo {
    /// Whoever the presentity lets see its WATCHER INFORMATION.
    #[default]
    Everybody,
    /// Everybody but these.
    AllBut(BTreeSet<Presentity>),
    /// Nobody else.
    Nobody,
}

impl VisibleTo {
    /// Whether `asker` is among them.
    pub fn includes(&self, asker: &Presentity) -> bool {
        match self {
            Self::Everybody => true,
            Self::AllBut(hidden_from) => !hidden_from.contains(asker),
            Self::Nobody => false,
        }
    }

    /// Whether anybody is kept from seeing it.
    pub fn hides(&self) -> bool {
        *self != Self::Everybody
    }

    /// Whether it keeps [`HIDDEN_FROM_MAX`].
    pub fn is_within_limits(&self) -> bool {
        !matches!(self, Self::AllBut(hidden_from) if hidden_from.len() > HIDDEN_FROM_MAX)
    }
}

/// How long it is kept who asked: a week.
pub const WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Watchers that are told apart.
pub const WATCHERS_MAX: usize = 4096;
/// Fetches of one watcher that are answered at once.
pub const FETCHES_AT_ONCE: u32 = 10;
/// And then one in this time.
pub const FETCH_INTERVAL: Duration = Duration::from_secs(1);
/// Those from whom a watcher can hide without hiding from all.
pub const HIDDEN_FROM_MAX: usize = 32;
/// What is new is stored this much later.
pub const STORE_INTERVAL: Duration = Duration::from_secs(5);
/// So many fetches at regular times make a POLLER.
const FETCHES_OF_A_POLLER: usize = 3;
const FETCHES_REMEMBERED: usize = 8;

#[cfg(test)]
#[path = "watcher_information_tests.rs"]
mod tests;
