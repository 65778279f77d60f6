//! NOTIFICATIONS that are to be sent: hundreds of SUBSCRIBERS are told by turns.
//!
//! **Decides** who is told next: in the order in which there was news, at most [`UNDER_WAY_MAX`] at a time,
//! since telling one that is no neighbour takes a connection of its own. Whoever has news twice before its
//! turn is told once, of the newest. One that could not be told is told again after [`RETRY_MIN`], then after
//! twice as long each time, up to [`RETRY_MAX`], as long as somebody says that it is to be. **Leaves** to the
//! aggregate what is said, and when nobody has to be told any more: those who went out of contact ask anew.
//!
//! Limits: as many entries as there are subscribers.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::subscription::SubscriptionReport;
use crate::{identity::Presentity, time::Timestamp};

/// Whom to tell.
#[derive(Debug, Default)]
pub struct Notifications {
    order: VecDeque<Presentity>,
    /// Those whose turn has not come, and that their subscription has ended if it has.
    due: BTreeMap<Presentity, Option<SubscriptionReport>>,
    under_way: BTreeMap<Presentity, Option<SubscriptionReport>>,
    again: BTreeMap<Presentity, Again>,
}

/// One that could not be told.
#[derive(Debug)]
struct Again {
    at: Timestamp,
    waited: Duration,
    ended: Option<SubscriptionReport>,
}

impl Notifications {
    /// There is news for `watcher`: of the presentity, or that its subscription has `ended`.
    pub fn handle_news(&mut self, watcher: Presentity, ended: Option<SubscriptionReport>) {
        if self.due.insert(watcher, ended).is_none() {
            self.order.push_back(watcher);
        }
    }

    /// What was said to `watcher` was taken, or it could not be told. With `again` it is to be told later.
    pub fn handle_told(&mut self, now: Timestamp, watcher: Presentity, taken: bool, again: bool) {
        let Some(ended) = self.under_way.remove(&watcher) else { return };
        if taken || !again {
            self.again.remove(&watcher);
            return;
        }
        let waited = self.again.get(&watcher).map_or(RETRY_MIN, |before| (before.waited * 2).min(RETRY_MAX));
        self.again.insert(watcher, Again { at: now + waited, waited, ended });
    }

    /// Lets those have their turn who could not be told.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let due: Vec<_> = self
            .again
            .iter()
            .filter(|(watcher, again)| again.at <= now && !self.is_under_way_or_due(watcher))
            .map(|(watcher, again)| (*watcher, again.ended))
            .collect();
        for (watcher, ended) in due {
            self.handle_news(watcher, ended);
        }
    }

    /// Whom to tell now, and that its subscription has ended if it has.
    pub fn poll_output(&mut self) -> Option<(Presentity, Option<SubscriptionReport>)> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            return None;
        }
        // Whoever is being told has its turn when that is over.
        let place = self.order.iter().position(|watcher| !self.under_way.contains_key(watcher))?;
        let watcher = self.order.remove(place)?;
        let ended = self.due.remove(&watcher).flatten();
        self.under_way.insert(watcher, ended);
        Some((watcher, ended))
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let waiting = self.again.iter().filter(|(watcher, _)| !self.is_under_way_or_due(watcher));
        waiting.map(|(_, again)| again.at).min()
    }

    fn is_under_way_or_due(&self, watcher: &Presentity) -> bool {
        self.under_way.contains_key(watcher) || self.due.contains_key(watcher)
    }
}

/// Notifications under way at a time: fewer than a node dials at a time, so that others are dialled as well.
pub const UNDER_WAY_MAX: usize = 48;
/// The wait before one that could not be told is told again; it doubles.
pub const RETRY_MIN: Duration = Duration::from_secs(5);
/// The longest of these waits.
pub const RETRY_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
#[path = "notifications_tests.rs"]
mod tests;
